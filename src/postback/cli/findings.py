"""What `doctor` says of each thing that it has looked at."""

from typing import NamedTuple


class Finding(NamedTuple):
    """`verdict` is ok, note (worth knowing) or wrong (makes the exit code 1)."""

    what: str
    verdict: str
    text: str
