"""Whatever was accepted is owed or has ended, by the counters and by the log, whatever happened in between."""

import random
from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from postback.domain.deliveries import Accepted, Claim, Verdict
from postback.domain.errors import Conflict
from postback.domain.stats import MINUTE_MS, Tally
from postback.domain.wire import Reason, Timings, Unreachable
from postback.ports import Worker
from postback.storage.measures import ACCEPTED, ALL_TIME, DELIVERED, FAILED
from postback.storage.sqlite import SqliteStore
from postback.storage.sqlite.conservation import Balance, Logged, balances, count_log, counted, differences
from postback.storage.sqlite.counting import fold_counters
from postback.storage.stats import SqlStats
from postback.storage.tables import counters
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_settlement, a_unit, answered
from tests.doubles import ClockDouble
from tests.storage import given

pytestmark = pytest.mark.anyio

OTHER, OTHER_CONFIG = "acc_other", 7
HOUR_S, DAY_S = 3600, 86_400
ROUNDS = 60


@pytest.fixture
def store(store: SqliteStore) -> SqliteStore:
    """What is proved here is a matter of one file."""
    return store


def ignore(*_: int) -> None:
    """How far it has come is not asked."""


async def audit(store: SqliteStore) -> tuple[Mapping[str, Balance], list[tuple[str, str, int, int]], Logged]:
    """The balances by the counters, where counters and log differ, and what the log says."""

    def read(connection: object) -> tuple[Mapping[str, Balance], list[tuple[str, str, int, int]], Logged]:
        raw = connection.connection.driver_connection  # type: ignore[attr-defined]
        totals = counted(raw)
        logged = count_log(raw, ignore)
        return balances(raw, totals), list(differences(totals, logged)), logged

    return await store.read(read)


async def assert_conserved(store: SqliteStore) -> Mapping[str, Balance]:
    by_counters, differing, logged = await audit(store)
    assert {account: balance.missing for account, balance in by_counters.items() if balance.missing} == {}
    assert differing == []
    assert {key: balance.missing for key, balance in logged.days.items() if balance.missing} == {}
    return by_counters


