"""Why an attempt was no success, what was odd about it and what was decided after it, in words for people."""

from collections.abc import Mapping
from typing import Final

from postback.domain.causes import WITH_STATUS, Cause, in_words
from postback.domain.deliveries import Verdict
from postback.domain.verdict import GONE
from postback.domain.wire import Note, Reason
from postback.ports import AttemptView
from postback.web.shown import waited

_NOTES: Final[Mapping[str, str]] = {
    Note.BODY_INCOMPLETE: "The body of the answer ended early; its status had come and decides.",
    Note.ANSWERED_EARLY: "The receiver answered before it had taken the whole request.",
    Note.SENT_AGAIN: "A connection that had been used before was closed; it was sent anew on a fresh one.",
}

_NO_MORE_ATTEMPTS: Final = frozenset({Reason.CANNOT_RENDER, Reason.POISON, Reason.EXPIRED})


def reason_in_words(reason: str | None) -> str:
    """A reason of a newer version as it is."""
    if reason is None:
        return ""
    return in_words(Cause(Reason(reason))) if reason in list(Reason) else reason.replace("_", " ")


def note_in_words(note: str) -> str:
    return _NOTES.get(note, note.replace("_", " "))


def decided(attempt: AttemptView) -> str:
    """What was decided after an attempt, and why."""
    match Verdict(attempt.verdict):
        case Verdict.DELIVERED:
            return "Delivered: the receiver acknowledged it."
        case Verdict.RETRY:
            return f"Another attempt after {_wait(attempt.wait_ms)}: {_why(attempt)}."
        case Verdict.FAILED:
            return f"Given up: {_why_given_up(attempt)}."
        case Verdict.CANCELLED:
            return "Cancelled: no more attempts."
        case Verdict.INTERRUPTED:
            after = f" after {_wait(attempt.wait_ms)}" if attempt.wait_ms else " at once"
            return f"Owed again{after}, and no attempt is used up: {_why(attempt)}."
        case Verdict.LATE:
            return "Decides nothing: this outcome came when the delivery was not this worker's any more."


def _why_given_up(attempt: AttemptView) -> str:
    if attempt.status == GONE:
        return "the receiver answered 410 Gone, which also disables the postback config"
    if attempt.reason in _NO_MORE_ATTEMPTS:
        return _why(attempt)
    if attempt.test:
        return f"{_why(attempt)}, and a test has one attempt"
    return f"{_why(attempt)}, and no attempt is left"


def _why(attempt: AttemptView) -> str:
    """Of an answer with its status."""
    if attempt.reason in WITH_STATUS and attempt.status is not None:
        return in_words(Cause(Reason(attempt.reason), str(attempt.status)))
    return reason_in_words(attempt.reason)


def _wait(ms: int) -> str:
    return f"{ms} ms" if ms < 1000 else waited(ms // 1000)
