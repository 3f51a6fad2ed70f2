"""The log on each database: deliveries as a view of what is owed and of the attempts, and lists that stay fast."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Select, insert
from sqlalchemy.dialects import sqlite

from postback.domain.accounts import Account
from postback.domain.configs import ConfigState
from postback.domain.deliveries import Accepted, Claim, NewDeliveries, State, Target, Verdict
from postback.domain.errors import InvalidValue, NotFound
from postback.domain.events import Event
from postback.domain.ids import config_text, delivery_text, event_text
from postback.domain.records import Insert
from postback.domain.wire import Note, Reason, Timings, Unreachable
from postback.ports import DeliveryView, LogFilter, Query, Sought, Worker
from postback.storage import log_reach, log_search, tables
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.log import SqlLog
from postback.storage.log_keys import OPEN, finished_keys, owed_keys
from postback.storage.records import SqlRecords
from postback.storage.tracking import tracking_id_of
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_claim, a_config, a_location, a_settlement, an_event, answered
from tests.doubles import ClockDouble
from tests.storage import given, watched
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

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


@pytest.fixture
async def day(empty_store: Store, clock: ClockDouble) -> Day:
    accounts, records = SqlAccounts(empty_store), SqlRecords(empty_store, {})
    for account, location_id in ((ACCOUNT, a_location().id), (OTHER, "loc_other")):
        await accounts.save(Account(id=account))
        await records.apply([Insert(a_location(account=account, id=location_id))])
    day = Day(empty_store, await empty_store.enlist("here"), clock)
    for place in range(3):
        await day.configs.add(a_config(id=CONFIG_ID + place))
    await day.configs.add(a_config(id=OTHER_CONFIG, account=OTHER, location_id="loc_other"))
    return day


# --- states ---


async def test_an_unclaimed_delivery_is_pending(day: Day) -> None:
    await day.accepted(1, claimed=False)

    view = await day.one()

    assert view == DeliveryView(
        event=a_numbered(1),
        config_id=CONFIG_ID,
        state=State.PENDING,
        attempts_made=0,
        due_ms=NOON,
        finished_ms=None,
        last_status=None,
        last_reason=None,
        test=False,
    )


async def test_a_claimed_delivery_is_claimed(day: Day) -> None:
    await day.accepted(1)

    assert (await day.one()).state is State.CLAIMED


@pytest.mark.parametrize("state", [ConfigState.PAUSED, ConfigState.DISABLED])
async def test_a_pending_delivery_is_held_while_its_config_is_paused_or_disabled(day: Day, state: ConfigState) -> None:
    await day.accepted(1, claimed=False)
    await day.accepted(2)

    await day.configs.set_state(ACCOUNT, CONFIG_ID, state, None)

    assert await day.listed() == [(2, 0, State.CLAIMED), (1, 0, State.HELD)]
    await day.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.ACTIVE, None)
    assert (await day.one()).state is State.PENDING


async def test_a_delivery_that_waits_for_its_retry_is_pending_with_its_last_answer(day: Day) -> None:
    await day.settled(await day.accepted(1), Verdict.RETRY, outcome=answered(503), wait_ms=60_000)

    view = await day.one()

    assert (view.state, view.attempts_made, view.due_ms) == (State.PENDING, 1, NOON + 60_005)
    assert (view.last_status, view.last_reason, view.finished_ms) == (503, "bad_status", None)


@pytest.mark.parametrize(
    ("verdict", "state", "status", "reason"),
    [(Verdict.DELIVERED, State.DELIVERED, 200, None), (Verdict.FAILED, State.FAILED, 500, "bad_status")],
)
async def test_the_last_attempt_decides_what_became_of_a_delivery(
    day: Day, verdict: Verdict, state: State, status: int, reason: str | None
) -> None:
    await day.settled(await day.accepted(1), Verdict.RETRY, wait_ms=0)
    await day.settled(await day.claimed(), verdict)

    view = await day.one()

    assert (view.state, view.attempts_made, view.due_ms, view.finished_ms) == (state, 2, None, NOON + 5)
    assert (view.last_status, view.last_reason) == (status, reason)


async def test_a_cancelled_delivery_is_cancelled(day: Day) -> None:
    await day.settled(await day.accepted(1), Verdict.RETRY)

    await day.store.cancel(ACCOUNT, a_numbered(1).id, CONFIG_ID)

    view = await day.one()
    assert (view.state, view.attempts_made, view.last_reason) == (State.CANCELLED, 1, "cancelled")


async def test_the_outcome_of_a_claim_that_no_longer_held_decides_nothing(day: Day) -> None:
    """A worker was taken for dead, its delivery was carried out by another, and only then its own answer came."""
    late = await day.accepted(1)
    await day.store.cancel(ACCOUNT, a_numbered(1).id, CONFIG_ID)

    await day.settled(late, Verdict.DELIVERED)

    view, attempts = await day.log.delivery(ACCOUNT, a_numbered(1).id, CONFIG_ID)
    assert [attempt.verdict for attempt in attempts] == [Verdict.CANCELLED, Verdict.LATE]
    assert (view.state, view.attempts_made, view.last_reason) == (State.CANCELLED, 0, "cancelled")
    assert await day.listed() == await day.listed(LogFilter(state=State.CANCELLED)) == [(1, 0, State.CANCELLED)]
    assert await day.listed(LogFilter(state=State.DELIVERED)) == []


async def test_what_cannot_be_rendered_is_no_attempt(day: Day) -> None:
    outcome = Unreachable(Reason.CANNOT_RENDER, "no such format", Timings())

    await day.settled(await day.accepted(1), Verdict.FAILED, outcome=outcome)

    view = await day.one()
    assert (view.state, view.attempts_made, view.last_reason) == (State.FAILED, 0, "cannot_render")


async def test_a_replayed_delivery_is_open_again_and_its_numbers_go_on(day: Day) -> None:
    await day.ended(1, Verdict.FAILED)

    await day.store.replay(ACCOUNT, a_numbered(1).id, CONFIG_ID)

    assert await day.listed() == await day.listed(LogFilter(state=State.PENDING)) == [(1, 0, State.PENDING)]
    assert await day.listed(LogFilter(state=State.FAILED)) == []
    assert (await day.one()).attempts_made == 1
    await day.settled(await day.claimed(), Verdict.DELIVERED)
    assert await day.listed() == await day.listed(LogFilter(state=State.DELIVERED)) == [(1, 0, State.DELIVERED)]
    assert (await day.one()).attempts_made == 2


# --- attempts ---


async def test_every_attempt_is_shown_complete(day: Day) -> None:
    [claim] = await day.accepted(1)
    outcome = answered(
        500,
        headers=[(b"Content-Type", b"text/html"), (b"X-Odd", b"a: b"), (b"X-Empty", b"")],
        body=b"<b>\xff\x00</b>",
        truncated=True,
        notes=[Note.BODY_INCOMPLETE, Note.SENT_AGAIN],
        timings=Timings(1, 2, 3, 4, 10, 6),
    )
    await day.settled([claim], Verdict.RETRY, outcome=outcome, wait_ms=7_000, body_hash=b"h" * 32)

    _, [attempt] = await day.log.delivery(ACCOUNT, claim.event.id, CONFIG_ID)

    assert attempt.config == a_config()
    assert (attempt.number, attempt.counter, attempt.verdict, attempt.manual) == (1, 1, Verdict.RETRY, False)
    assert (attempt.worker, attempt.status, attempt.reason) == (day.worker.id, 500, "bad_status")
    assert (attempt.started_ms, attempt.rendered_ms, attempt.sent_ms) == (NOON, NOON, NOON + 6)
    assert (attempt.ended_ms, attempt.wait_ms, attempt.body_hash) == (NOON + 10, 7_000, b"h" * 32)
    assert (attempt.answer_headers, attempt.answer_body) == (outcome.headers, outcome.body)
    assert attempt.truncated
    assert attempt.notes == ["body_incomplete", "sent_again_on_a_fresh_connection"]
    assert (attempt.dns_ms, attempt.connect_ms, attempt.tls_ms, attempt.first_byte_ms) == (1, 2, 3, 4)


@pytest.mark.parametrize(("verdict", "state"), [(Verdict.DELIVERED, State.DELIVERED), (Verdict.FAILED, State.FAILED)])
async def test_a_test_is_shown_as_a_delivery_that_has_ended_and_marked_as_one(
    day: Day, verdict: Verdict, state: State
) -> None:
    await day.ended(1)
    await day.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, None)
    event = a_numbered(2)

    await day.store.keep_test(day.worker, a_settlement(a_claim(event=event), verdict))

    view, [attempt] = await day.log.delivery(ACCOUNT, event.id, CONFIG_ID)
    assert (view.event, view.state, view.attempts_made, view.due_ms) == (event, state, 1, None)
    assert (view.test, attempt.test, attempt.manual, attempt.verdict) == (True, True, False, verdict)
    assert await day.listed() == [(2, 0, state), (1, 0, State.DELIVERED)]
    assert (2, 0, state) in await day.listed(LogFilter(state=state, config_id=CONFIG_ID))
    assert await day.log.events(ACCOUNT, ALL, None, 1) == [(event, 1)]


async def test_an_attempt_without_an_answer_is_shown_with_its_reason(day: Day) -> None:
    outcome = Unreachable(Reason.CONNECTION_REFUSED, "nobody listens at 127.0.0.1:9", Timings(total_ms=3))
    await day.settled(await day.accepted(1), Verdict.FAILED, outcome=outcome)

    _, [attempt] = await day.log.delivery(ACCOUNT, a_numbered(1).id, CONFIG_ID)

    assert (attempt.status, attempt.reason, attempt.detail) == (None, "connection_refused", outcome.detail)
    assert (attempt.sent_ms, attempt.answer_headers, attempt.answer_body, attempt.notes) == (None, [], b"", [])


async def test_each_attempt_is_shown_with_the_version_it_was_made_with(day: Day) -> None:
    await day.settled(await day.accepted(1), Verdict.RETRY, wait_ms=0, config_version=1)
    await day.configs.change(a_config(url="http://127.0.0.1:9000/second"))
    await day.settled(await day.claimed(), Verdict.RETRY, wait_ms=0, config_version=2)
    await day.configs.delete(ACCOUNT, CONFIG_ID)
    await day.store.bury(1000)

    view, attempts = await day.log.delivery(ACCOUNT, a_numbered(1).id, CONFIG_ID)

    assert [attempt.config and attempt.config.url for attempt in attempts] == [
        "http://127.0.0.1:9000/receiver",
        "http://127.0.0.1:9000/second",
        None,
    ]
    assert view.state is State.CANCELLED


# --- lists ---


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


NARROWED: list[tuple[LogFilter, list[int]]] = [
    (ALL, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    (LogFilter(config_id=CONFIG_ID), [0, 3, 8, 9]),
    (LogFilter(config_id=CONFIG_ID + 1), [2, 4, 6, 7]),
    (LogFilter(config_id=CONFIG_ID + 2), [1, 5]),
    (LogFilter(config_id=OTHER_CONFIG), []),
    (LogFilter(state=State.PENDING), [6]),
    (LogFilter(state=State.CLAIMED), [4]),
    (LogFilter(state=State.HELD), [5]),
    (LogFilter(state=State.DELIVERED), [1, 2, 3, 9]),
    (LogFilter(state=State.FAILED), [7, 8]),
    (LogFilter(state=State.CANCELLED), [0]),
    (LogFilter(state=State.FAILED, config_id=CONFIG_ID), [8]),
    (LogFilter(state=State.DELIVERED, config_id=CONFIG_ID), [3, 9]),
    (LogFilter(state=State.PENDING, config_id=CONFIG_ID + 1), [6]),
    (LogFilter(subject="con_1"), [1, 2, 3, 4, 9]),
    (LogFilter(subject="con_1", state=State.CLAIMED), [4]),
    (LogFilter(subject="con_1", state=State.FAILED), []),
    (LogFilter(subject="con_2", state=State.FAILED, config_id=CONFIG_ID + 1), [7]),
    (LogFilter(subject="con_1", config_id=CONFIG_ID), [3, 9]),
    (LogFilter(event_type="contact.updated"), [4]),
    (LogFilter(event_type="contact.updated", config_id=CONFIG_ID), []),
    (LogFilter(event_type="contact.created", state=State.FAILED), [7, 8]),
    (LogFilter(location_id="loc_main"), [0, 1, 2, 3, 4, 7, 8, 9]),
    (LogFilter(location_id="loc_main", state=State.HELD), []),
    (LogFilter(location_id="loc_other"), []),
    (LogFilter(since_ms=NOON + 3), [0, 1, 2, 3, 4, 5, 6]),
    (LogFilter(until_ms=NOON + 3), [7, 8, 9]),
    (LogFilter(since_ms=NOON + 2, until_ms=NOON + 3, state=State.FAILED), [7, 8]),
    (LogFilter(since_ms=NOON + 4, until_ms=NOON + 4), []),
    (LogFilter(since_ms=-(10**30), until_ms=10**30), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
]


@pytest.mark.parametrize(("narrowed", "places"), NARROWED, ids=[str(n) for n in range(len(NARROWED))])
async def test_deliveries_are_listed_narrowed_and_page_by_page(
    day: Day, narrowed: LogFilter, places: list[int]
) -> None:
    everything = await a_varied_day(day)
    expected = [everything[place] for place in places]

    assert await day.listed(narrowed) == expected

    for limit in (1, 2, 3):
        paged: list[tuple[int, int, State]] = []
        before = None
        while page := await day.listed(narrowed, before, limit):
            assert len(page) <= limit
            paged += page
            before = (a_numbered(page[-1][0]).id, CONFIG_ID + page[-1][1])
        assert paged == expected


@pytest.fixture
async def hosts(day: Day) -> None:
    """Configs with hosts of their own, and one of another account."""
    urls = ("https://crm.example/in", "https://CRM.example:8443/x?crm2.example", "http://[2001:db8::1]/in")
    for place, url in enumerate(urls):
        await day.configs.change(a_config(id=CONFIG_ID + place, url=url))
    await day.configs.change(
        a_config(id=OTHER_CONFIG, account=OTHER, location_id="loc_other", url="https://crm.example/theirs")
    )


def whole(number: int) -> str:
    return event_text(a_numbered(number).id)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("crm.example", [0, 2, 3, 4, 6, 7, 8, 9]),
        ("CRM.example", [0, 2, 3, 4, 6, 7, 8, 9]),
        ("https://crm.example/another", [0, 2, 3, 4, 6, 7, 8, 9]),
        ("crm.example:8443", [2, 4, 6, 7]),
        ("[2001:db8::1]", [1, 5]),
        ("2001:db8::1", [1, 5]),
        ("crm2.example", []),
        ("example", []),
        ("con_1", [1, 2, 3, 4, 9]),
        ("con_", []),
        ("%", []),
        (whole(5), [1, 2, 3]),
        (whole(5)[:4], []),
        (whole(5)[:10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (whole(5) + "0", []),
        (delivery_text(a_numbered(5).id, CONFIG_ID + 1), [2]),
        (delivery_text(a_numbered(5).id, CONFIG_ID + 1)[:-3], [1, 2, 3]),
        (config_text(CONFIG_ID + 2), [1, 5]),
        (config_text(CONFIG_ID)[:-1], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (config_text(OTHER_CONFIG), []),
        ("evt_zzzz", []),
        ("evt_ABC", []),
    ],
)
async def test_deliveries_are_found_by_what_a_person_has_at_hand(
    day: Day, hosts: None, text: str, places: list[int]
) -> None:
    everything = await a_varied_day(day)
    sought = await day.log.sought(ACCOUNT, text)

    assert await day.listed(LogFilter(sought=sought)) == [everything[place] for place in places]
    first = await day.listed(LogFilter(sought=sought), limit=1)
    if first:
        before = (a_numbered(first[0][0]).id, CONFIG_ID + first[0][1])
        assert await day.listed(LogFilter(sought=sought), before) == [everything[place] for place in places[1:]]


async def test_a_search_narrows_beside_other_filters(day: Day, hosts: None) -> None:
    everything = await a_varied_day(day)
    crm, one = await day.log.sought(ACCOUNT, "crm.example"), await day.log.sought(ACCOUNT, whole(5))
    about = await day.log.sought(ACCOUNT, "con_1")

    for narrowed, places in (
        (LogFilter(sought=crm, state=State.FAILED), [7, 8]),
        (LogFilter(sought=crm, state=State.CLAIMED), [4]),
        (LogFilter(sought=crm, config_id=CONFIG_ID + 1), [2, 4, 6, 7]),
        (LogFilter(sought=crm, config_id=CONFIG_ID + 2), []),
        (LogFilter(sought=crm, event_type="contact.updated"), [4]),
        (LogFilter(sought=one, config_id=CONFIG_ID), [3]),
        (LogFilter(sought=one, until_ms=NOON + 5), []),
        (LogFilter(sought=about, subject="con_1"), [1, 2, 3, 4, 9]),
        (LogFilter(sought=about, subject="con_2"), []),
    ):
        assert await day.listed(narrowed) == [everything[place] for place in places], narrowed


async def test_events_are_found_by_ids_and_by_what_they_are_about(day: Day, hosts: None) -> None:
    await a_varied_day(day)

    async def found(text: str) -> list[int]:
        narrowed = LogFilter(sought=await day.log.sought(ACCOUNT, text))
        return numbers(await day.log.events(ACCOUNT, narrowed, None, 100))

    assert await found("con_1") == [5, 4, 1]
    assert await found(whole(3)) == [3]
    assert await found(delivery_text(a_numbered(3).id, CONFIG_ID + 1)) == [3]
    assert await found(whole(7)) == []
    for text in ("crm.example", config_text(CONFIG_ID), "nothing"):
        assert await found(text) == []


MESSAGE = {"type": "sms.sent", "data": b'{"to":"12025550143","tracking_id":"U01TXzE="}'}


async def test_messages_are_found_by_their_tracking_id(day: Day) -> None:
    await day.ended(1, **MESSAGE)
    await day.accepted(2, CONFIG_ID, CONFIG_ID + 1, claimed=False, **MESSAGE)
    await day.ended(3, type="order.paid", data=MESSAGE["data"])
    await day.ended(4, Verdict.DELIVERED, OTHER_CONFIG, account=OTHER, **MESSAGE)
    await day.store.keep_test(day.worker, a_settlement(a_claim(event=a_numbered(5, **MESSAGE)), Verdict.DELIVERED))

    sought = await day.log.sought(ACCOUNT, "U01TXzE=")

    assert sought == Sought("U01TXzE=", tracking_id="U01TXzE=")
    assert [(number, of) for number, of, _ in await day.listed(LogFilter(sought=sought))] == [
        (5, 0),
        (2, 1),
        (2, 0),
        (1, 0),
    ]
    assert await day.listed(LogFilter(sought=sought, state=State.PENDING, config_id=CONFIG_ID + 1)) == [
        (2, 1, State.PENDING)
    ]
    assert numbers(await day.log.events(ACCOUNT, LogFilter(sought=sought), None, 9)) == [5, 2, 1]
    assert await day.log.reach(ACCOUNT, LogFilter(sought=sought), None, 1) is None
    # What is longer, or none at all, is a subject like any other.
    assert await day.log.sought(ACCOUNT, "U01TXzE") == Sought("U01TXzE", subject="U01TXzE")


@pytest.mark.parametrize(
    ("event_type", "data", "found"),
    [
        ("sms.sent", b'{"tracking_id":"U01TXzE="}', "U01TXzE="),
        ("mms.received", b'{"a":[1,{"tracking_id":"x"}],"tracking_id":"MMS_MO_1"}', "MMS_MO_1"),
        ("sms.sent", b'{"tracking_id":7}', None),
        ("sms.sent", b'{"tracking_id":"a\\u0000b"}', None),
        ("sms.sent", b'{"tracking_id":""}', None),
        ("sms.sent", b'{"tracking_id":"' + b"x" * 300 + b'"}', None),
        ("sms.sent", b"{}", None),
        ("sms.sent", b"no json", None),
        ("order.paid", b'{"tracking_id":"x"}', None),
    ],
)
def test_the_tracking_id_is_read_where_the_type_has_one(event_type: str, data: bytes, found: str | None) -> None:
    assert tracking_id_of(event_type, data) == found


async def test_what_too_many_configs_fit_is_refused(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_search, "CONFIGS_MAX", 2)

    for text in ("127.0.0.1", config_text(CONFIG_ID)[:8]):
        with pytest.raises(InvalidValue, match="more than 2 configs"):
            await day.log.sought(ACCOUNT, text)


async def test_a_list_looks_back_so_far_and_goes_on_from_there(day: Day) -> None:
    everything = await a_varied_day(day)

    for narrowed in (ALL, *(filters for filters, _ in NARROWED)):
        paged: list[tuple[int, int, State]] = []
        before: tuple[int, int] | None = None
        for _ in range(30):
            since = await day.log.reach(ACCOUNT, narrowed, before, 2)
            views = await day.log.deliveries(ACCOUNT, narrowed, before, 100, since)
            paged += [(number_of(view.event), view.config_id - CONFIG_ID, view.state) for view in views]
            if since is None:
                break
            before = (since, 0)
        assert paged == await day.listed(narrowed), narrowed
    of_a_type = LogFilter(event_type="contact.updated")
    assert await day.log.reach(ACCOUNT, of_a_type, None, 3) == a_numbered(4).id
    assert await day.log.reach(ACCOUNT, replace(of_a_type, state=State.FAILED), None, 20) == a_numbered(2).id
    assert await day.log.reach(ACCOUNT, LogFilter(config_id=CONFIG_ID), None, 30) == a_numbered(2).id
    pending = LogFilter(state=State.PENDING)
    assert await day.log.reach(ACCOUNT, pending, None, 2) == a_numbered(3).id
    assert await day.log.reach(ACCOUNT, replace(of_a_type, state=State.PENDING), None, 8) == a_numbered(3).id
    assert await day.log.reach(ACCOUNT, replace(pending, reason="bad_status"), None, 20) == a_numbered(3).id
    # What comes past nothing else needs no end.
    for narrowed in (ALL, LogFilter(state=State.FAILED), LogFilter(subject="con_1"), LogFilter(since_ms=NOON)):
        assert await day.log.reach(ACCOUNT, narrowed, None, 1) is None
    assert len(everything) == 10


async def test_an_event_of_many_deliveries_is_come_past(day: Day) -> None:
    """However many rows of the index are of one event, the next page begins at another."""
    await day.ended(1)
    await day.ended(2, Verdict.FAILED, CONFIG_ID, CONFIG_ID + 1, CONFIG_ID + 2)
    narrowed = LogFilter(state=State.FAILED, event_type="contact.updated")

    first = await day.log.reach(ACCOUNT, narrowed, None, 20)

    assert first == a_numbered(2).id
    assert await day.log.reach(ACCOUNT, narrowed, (first, 0), 20) is None


async def test_events_are_looked_back_for_so_far_too(day: Day) -> None:
    await a_varied_day(day)
    narrowed = LogFilter(event_type="contact.updated")

    since = await day.log.reach_of_events(ACCOUNT, narrowed, None, 2)

    assert since == a_numbered(5).id
    assert await day.log.events(ACCOUNT, narrowed, None, 10, since) == []
    assert numbers(await day.log.events(ACCOUNT, narrowed, since, 10)) == [4]
    assert await day.log.reach_of_events(ACCOUNT, ALL, None, 1) is None


async def test_nobody_sees_the_deliveries_of_another(day: Day) -> None:
    await a_varied_day(day)

    theirs = await day.log.deliveries(OTHER, ALL, None, 100)

    assert [(number_of(view.event), view.config_id) for view in theirs] == [(8, OTHER_CONFIG), (7, OTHER_CONFIG)]
    for account, number, config_id in (
        (OTHER, 1, CONFIG_ID),
        (ACCOUNT, 7, OTHER_CONFIG),
        (ACCOUNT, 1, CONFIG_ID + 1),
        (ACCOUNT, 99, CONFIG_ID),
    ):
        with pytest.raises(NotFound):
            await day.log.delivery(account, a_numbered(number).id, config_id)


async def test_the_deliveries_of_an_event_are_shown_together(day: Day) -> None:
    await a_varied_day(day)

    views = await day.log.deliveries_of(ACCOUNT, a_numbered(3).id)

    assert [(view.config_id - CONFIG_ID, view.state) for view in views] == [(1, State.PENDING), (2, State.HELD)]
    for account, number in ((OTHER, 3), (ACCOUNT, 7), (ACCOUNT, 99)):
        assert await day.log.deliveries_of(account, a_numbered(number).id) == []


async def test_events_are_listed_the_newest_first(day: Day) -> None:
    await a_varied_day(day)

    async def listed(before: int | None = None, limit: int = 100, **narrowed: Any) -> list[int]:
        return numbers(await day.log.events(ACCOUNT, LogFilter(**narrowed), before, limit))

    assert await listed() == [6, 5, 4, 3, 2, 1]
    assert await listed(a_numbered(5).id, 2) == [4, 3]
    assert await listed(subject="con_1") == [5, 4, 1]
    assert await listed(event_type="contact.updated") == [4]
    assert await listed(location_id="loc_main") == [6, 5, 4, 2, 1]
    assert await listed(since_ms=NOON + 3, until_ms=NOON + 5) == [4, 3]
    assert await listed(location_id="loc_other") == []
    with pytest.raises(InvalidValue):
        await listed(state=State.FAILED)


async def test_an_event_is_shown_with_the_number_of_its_deliveries(day: Day) -> None:
    event = a_numbered(1, data=b'{ "a": 1.0e2,\n"\\u00e9":null}', expands=b"{}", occurred_at="2026-09-21T12:00:00.5-04")
    await day.accepted(
        1, CONFIG_ID, CONFIG_ID + 1, data=event.data, expands=event.expands, occurred_at=event.occurred_at
    )

    assert await day.log.event(ACCOUNT, event.id) == (event, 2)

    for account, event_id in ((OTHER, event.id), (ACCOUNT, event.id + 1), (ACCOUNT, 0)):
        with pytest.raises(NotFound):
            await day.log.event(account, event_id)


async def test_28_subjects_are_found_literally(day: Day) -> None:
    for number, subject in enumerate(["%", "_", "'; DROP TABLE events;--", "\u202e", "con"], start=1):
        await day.ended(number, subject=subject)
        assert numbers(await day.log.events(ACCOUNT, LogFilter(subject=subject), None, 9)) == [number]
        assert await day.listed(LogFilter(subject=subject)) == [(number, 0, State.DELIVERED)]


# --- plans: a promise about speed is a fact that one can assert; those of PostgreSQL are in test_postgres_lists.py ---


async def plan_of(day: Day, query: Select[Any]) -> str:
    compiled = query.limit(50).compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
    names: Sequence[str] = compiled.positiontup or ()
    statement = watched.Statement(str(compiled), [compiled.params[name] for name in names])
    return "\n".join(await watched.plan_of(day.store, statement))


BEFORE = (NOON << 21, CONFIG_ID)
NAMED = {
    "all": ALL,
    "config": LogFilter(config_id=CONFIG_ID),
    "subject": LogFilter(subject="con_1"),
    "tracking_id": LogFilter(sought=Sought("x", tracking_id="x")),
    "type": LogFilter(event_type="contact.created"),
    "config_and_type": LogFilter(config_id=CONFIG_ID, event_type="contact.created"),
    "time": LogFilter(since_ms=NOON, until_ms=NOON + 1),
    "failed": LogFilter(state=State.FAILED),
    "failed_of_type": LogFilter(state=State.FAILED, event_type="contact.created"),
    "delivered": LogFilter(state=State.DELIVERED),
    "cancelled": LogFilter(state=State.CANCELLED),
    "pending": LogFilter(state=State.PENDING),
    "held": LogFilter(state=State.HELD),
    "pending_of_config": LogFilter(state=State.PENDING, config_id=CONFIG_ID),
}


each_page = pytest.mark.parametrize("before", [None, BEFORE], ids=["first_page", "next_page"])


@each_page
@pytest.mark.parametrize("name", [name for name, narrowed in NAMED.items() if narrowed.state not in OPEN])
@given.on_sqlite
async def test_what_is_finished_is_found_in_order_by_an_index(
    day: Day, name: str, before: tuple[int, int] | None
) -> None:
    plan = await plan_of(day, finished_keys(ACCOUNT, NAMED[name], before, BEFORE[0]))

    assert "TEMP B-TREE" not in plan
    assert "SCAN" not in plan


@each_page
@pytest.mark.parametrize("name", NAMED)
@given.on_sqlite
async def test_what_is_owed_is_walked_in_order(day: Day, name: str, before: tuple[int, int] | None) -> None:
    """Not by the index of what is due, which would have to be sorted. The walk is short where things go well,
    and finds a page soon where they do not."""
    plan = await plan_of(day, owed_keys(ACCOUNT, NAMED[name], before))

    assert "TEMP B-TREE" not in plan
    assert "owed_due" not in plan
    assert [line for line in plan.splitlines() if "SCAN" in line] in ([], ["SCAN owed"])


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("all", "events_of_account"),
        ("config", "attempts_of_config"),
        ("config_and_type", "attempts_of_config"),
        ("subject", "events_of_subject"),
        ("tracking_id", "events_of_tracking_id"),
        ("failed", "attempts_failed"),
        ("failed_of_type", "attempts_failed"),
        ("cancelled", "attempts_cancelled"),
        ("delivered", "events_of_account"),
    ],
)
@given.on_sqlite
async def test_each_list_walks_the_index_made_for_it(day: Day, name: str, index: str) -> None:
    plan = await plan_of(day, finished_keys(ACCOUNT, NAMED[name], BEFORE))

    assert index in plan.splitlines()[0]


@each_page
@pytest.mark.parametrize("name", NAMED)
@given.on_sqlite
async def test_how_far_a_list_looks_back_is_read_from_an_index(
    day: Day, name: str, before: tuple[int, int] | None
) -> None:
    for walk, _ in log_reach.walks(ACCOUNT, NAMED[name], None if before is None else before[0]):
        plan = await plan_of(day, walk)
        assert "TEMP B-TREE" not in plan
        assert [line for line in plan.splitlines() if "SCAN" in line] in ([], ["SCAN owed"])


@given.on_sqlite
async def test_deliveries_to_many_configs_are_walked_in_order(day: Day) -> None:
    """Not config by config, which would have to be sorted."""
    sought = Sought("crm.example", config_ids=(CONFIG_ID, CONFIG_ID + 1))
    for state in (None, State.FAILED, State.DELIVERED):
        plan = await plan_of(day, finished_keys(ACCOUNT, LogFilter(sought=sought, state=state), BEFORE))
        assert "TEMP B-TREE" not in plan
        assert "attempts_of_config" not in plan


@given.on_sqlite
async def test_the_rows_of_a_page_are_found_by_their_keys(day: Day) -> None:
    await a_varied_day(day)

    with watched.statements() as seen:
        await day.log.deliveries(ACCOUNT, LogFilter(state=State.DELIVERED), None, 50)
        await day.log.deliveries_of(ACCOUNT, a_numbered(1).id)
        await day.log.delivery(ACCOUNT, a_numbered(1).id, CONFIG_ID)

    plans = "\n".join([line for statement in seen for line in await watched.plan_of(day.store, statement)])
    assert len(seen) > 10
    for table in ("events", "owed", "attempts", "config_versions", "configs"):
        assert f"SCAN {table}" not in plans
    assert "TEMP B-TREE" not in plans


@given.on_sqlite
async def test_a_page_costs_what_it_shows_and_not_what_there_is(day: Day) -> None:
    """Counted in rows that SQLite steps over, not in time: a page of 20,000 deliveries takes no more than one of 200."""
    spent = []
    for first, count in ((0, 200), (200, 20_000)):
        await fill(day, first, count)
        steps = 0

        def count_steps() -> int:
            nonlocal steps
            steps += 1
            return 0

        for narrowed in (
            ALL,
            LogFilter(config_id=CONFIG_ID),
            LogFilter(state=State.FAILED),
            LogFilter(subject="con_7"),
        ):
            queries = (finished_keys(ACCOUNT, narrowed, None), owed_keys(ACCOUNT, narrowed, None))

            def run(connection: Any, queries: Any = queries) -> None:
                raw = connection.connection.dbapi_connection
                raw.set_progress_handler(count_steps, 100)
                for query in queries:
                    connection.execute(query.limit(50)).all()
                raw.set_progress_handler(None, 0)

            await day.store.read(run)
        spent.append(steps)

    assert spent[1] <= spent[0] * 1.5


async def fill(day: Day, first: int, count: int) -> None:
    """Finished deliveries in numbers, every tenth of them failed, and a few that are owed."""
    events = [a_numbered(number)._asdict() | {"deliveries": 1} for number in range(first + 1, first + count + 1)]
    attempts = [
        {
            "event_id": event["id"],
            "config_id": CONFIG_ID,
            "n": 1,
            "account": ACCOUNT,
            "counter": 1,
            "verdict": Verdict.FAILED if at % 10 == 0 else Verdict.DELIVERED,
            "manual": 0,
            "ended_ms": NOON,
            "wait_ms": 0,
            "truncated": 0,
        }
        for at, event in enumerate(events)
    ]

    def write(connection: Any) -> None:
        connection.execute(insert(tables.events), events)
        connection.execute(insert(tables.attempts), attempts)

    await day.store.write(write)
    if first == 0:
        await day.accepted(10_000_000, claimed=False)


async def test_a_wide_event_is_shown_whole(day: Day) -> None:
    config_ids = [CONFIG_ID + 1_000 + place for place in range(500)]
    await day.ended(1, Verdict.DELIVERED, *config_ids)

    views = await day.log.deliveries_of(ACCOUNT, a_numbered(1).id)
    page = await day.log.deliveries(ACCOUNT, ALL, None, 500)

    assert [view.config_id for view in views] == config_ids
    assert [view.config_id for view in page] == config_ids[::-1]
    assert replace(page[0], config_id=0) == replace(views[-1], config_id=0)
    assert (await SqlAccounts(day.store).list(Query())).total == 2