class Business:
    """Two accounts, some configs, and everything that can happen to deliveries, in an order that the dice choose."""

    def __init__(self, store: SqliteStore, clock: ClockDouble, dice: random.Random) -> None:
        self.store = store
        self.clock = clock
        self.dice = dice
        self.worker = Worker(0, 0, 0)
        self.held: list[Claim] = []
        self.late: list[Claim] = []
        self.known: list[tuple[str, int, int]] = []
        self.happened: Counter[str] = Counter()
        self._number = 0

    async def open(self) -> None:
        await given.an_account_with_configs(self.store, OTHER, configs_from=OTHER_CONFIG)
        self.worker = await self.store.enlist("here")

    async def accepts(self) -> None:
        account, config_id = self.dice.choice([(ACCOUNT, CONFIG_ID), (OTHER, OTHER_CONFIG)])
        units = []
        for _ in range(self.dice.randint(1, 60)):
            self._number += 1
            event = given.event_number(0, account=account, accepted_ms=self.clock())
            event = event._replace(id=(self.clock() << 21) + self._number)
            targets = [
                a_unit().targets[0]._replace(config_id=config_id + n, claimed=self.dice.random() < 0.6)
                for n in range(self.dice.randint(0, 3))
            ]
            version = (await self.version(account)) or 0
            units.append(a_unit(event, config_version=version)._replace(targets=targets))
            self.known += [(account, event.id, target.config_id) for target in targets]
        for answer in await self.store.accept(self.worker, units):
            assert isinstance(answer, Accepted), answer
            self.held += answer.claims

    async def version(self, account: str) -> int:
        rows = await self.store._submit(
            lambda raw: raw.execute("SELECT config_version FROM accounts WHERE id = ?", (account,)).fetchone()
        )
        return int(rows[0])

    async def claims(self) -> None:
        for config_id in (*range(CONFIG_ID, CONFIG_ID + 3), *range(OTHER_CONFIG, OTHER_CONFIG + 3)):
            self.held += await given.claim(self.store, self.worker, config_id, self.dice.randint(1, 30))

    async def settles(self) -> None:
        some, self.held = self.held[:50], self.held[50:]
        weights = {Verdict.DELIVERED: 6, Verdict.RETRY: 3, Verdict.FAILED: 2, Verdict.INTERRUPTED: 1}
        settlements = []
        for claim in some:
            [verdict] = self.dice.choices([*weights], [*weights.values()])
            outcome = answered(200 if verdict is Verdict.DELIVERED else 500)
            interrupted = Unreachable(Reason.INTERRUPTED, "stopped", Timings())
            settlements.append(
                a_settlement(claim, verdict, outcome=interrupted if verdict is Verdict.INTERRUPTED else outcome)
            )
        await self.store.settle(self.worker, settlements)
        self.late += some[:2]

    async def settles_too_late(self) -> None:
        late, self.late = self.late[:10], self.late[10:]
        assert (await self.store.settle(self.worker, [a_settlement(claim) for claim in late])).moved == 0

    async def replays_and_cancels(self) -> None:
        for account, event_id, config_id in self.dice.sample(self.known, min(40, len(self.known))):
            act = self.dice.choice([self.store.replay, self.store.cancel])
            try:
                await act(account, event_id, config_id)
            except Conflict:
                self.happened["refused"] += 1

    async def tests(self) -> None:
        self._number += 1
        event = given.event_number(0)._replace(id=(self.clock() << 21) + self._number)
        claim = Claim(event, CONFIG_ID, 0, 0, 0, 0, manual=False, claimed_ms=self.clock())
        await self.store.keep_test(
            self.worker, a_settlement(claim, self.dice.choice([Verdict.DELIVERED, Verdict.FAILED]))
        )

    async def dies(self) -> None:
        """Killed: whoever comes next frees what it held."""
        self.late, self.held = self.late + self.held, []
        self.worker = await self.store.enlist("here")

    async def retires(self) -> None:
        self.held = []
        await self.store.retire(self.worker)
        self.worker = await self.store.enlist("here")

    async def time_passes(self) -> None:
        self.clock.pass_(seconds=self.dice.choice([60, HOUR_S, 7 * HOUR_S]))

    async def go_on(self, rounds: int) -> None:
        acts: dict[Callable[[], object], int] = {
            self.accepts: 6,
            self.claims: 4,
            self.settles: 6,
            self.settles_too_late: 1,
            self.replays_and_cancels: 2,
            self.tests: 1,
            self.dies: 1,
            self.retires: 1,
            self.time_passes: 2,
        }
        for _ in range(rounds):
            [act] = self.dice.choices([*acts], [*acts.values()])
            self.happened[act.__name__] += 1
            await act()  # type: ignore[misc]


@pytest.fixture
async def business(store: SqliteStore, clock: ClockDouble) -> Business:
    business = Business(store, clock, random.Random(4))
    await business.open()
    return business


