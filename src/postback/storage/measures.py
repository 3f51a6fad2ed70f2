"""What the rows of `counters` count: numbers that the database keeps, so none of them ever changes its meaning."""

from typing import Final

ACCEPTED: Final = 0
DELIVERED: Final = 1
FAILED: Final = 2
RETRIED: Final = 3
CANCELLED: Final = 4
REPLAYED: Final = 5
"""Finished deliveries that are owed again: accepted + replayed = delivered + failed + cancelled + owed, always."""

LAST_SUCCESS: Final = 6
"""No count: unix ms of the config's last success, in its row of minute 0."""
LAST_ERROR: Final = 7
"""No count: the event of the config's last failed attempt, in its row of minute 0."""

REMOVED: Final = 8
"""REMOVED + a measure from ACCEPTED to CANCELLED: how much of it retention has taken from an account's log."""

CERTIFICATE: Final = 13
"""No count: in the config's row of minute 0 the unix minute in which its receiver last showed a certificate, times 2^32,
plus the unix minute in which that one expires. So the highest is the newest."""

CERTIFICATE_BITS: Final = 32

ERROR_AT: Final = 14
"""No count: unix ms in which the config's last failed attempt was written down, in its row of minute 0."""

LATENCY: Final = 16
"""From here on one for each number of binary digits of the milliseconds from acceptance to success."""

CAUSE: Final = 1000
"""From here on one for each cause of failed deliveries: first the statuses of answers, then those of storage/causes.py."""

LATENCIES: Final = range(LATENCY, CAUSE)

TOTALS: Final = range(ACCEPTED, LAST_SUCCESS)
"""Those that are kept for ever, in minute 0, when the minutes themselves are forgotten."""

ALL_TIME: Final = 0
"""The minute of totals, of last times and of what was removed."""

NO_CONFIG: Final = 0
"""Stands for the configs of an account that are gone."""
