"""Lists of the log on each database: narrowed, page by page, and how far they look back."""

from dataclasses import replace
from typing import Any

import pytest

from postback.domain.deliveries import State, Verdict
from postback.domain.errors import InvalidValue, NotFound
from postback.ports import LogFilter, Query
from postback.storage.accounts import SqlAccounts
from postback.storage.log_keys import ENDS
from tests.build import ACCOUNT, CONFIG_ID, NOON
from tests.storage.days import ALL, OTHER, OTHER_CONFIG, Day, a_numbered, a_varied_day, number_of, numbers

pytestmark = pytest.mark.anyio

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
    assert await day.log.reach(ACCOUNT, of_a_type, None, 8, of_open=True) == a_numbered(3).id
    assert await day.log.reach(ACCOUNT, of_a_type, None, 16, of_open=True) is None
    # What comes past nothing else needs no end.
    for narrowed in (ALL, LogFilter(subject="con_1"), LogFilter(since_ms=NOON)):
        assert await day.log.reach(ACCOUNT, narrowed, None, 1) is None
    assert len(everything) == 10


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
async def test_what_has_ended_so_and_was_replayed_since_is_come_past(day: Day, state: State) -> None:
    """Its end stays on record: a page that looks for others looks at so many of them and no more."""
    for number in range(1, 11):
        await day.ended(number, ENDS[state])
    narrowed = LogFilter(state=state)
    assert [number for number, _, _ in await day.listed(narrowed)] == list(range(10, 0, -1))
    for number in range(3, 11):
        await day.store.replay(ACCOUNT, a_numbered(number).id, CONFIG_ID)
    again = await day.claimed()
    await day.settled(again[:4], Verdict.DELIVERED)

    first = await day.log.reach(ACCOUNT, narrowed, None, 12)

    assert first == a_numbered(7).id
    assert await day.log.deliveries(ACCOUNT, narrowed, None, 100, first) == []
    then = await day.log.reach(ACCOUNT, narrowed, (first, 0), 12)
    assert then == a_numbered(3).id
    assert await day.log.deliveries(ACCOUNT, narrowed, (first, 0), 100, then) == []
    assert await day.log.reach(ACCOUNT, narrowed, (then, 0), 12) is None
    assert await day.listed(narrowed, (then, 0)) == [(2, 0, state), (1, 0, state)]


async def test_the_newest_failures_are_on_the_first_page_however_few_rows_it_looks_at(day: Day) -> None:
    for number in range(1, 9):
        await day.ended(number, Verdict.FAILED)
    await day.store.replay(ACCOUNT, a_numbered(7).id, CONFIG_ID)
    narrowed = LogFilter(state=State.FAILED)

    since = await day.log.reach(ACCOUNT, narrowed, None, 12)
    page = await day.log.deliveries(ACCOUNT, narrowed, None, 3, since)

    assert [number_of(view.event) for view in page] == [8, 6, 5]


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


async def test_of_the_deliveries_of_an_event_the_first_are_shown_wherever_they_stand(day: Day) -> None:
    """What is owed and what is finished stand in two tables."""
    await a_varied_day(day)
    everything = {number: await day.log.deliveries_of(ACCOUNT, a_numbered(number).id) for number in range(1, 7)}

    for number, views in everything.items():
        for limit in range(1, 5):
            assert await day.log.deliveries_of(ACCOUNT, a_numbered(number).id, limit) == views[:limit]

    assert any(len(views) > 1 for views in everything.values())


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


async def test_a_wide_event_is_shown_whole(day: Day) -> None:
    config_ids = [CONFIG_ID + 1_000 + place for place in range(500)]
    await day.ended(1, Verdict.DELIVERED, *config_ids)

    views = await day.log.deliveries_of(ACCOUNT, a_numbered(1).id)
    page = await day.log.deliveries(ACCOUNT, ALL, None, 500)

    assert [view.config_id for view in views] == config_ids
    assert [view.config_id for view in page] == config_ids[::-1]
    assert replace(page[0], config_id=0) == replace(views[-1], config_id=0)
    assert (await SqlAccounts(day.store).list(Query())).total == 2
