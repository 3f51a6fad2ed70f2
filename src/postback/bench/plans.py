"""One run of a case: receivers, configs, a load, and what they come to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from postback.bench.certificates import DOMAIN
from postback.bench.children import Child
from postback.bench.errors import BenchError
from postback.bench.ground import Ground
from postback.bench.server import Server, until

PLAIN: Final = ({"count": 1},)
PADDING: Final = 320
"""Makes a request of about 500 bytes of what receivers get."""
SETTLE_S: Final = 0.05
LIMIT_S: Final = 300.0
SOON_AGAIN: Final = {"number_of_attempts": 10, "attempt_interval": 1}
"""What fails all the same, on a machine that is busy, is not waited for as long as the policy of a day would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Events are published `batch` a request; each is owed to `fan_out` of the configs, in turn.

    To match an event with the configs of its account takes longer the more these are: where they are many and it is
    their receivers that are measured, an event goes to several.
    """

    events: int
    warm_up: int
    batch: int = 1
    connections: int = 16
    events_per_s: float | None = None
    configs: int = 1
    fan_out: int = 1
    fields: Mapping[str, object] = field(default_factory=lambda: SOON_AGAIN)
    receivers: Sequence[Mapping[str, object]] = PLAIN
    answering: int | None = None
    """To how many configs with a receiver that answers an event goes; None: all. What others are owed stays owed."""
    all_arrive: bool = True
    """False where receivers fail so often that some deliveries end as failed."""
    tls: bool = False
    fresh_hosts: bool = False
    """Each config has a host of its own, and those of the warm-up are not those that are measured."""
    padding: int = PADDING

    @property
    def each(self) -> int:
        """Deliveries of an event that are expected to arrive."""
        return min(self.fan_out, self.configs) if self.answering is None else self.answering


class PageTime(NamedTuple):
    """How long a page of the portal took, from the request to the last byte of the answer, and the server's CPU of it.

    `first_ms` is the very first time, before anything of it was in memory; the others are of those that came after it.
    """

    path: str
    first_ms: float
    p50_ms: float
    p95_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one run came to. Of `deliveries` all have arrived; CPU and bytes are of all that was done for them."""

    events: int
    deliveries: int
    seconds: float
    engine_s: float
    database_s: float | None
    log_bytes: int
    p50_ms: float | None
    p99_ms: float | None
    peak_bytes: int
    more: Mapping[str, float] = field(default_factory=dict)
    pages: Sequence[PageTime] = ()

    @property
    def units(self) -> int:
        """What the costs are divided by: deliveries, or events where nobody wants them."""
        return self.deliveries or self.events


def carry_out(ground: Ground, plan: Plan) -> Measured:
    """One run. BenchError when something was refused or did not arrive."""
    with ground.receivers(plan.receivers, tls=plan.tls) as (receivers, ports), ground.server() as server:
        run = Run(ground, plan, server, receivers, ports)
        run.warm_up()
        return run.measure(plan.events, plan.events_per_s)


class Run:
    """A plan whose receivers and server stand, and whose configs are set up."""

    def __init__(self, ground: Ground, plan: Plan, server: Server, receivers: Child, ports: Sequence[int]) -> None:
        self.server = server
        self.receivers = receivers
        self.ports = ports
        self._plan = plan
        self._load = ground.load
        number = ground.number()
        self.types = [f"bench.run{number}.n{n}" for n in range(max(1, plan.configs // plan.fan_out))]
        self.configs = [
            server.subscribe(self.types[n % len(self.types)], self._url(number, n), plan.fields)
            for n in range(plan.configs)
        ]

    def warm_up(self) -> None:
        plan = self._plan
        if not plan.warm_up:
            return
        types = self.types[: plan.warm_up] if plan.fresh_hosts else self.types
        self.publish(types, plan.warm_up, None)
        if plan.all_arrive:
            self.wait_for(plan.warm_up * plan.each)
        self.wait_until_settled()

    def measure(self, events: int, per_s: float | None) -> Measured:
        plan = self._plan
        types = self.types[plan.warm_up :] if plan.fresh_hosts else self.types
        self.receivers.ask({"clear": True})
        before = self.server.spent()
        done = self.publish(types, events, per_s)
        published_ns = done["started_ns"] + int(done["seconds"] * 1e9)
        if plan.all_arrive:
            self.wait_for(events * plan.each)
        self.wait_until_settled()
        after = self.server.spent()
        figures = self.receivers.ask({"latencies": True})
        both = before.database_s is not None and after.database_s is not None
        return Measured(
            events=events,
            deliveries=int(figures["delivered"]),
            seconds=(max(figures["last_ns"], published_ns) - done["started_ns"]) / 1e9,
            engine_s=after.engine_s - before.engine_s,
            database_s=(after.database_s or 0.0) - (before.database_s or 0.0) if both else None,
            log_bytes=after.log_bytes - before.log_bytes,
            p50_ms=figures["p50_ms"],
            p99_ms=figures["p99_ms"],
            peak_bytes=self.server.peak_bytes(),
            more={"in_flight_most": figures["waiting_most"], "retries": after.retries - before.retries},
        )

    def publish(self, types: Sequence[str], events: int, per_s: float | None, accounts: Sequence[str] = ()) -> Any:
        """What the load says of it; every event was accepted. With `accounts` a request to each of them in turn."""
        plan = self._plan
        batch = min(plan.batch, events)
        job = {
            "port": self.server.port,
            "key": self.server.key,
            "types": types,
            "accounts": accounts,
            "times": events // batch,
            "batch": batch,
            "padding": plan.padding,
            "connections": plan.connections,
            "rate": None if per_s is None else per_s / batch,
            "limit_s": LIMIT_S,
        }
        done = self._load.ask(job, LIMIT_S + 10)
        if done["refused"] or done["answered"] != job["times"]:
            raise BenchError(
                f"of {job['times']} requests {done['answered'] - done['refused']} were accepted: {done['refusal']}"
            )
        return done

    def wait_for(self, deliveries: int) -> None:
        """Until so many have arrived since the receivers were cleared."""
        until(
            lambda: self.receivers.ask({})["delivered"] >= deliveries,
            LIMIT_S,
            f"not all of {deliveries:,} deliveries arrived",
        )

    def wait_until_settled(self) -> None:
        """What arrived is also settled. To ask costs the engine a little, so not often where it takes long."""
        if self._plan.answering is None:
            every_s = SETTLE_S if self._plan.all_arrive else 10 * SETTLE_S
            until(lambda: not self.server.owed(), LIMIT_S, "not all deliveries were settled", every_s)

    def _url(self, number: int, n: int) -> str:
        scheme = "https" if self._plan.tls else "http"
        host = f"h{number}-{n}.{DOMAIN}" if self._plan.fresh_hosts else "127.0.0.1"
        return f"{scheme}://{host}:{self.ports[n % len(self.ports)]}/in"
