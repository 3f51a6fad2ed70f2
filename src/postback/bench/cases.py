"""The cases of a bench, in the order in which they run, and what each should come to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from postback.bench import plans
from postback.bench.ground import Ground
from postback.bench.plans import Measured, Plan, Run, carry_out

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"

ONE: Final = 1
"""A publisher of batches at a time: two get so far ahead that deliveries wait in the store, which costs more to claim."""
FAN_OUT: Final = 10
HANG_FIELDS: Final = {"response_timeout": 5, "number_of_attempts": 3, "attempt_interval": 1}
RETRY_FIELDS: Final = {"response_timeout": 5, "number_of_attempts": 6, "attempt_interval": 1}


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure of a case's result should be."""

    figure: str
    bound: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`targets` by the kind of database."""

    name: str
    title: str
    run: Callable[[Ground], Measured]
    targets: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    rounds_most: int = 100


def _times_raw(sqlite: float, postgresql: float | None) -> dict[str, tuple[Target, ...]]:
    server = (Target("database_us", 20), Target("log_bytes", 1400))
    found: dict[str, tuple[Target, ...]] = {SQLITE: (Target("times_raw", sqlite),)}
    return found if postgresql is None else found | {POSTGRESQL: (Target("times_raw", postgresql), *server)}


def everywhere(*targets: Target) -> dict[str, tuple[Target, ...]]:
    return {SQLITE: targets, POSTGRESQL: targets}


def _plan(full: Plan, quick: Plan) -> Callable[[Ground], Measured]:
    return lambda ground: carry_out(ground, quick if ground.is_quick else full)


def _scaled(plan: Plan) -> Callable[[Ground], Measured]:
    """The quick one has a hundredth of the events, in whole batches."""
    batch = min(plan.batch, 20)
    return _plan(plan, replace(plan, events=max(batch, plan.events // 100), warm_up=batch, batch=batch))


def _half_load(ground: Ground) -> Measured:
    """First as fast as it goes, then at half of that."""
    plan = Plan(events=100 if ground.is_quick else 5_000, warm_up=20 if ground.is_quick else 500)
    with ground.receivers(plan.receivers, tls=False) as (receivers, ports), ground.server() as server:
        run = Run(ground, plan, server, receivers, ports)
        run.warm_up()
        fastest = run.measure(plan.events, None)
        per_s = fastest.events / fastest.seconds
        half = run.measure(plan.events, per_s / 2)
        return replace(half, more={**half.more, "full_load_events_per_s": per_s})


def _cold(ground: Ground) -> Measured:
    hosts, types = (4, 6) if ground.is_quick else (50, 41)
    plan = Plan(events=types - 1, warm_up=1, configs=hosts * types, fan_out=hosts, tls=True, fresh_hosts=True)
    with ground.receivers(plan.receivers, tls=True) as (receivers, ports), ground.server() as server:
        run = Run(ground, plan, server, receivers, ports)
        run.warm_up()
        measured = run.measure(plan.events, None)
        openssl = ground.handshakes(ports[0])
    if openssl is None:
        return measured
    per_core_s = measured.deliveries / measured.engine_s if measured.engine_s else 0.0
    return replace(
        measured,
        more={
            **measured.more,
            "openssl_us": openssl.cpu_us,
            "openssl_per_s": openssl.per_s,
            "share_of_openssl": per_core_s * openssl.cpu_us / 1e6,
        },
    )


def _slow(*, tls: bool) -> Callable[[Ground], Measured]:
    def run(ground: Ground) -> Measured:
        configs, in_flight, slow_s, seconds = (10, 40, 0.2, 0.5) if ground.is_quick else (100, 5_000, 1.0, 10)
        # As many as answers come back, a little below what fills every place: then none waits for one.
        types = configs // FAN_OUT
        per_s = in_flight / slow_s * 0.97 / FAN_OUT
        return carry_out(
            ground,
            Plan(
                events=int(per_s * seconds) // types * types,
                # Lanes begin with a window of 4 and double it each second.
                warm_up=types if ground.is_quick else 120 * types,
                batch=types,
                events_per_s=per_s,
                configs=configs,
                fan_out=FAN_OUT,
                receivers=[{"count": configs, "delay_s": slow_s}],
                tls=tls,
            ),
        )

    return run


def _mixed(ground: Ground) -> Measured:
    hosts, per_s, seconds = (20, 100, 0.4) if ground.is_quick else (200, 400, 25)
    fields = RETRY_FIELDS | ({"response_timeout": 1, "number_of_attempts": 1} if ground.is_quick else {})
    measured = carry_out(
        ground,
        Plan(
            events=int(per_s * seconds),
            # Some hang in it too, which takes as long as the day itself.
            warm_up=0 if ground.is_quick else hosts,
            events_per_s=per_s,
            configs=hosts,
            receivers=[{"count": hosts, "delay_s": 0.1, "spread": 0.5, "fail": 0.2, "silent": 0.05}],
            fields=fields,
            all_arrive=False,
            padding=plans.PADDING + 524,
        ),
    )
    return replace(measured, more={**measured.more, "failed": measured.events - measured.deliveries})


def _hanging(ground: Ground) -> Measured:
    """The others' latency with receivers that hang, beside the same without."""
    configs, hang, events, per_s = (10, 3, 20, 50.0) if ground.is_quick else (100, 30, 180, 15.0)
    plan = Plan(
        events=events,
        warm_up=5 if ground.is_quick else 30,
        connections=4,
        events_per_s=per_s,
        configs=configs,
        fan_out=configs,
        fields=HANG_FIELDS,
        receivers=[{"count": configs - hang}, {"count": hang}],
        # Looked at alike in both: of those that hang the other time too.
        answering=configs,
    )
    without = carry_out(ground, plan)
    with_them = carry_out(
        ground,
        replace(plan, receivers=[{"count": configs - hang}, {"count": hang, "silent": 1.0}], answering=configs - hang),
    )
    ratio = (with_them.p99_ms or 0.0) / (without.p99_ms or 1.0)
    return replace(
        with_them,
        more={
            **with_them.more,
            "p50_ms_without": without.p50_ms or 0.0,
            "p99_ms_without": without.p99_ms or 0.0,
            "p99_ratio": ratio,
        },
    )


