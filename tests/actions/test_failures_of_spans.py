"""Failures of a span of time: what is over is asked for once, and what is told is what the store would say of all of it."""

import pytest

from postback.actions import failures as failures_module
from postback.actions.failures import (
    DAY_MS,
    HOURS_MS,
    QUARTER_MS,
    FailureActions,
    Owner,
    PastFailures,
    Run,
    runs,
    together,
)
from postback.actions.past import LATE_MS, SPANS, Looks, first_of
from postback.domain.causes import Cause
from postback.domain.stats import MINUTE_MS
from postback.domain.wire import Reason
from postback.ports import Begun, Failures, Waits
from tests.build import CONFIG_ID, NOON

pytestmark = pytest.mark.anyio

REFUSED = Cause(Reason.CONNECTION_REFUSED)
EXPIRED = Cause(Reason.TLS_ERROR, "certificate_expired")
OWNER = Owner("acc", 7)
MINUTE = NOON - NOON % MINUTE_MS


class Counted:
    """What has failed, minute by minute; it notes how many minutes it was asked for."""

    def __init__(self, minutes: dict[int, list[tuple[Cause, int]]]) -> None:
        self.minutes = minutes
        self.asked: list[tuple[int, int]] = []

    async def failures(self, account: str, since_ms: int, until_ms: int, step_ms: int) -> dict[int, list[Failures]]:
        self.asked.append((since_ms, until_ms))
        found: dict[int, list[Failures]] = {}
        for at_ms, failed in self.minutes.items():
            if account == OWNER.account and since_ms <= at_ms < until_ms:
                rows = [Failures(cause, config_id, 1, at_ms, at_ms) for cause, config_id in failed]
                found.setdefault(at_ms - at_ms % step_ms, []).extend(rows)
        return {at_ms: list(together(rows)) for at_ms, rows in found.items()}

    def all_since(self, since_ms: int) -> set[Failures]:
        return set(
            together(
                Failures(cause, config_id, 1, at_ms, at_ms)
                for at_ms, failed in self.minutes.items()
                for cause, config_id in failed
                if at_ms >= since_ms
            )
        )

    def minutes_asked(self) -> int:
        """Since it was asked for this."""
        found = sum(until_ms - since_ms for since_ms, until_ms in self.asked) // MINUTE_MS
        self.asked.clear()
        return found

    async def waits(self, account: str) -> Waits:
        raise NotImplementedError

    async def begun(self, account: str) -> Begun:
        raise NotImplementedError

    async def troubled(self, account: str, ends_before_ms: int, limit: int) -> list[int]:
        raise NotImplementedError


