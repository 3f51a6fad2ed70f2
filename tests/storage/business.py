"""What can happen to deliveries in a store, in an order that the dice choose."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Final

from sqlalchemy import select

from postback.domain.deliveries import Accepted, Claim, Verdict
from postback.domain.errors import Conflict
from postback.domain.wire import Reason, Timings, Unreachable
from postback.ports import Worker
from postback.storage.tables import accounts
from tests.build import ACCOUNT, CONFIG_ID, a_settlement, a_unit, answered
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

OTHER: Final = "acc_other"
OTHER_CONFIG: Final = 7
HOUR_S: Final = 3600


class Business:
    """Two accounts, some configs, and everything that can happen to deliveries, in an order that the dice choose."""

    def __init__(self, store: Store, clock: ClockDouble, dice: random.Random) -> None:
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
        query = select(accounts.c.config_version).where(accounts.c.id == account)
        return await self.store.read(lambda connection: connection.execute(query).scalar_one())

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
