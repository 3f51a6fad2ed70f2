"""A store that a server has been used on, for the cases that fill it by themselves before another server comes."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from postback.bench.children import Child
from postback.bench.filling import Filling
from postback.bench.ground import Ground
from postback.bench.plans import PLAIN, Plan, Run
from postback.bench.server import Server, Store

HOUR_MS: Final = 3_600_000
HISTORY_MS: Final = 20 * HOUR_MS
"""Of events that are made up; on PostgreSQL there are partitions since yesterday."""

_FIRST: Final = Plan(events=1, warm_up=1)


class Prepared(NamedTuple):
    """A store that was used for one delivery of a type, to receivers that will be there; no server is on it."""

    store: Store
    receivers: Child
    ports: Sequence[int]
    event_type: str


@contextmanager
def used_store(
    ground: Ground,
    also: Callable[[Server, Sequence[int]], None] = lambda *_: None,
    groups: Sequence[Mapping[str, object]] = PLAIN,
) -> Iterator[Prepared]:
    """`also` is done on the server before it ends; it is told the ports of the receivers, of which the first answers."""
    with ground.receivers(groups, tls=False) as (receivers, ports), ground.store() as store:
        with ground.server_on(store) as server:
            run = Run(ground, _FIRST, server, receivers, ports)
            run.warm_up()
            also(server, ports)
        receivers.ask({"clear": True})
        yield Prepared(store, receivers, ports, run.types[0])


@contextmanager
def filled(store: Store) -> Iterator[Filling]:
    with store.kept.tables() as tables:
        filling = Filling(tables, store)
        yield filling
        filling.close()


def start_of(server: Server) -> Mapping[str, float]:
    """How long until it answered, and how much of that was its CPU: on a machine with others the latter says more."""
    return {"start_s": server.start_s, "start_cpu_s": server.start_cpu_s}


def now_ms() -> int:
    return time.time_ns() // 1_000_000