def all_the_time(now_ms: int, days: int = 8) -> dict[int, list[tuple[Cause, int]]]:
    """Every seventh minute one config fails, every eleventh another."""
    first = now_ms // MINUTE_MS - days * 1440
    return {
        minute * MINUTE_MS: [(REFUSED, CONFIG_ID)] * (minute % 7 == 0) + [(EXPIRED, CONFIG_ID + 1)] * (minute % 11 == 0)
        for minute in range(first, now_ms // MINUTE_MS + 1)
    }


@pytest.mark.parametrize("span", SPANS.values(), ids=lambda span: span.name)
@pytest.mark.parametrize("later_ms", [0, 7 * MINUTE_MS, QUARTER_MS, 119 * MINUTE_MS, DAY_MS - MINUTE_MS])
async def test_what_is_told_is_all_of_the_span_also_of_what_is_kept(span: object, later_ms: int) -> None:
    counted = Counted(all_the_time(NOON + later_ms))
    actions = FailureActions(counted)

    for now_ms in (NOON, NOON + later_ms // 2, NOON + later_ms):
        since_ms = first_of(span, now_ms)  # type: ignore[arg-type]
        counted.minutes = all_the_time(now_ms)
        found = await actions.since(OWNER, since_ms, now_ms)

        assert len(found) == 2
        assert set(found) == counted.all_since(since_ms)


@pytest.mark.parametrize("span", SPANS.values(), ids=lambda span: span.name)
async def test_a_second_look_asks_for_minutes_and_not_for_days(span: object) -> None:
    counted = Counted(all_the_time(NOON))
    actions = FailureActions(counted)
    since_ms = first_of(span, NOON)  # type: ignore[arg-type]
    await actions.since(OWNER, since_ms, NOON)
    counted.minutes_asked()

    await actions.since(OWNER, since_ms, NOON)

    least = (LATE_MS + MINUTE_MS) // MINUTE_MS
    assert least <= counted.minutes_asked() <= 2 * QUARTER_MS // MINUTE_MS + least


async def test_what_is_written_down_late_is_told_too() -> None:
    counted = Counted(all_the_time(NOON))
    actions = FailureActions(counted)
    over_ms = (NOON - LATE_MS) // QUARTER_MS * QUARTER_MS
    await actions.since(OWNER, over_ms - QUARTER_MS, NOON)

    counted.minutes[over_ms] = [(EXPIRED, CONFIG_ID + 9)]

    assert Failures(EXPIRED, CONFIG_ID + 9, 1, over_ms, over_ms) in await actions.since(OWNER, over_ms, NOON)


@pytest.mark.parametrize("ahead_ms", [LATE_MS + QUARTER_MS, 3 * 60 * MINUTE_MS, 2 * DAY_MS])
async def test_what_happens_after_the_clock_was_set_back_is_told(ahead_ms: int) -> None:
    counted = Counted(all_the_time(NOON))
    actions = FailureActions(counted)
    await actions.since(OWNER, NOON - DAY_MS, NOON + ahead_ms)

    for now_ms in (NOON, NOON + ahead_ms // 2, NOON + ahead_ms + LATE_MS):
        counted.minutes = all_the_time(now_ms)
        assert set(await actions.since(OWNER, NOON - DAY_MS, now_ms)) == counted.all_since(NOON - DAY_MS)


async def test_nobody_has_to_look_while_a_clock_is_back() -> None:
    counted, passed_s = Counted(all_the_time(NOON)), [5.0]
    actions = FailureActions(counted, PastFailures(Looks(lambda: passed_s[0])))
    ahead_ms, since_ms = 3 * 60 * MINUTE_MS, NOON - DAY_MS
    await actions.since(OWNER, since_ms, NOON + ahead_ms)

    passed_s[0] += ahead_ms / 1000
    counted.minutes = all_the_time(NOON + ahead_ms)

    assert set(await actions.since(OWNER, since_ms, NOON + ahead_ms)) == counted.all_since(since_ms)


async def test_a_clock_that_was_set_back_costs_no_more_than_what_is_not_over() -> None:
    counted = Counted(all_the_time(NOON))
    actions = FailureActions(counted)
    since_ms = NOON - 3 * DAY_MS
    await actions.since(OWNER, since_ms, NOON + DAY_MS)
    await actions.since(OWNER, since_ms, NOON)
    counted.minutes_asked()

    await actions.since(OWNER, since_ms, NOON)

    assert counted.minutes_asked() <= (2 * QUARTER_MS + LATE_MS) // MINUTE_MS + 1


async def test_of_another_account_nothing_is_told_whatever_its_name() -> None:
    counted = Counted(all_the_time(NOON))
    actions = FailureActions(counted)
    since_ms = NOON - DAY_MS
    await actions.since(OWNER, since_ms, NOON)
    counted.minutes = {}

    assert await actions.since(Owner("other", 7), since_ms, NOON) == []
    assert await actions.since(OWNER._replace(made_ms=8), since_ms, NOON) == []
    assert await actions.since(OWNER, since_ms, NOON) != []


def test_what_is_over_is_divided_into_the_longest_parts_that_begin_there() -> None:
    day = NOON - NOON % DAY_MS

    assert list(runs(day - 2 * DAY_MS - QUARTER_MS, day + HOURS_MS + 2 * QUARTER_MS + MINUTE_MS)) == [
        Run(day - 2 * DAY_MS - QUARTER_MS, QUARTER_MS, 1),
        Run(day - 2 * DAY_MS, DAY_MS, 2),
        Run(day, HOURS_MS, 1),
        Run(day + HOURS_MS, QUARTER_MS, 2),
    ]
    assert list(runs(day, day + QUARTER_MS - 1)) == []
    assert list(runs(day, day - DAY_MS)) == []


def test_of_what_was_kept_only_what_is_not_over_is_forgotten_by_a_clock_that_was_set_back() -> None:
    row = Failures(REFUSED, CONFIG_ID, 1, 0, 0)
    past, parts = PastFailures(Looks(lambda: 0.0)), Run(0, QUARTER_MS, 4)
    past.look(4 * QUARTER_MS + LATE_MS)
    past.keep(OWNER, QUARTER_MS, {at_ms: [row] for at_ms in parts.starts})

    past.look(4 * QUARTER_MS)
    assert len(past.known(OWNER, parts)) == 4

    past.look(2 * QUARTER_MS + LATE_MS)
    assert past.known(OWNER, parts) == {0: [row], QUARTER_MS: [row]}
    past.look(QUARTER_MS + LATE_MS - 1)
    assert past.known(OWNER, parts) == {}


def test_as_many_rows_are_kept_as_fit_those_that_were_asked_for_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures_module, "KEPT_ROWS", 4)
    past = PastFailures()
    row = Failures(REFUSED, CONFIG_ID, 1, MINUTE, MINUTE)
    parts = Run(0, QUARTER_MS, 3)
    past.keep(OWNER, QUARTER_MS, {0: [row], QUARTER_MS: [row]})

    past.known(OWNER, Run(0, QUARTER_MS, 1))
    past.keep(OWNER, QUARTER_MS, {2 * QUARTER_MS: []})

    assert past.known(OWNER, parts) == {0: [row], 2 * QUARTER_MS: []}
    past.keep(OWNER, QUARTER_MS, {0: [row] * 9})
    assert past.known(OWNER, parts) == {}
