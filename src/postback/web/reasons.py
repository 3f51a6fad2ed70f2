"""Why an attempt was no success, what was odd about it and what was decided after it, in words for people."""

from collections.abc import Mapping
from typing import Final

from postback.domain.deliveries import Verdict
from postback.domain.verdict import GONE
from postback.domain.wire import Note, Reason
from postback.ports import AttemptView
from postback.web.shown import waited

_WORDS: Final[Mapping[str, str]] = {
    Reason.DNS_ERROR: "the host's name was not found",
    Reason.BLOCKED_ADDRESS: "the address may not be called",
    Reason.NO_ROUTE: "no network leads there",
    Reason.CONNECT_TIMEOUT: "no connection in time",
    Reason.CONNECTION_REFUSED: "nobody listens there",
    Reason.TLS_ERROR: "the certificate or its encryption was refused",
    Reason.RESPONSE_TIMEOUT: "no answer in time",
    Reason.CONNECTION_RESET: "the connection broke off before the answer",
    Reason.BAD_RESPONSE: "the answer was no HTTP",
    Reason.BAD_STATUS: "answered, but not with a success",
    Reason.REDIRECT_NOT_FOLLOWED: "answered with a redirect, which is not followed",
    Reason.INTERRUPTED: "the worker ended before there was an outcome",
    Reason.CANNOT_RENDER: "the format cannot say this event",
    Reason.INTERNAL_ERROR: "a mistake of ours",
    Reason.POISON: "ten workers in a row ended over it",
    Reason.EXPIRED: "still owed when its time to be kept was over",
    Reason.CANCELLED: "cancelled",
}

_NOTES: Final[Mapping[str, str]] = {
    Note.BODY_INCOMPLETE: "The body of the answer ended early; its status had come and decides.",
    Note.ANSWERED_EARLY: "The receiver answered before it had taken the whole request.",
    Note.SENT_AGAIN: "A connection that had been used before was closed; it was sent anew on a fresh one.",
}

_NO_MORE_ATTEMPTS: Final = frozenset({Reason.CANNOT_RENDER, Reason.POISON, Reason.EXPIRED})


def reason_in_words(reason: str | None) -> str:
    return "" if reason is None else _WORDS.get(reason, reason.replace("_", " "))


def note_in_words(note: str) -> str:
    return _NOTES.get(note, note.replace("_", " "))


def decided(attempt: AttemptView) -> str:
    """What was decided after an attempt, and why."""
    match Verdict(attempt.verdict):
        case Verdict.DELIVERED:
            return "Delivered: the receiver acknowledged it."
        case Verdict.RETRY:
            return f"Tried again after {_wait(attempt.wait_ms)}: {reason_in_words(attempt.reason)}."
        case Verdict.FAILED:
            return f"Given up: {_why_given_up(attempt)}."
        case Verdict.CANCELLED:
            return "Cancelled: no more attempts."
        case Verdict.INTERRUPTED:
            after = f" after {_wait(attempt.wait_ms)}" if attempt.wait_ms else " at once"
            return f"Owed again{after}, and no attempt is used up: {reason_in_words(attempt.reason)}."
        case Verdict.LATE:
            return "Decides nothing: this outcome came when the delivery was not this worker's any more."


def _why_given_up(attempt: AttemptView) -> str:
    if attempt.status == GONE:
        return "the receiver answered 410 Gone, which also disables the postback config"
    if attempt.reason in _NO_MORE_ATTEMPTS:
        return reason_in_words(attempt.reason)
    if attempt.test:
        return f"{reason_in_words(attempt.reason)}, and a test has one attempt"
    return f"{reason_in_words(attempt.reason)}, and no attempt is left"


def _wait(ms: int) -> str:
    return f"{ms} ms" if ms < 1000 else waited(ms // 1000)
