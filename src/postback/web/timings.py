"""The parts of an attempt's time, one after the other, as a bar: numbers for an SVG and for the table behind it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from postback.ports import AttemptView

WIDTH: Final = 1000
"""Of the bar, in the units of its SVG."""

LEAST: Final = 4.0
"""What took next to no time can be seen all the same."""


class Part(NamedTuple):
    """`key` is what its colour goes by; `x` and `width` are where it stands in the bar."""

    key: str
    name: str
    ms: int
    x: float
    width: float


def parts_of(attempt: AttemptView) -> Sequence[Part]:
    """Nothing for a row of the log in which nothing was sent."""
    took = [part for part in _took(attempt) if part[2] is not None]
    total = sum(ms or 0 for *_, ms in took)
    if not took:
        return []
    room = WIDTH - LEAST * len(took)
    parts: list[Part] = []
    x = 0.0
    for key, name, ms in took:
        width = LEAST + room * ((ms or 0) / total if total else 1 / len(took))
        parts.append(Part(key, name, ms or 0, round(x, 1), round(width, 1)))
        x += width
    return parts


def total_ms(attempt: AttemptView) -> int | None:
    """As the API shows it: from the claim to the end."""
    return None if attempt.started_ms is None else attempt.ended_ms - attempt.started_ms


def _took(attempt: AttemptView) -> Sequence[tuple[str, str, int | None]]:
    begun = attempt.rendered_ms
    if attempt.started_ms is None or begun is None:
        return []
    known = [
        ("waiting", "Claimed, and waiting to be sent", max(begun - attempt.started_ms, 0)),
        ("dns", "Looking the name up", attempt.dns_ms),
        ("connect", "Connecting", attempt.connect_ms),
        ("tls", "TLS", attempt.tls_ms),
        ("answer", "Until the first byte of the answer", attempt.first_byte_ms),
    ]
    rest = attempt.ended_ms - attempt.started_ms - sum(ms or 0 for *_, ms in known)
    last = "Until it ended without an answer" if attempt.status is None else "Sending, reading the answer"
    return [*known, ("rest", last, max(rest, 0))]
