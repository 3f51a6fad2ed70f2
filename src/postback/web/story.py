"""What happened to a delivery, attempt by attempt, as a person reads it: only texts and numbers, ready to be shown."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from postback.actions.log import SentRequest
from postback.domain.deliveries import Verdict
from postback.domain.ids import encode
from postback.ports import AttemptView
from postback.web.commands import curl
from postback.web.reasons import decided, note_in_words, reason_in_words
from postback.web.shown import text_of
from postback.web.timings import Part, parts_of, total_ms

BODY_SHOWN: Final = 20_000
"""Characters of a request's body: there may be many attempts, each with as much as an event may have."""

_KINDS: Final = {
    Verdict.DELIVERED: "good",
    Verdict.RETRY: "warn",
    Verdict.FAILED: "bad",
}


class Told(NamedTuple):
    """One attempt. `kind` is its colour, `curl` its request as a command line; texts of others are as they came."""

    attempt: AttemptView
    kind: str
    outcome: str
    decided: str
    reason: str
    notes: Sequence[str]
    worker: str | None
    request: SentRequest | None
    request_body: str | None
    is_cut: bool
    curl: str | None
    answer_headers: Sequence[tuple[str, str]]
    answer_body: str
    parts: Sequence[Part]
    total_ms: int | None


def told(attempt: AttemptView, request: SentRequest | None) -> Told:
    """What is longer than can be shown is cut, and is no command line then: it would send something else."""
    body = None if request is None or request.body is None else text_of(request.body)
    is_cut = body is not None and len(body) > BODY_SHOWN
    return Told(
        attempt=attempt,
        kind=_KINDS.get(Verdict(attempt.verdict), "plain"),
        outcome=_outcome(attempt),
        decided=decided(attempt),
        reason=reason_in_words(attempt.reason),
        notes=[note_in_words(note) for note in attempt.notes],
        worker=None if attempt.worker is None else encode(attempt.worker),
        request=request,
        request_body=body[:BODY_SHOWN] if body is not None else None,
        is_cut=is_cut,
        curl=None if request is None or is_cut else curl(request),
        answer_headers=[(text_of(name), text_of(value)) for name, value in attempt.answer_headers],
        answer_body=text_of(attempt.answer_body),
        parts=parts_of(attempt),
        total_ms=total_ms(attempt),
    )


def _outcome(attempt: AttemptView) -> str:
    """The status, or in a word or two why there is none."""
    return str(attempt.status) if attempt.status is not None else reason_in_words(attempt.reason) or "no answer"
