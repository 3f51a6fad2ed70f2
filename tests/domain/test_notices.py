"""When a config's trouble is worth a word, and when it is disabled."""

import json
from dataclasses import replace
from typing import Any

import pytest

from postback.domain.deliveries import Verdict
from postback.domain.notices import (
    CONFIG_DISABLED,
    CONFIG_FAILING,
    CONFIG_RECOVERED,
    FAILING_AFTER_MS,
    FAILURES_LEAST,
    Trouble,
    judge,
    lasting,
    of_config,
    of_delivery,
)
from tests.build import NOON, a_claim, a_config, a_settlement, an_event

HOUR_S = 3_600
HOUR_MS = HOUR_S * 1000


def trouble(failures: int = FAILURES_LEAST, lasts_ms: int = 0, success_ms: int | None = None) -> Trouble:
    return Trouble(failures, NOON - lasts_ms if failures else None, success_ms)


@pytest.mark.parametrize(
    ("found", "disable_after_s", "notice"),
    [
        (trouble(lasts_ms=FAILING_AFTER_MS - 1), 432_000, None),
        (trouble(lasts_ms=FAILING_AFTER_MS), 432_000, CONFIG_FAILING),
        (trouble(FAILURES_LEAST - 1, lasts_ms=10 * HOUR_MS), HOUR_S, None),
        (trouble(lasts_ms=HOUR_MS // 2), HOUR_S, CONFIG_FAILING),
        (trouble(lasts_ms=HOUR_MS - 1), HOUR_S, CONFIG_FAILING),
        (trouble(lasts_ms=HOUR_MS), HOUR_S, CONFIG_DISABLED),
        (trouble(lasts_ms=1000 * HOUR_MS), None, None),
        (trouble(0), HOUR_S, None),
    ],
)
def test_what_is_said_follows_from_how_long_and_how_often(
    found: Trouble, disable_after_s: int | None, notice: str | None
) -> None:
    assert judge(a_config(disable_after_s=disable_after_s), found, NOON) == notice


def test_a_config_is_told_to_be_failing_once() -> None:
    told = a_config(failing_ms=NOON - 1)

    assert judge(told, trouble(lasts_ms=2 * HOUR_MS), NOON) is None
    assert judge(replace(told, disable_after_s=HOUR_S), trouble(lasts_ms=2 * HOUR_MS), NOON) == CONFIG_DISABLED


def test_only_what_was_failing_and_had_a_success_since_has_recovered() -> None:
    failing = a_config(failing_ms=NOON)

    assert judge(a_config(), trouble(0, success_ms=NOON), NOON) is None
    assert judge(failing, trouble(0, success_ms=NOON - 60_000), NOON) is None
    assert judge(failing, trouble(0, success_ms=None), NOON) is None
    assert judge(failing, trouble(0, success_ms=NOON), NOON) == CONFIG_RECOVERED


def test_one_that_fails_again_after_its_success_has_recovered_all_the_same() -> None:
    failing = a_config(failing_ms=NOON - HOUR_MS)

    assert judge(failing, trouble(3, success_ms=NOON - 120_000), NOON) == CONFIG_RECOVERED


def test_the_minutes_of_the_beginning_may_be_forgotten_before_a_config_is_disabled() -> None:
    told = a_config(disable_after_s=120 * HOUR_S, failing_ms=NOON - 120 * HOUR_MS, modified_ms=NOON - 200 * HOUR_MS)
    kept_for_a_day = trouble(lasts_ms=24 * HOUR_MS, success_ms=NOON - 121 * HOUR_MS)

    assert judge(told, lasting(told, kept_for_a_day), NOON) == CONFIG_DISABLED
    resumed = replace(told, modified_ms=NOON - HOUR_MS)
    assert lasting(resumed, kept_for_a_day) == kept_for_a_day
    assert lasting(told, trouble(0)) == trouble(0)


def test_a_notice_that_failed_makes_no_notice() -> None:
    claim = a_claim(event=an_event(type="delivery.failed"))

    assert of_delivery(a_settlement(claim, Verdict.FAILED), a_config()) is None
    assert of_delivery(a_settlement(a_claim(), Verdict.FAILED), a_config()) is not None


@pytest.mark.parametrize(
    "url", ["https://user:canary@client.example:8443/canary?token=canary", "https://client.example:8443/canary"]
)
def test_a_notice_tells_the_origin_of_a_url_and_none_of_its_secrets(url: str) -> None:
    config = a_config(url=url, headers={"X-Key": "canary"}, as_sent={"name": "CRM"})

    notice = of_config(CONFIG_FAILING, config, "why", trouble(lasts_ms=HOUR_MS))

    data: dict[str, Any] = json.loads(notice.data)
    assert b"canary" not in notice.data
    assert (data["receiver"], data["name"], data["failed_attempts"]) == ("https://client.example:8443", "CRM", 20)
    assert (notice.account, notice.about, notice.location_id) == (config.account, config.id, config.location_id)
