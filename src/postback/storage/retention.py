"""How long what is kept: the ages that every database goes by."""

from typing import Final

from postback.domain.ids import encode, first_id_at

SEEN_MS: Final = 24 * 3600 * 1000
"""What ends as expired can be seen for a day before it goes."""

AUDIT_MS: Final = 400 * 24 * 3600 * 1000
"""Who changed what is asked for a year later: the audit is kept so long at least, a year and a month."""

UNDER_WAY_MS: Final = 3600 * 1000
"""No attempt lasts so long: what was sent with a version is on record so long after it was replaced."""

UNNEEDED_AFTER: Final = (UNDER_WAY_MS, first_id_at(1))
"""What says which versions are not needed takes this after the time before which one was replaced."""


def audited_before_ms(now: int, before_ms: int) -> int:
    """The audit is kept longer than the rest, unless the rest is kept longer still."""
    return min(before_ms, now - AUDIT_MS)


def first_job_at(unix_ms: int) -> str:
    return "rpl_" + encode(first_id_at(max(unix_ms, 0)))
