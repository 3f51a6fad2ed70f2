"""The cases on large stores: what a server does whose database has been used for long, or by many."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Final, NamedTuple

from postback.bench.cases import Case, Target, everywhere
from postback.bench.children import Child
from postback.bench.errors import BenchError
from postback.bench.filling import Times
from postback.bench.ground import Ground
from postback.bench.plans import LIMIT_S, PLAIN, SOON_AGAIN, Measured, Plan, Run
from postback.bench.portal import pages_of_a_used_store
from postback.bench.server import Server, Spent, free_port, until
from postback.bench.used import HISTORY_MS, HOUR_MS, filled, now_ms, start_of, used_store

FRESH: Final = Plan(events=0, warm_up=0, connections=4)
FRESH_PER_S: Final = 20
LEASE_S: Final = 40.0
"""After so long whoever is dead has been found, and what it held is delivered."""


class Drained(NamedTuple):
    """Deliveries a second, and how long fresh events took meanwhile."""

    per_s: float
    seconds: float
    fresh_p50_ms: float | None
    fresh_p99_ms: float | None


def _claim(ground: Ground) -> Measured:
    paused, accounts, configs, each = (2_000, 4, 10, 5) if ground.is_quick else (1_000_000, 100, 100, 10)
    with used_store(ground, _with_one_paused) as prepared, _fresh(ground) as fresh:
        now = now_ms()
        times = Times(now - HOUR_MS, now)
        with filled(prepared.store) as filling:
            lanes = filling.accounts(accounts, configs)
            filling.owed(filling.lanes("state = 'paused'"), paused, Times(now - 2 * HOUR_MS, now - HOUR_MS))
            filling.owed(lanes, len(lanes) * each, times)
        with prepared.store.kept.view(), ground.server_on(prepared.store) as server:
            before, began_ns = server.spent(), time.monotonic_ns()
            drained = _drain(ground, server, prepared.receivers, len(lanes) * each, began_ns, fresh)
            return _measured(
                server,
                before,
                len(lanes) * each,
                drained,
                {"claim_p99_ms": server.claim_p99_ms(), **start_of(server)},
            )


def _with_one_paused(server: Server, ports: Sequence[int]) -> None:
    server.set_paused(server.subscribe("bench.paused", f"http://127.0.0.1:{ports[0]}/in", SOON_AGAIN), paused=True)


def _drain_after_outage(ground: Ground) -> Measured:
    configs, backlog, events = (4, 200, 40) if ground.is_quick else (20, 100_000, 20_000)
    plan = Plan(events=events, warm_up=configs * 5, batch=min(100, events), connections=1, configs=configs)
    with (
        ground.receivers(plan.receivers, tls=False) as (receivers, ports),
        _fresh(ground) as fresh,
        ground.server() as server,
    ):
        run = Run(ground, plan, server, receivers, ports)
        run.warm_up()
        steady = [run.measure(events, None)]
        for config_id in run.configs:
            server.set_paused(config_id, paused=True)
        run.publish(run.types, backlog, None)
        receivers.ask({"clear": True})
        before, began_ns = server.spent(), time.monotonic_ns()
        for config_id in run.configs:
            server.set_paused(config_id, paused=False)
        drained = _drain(ground, server, receivers, backlog, began_ns, fresh)
        measured = _measured(server, before, backlog, drained, {})
        run.wait_until_settled()
        steady.append(run.measure(events, None))
    steady_per_s = median(one.deliveries / one.seconds for one in steady)
    shares = {"steady_per_s": steady_per_s, "drain_share": drained.per_s / steady_per_s}
    return replace(measured, more={**measured.more, **shares})


def _full(ground: Ground) -> Measured:
    """Start, and cost beside that of an empty store."""
    finished, waiting, claimed, events = (3_000, 50, 10, 40) if ground.is_quick else (5_000_000, 95_000, 5_000, 20_000)
    plan = Plan(events=events, warm_up=min(1_000, events), batch=min(100, events), connections=1, answering=1)
    with used_store(ground) as old, used_store(ground) as empty:
        now = now_ms()
        with filled(old.store) as filling:
            lanes = filling.accounts(10, 10)
            filling.finished(lanes, finished, Times(now - HISTORY_MS, now - HOUR_MS))
            filling.owed(lanes, waiting, Times(now - HOUR_MS, now - HOUR_MS // 2), due_ms=now + 10 * HOUR_MS)
            filling.claimed(lanes, claimed, Times(now - HOUR_MS // 2, now))
        with ground.server_on(old.store) as server, ground.server_on(empty.store, port=free_port()) as other:
            _wait_for(old.receivers, claimed, LEASE_S + LIMIT_S)
            runs = [Run(ground, plan, on, to.receivers, to.ports) for on, to in ((other, empty), (server, old))]
            for run in runs:
                run.warm_up()
            rounds = [[run.measure(events, None) for run in runs] for _ in range(1 if ground.is_quick else 5)]
            more = {**start_of(server), **_ratios(rounds)}
            return replace(rounds[-1][1], more={**rounds[-1][1].more, **more})


def _ratios(rounds: Sequence[Sequence[Measured]]) -> Mapping[str, float]:
    """What a delivery costs the engine, and the database where that can be told, in units of the empty store's."""

    def ratio(cost_s: Callable[[Measured], float]) -> float:
        empty_s, full_s = (median(cost_s(one[place]) / one[place].units for one in rounds) for place in (0, 1))
        return full_s / empty_s if empty_s else 0.0

    found = {"cost_ratio": ratio(lambda one: one.engine_s)}
    if rounds[0][0].database_s is not None:
        found["database_ratio"] = ratio(lambda one: one.database_s or 0.0)
    return found


