"""/v2/callbacks and /v2/postbacksettings through the API: views on configs, written together or not at all."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from postback.domain.accounts import Scope
from postback.domain.catalog import CATALOG
from postback.domain.configs import ConfigState, PostbackConfig, Purpose
from postback.domain.ids import parse
from tests.api.client import Api, Client

pytestmark = pytest.mark.anyio

HERE = "http://127.0.0.1:9000"
NO_CALLBACKS = {
    "callback_url_for_deliveries": None,
    "callback_url_for_inbounds": None,
    "callback_url_for_blacklisted_numbers": None,
    "payload": "json",
    "naming": "overview",
}
ONE_URL = dict.fromkeys(list(NO_CALLBACKS)[:3], f"{HERE}/all")
NO_SETTINGS = {
    "postback_url": None,
    "enabled": True,
    "mo_postback_url": None,
    "mms_mo_postback": True,
    "pass_postback_url": None,
    "pass_generate_postback": True,
    "xml_layout": "2015",
    "xml_content_type": "raw",
    "xml_strict_historic": False,
}
CALLBACKS, SETTINGS = "callbacks", "postbacksettings"
BOTH = pytest.mark.parametrize(
    ("name", "url", "defaults"),
    [(CALLBACKS, "callback_url_for_inbounds", NO_CALLBACKS), (SETTINGS, "mo_postback_url", NO_SETTINGS)],
    ids=[CALLBACKS, SETTINGS],
)


async def show(client: Client, name: str) -> dict[str, Any]:
    reply = await client.get(f"/v2/{name}")
    assert reply.status == 200, reply.body
    answer: dict[str, Any] = reply.json
    return answer


async def put(client: Client, name: str, **fields: Any) -> dict[str, Any]:
    reply = await client.put(f"/v2/{name}", {name: fields})
    assert reply.status == 200, reply.body
    answer: dict[str, Any] = reply.json
    assert answer == await show(client, name)
    return answer


async def refused(client: Client, name: str, **fields: Any) -> dict[str, list[str]]:
    before = await show(client, name)
    errors = (await client.put(f"/v2/{name}", {name: fields})).errors
    assert await show(client, name) == before
    return errors


async def configs(client: Client) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await client.get("/v2/postbackconfigs?sort=created_ts")).json["postbackconfigs"]
    return listed


async def stored(api: Api) -> dict[Purpose | None, PostbackConfig]:
    snapshot = await api.services.configs.snapshot("default")
    return {config.purpose: config for config in snapshot.configs.values()}


async def change_config(client: Client, config_id: str, **fields: Any) -> None:
    reply = await client.put(f"/v2/postbackconfigs/{config_id}", {"postbackconfig": fields})
    assert reply.status == 200, reply.body


async def heard_by(client: Client, event_type: str) -> list[str]:
    """Publishes the catalog's example; the ids of the configs that have a delivery of it."""
    event = {"type": event_type, "data": CATALOG[event_type].example}
    reply = await client.post("/v2/events", {"event": event})
    assert reply.status == 202, reply.body
    shown = (await client.get(f"/v2/events/{reply.json['event']['id']}")).json["event"]
    return [delivery["postbackconfig_id"] for delivery in shown["deliveries"]]


# --- what both have ---------------------------------------------------------------------------------------------------


