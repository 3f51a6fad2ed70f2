"""An account at a glance: failures by cause, what of a config needs attention, and how far back a span goes."""

from typing import Any

import pytest

from postback.actions.overview import (
    Concern,
    FailedSo,
    Matter,
    by_cause,
    concerns_of,
    longest_ms,
    named,
)
from postback.actions.past import HOUR, LATE_MS, SPANS, Looks, Past, Span, coarser, first_of
from postback.actions.stats import STEPS_MAX, Step
from postback.domain.causes import Cause
from postback.domain.configs import ConfigState, PostbackConfig, Warned
from postback.domain.policy import Deadlines, RetryPolicy
from postback.domain.stats import Health, LastError, Tally
from postback.domain.wire import Reason
from postback.ports import Failures
from tests.build import CONFIG_ID, NOON, a_config

DAY_MS = 86_400_000
REFUSED = Cause(Reason.CONNECTION_REFUSED)
EXPIRED = Cause(Reason.TLS_ERROR, "certificate_expired")


def failures(cause: Cause, place: int, deliveries: int, first_ms: int = NOON, last_ms: int = NOON) -> Failures:
    return Failures(cause, CONFIG_ID + place, deliveries, first_ms, last_ms)


# --- failures -------------------------------------------------------------------------------------------------------


def test_failures_are_grouped_by_cause_the_most_frequent_first_and_so_are_their_configs() -> None:
    found = by_cause(
        [
            failures(REFUSED, 0, 5),
            failures(EXPIRED, 1, 3, NOON - 60_000, NOON),
            failures(EXPIRED, 2, 9, NOON - 120_000, NOON - 60_000),
            failures(EXPIRED, 0, 3, NOON - 60_000, NOON + 60_000),
        ],
        {},
    )

    assert found == [
        FailedSo(
            EXPIRED,
            15,
            {CONFIG_ID + 2: 9, CONFIG_ID: 3, CONFIG_ID + 1: 3},
            first_ms=NOON - 120_000,
            last_ms=NOON + 60_000,
            accepted_since_ms=NOON - 180_000,
        ),
        FailedSo(REFUSED, 5, {CONFIG_ID: 5}, NOON, NOON, NOON - 60_000),
    ]
    assert list(found[0].configs) == [CONFIG_ID + 2, CONFIG_ID, CONFIG_ID + 1]
    assert by_cause([], {}) == []


def test_what_failed_was_accepted_as_much_earlier_as_its_configs_try_it() -> None:
    patient = a_config(
        id=CONFIG_ID + 1, retry=RetryPolicy(3, (100, 200)), deadlines=Deadlines(1, 1, 10), location_id=None
    )
    configs = {CONFIG_ID: a_config(), patient.id: patient}

    [found] = by_cause([failures(REFUSED, 0, 1), failures(REFUSED, 1, 1)], configs)

    assert found.accepted_since_ms == NOON - (300 + 3 * 10 + 60) * 1000


@pytest.mark.parametrize(
    ("retry", "seconds"),
    [
        (RetryPolicy(1, (300,)), 0),
        (RetryPolicy(3, (300,)), 600),
        (RetryPolicy(4, (5, 60)), 125),
        (RetryPolicy(2, (100,), jitter=True), 110),
    ],
)
def test_a_policy_tries_for_as_long_as_its_waits_add_up(retry: RetryPolicy, seconds: int) -> None:
    assert longest_ms(retry) == seconds * 1000


def test_the_configs_that_are_looked_at_are_those_with_the_most_failures() -> None:
    rows = [failures(REFUSED, place, place + 1) for place in range(150)]

    assert named(rows) == [CONFIG_ID + place for place in range(149, 49, -1)]


# --- attention ------------------------------------------------------------------------------------------------------

ERROR = LastError(event_id=1, at_ms=NOON - 1_000, status=503, reason="bad_status")


def matters(config: PostbackConfig, **health: Any) -> list[tuple[Matter, int | None]]:
    return [(one.matter, one.since_ms) for one in concerns_of(config, Health(**health), NOON)]


def test_of_a_config_that_is_well_there_is_nothing_to_say() -> None:
    assert matters(a_config()) == []
    assert matters(a_config(), last_success_ms=NOON - 1_000, last_error=ERROR) == []
    assert matters(a_config(), certificate_ends_ms=NOON + 22 * DAY_MS) == []


def test_a_config_fails_while_its_last_attempt_did() -> None:
    assert matters(a_config(), last_error=ERROR) == [(Matter.FAILING, NOON - 1_000)]
    assert matters(a_config(), last_error=ERROR, last_success_ms=NOON - 1_001) == [(Matter.FAILING, NOON - 1_000)]
    known = a_config(failing_ms=NOON - DAY_MS)
    assert matters(known, last_error=ERROR) == [(Matter.FAILING, NOON - DAY_MS)]


def test_what_is_held_does_not_fail_as_well() -> None:
    for state, matter in ((ConfigState.PAUSED, Matter.PAUSED), (ConfigState.DISABLED, Matter.DISABLED)):
        assert matters(a_config(state=state), last_error=ERROR) == [(matter, None)]