def _accounts(ground: Ground) -> Measured:
    count, configs, used = (40, 3, 20) if ground.is_quick else (100_000, 3, 17_000)
    with used_store(ground) as prepared:
        with filled(prepared.store) as filling:
            names = list(dict.fromkeys(lane.account for lane in filling.accounts(count, configs)))
        with ground.server_on(prepared.store) as server:
            started_bytes = server.bytes_held()
            run = Run(ground, replace(FRESH, configs=0), server, prepared.receivers, prepared.ports)
            before, began_ns = server.spent(), time.monotonic_ns()
            # More of them than a server keeps in memory.
            run.publish([prepared.event_type], used, None, names[:used])
            _wait_for(prepared.receivers, used * configs)
            figures = prepared.receivers.ask({"latencies": True})
            seconds = (figures["last_ns"] - began_ns) / 1e9
            drained = Drained(used * configs / seconds, seconds, figures["p50_ms"], figures["p99_ms"])
            more = {**start_of(server), "start_mb": started_bytes / 1e6}
            return replace(_measured(server, before, used * configs, drained, more), events=used)


@contextmanager
def _fresh(ground: Ground) -> Iterator[tuple[Child, Sequence[int]]]:
    """Receivers of their own for events that come in meanwhile: those are looked at alone."""
    with ground.receivers(PLAIN, tls=False) as made:
        yield made


def _drain(
    ground: Ground,
    server: Server,
    receivers: Child,
    deliveries: int,
    began_ns: int,
    fresh: tuple[Child, Sequence[int]],
) -> Drained:
    """Until all that was due has arrived; events for another receiver come in all the while."""
    others = Run(ground, FRESH, server, *fresh)
    published = 0
    end = time.monotonic() + LIMIT_S
    while receivers.ask({})["delivered"] < deliveries or not published:
        if time.monotonic() > end:
            raise BenchError(f"not all of {deliveries:,} deliveries arrived within {LIMIT_S:.0f} s")
        others.publish(others.types, FRESH_PER_S, FRESH_PER_S)
        published += FRESH_PER_S
    others.wait_for(published)
    seconds = (receivers.ask({})["last_ns"] - began_ns) / 1e9
    figures = fresh[0].ask({"latencies": True})
    return Drained(deliveries / seconds, seconds, figures["p50_ms"], figures["p99_ms"])


def _wait_for(receivers: Child, deliveries: int, within_s: float = LIMIT_S) -> None:
    until(
        lambda: receivers.ask({})["delivered"] >= deliveries, within_s, f"not all of {deliveries:,} deliveries arrived"
    )


def _measured(server: Server, before: Spent, deliveries: int, drained: Drained, more: Mapping[str, float]) -> Measured:
    after = server.spent()
    both = before.database_s is not None and after.database_s is not None
    return Measured(
        events=deliveries,
        deliveries=deliveries,
        seconds=drained.seconds,
        engine_s=after.engine_s - before.engine_s,
        database_s=(after.database_s or 0.0) - (before.database_s or 0.0) if both else None,
        log_bytes=after.log_bytes - before.log_bytes,
        p50_ms=drained.fresh_p50_ms,
        p99_ms=drained.fresh_p99_ms,
        peak_bytes=server.peak_bytes(),
        more=more,
    )


LARGE: Final = (
    Case(
        name="paused-million",
        title="1,000,000 due of a paused config, 10,000 lanes with work, a snapshot held open",
        run=_claim,
        targets=everywhere(Target("claim_p99_ms", 50)),
        rounds_most=1,
    ),
    Case(
        name="drain",
        title="100,000 due after an outage, and fresh events meanwhile",
        run=_drain_after_outage,
        targets=everywhere(Target("drain_share", 0.8, at_least=True), Target("p99_ms", 1_000)),
        rounds_most=1,
    ),
    Case(
        name="full-store",
        title="5,000,000 finished and 100,000 owed",
        run=_full,
        targets=everywhere(Target("start_s", 5), Target("cost_ratio", 1.15), Target("database_ratio", 1.15)),
        rounds_most=1,
    ),
    Case(
        name="accounts",
        title="100,000 accounts with 3 configs each",
        run=_accounts,
        targets=everywhere(Target("start_s", 5), Target("memory_mb", 300)),
        rounds_most=1,
    ),
    Case(
        name="portal",
        title="1,000,000 deliveries, and every page of the portal",
        run=pages_of_a_used_store,
        targets=everywhere(Target("page_p95_ms", 100)),
        rounds_most=1,
    ),
)