async def test_thousands_of_deliveries_are_conserved_through_all_that_can_happen(
    business: Business, store: SqliteStore, clock: ClockDouble
) -> None:
    for _ in range(6):
        await business.go_on(ROUNDS)
        await assert_conserved(store)
    await given.config_state(store, "deleted", CONFIG_ID + 1)
    while await store.bury(500):
        await assert_conserved(store)
    # What is old ends, and is removed step by step; the sums hold after each.
    clock.pass_(seconds=2 * DAY_S)
    await business.dies()
    while await store.expire(clock(), 1_500):
        await assert_conserved(store)

    by_counters = await assert_conserved(store)

    # What no step of time shows any more, the totals do.
    for account, balance in by_counters.items():
        steps = await SqlStats(store).steps(account, 0, clock() // MINUTE_MS * MINUTE_MS + MINUTE_MS, MINUTE_MS)
        folded = [row for row in await given.rows(store, counters) if (row.account, row.minute) == (account, ALL_TIME)]
        for name, measure in (("accepted", ACCEPTED), ("delivered", DELIVERED), ("failed", FAILED)):
            in_totals = sum(row[-1] for row in folded if row.measure == measure)
            assert sum(getattr(tally, name) for tally in steps.values()) + in_totals == getattr(balance, name)
            assert in_totals > 0
    assert sum(balance.accepted for balance in by_counters.values()) > 3_000
    assert all(balance.owed == 0 for balance in by_counters.values())
    assert all(min(balance[:5]) > 0 for balance in by_counters.values())
    assert business.happened["refused"] > 100
    assert len(business.happened) == 10


async def test_the_steps_of_time_add_up_to_what_the_balance_says(business: Business, store: SqliteStore) -> None:
    await business.go_on(2 * ROUNDS)
    by_counters = await assert_conserved(store)

    day_ms = DAY_S * 1000
    first, end = NOON // day_ms * day_ms, (business.clock() // day_ms + 1) * day_ms
    for account in (ACCOUNT, OTHER):
        steps = await SqlStats(store).steps(account, first, end, 15 * MINUTE_MS)
        total: Counter[str] = Counter()
        for tally in steps.values():
            total.update({name: getattr(tally, name) for name in Tally.__dataclass_fields__ if name != "latencies"})
            total["took"] += sum(tally.latencies.values())
        del total["retried"]
        took = total.pop("took")
        balance = by_counters[account]._asdict()
        owed = balance.pop("owed")
        assert total == balance
        assert took == total["delivered"]
        assert owed == sum(row.account == account for row in await given.owed_rows(store))


async def test_folding_changes_no_balance(business: Business, store: SqliteStore) -> None:
    await business.go_on(2 * ROUNDS)
    before = await assert_conserved(store)

    while await store._submit(lambda raw: fold_counters(raw, business.clock() // MINUTE_MS + 1, 20)):
        assert await assert_conserved(store) == before

    assert await SqlStats(store).steps(ACCOUNT, 0, business.clock() // MINUTE_MS * MINUTE_MS, MINUTE_MS) == {}


async def some_of_each(store: SqliteStore) -> None:
    """Of five deliveries one is delivered, one failed, one cancelled, one tried again and one only owed."""
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 5)
    verdicts = (Verdict.DELIVERED, Verdict.FAILED, Verdict.RETRY)
    await store.settle(worker, [a_settlement(claim, one) for claim, one in zip(claims, verdicts, strict=False)])
    await store.cancel(ACCOUNT, claims[3].event.id, CONFIG_ID)


async def harmed(store: SqliteStore, statement: str) -> tuple[int, int, set[str]]:
    """After that statement: what is missing by the counters, by the log, and where the two differ."""
    await store._submit(lambda raw: raw.execute(statement))
    by_counters, differing, logged = await audit(store)
    return (
        by_counters[ACCOUNT].missing,
        sum(balance.missing for balance in logged.days.values()),
        {name for _, name, _, _ in differing},
    )


@pytest.mark.parametrize(
    ("statement", "by_counters", "by_log", "differing"),
    [
        ("UPDATE counters SET count = count WHERE 0", 0, 0, set()),
        # Lost: neither owed nor ended.
        ("DELETE FROM owed WHERE event_id IN (SELECT max(event_id) FROM owed)", 1, 1, set()),
        ("DELETE FROM attempts WHERE verdict = 1", 0, 1, {"delivered"}),
        # Made up.
        ("DELETE FROM events WHERE id = (SELECT max(id) FROM events)", 0, -1, {"accepted"}),
        ("UPDATE counters SET count = count + 2 WHERE measure = 1", -2, 0, {"delivered"}),
        ("UPDATE counters SET count = count - 1 WHERE measure = 0", -1, 0, {"accepted"}),
        ("UPDATE attempts SET verdict = 2 WHERE verdict = 1", 0, 0, {"delivered", "failed"}),
        ("DELETE FROM attempts WHERE verdict = 0", 0, 0, {"retried"}),
    ],
)
async def test_whatever_is_lost_or_made_up_is_found(
    store: SqliteStore, statement: str, by_counters: int, by_log: int, differing: set[str]
) -> None:
    await some_of_each(store)

    assert await harmed(store, statement) == (by_counters, by_log, differing)


async def test_counting_the_log_says_how_far_it_has_come(store: SqliteStore, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(1))
    event = given.event_number(0)
    await store.accept(worker, [a_unit(event._replace(id=event.id + (5 * HOUR_S * 1000 << 21)))])
    told: list[tuple[int, int]] = []

    def read(connection: object) -> Logged:
        raw = connection.connection.driver_connection  # type: ignore[attr-defined]
        return count_log(raw, lambda *heard: told.append(heard))

    logged = await store.read(read)

    assert told == [(n, 6) for n in range(7)]
    assert sum(balance.owed for balance in logged.days.values()) == 2
