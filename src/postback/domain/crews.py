"""The workers that share the lanes, and how much of each lane is whose: the same answer on every worker."""

from collections.abc import Callable, Iterable
from functools import partial
from hashlib import blake2b
from typing import Final, NamedTuple

from postback.domain.configs import PostbackConfig

Crew = tuple[int, ...]
"""Ids of workers, ascending."""

NOBODY: Final[Crew] = ()

Keys = frozenset[int]
"""Ids of configs, and `host_key`s."""

NOTHING: Final[Keys] = frozenset()

CONNECTIONS: Final = 256
"""What all of them together open to one host and port, each one at least."""

BEATS_A_LEASE: Final = 6
SILENT_BEATS: Final = 2
"""Whoever was not heard of for so many beats is no part of the crew; it knows that itself, and starts nothing more."""


class Peer(NamedTuple):
    """A worker that was heard of lately; `goes_by` is the mark of the crew that it minds, 0 of none.

    `keeps` names what it still has more of under way than that crew gives it. One that `leaves` begins nothing more
    whatever the crew: it keeps all that it has under way.
    """

    id: int
    goes_by: int
    keeps: Keys = NOTHING
    leaves: bool = False


def crew_of(peers: Iterable[Peer]) -> Crew:
    return tuple(sorted(peer.id for peer in peers if not peer.leaves))


def host_key(host: str, port: int) -> int:
    """Below 0, as no id of a config is. Two hosts with the same key, if ever, would only wait for each other."""
    return -1 - int.from_bytes(blake2b(f"{host}:{port}".encode(), digest_size=6).digest())


def keys_text(keys: Keys) -> str:
    """As a row has them: equal for equal keys."""
    return ",".join(map(str, sorted(keys)))


def keys_of(text: str) -> Keys:
    return frozenset(map(int, text.split(","))) if text else NOTHING


def in_touch_ms(lease_ms: int) -> int:
    """For so long after a heartbeat a worker is part of the crew."""
    return lease_ms * SILENT_BEATS // BEATS_A_LEASE


def mark_of(crew: Crew) -> int:
    """Another one for each crew, as far as 63 bits go; 0 is of nobody."""
    return _hash(*crew) >> 1 | 1 if crew else 0


def owner_of(config_id: int, crew: Crew) -> int:
    """Rendezvous hashing: who joins takes its share from all, who leaves gives its own away, and nothing else moves."""
    weight: Callable[[int], int] = partial(_hash, config_id)
    return max(crew, key=weight)


def share(cap: int, workers: int) -> int:
    return max(1, cap // workers)


def is_owned(config: PostbackConfig, workers: int) -> bool:
    """Whether one worker has all of the lane: shares of a rate would not add up, nor those of a cap that is too small."""
    return config.rate_limit is not None or config.max_in_flight < 2 * workers


def part_of(worker: int, crew: Crew, config: PostbackConfig) -> int:
    """How many attempts of the config the worker may have under way where this is the crew."""
    if worker not in crew:
        return 0
    if len(crew) == 1:
        return config.max_in_flight
    if not is_owned(config, len(crew)):
        return share(config.max_in_flight, len(crew))
    return config.max_in_flight if owner_of(config.id, crew) == worker else 0


def _hash(*numbers: int) -> int:
    return int.from_bytes(blake2b(b"".join(number.to_bytes(8, "big") for number in numbers), digest_size=8).digest())