@BOTH
async def test_without_any_url_there_are_the_defaults_and_no_configs(
    client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    answer = await show(client, name)

    assert answer[name] == defaults
    assert list(answer[name]) == list(defaults)
    assert set(answer["configs"].values()) == {None}
    assert set(answer["configs"]) == {name for name, value in defaults.items() if value is None}


@BOTH
async def test_a_url_makes_a_config_and_null_or_nothing_removes_it(
    client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    made = await put(client, name, **{url: f"{HERE}/in"})
    [config] = await configs(client)

    assert made[name] == {**defaults, url: f"{HERE}/in"}
    assert made["configs"][url] == {
        "id": config["id"],
        "is_active": True,
        "state": "active",
        "state_reason": None,
        "warning": None,
    }
    assert config["url"] == f"{HERE}/in"
    assert config["location_id"] is None

    for nothing in (None, ""):
        await put(client, name, **{url: f"{HERE}/in"})
        assert (await put(client, name, **{url: nothing}))[name] == defaults
        assert await configs(client) == []


@BOTH
async def test_the_configs_of_settings_are_of_the_whole_account_and_changed_in_place(
    api: Api, client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    first = await put(client, name, **{url: f"{HERE}/in"})
    second = await put(client, name, **{url: f"{HERE}/other"})

    assert first["configs"][url]["id"] == second["configs"][url]["id"]
    assert second[name][url] == f"{HERE}/other"
    [config] = (await stored(api)).values()
    assert (config.location_id, config.resource, config.version) == (None, None, 2)


@BOTH
async def test_what_says_nothing_new_writes_nothing(
    api: Api, client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    shown = await put(client, name, **{url: f"{HERE}/in"})
    before = await api.services.configs.snapshot("default")

    await put(client, name, **shown[name])
    await put(client, name)

    assert await api.services.configs.snapshot("default") == before


@BOTH
async def test_what_was_set_at_the_config_itself_stays(
    api: Api, client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    shown = await put(client, name, **{url: f"{HERE}/in"})
    own = {"number_of_attempts": 4, "attempt_interval": 7, "name": "Ours", "headers": {"X-Token": "t"}}
    own |= {"basic_auth_username": "ann", "basic_auth_password": "secret"}
    await change_config(client, shown["configs"][url]["id"], **own)

    await put(client, name, **{url: f"{HERE}/other"})

    [config] = (await stored(api)).values()
    assert config.url == f"{HERE}/other"
    assert (config.retry.attempts, config.retry.waits_s) == (4, (7,))
    assert config.headers == {"X-Token": "t"}
    assert config.basic_auth is not None
    assert (config.basic_auth.username, config.basic_auth.password) == ("ann", "secret")
    assert config.as_sent["name"] == "Ours"


@BOTH
async def test_kept_secrets_do_not_go_to_another_host(
    client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    shown = await put(client, name, **{url: f"{HERE}/in"})
    config_id = shown["configs"][url]["id"]
    secrets = {"headers": {"X-Token": "t", "X-Plain": "p"}, "basic_auth_username": "a", "basic_auth_password": "p"}
    await change_config(client, config_id, **secrets)

    errors = await refused(client, name, **{url: "http://127.0.0.2:9000/in"})

    again = "must be sent again, because url goes to another scheme, host or port"
    there = f"send it together with the url to /v2/postbackconfigs/{config_id}"
    assert errors == {url: [f"basic_auth_password {again}; {there}", f"X-Token {again}; {there}"]}

    await change_config(client, config_id, url="http://127.0.0.2:9000/in", **secrets)
    assert (await show(client, name))[name][url] == "http://127.0.0.2:9000/in"


@BOTH
async def test_a_config_that_was_made_something_else_is_put_right(
    api: Api, client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    """Beside the settings anything can be done to their configs; what the settings say holds from the next change on."""
    shown = await put(client, name, **{url: f"{HERE}/in"})
    before = await stored(api)
    location_id = await api.location()
    config_id = shown["configs"][url]["id"]
    await change_config(client, config_id, format="json", event_types=["*"], location_id=location_id)
    changed = {"event_types": None, "format": "api-default", "resource": "contact", "on_create": "1", "expands": "user"}
    await change_config(client, config_id, **changed)

    await put(client, name)

    def ruled(config: PostbackConfig) -> tuple[Any, ...]:
        return config.format, config.event_types, config.options, config.location_id, config.resource, config.success

    assert [ruled(config) for config in (await stored(api)).values()] == [ruled(config) for config in before.values()]


@BOTH
async def test_the_owner_sees_what_became_of_a_config(
    api: Api, client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    config_id = (await put(client, name, **{url: f"{HERE}/in"}))["configs"][url]["id"]

    await client.post(f"/v2/postbackconfigs/{config_id}/pause")
    assert (await show(client, name))["configs"][url]["state"] == "paused"

    number = parse("pbc", config_id)
    await api.services.configs.set_state("default", number, ConfigState.DISABLED, "it answered 410")
    shown = (await put(client, name, **{url: f"{HERE}/other"}))["configs"][url]
    assert (shown["state"], shown["state_reason"]) == ("disabled", "it answered 410")


@BOTH
async def test_settings_are_the_accounts_own(
    api: Api, client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    other = await api.other_account()
    await put(client, name, **{url: f"{HERE}/ours"})

    assert (await show(other, name))[name] == defaults
    await put(other, name, **{url: f"{HERE}/theirs"})
    assert (await show(client, name))[name][url] == f"{HERE}/ours"


@BOTH
async def test_a_bad_url_is_refused_by_the_name_of_its_setting(
    client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    # 10.0.0.1 is refused since nothing but loopback is allowed in these tests.
    for bad in (
        "ftp://client.example/",
        "client.example",
        "http://10.0.0.1/",
        "http://a b/",
        "http://u:p@client.example/",
    ):
        [(field, [message])] = (await refused(client, name, **{url: bad})).items()
        assert field == url
        assert message.startswith(f"{url} "), message
    assert await refused(client, name, **{url: 7}) == {url: [f"{url} is 7; expected a string"]}


@BOTH
async def test_of_several_urls_one_bad_one_keeps_all_from_being_set(
    client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    urls = [setting for setting, value in defaults.items() if value is None]
    assert len(urls) == 3
    first, second, third = urls

    errors = await refused(client, name, **{first: "nowhere", second: f"{HERE}/fine", third: "ftp://nowhere/"})

    assert set(errors) == {first, third}
    assert await configs(client) == []


@BOTH
async def test_the_schemas_of_the_document_have_the_keys_of_the_answer(
    client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    schemas = (await client.get("/openapi.json")).json["components"]["schemas"]
    shown = await put(client, name, **{url: f"{HERE}/in"})

    suffix = {CALLBACKS: "Callbacks", SETTINGS: "PostbackSettings"}[name]
    for schema in (suffix, f"New{suffix}"):
        assert list(schemas[schema]["properties"]) == list(shown[name])
        named = {field: one["default"] for field, one in schemas[schema]["properties"].items() if "default" in one}
        assert named == {field: value for field, value in defaults.items() if value is not None}
    [config, _] = schemas["ConfigsOfSettings"]["additionalProperties"]["oneOf"]
    assert list(config["properties"]) == list(shown["configs"][url])


@BOTH
async def test_unknown_fields_and_other_shapes_are_refused(
    client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    assert await refused(client, name, nonsense=1) == {"nonsense": ["nonsense is not a known field"]}
    bodies: list[object] = [{}, {name: []}, {name: None}, [], {"settings": {}}]
    for body in bodies:
        assert (await client.put(f"/v2/{name}", body)).status == 422, body
    assert (await client.put(f"/v2/{name}", b"{")).status == 400
    assert (await client.post(f"/v2/{name}", {name: {}})).headers["allow"] == "GET, HEAD, PUT"


@BOTH
async def test_a_purpose_is_shown_and_not_to_be_set(
    client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    await put(client, name, **{url: f"{HERE}/in"})
    [config] = await configs(client)
    purposes = {CALLBACKS: "callback.inbounds", SETTINGS: "postback.mo"}

    assert config["purpose"] == purposes[name]
    reply = await client.put(f"/v2/postbackconfigs/{config['id']}", {"postbackconfig": {"purpose": None}})
    assert set(reply.errors) == {"purpose"}


@BOTH
async def test_changes_at_the_same_time_leave_one_config_of_each_purpose(
    api: Api, client: Client, name: str, url: str, defaults: Mapping[str, Any]
) -> None:
    urls = [setting for setting, value in defaults.items() if value is None]

    replies = await asyncio.gather(
        *(client.put(f"/v2/{name}", {name: {setting: f"{HERE}/{n}"}}) for n in range(5) for setting in urls)
    )

    assert {reply.status for reply in replies} == {200}
    shown = await show(client, name)
    assert len(await configs(client)) == 3
    assert None not in shown[name].values()


# --- callbacks --------------------------------------------------------------------------------------------------------


async def test_one_url_for_three_kinds_is_three_configs(api: Api, client: Client) -> None:
    shown = await put(client, CALLBACKS, **ONE_URL)

    assert len({config["id"] for config in shown["configs"].values()}) == 3
    assert {purpose: config.event_types for purpose, config in (await stored(api)).items()} == {
        Purpose.DELIVERIES: ("sms.sent", "sms.delivered", "sms.undelivered", "sms.failed"),
        Purpose.INBOUNDS: ("sms.received",),
        Purpose.BLACKLISTED_NUMBERS: ("subscriber.unsubscribed",),
    }
    assert {config.format for config in (await stored(api)).values()} == {"sms-callback"}


@pytest.mark.parametrize(
    ("event_type", "url"),
    [
        ("sms.sent", "callback_url_for_deliveries"),
        ("sms.delivered", "callback_url_for_deliveries"),
        ("sms.undelivered", "callback_url_for_deliveries"),
        ("sms.failed", "callback_url_for_deliveries"),
        ("sms.received", "callback_url_for_inbounds"),
        ("subscriber.unsubscribed", "callback_url_for_blacklisted_numbers"),
        ("subscriber.subscribed", None),
        ("mms.received", None),
        ("pass.generated", None),
        ("contact.created", None),
    ],
)
async def test_each_kind_of_callback_goes_to_its_config(client: Client, event_type: str, url: str | None) -> None:
    shown = await put(client, CALLBACKS, **ONE_URL)

    assert await heard_by(client, event_type) == ([] if url is None else [shown["configs"][url]["id"]])


async def test_payload_and_naming_are_those_of_all_kinds_also_of_later_ones(api: Api, client: Client) -> None:
    await put(client, CALLBACKS, callback_url_for_inbounds=f"{HERE}/in", payload="form", naming="reference")
    shown = await put(client, CALLBACKS, callback_url_for_deliveries=f"{HERE}/receipts")

    assert (shown[CALLBACKS]["payload"], shown[CALLBACKS]["naming"]) == ("form", "reference")
    options = [config.options for config in (await stored(api)).values()]
    assert [(one.callback_payload, one.callback_naming) for one in options] == [("form", "reference")] * 2

    shown = await put(client, CALLBACKS, payload=None)
    assert (shown[CALLBACKS]["payload"], shown[CALLBACKS]["naming"]) == ("json", "reference")


async def test_payload_and_naming_are_remembered_as_long_as_there_is_a_url(client: Client) -> None:
    await put(client, CALLBACKS, **ONE_URL, payload="form")
    await put(client, CALLBACKS, callback_url_for_deliveries=None)
    shown = await put(client, CALLBACKS, callback_url_for_inbounds=None)
    assert shown[CALLBACKS]["payload"] == "form"

    # All that was shown, as a form sends it, with the last URL emptied.
    shown = await put(client, CALLBACKS, **{**shown[CALLBACKS], "callback_url_for_blacklisted_numbers": ""})
    assert shown[CALLBACKS] == NO_CALLBACKS


async def test_a_payload_without_any_url_is_refused(client: Client) -> None:
    [(field, [message])] = (await refused(client, CALLBACKS, payload="form")).items()

    assert field == "payload"
    assert "there is none; send callback_url_for_deliveries or" in message
    assert await refused(client, CALLBACKS, payload="xml") == {
        "payload": ["payload is 'xml'; expected one of json, form"]
    }


# --- postback settings ------------------------------------------------------------------------------------------------


async def test_flags_are_taken_in_every_form_and_answered_as_booleans(client: Client) -> None:
    for off, on in (("0", "1"), (0, 1), (False, True)):
        shown = await put(client, SETTINGS, postback_url=f"{HERE}/main", enabled=off, mms_mo_postback=off)
        assert (shown[SETTINGS]["enabled"], shown[SETTINGS]["mms_mo_postback"]) == (False, False)
        shown = await put(client, SETTINGS, enabled=on, mms_mo_postback=on)
        assert (shown[SETTINGS]["enabled"], shown[SETTINGS]["mms_mo_postback"]) == (True, True)
    assert set(await refused(client, SETTINGS, enabled="yes", mms_mo_postback=2)) == {"enabled", "mms_mo_postback"}


async def test_the_settings_of_the_documents_route_as_they_say(client: Client) -> None:
    shown = await put(client, SETTINGS, postback_url=f"{HERE}/main")
    main = shown["configs"]["postback_url"]["id"]
    for event_type in ("sms.sent", "sms.received", "mms.received", "pass.generated", "subscriber.subscribed"):
        assert await heard_by(client, event_type) == [main], event_type
    assert await heard_by(client, "contact.created") == []

    shown = await put(client, SETTINGS, mo_postback_url=f"{HERE}/mo", pass_postback_url=f"{HERE}/pass")
    mo, passes = (shown["configs"][name]["id"] for name in ("mo_postback_url", "pass_postback_url"))
    assert await heard_by(client, "sms.received") == [mo]
    assert await heard_by(client, "mms.received") == [mo]
    assert await heard_by(client, "pass.generated") == [passes]
    assert await heard_by(client, "sms.sent") == [main]

    await put(client, SETTINGS, enabled="0", mms_mo_postback="0", pass_generate_postback="0")
    assert await heard_by(client, "sms.sent") == []
    assert await heard_by(client, "sms.received") == [mo]
    assert await heard_by(client, "mms.received") == []
    assert await heard_by(client, "pass.generated") == []

    shown = await put(client, SETTINGS, enabled="1", mo_postback_url="", pass_postback_url=None)
    assert (shown[SETTINGS]["mms_mo_postback"], shown[SETTINGS]["pass_generate_postback"]) == (False, False)
    assert await heard_by(client, "sms.received") == [main]
    assert await heard_by(client, "mms.received") == []
    assert await heard_by(client, "pass.failed") == []


async def test_a_pass_url_is_remembered_while_passes_are_turned_off(client: Client) -> None:
    await put(client, SETTINGS, pass_postback_url=f"{HERE}/pass", pass_generate_postback="0")
    shown = await show(client, SETTINGS)

    assert shown[SETTINGS]["pass_postback_url"] == f"{HERE}/pass"
    assert shown[SETTINGS]["pass_generate_postback"] is False
    assert shown["configs"]["pass_postback_url"]["is_active"] is False

    shown = await put(client, SETTINGS, pass_generate_postback="1")
    assert await heard_by(client, "pass.generated") == [shown["configs"]["pass_postback_url"]["id"]]


async def test_options_of_the_xml_are_those_of_all_urls(api: Api, client: Client) -> None:
    options = {"xml_layout": "2014-03", "xml_content_type": "form", "xml_strict_historic": "1"}
    await put(client, SETTINGS, postback_url=f"{HERE}/main", **options)
    shown = await put(client, SETTINGS, mo_postback_url=f"{HERE}/mo")

    assert shown[SETTINGS] | {**options, "xml_strict_historic": True} == shown[SETTINGS]
    found = [config.options for config in (await stored(api)).values()]
    assert [(one.xml_layout, one.xml_content_type, one.xml_strict_historic) for one in found] == [
        ("2014-03", "form", True)
    ] * 2


async def test_a_flag_that_no_url_would_remember_is_refused(client: Client) -> None:
    await put(client, SETTINGS, mo_postback_url=f"{HERE}/mo")

    errors = await refused(client, SETTINGS, enabled=False, pass_generate_postback=False, mms_mo_postback=False)

    assert set(errors) == {"enabled", "pass_generate_postback"}


async def test_two_urls_that_are_set_at_the_same_time_know_of_each_other(api: Api, client: Client) -> None:
    """The main config of the one change hears of replies, unless somebody sees that the other one made a config for them."""
    main, mo = await asyncio.gather(
        client.put(f"/v2/{SETTINGS}", {SETTINGS: {"postback_url": f"{HERE}/main"}}),
        client.put(f"/v2/{SETTINGS}", {SETTINGS: {"mo_postback_url": f"{HERE}/mo"}}),
    )

    assert (main.status, mo.status) == (200, 200)
    shown = await show(client, SETTINGS)
    assert await heard_by(client, "sms.received") == [shown["configs"]["mo_postback_url"]["id"]]


async def test_a_config_of_the_settings_that_is_deleted_is_gone_from_them(client: Client) -> None:
    shown = await put(client, SETTINGS, postback_url=f"{HERE}/main", mo_postback_url=f"{HERE}/mo")

    await client.delete(f"/v2/postbackconfigs/{shown['configs']['mo_postback_url']['id']}")

    shown = await show(client, SETTINGS)
    assert (shown[SETTINGS]["mo_postback_url"], shown[SETTINGS]["mms_mo_postback"]) == (None, True)
    # From the next change on the main URL has what the other one had.
    await put(client, SETTINGS)
    for event_type in ("sms.received", "mms.received"):
        assert await heard_by(client, event_type) == [shown["configs"]["postback_url"]["id"]], event_type


async def test_readers_do_not_change_settings(api: Api) -> None:
    reader = api.client.as_(await api.key(Scope.READ))

    assert (await reader.get("/v2/callbacks")).status == 200
    assert (await reader.put("/v2/callbacks", {"callbacks": {}})).status == 403