CASES: Final = (
    Case(
        name="publish",
        title="publish only, one event a request",
        run=_scaled(Plan(events=10_000, warm_up=1_000, configs=0)),
    ),
    Case(
        name="single",
        title="1→1, one event a request",
        run=_scaled(Plan(events=10_000, warm_up=1_000)),
        targets=_times_raw(11, 12),
    ),
    Case(
        name="batch",
        title="1→1, batches of 100",
        run=_scaled(Plan(events=30_000, warm_up=3_000, batch=100, connections=ONE)),
        targets=_times_raw(5, 6),
    ),
    Case(
        name="fan-out",
        title="1→5, batches of 100",
        run=_scaled(Plan(events=10_000, warm_up=1_000, batch=100, connections=ONE, configs=5, fan_out=5)),
        targets=_times_raw(3.5, 4.5),
    ),
    Case(
        name="https",
        title="HTTPS warm, 1→1, batches of 100",
        run=_scaled(Plan(events=30_000, warm_up=3_000, batch=100, connections=ONE, tls=True)),
        targets=_times_raw(7, None),
    ),
    Case(
        name="https-cold",
        title="HTTPS cold, each to a host not called before",
        run=_cold,
        targets=everywhere(Target("share_of_openssl", 0.7, at_least=True)),
    ),
    Case(
        name="half-load",
        title="1→1, one event a request, at half load",
        run=_half_load,
        targets=everywhere(Target("p99_ms", 10)),
    ),
    Case(
        name="slow",
        title="answers after 1 s, 5,000 in flight",
        run=_slow(tls=False),
        targets=everywhere(Target("memory_mb", 150)),
        rounds_most=1,
    ),
    Case(
        name="slow-https",
        title="answers after 1 s, 5,000 in flight, HTTPS",
        run=_slow(tls=True),
        targets=everywhere(Target("memory_mb", 300)),
        rounds_most=1,
    ),
    Case(
        name="mixed",
        title="a mixed day: 200 hosts, 100 ms, 20 % fail, 5 % hang, 1 KB",
        run=_mixed,
        rounds_most=1,
    ),
    Case(
        name="hanging",
        title="30 of 100 receivers hang",
        run=_hanging,
        targets=everywhere(Target("p99_ratio", 1.3)),
    ),
)
