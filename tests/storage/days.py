"""Days of two accounts, told in few words, for the tests of the log."""

from collections.abc import Sequence
from typing import Any

from postback.domain.accounts import Account
from postback.domain.configs import ConfigState
from postback.domain.deliveries import Accepted, Claim, NewDeliveries, State, Target, Verdict
from postback.domain.events import Event
from postback.domain.records import Insert
from postback.ports import DeliveryView, LogFilter, Worker
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.log import SqlLog
from postback.storage.records import SqlRecords
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_config, a_location, a_settlement, an_event
from tests.doubles import ClockDouble
from tests.storage.given import Store

OTHER = "other"
OTHER_CONFIG = CONFIG_ID + 100
ALL = LogFilter()


class Day:
    """A store with two accounts, and what is done on it, told in few words."""

    def __init__(self, store: Store, worker: Worker, clock: ClockDouble) -> None:
        self.store, self.worker, self.clock = store, worker, clock
        self.log, self.configs = SqlLog(store), SqlConfigs(store)

    async def accepted(self, number: int, *config_ids: int, claimed: bool = True, **changes: Any) -> list[Claim]:
        """The event of this number, one millisecond after the one before, with deliveries for these configs."""
        event = a_numbered(number, **changes)
        version = (await self.configs.snapshot(event.account)).version
        targets = [Target(config_id, claimed) for config_id in config_ids or (CONFIG_ID,)]
        [answer] = await self.store.accept(self.worker, [NewDeliveries(event, targets, version)])
        assert isinstance(answer, Accepted)
        return list(answer.claims)

    async def settled(self, claims: Sequence[Claim], verdict: Verdict, **changes: Any) -> None:
        await self.store.settle(self.worker, [a_settlement(claim, verdict, **changes) for claim in claims])

    async def ended(self, number: int, verdict: Verdict = Verdict.DELIVERED, *config_ids: int, **changes: Any) -> None:
        await self.settled(await self.accepted(number, *config_ids, **changes), verdict)

    async def claimed(self, *config_ids: int) -> list[Claim]:
        room = dict.fromkeys(config_ids or (CONFIG_ID,), 1000)
        return list(await self.store.claim(self.worker, room, 1 << 24))

    async def listed(
        self, narrowed: LogFilter = ALL, before: tuple[int, int] | None = None, limit: int = 100
    ) -> list[tuple[int, int, State]]:
        views = await self.log.deliveries(ACCOUNT, narrowed, before, limit)
        return [(number_of(view.event), view.config_id - CONFIG_ID, view.state) for view in views]

    async def one(self, number: int = 1, config_id: int = CONFIG_ID) -> DeliveryView:
        return (await self.log.delivery(ACCOUNT, a_numbered(number).id, config_id))[0]


def a_numbered(number: int, **changes: Any) -> Event:
    at_ms = NOON + number
    return an_event(**{"id": at_ms << 21, "accepted_ms": at_ms, "subject": f"con_{number}", **changes})


def number_of(event: Event) -> int:
    return (event.id >> 21) - NOON


def numbers(events: Sequence[tuple[Event, int]]) -> list[int]:
    return [number_of(event) for event, _ in events]


async def a_varied_day(day: Day) -> list[tuple[int, int, State]]:
    """Every state there is, over six events and three configs; what the whole list shows of it."""
    await day.configs.set_state(ACCOUNT, CONFIG_ID + 2, ConfigState.PAUSED, None)
    await day.ended(1, Verdict.DELIVERED)
    await day.ended(2, Verdict.FAILED, CONFIG_ID, CONFIG_ID + 1)
    await day.accepted(3, CONFIG_ID + 1, CONFIG_ID + 2, claimed=False, location_id=None)
    await day.accepted(4, CONFIG_ID + 1, type="contact.updated", subject="con_1")
    await day.ended(5, Verdict.DELIVERED, CONFIG_ID, CONFIG_ID + 1, CONFIG_ID + 2, subject="con_1")
    await day.accepted(6, claimed=False)
    await day.store.cancel(ACCOUNT, a_numbered(6).id, CONFIG_ID)
    await day.ended(7, Verdict.FAILED, OTHER_CONFIG, account=OTHER, subject="con_1")
    await day.accepted(8, OTHER_CONFIG, account=OTHER, claimed=False)
    return [
        (6, 0, State.CANCELLED),
        (5, 2, State.DELIVERED),
        (5, 1, State.DELIVERED),
        (5, 0, State.DELIVERED),
        (4, 1, State.CLAIMED),
        (3, 2, State.HELD),
        (3, 1, State.PENDING),
        (2, 1, State.FAILED),
        (2, 0, State.FAILED),
        (1, 0, State.DELIVERED),
    ]


async def begun(store: Store, clock: ClockDouble) -> Day:
    """Two accounts, with three configs and one."""
    accounts, records = SqlAccounts(store), SqlRecords(store, {})
    for account, location_id in ((ACCOUNT, a_location().id), (OTHER, "loc_other")):
        await accounts.save(Account(id=account))
        await records.apply([Insert(a_location(account=account, id=location_id))])
    day = Day(store, await store.enlist("here"), clock)
    for place in range(3):
        await day.configs.add(a_config(id=CONFIG_ID + place))
    await day.configs.add(a_config(id=OTHER_CONFIG, account=OTHER, location_id="loc_other"))
    return day
