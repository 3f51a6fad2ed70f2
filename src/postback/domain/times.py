"""Times as texts: RFC 3339 with an offset in, RFC 3339 in UTC out."""

import re
from datetime import datetime, timedelta
from typing import Final

EXPECTED: Final = "expected a time with an offset (RFC 3339), such as 2026-09-21T12:00:00Z"

TIME: Final = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)T(?P<clock>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9}))?"
    r"(?:Z|(?P<sign>[+-])(?P<hours>\d\d)(?::(?P<minutes>\d\d))?)",
    re.ASCII,
)
"""Named groups: date, clock, fraction, and sign, hours, minutes of the offset, which are None for Z."""

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - offsets are applied as numbers: no overflow in the years 1 and 9999
_MILLISECOND: Final = timedelta(milliseconds=1)


def unix_ms(text: str) -> int | None:
    """The time that the text names, or None where it names none (a leap second, an offset of 25 hours, the year 0)."""
    match = TIME.fullmatch(text)
    if match is None:
        return None
    try:
        local = datetime.fromisoformat(f"{match['date']}T{match['clock']}")
    except ValueError:
        return None
    hours, minutes = int(match["hours"] or 0), int(match["minutes"] or 0)
    if hours > 23 or minutes > 59:
        return None
    offset_ms = (hours * 60 + minutes) * 60_000 * (-1 if match["sign"] == "-" else 1)
    return (local - _EPOCH) // _MILLISECOND - offset_ms + int((match["fraction"] or "").ljust(3, "0")[:3])


def rfc3339(ms: int) -> str:
    """Unix milliseconds as a time in UTC."""
    return (_EPOCH + ms * _MILLISECOND).isoformat(timespec="milliseconds") + "Z"
