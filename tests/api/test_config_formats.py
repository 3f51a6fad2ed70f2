"""How events are said to configs: formats, their options, and the policy that comes with each."""

from typing import Any

import pytest

from postback.domain.configs import FormatOptions
from postback.domain.event_types import Layout
from postback.domain.policy import POLICIES, Deadlines, RetryPolicy, SuccessRule
from tests.api.asking import a_config, change, post, stored
from tests.api.client import Api, Client

pytestmark = pytest.mark.anyio

EXAMPLES: dict[str, str] = {
    "api-default": "*",
    "xml": "sms.*",
    "sms-callback": "sms.sent",
    "json": "*",
    "cloudevents": "*",
}


@pytest.mark.parametrize("chosen", POLICIES)
async def test_what_the_owner_does_not_choose_comes_with_the_format(api: Api, client: Client, chosen: str) -> None:
    config = await a_config(client, event_types=[EXAMPLES[chosen]], format=chosen)

    kept, policy = await stored(api, config), POLICIES[chosen]
    assert (kept.format, kept.success, kept.retry, kept.deadlines) == (
        chosen, policy.success, policy.retry, policy.deadlines,
    )  # fmt: skip


async def test_the_policies_are_those_of_the_three_systems(client: Client) -> None:
    shown = {}
    for chosen, pattern in EXAMPLES.items():
        config = await a_config(client, event_types=[pattern], format=chosen)
        expanded = await client.get(f"/v2/postbackconfigs/{config['id']}?expand=policy")
        policy = expanded.json["postbackconfig"]["policy"]
        shown[chosen] = (config["number_of_attempts"], config["attempt_interval"], *list(policy.values())[1:7])

    long = [5, 300, 1800, 7200, 18000, 36000, 36000]
    assert shown == {
        "api-default": (1, 300, [300], False, "2xx", 10, 10, 20),
        "xml": (6, 300, [300], False, "200", 10, 10, 20),
        "sms-callback": (1, 300, [300], False, "2xx", 1, 1, 1),
        "json": (8, None, long, True, "2xx", 5, 15, 20),
        "cloudevents": (8, None, long, True, "2xx", 5, 15, 20),
    }


@pytest.mark.parametrize(
    ("chosen", "fields", "retry"),
    [
        ("json", {"number_of_attempts": 3}, RetryPolicy(3, POLICIES["json"].retry.waits_s, jitter=True)),
        ("json", {"number_of_attempts": 12}, RetryPolicy(12, POLICIES["json"].retry.waits_s, jitter=True)),
        ("json", {"attempt_interval": 60}, RetryPolicy(8, (60,))),
        ("json", {"attempt_interval": 60, "number_of_attempts": 2}, RetryPolicy(2, (60,))),
        ("json", {"retry_schedule": [1, 2]}, RetryPolicy(3, (1, 2))),
        ("json", {"retry_schedule": [1, 2], "number_of_attempts": 5}, RetryPolicy(5, (1, 2))),
        ("xml", {"attempt_interval": 60}, RetryPolicy(6, (60,))),
        ("xml", {"retry_schedule": [60]}, RetryPolicy(2, (60,))),
        ("xml", {"number_of_attempts": 2}, RetryPolicy(2, (300,))),
        ("sms-callback", {"number_of_attempts": 4}, RetryPolicy(4, (300,))),
    ],
)
async def test_what_the_owner_chooses_of_retries_holds_and_the_rest_comes_with_the_format(
    api: Api, client: Client, chosen: str, fields: dict[str, Any], retry: RetryPolicy
) -> None:
    config = await a_config(client, event_types=[EXAMPLES[chosen]], format=chosen, **fields)

    assert (await stored(api, config)).retry == retry
    assert config["number_of_attempts"] == retry.attempts
    assert config["attempt_interval"] == fields.get("attempt_interval", 300 if retry.waits_s == (300,) else None)


@pytest.mark.parametrize(
    ("chosen", "fields", "deadlines"),
    [
        ("api-default", {"connect_timeout": 2}, Deadlines(2, 10, 12)),
        ("xml", {"response_timeout": 30}, Deadlines(10, 30, 40)),
        ("xml", {"total_timeout": 4}, Deadlines(4, 4, 4)),
        ("json", {"connect_timeout": 1}, Deadlines(1, 15, 20)),
        ("json", {"response_timeout": 60}, Deadlines(5, 20, 20)),
        ("cloudevents", {"response_timeout": 60, "total_timeout": 65}, Deadlines(5, 60, 65)),
        ("sms-callback", {"response_timeout": 0.5}, Deadlines(1, 0.5, 1)),
        ("sms-callback", {"response_timeout": 10, "connect_timeout": 10}, Deadlines(1, 1, 1)),
        ("sms-callback", {"total_timeout": 3}, Deadlines(3, 3, 3)),
    ],
)
async def test_the_whole_of_an_attempt_lasts_as_long_as_its_format_says(
    api: Api, client: Client, chosen: str, fields: dict[str, Any], deadlines: Deadlines
) -> None:
    config = await a_config(client, event_types=[EXAMPLES[chosen]], format=chosen, **fields)

    assert (await stored(api, config)).deadlines == deadlines
    assert {name: config[name] for name in fields} == fields


