"""A restored copy of the database: until when it knows what happened, and what it owes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from postback.domain.configs import ConfigState


class Copy(NamedTuple):
    """`known_until_ms` (unix) is the time of the last thing that the copy knows, None where it knows of nothing;
    `last_event` the id of its newest event, 0 where there is none."""

    known_until_ms: int | None
    last_event: int


class OwedTo(NamedTuple):
    """How many deliveries one config is owed; `url` is None where the config was deleted since."""

    account: str
    config_id: int
    state: ConfigState
    url: str | None
    owed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Owing:
    """What would be sent, counted up to COUNTED_MAX, the oldest events first. `in_copy` of the `owed` were accepted before the copy was made; `replays` are jobs that would
    go on replaying; `most` are the configs that are owed most, at most MOST of them."""

    owed: int
    in_copy: int
    replays: int
    most: Sequence[OwedTo]

    @property
    def has_more(self) -> bool:
        return self.owed >= COUNTED_MAX

    @property
    def is_nothing(self) -> bool:
        return not self.owed and not self.replays


MOST: Final = 10
COUNTED_MAX: Final = 2_000_000
"""No more is counted: a store gives a question so many seconds, and beyond this the exact number says nothing new."""