@pytest.mark.parametrize(
    ("ends_ms", "matter"),
    [
        (NOON - 1, Matter.EXPIRED),
        (NOON, Matter.EXPIRED),
        (NOON + 1, Matter.EXPIRES),
        (NOON + 21 * DAY_MS - 1, Matter.EXPIRES),
    ],
)
def test_a_certificate_is_warned_of_three_weeks_before_it_expires(ends_ms: int, matter: Matter) -> None:
    assert matters(a_config(), certificate_ends_ms=ends_ms) == [(matter, ends_ms)]
    assert matters(a_config(), certificate_ends_ms=NOON + 21 * DAY_MS) == []


def test_a_config_may_need_attention_for_more_than_one_reason() -> None:
    config = a_config(warned=Warned("it answered with a body", NOON - 5_000), state=ConfigState.PAUSED)

    found = concerns_of(config, Health(certificate_ends_ms=NOON), NOON)

    assert [one.matter for one in found] == [Matter.EXPIRED, Matter.PAUSED, Matter.WARNED]
    assert all(isinstance(one, Concern) and one.config is config for one in found)


# --- spans ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("span", SPANS.values(), ids=lambda span: span.name)
def test_a_span_ends_with_the_step_that_has_just_begun_and_is_never_too_long_to_be_shown(span: Any) -> None:
    step_ms = span.step_s * 1000

    first_ms = first_of(span, NOON)

    assert first_ms % step_ms == 0
    assert (NOON - first_ms) // step_ms == span.steps - 1
    assert span.steps <= STEPS_MAX


def test_the_spans_are_an_hour_a_day_and_a_week() -> None:
    assert [span.step_s * span.steps for span in SPANS.values()] == [3_600, 86_400, 7 * 86_400]
    assert next(iter(SPANS.values())) is HOUR


# --- what is over ---------------------------------------------------------------------------------------------------

DAY = SPANS["day"]


def steps_from(first_ms: int, *delivered: int, span: Span = DAY) -> list[Step]:
    step_ms = span.step_s * 1000
    return [Step(first_ms + place * step_ms, Tally(delivered=one)) for place, one in enumerate(delivered)]


def test_what_is_over_is_known_from_the_first_step_to_the_first_gap() -> None:
    past, first_ms = Past(), first_of(DAY, NOON)
    known = steps_from(first_ms, 1, 2, 3, 4)

    past.keep("acc", 7, DAY, [*known[:2], known[3]])

    assert past.steps("acc", 7, DAY, first_ms) == known[:2]
    assert past.steps("acc", 7, DAY, known[3].at_ms) == known[3:]
    assert past.steps("acc", 7, DAY, first_ms - 900_000) == []


def test_of_another_account_of_that_name_and_of_another_span_nothing_is_known() -> None:
    past, first_ms = Past(), first_of(DAY, NOON)
    past.keep("acc", 7, DAY, steps_from(first_ms, 1))

    assert past.steps("acc", 8, DAY, first_ms) == []
    assert past.steps("acc", 7, SPANS["week"], first_ms) == []
    assert past.steps("other", 7, DAY, first_ms) == []


def test_no_more_is_kept_than_a_span_has_and_of_many_accounts_the_ones_asked_for_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("postback.actions.past.KEPT", 2)
    past, first_ms = Past(), first_of(DAY, NOON)
    many = steps_from(first_ms, *range(DAY.steps + 5))

    past.keep("acc", 7, DAY, many)
    past.keep("second", 7, DAY, many[:1])
    past.keep("acc", 7, DAY, many[:0])
    past.keep("third", 7, DAY, many[:1])

    assert past.steps("acc", 7, DAY, first_ms) == []
    assert past.steps("acc", 7, DAY, many[5].at_ms) == many[5:]
    assert past.steps("second", 7, DAY, first_ms) == []


def test_steps_that_are_not_over_as_the_clock_was_set_back_are_forgotten_and_no_others() -> None:
    past, first_ms = Past(Looks(lambda: 0.0)), first_of(DAY, NOON)
    known, step_ms = steps_from(first_ms, 1, 2, 3, 4), DAY.step_s * 1000
    of_week = steps_from(first_of(SPANS["week"], NOON), 1, 2, span=SPANS["week"])
    past.look(first_ms + 9 * step_ms)
    past.keep("acc", 7, DAY, known)
    past.keep("acc", 7, SPANS["week"], of_week)

    past.look(first_ms + 9 * step_ms - LATE_MS)
    assert past.steps("acc", 7, DAY, first_ms) == known

    past.look(first_ms + 2 * step_ms + LATE_MS)
    assert past.steps("acc", 7, DAY, first_ms) == known[:2]
    assert past.steps("acc", 7, SPANS["week"], of_week[0].at_ms) == of_week


def test_steps_are_added_up_to_longer_ones_with_all_that_was_counted() -> None:
    begins = NOON - NOON % 900_000
    minutes = [
        Step(begins, Tally(accepted=1, delivered=2, failed=3, latencies={4: 1, 7: 2})),
        Step(begins + 60_000, Tally(retried=4, cancelled=5, replayed=6, delivered=1, latencies={7: 1})),
        Step(begins + 900_000, Tally(delivered=9)),
    ]

    assert coarser(minutes, 900_000) == [
        Step(
            begins,
            Tally(accepted=1, delivered=3, failed=3, retried=4, cancelled=5, replayed=6, latencies={4: 1, 7: 3}),
        ),
        Step(begins + 900_000, Tally(delivered=9)),
    ]