async def test_a_change_of_format_brings_the_defaults_of_the_new_one_for_what_was_never_set(
    api: Api, client: Client
) -> None:
    config = await a_config(client, event_types=["sms.*"], format="xml", attempt_interval=60, xml_layout="2014-03")

    changed = (await change(client, config, format="json")).json["postbackconfig"]

    assert (changed["number_of_attempts"], changed["attempt_interval"]) == (8, 60)
    assert "xml_layout" not in changed
    kept = await stored(api, config)
    assert (kept.success, kept.retry, kept.options) == (SuccessRule.ANY_2XX, RetryPolicy(8, (60,)), FormatOptions())


async def test_waits_that_outlast_what_is_kept_are_refused_for_what_the_owner_chose(client: Client) -> None:
    reply = await post(client, event_types=["*"], format="json", retry_schedule=[604_800] * 4, number_of_attempts=9)

    assert list(reply.errors) == ["retry_schedule"]
    assert (await post(client, event_types=["*"], format="json", number_of_attempts=50)).status == 201


OPTIONS: dict[str, dict[str, Any]] = {
    "xml": {"xml_layout": "2014-03", "xml_content_type": "form", "xml_strict_historic": "1"},
    "sms-callback": {"callback_payload": "form", "callback_naming": "reference", "time_zone": "Europe/Paris"},
    "cloudevents": {"cloudevents_mode": "structured", "signature_algorithm": "v1"},
    "json": {"signature_algorithm": "v1"},
}


async def test_options_are_kept_and_echoed_in_their_order(api: Api, client: Client) -> None:
    kept = {}
    for chosen, options in OPTIONS.items():
        config = await a_config(client, event_types=[EXAMPLES[chosen]], format=chosen, **options)
        assert {name: config[name] for name in config if name in options} == options
        kept[chosen] = (await stored(api, config)).options

    assert kept == {
        "xml": FormatOptions(xml_layout=Layout.L2014_03, xml_content_type="form", xml_strict_historic=True),
        "sms-callback": FormatOptions(callback_payload="form", callback_naming="reference", time_zone="Europe/Paris"),
        "cloudevents": FormatOptions(),
        "json": FormatOptions(),
    }


@pytest.mark.parametrize("chosen", POLICIES)
async def test_an_option_is_refused_by_the_formats_that_do_not_have_it(client: Client, chosen: str) -> None:
    every = {name: value for options in OPTIONS.values() for name, value in options.items()}
    foreign = {name: value for name, value in every.items() if name not in OPTIONS.get(chosen, {})}

    errors = (await post(client, event_types=[EXAMPLES[chosen]], format=chosen, **foreign)).errors

    assert sorted(errors) == sorted(foreign)
    for name, messages in errors.items():
        able = [other for other, options in OPTIONS.items() if name in options]
        assert len(messages) == 1
        assert all(other in messages[0] for other in able)


@pytest.mark.parametrize(
    ("chosen", "options"),
    [
        ("xml", {"xml_layout": "2013"}),
        ("xml", {"xml_content_type": "text/xml"}),
        ("xml", {"xml_strict_historic": "yes"}),
        ("sms-callback", {"callback_payload": "xml"}),
        ("sms-callback", {"callback_naming": None, "time_zone": "Mars/Olympus"}),
        ("sms-callback", {"time_zone": "../../etc/passwd"}),
        ("sms-callback", {"time_zone": "America"}),
        ("sms-callback", {"time_zone": "+02:00"}),
        ("sms-callback", {"time_zone": ""}),
        ("cloudevents", {"cloudevents_mode": "binary"}),
        ("json", {"signature_algorithm": "v1a"}),
    ],
)
async def test_a_value_that_an_option_does_not_take_is_refused(
    client: Client, chosen: str, options: dict[str, Any]
) -> None:
    errors = (await post(client, event_types=[EXAMPLES[chosen]], format=chosen, **options)).errors

    assert list(errors) == [name for name, value in options.items() if value is not None]


async def test_an_unknown_format_is_the_only_thing_that_is_said_of_it(client: Client) -> None:
    reply = await post(client, event_types=["contact.*"], format="soap", xml_layout="2015", number_of_attempts=2)

    assert list(reply.errors) == ["format"]


async def test_the_policy_shows_everything_that_holds(client: Client) -> None:
    config = await a_config(client, event_types=["*"], format="sms-callback", rate_limit=5)

    shown = await client.get(f"/v2/postbackconfigs/{config['id']}?expand=policy")

    assert shown.json["postbackconfig"]["policy"] == {
        "number_of_attempts": 1,
        "waits": [300],
        "jitter": False,
        "success_status": "2xx",
        "connect_timeout": 1,
        "response_timeout": 1,
        "total_timeout": 1,
        "max_in_flight": 64,
        "rate_limit": 5,
        "disable_after": 432000,
        "callback_payload": "json",
        "callback_naming": "overview",
        "time_zone": None,
    }
