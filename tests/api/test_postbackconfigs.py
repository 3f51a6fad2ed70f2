"""Postback configs through the API: what they take, keep, hide and refuse."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from postback.domain.configs import ConfigState
from postback.domain.ids import parse
from postback.domain.policy import Deadlines, RetryPolicy, SuccessRule
from postback.storage.tables import config_versions
from tests.api.client import Api, Client
from tests.build import ACCOUNT
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio


@pytest.fixture
async def location_id(api: Api) -> str:
    return await api.location()


async def stored(api: Api, config: dict[str, Any]) -> Any:
    return await api.services.configs.find(ACCOUNT, parse("pbc", config["id"]))


async def change(client: Client, config: dict[str, Any], **fields: Any) -> Any:
    return await client.put(f"/v2/postbackconfigs/{config['id']}", {"postbackconfig": fields})


async def test_what_the_owner_sets_beyond_the_documented_fields_follows_them_as_it_was_sent(
    api: Api, location_id: str
) -> None:
    further: dict[str, Any] = {
        "product_transaction_id": "prd_1",
        "name": "back office",
        "success_status": "200",
        "retry_schedule": [5, 300],
        "connect_timeout": 2.5,
        "response_timeout": 3,
        "total_timeout": 4,
        "max_in_flight": 10,
        "rate_limit": 2.5,
        "headers": {"X-Customer": "17"},
    }

    config = await api.config(location_id, resource="transaction", **further)

    assert list(config)[12:] == ["created_ts", "modified_ts", *further, "_links"]
    assert {name: config[name] for name in further} == further
    kept = await stored(api, config)
    assert kept.success is SuccessRule.EXACTLY_200
    assert kept.retry == RetryPolicy(3, (5, 300))
    assert kept.deadlines == Deadlines(2.5, 3, 4)
    assert (kept.max_in_flight, kept.rate_limit, kept.headers) == (10, 2.5, {"X-Customer": "17"})


async def test_flags_are_taken_in_every_form_and_echoed_as_they_were_sent(api: Api, location_id: str) -> None:
    config = await api.config(location_id, on_create=True, on_update="0", on_delete=0, is_active=1)

    assert [config[name] for name in ("on_create", "on_update", "on_delete", "is_active")] == [True, "0", 0, 1]
    kept = await stored(api, config)
    assert [kept.on_create, kept.on_update, kept.on_delete, kept.is_active] == [True, False, False, True]


async def test_what_is_not_sent_has_its_default(api: Api, client: Client, location_id: str) -> None:
    fields = {"location_id": location_id, "resource": "contact", "url": "http://127.0.0.1/"}

    reply = await client.post("/v2/postbackconfigs", {"postbackconfig": fields})

    config = reply.json["postbackconfig"]
    assert [config[name] for name in ("on_create", "on_update", "on_delete", "is_active")] == ["0", "0", "0", "1"]
    assert (config["format"], config["number_of_attempts"], config["attempt_interval"]) == ("api-default", 1, 300)
    assert (await stored(api, config)).deadlines == Deadlines(10, 10, 20)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"location_id": None}, "location_id"),
        ({"location_id": "loc_of_nobody"}, "location_id"),
        ({"resource": "invoice"}, "resource"),
        ({"resource": None}, "resource"),
        ({"url": None}, "url"),
        ({"url": ""}, "url"),
        ({"url": 5}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"on_create": "yes"}, "on_create"),
        ({"on_create": 2}, "on_create"),
        ({"is_active": []}, "is_active"),
        ({"format": "soap"}, "format"),
        ({"expands": "nothing"}, "expands"),
        ({"expands": "location,,user"}, "expands"),
        ({"resource": "transaction"}, "product_transaction_id"),
        ({"resource": "transactionbatch"}, "product_transaction_id"),
        ({"product_transaction_id": "prt_1"}, "product_transaction_id"),
        ({"name": "x" * 257}, "name"),
        ({"success_status": "204"}, "success_status"),
        ({"connect_timeout": 0.05}, "connect_timeout"),
        ({"response_timeout": 61}, "response_timeout"),
        ({"total_timeout": "5"}, "total_timeout"),
        ({"max_in_flight": 1001}, "max_in_flight"),
        ({"rate_limit": 0.09}, "rate_limit"),
        ({"rate_limit": 10_001}, "rate_limit"),
        ({"purpose": "postback.main"}, "purpose"),
        ({"basic_auth_username": "a:b"}, "basic_auth_username"),
        ({"basic_auth_password": "secret"}, "basic_auth_username"),
        ({"basic_auth_username": "a", "basic_auth_password": "b\n"}, "basic_auth_password"),
        ({"headers": {"Host": "evil"}}, "headers"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "headers"),
        ({"headers": ["X-A"]}, "headers"),
        ({"headers": {"Authorization": "x"}, "basic_auth_username": "a"}, "headers"),
        ({"retry_schedule": [5], "attempt_interval": 5}, "retry_schedule"),
        ({"number_of_attempts": 50, "attempt_interval": 86_400}, "attempt_interval"),
        ({"event_types": [], "resource": None}, "event_types"),
    ],
)
async def test_a_field_that_cannot_be_taken_is_named(
    api: Api, client: Client, location_id: str, sent: dict[str, Any], field: str
) -> None:
    fields = {"location_id": location_id, "resource": "contact", "url": "http://127.0.0.1/", **sent}

    reply = await client.post("/v2/postbackconfigs", {"postbackconfig": fields})

    assert list(reply.errors) == [field]
    assert (await client.get("/v2/postbackconfigs")).json["postbackconfigs"] == []


async def test_an_account_vault_may_name_the_product_transaction_that_it_belongs_to(api: Api, location_id: str) -> None:
    config = await api.config(location_id, resource="accountvault", product_transaction_id="prt_1")

    assert config["product_transaction_id"] == "prt_1"


async def test_the_same_is_not_said_twice_of_one_field(client: Client, location_id: str) -> None:
    fields = {"location_id": location_id, "resource": "contact", "url": "http://127.0.0.1/", "expands": " , "}

    assert len((await client.post("/v2/postbackconfigs", {"postbackconfig": fields})).errors["expands"]) == 1


async def test_a_change_from_one_kind_of_waits_to_the_other_says_how(
    api: Api, client: Client, location_id: str
) -> None:
    fixed = await api.config(location_id, attempt_interval=60)
    scheduled = await api.config(location_id, retry_schedule=[1, 2])

    to_schedule = await change(client, fixed, retry_schedule=[1])
    to_fixed = await change(client, scheduled, attempt_interval=60)
    as_said = await change(client, fixed, retry_schedule=[1], attempt_interval=None)

    assert to_schedule.errors["retry_schedule"][0].endswith("send attempt_interval: null with it")
    assert to_fixed.errors["attempt_interval"][0].endswith("send retry_schedule: null with it")
    assert as_said.status == 200


async def test_known_expands_are_kept_and_echoed(api: Api, location_id: str) -> None:
    config = await api.config(location_id, expands="location, user")

    assert config["expands"] == "location, user"
    assert (await stored(api, config)).expands == ("location", "user")


async def test_a_change_keeps_what_is_absent_and_removes_what_is_null(
    api: Api, client: Client, location_id: str, clock: ClockDouble
) -> None:
    config = await api.config(location_id, name="one", number_of_attempts=3, attempt_interval=60)
    clock.pass_(seconds=5)

    reply = await change(client, config, name=None, attempt_interval=None, on_delete="0")

    changed = reply.json["postbackconfig"]
    assert "name" not in changed
    assert (changed["number_of_attempts"], changed["attempt_interval"]) == (3, 300)
    assert (changed["on_create"], changed["on_delete"]) == ("1", "0")
    assert changed["modified_ts"] == changed["created_ts"] + 5


async def test_a_schedule_shows_the_attempts_that_it_makes(api: Api, client: Client, location_id: str) -> None:
    config = await api.config(location_id, retry_schedule=[1, 2, 3])

    assert (config["number_of_attempts"], config["attempt_interval"]) == (4, None)
    back = await change(client, config, retry_schedule=None)
    assert (back.json["postbackconfig"]["number_of_attempts"], back.json["postbackconfig"]["attempt_interval"]) == (
        1,
        300,
    )


async def test_more_attempts_than_waits_repeat_the_last(api: Api, location_id: str) -> None:
    config = await api.config(location_id, retry_schedule=[1, 2], number_of_attempts=5)

    assert (await stored(api, config)).retry == RetryPolicy(5, (1, 2))


async def test_credentials_are_never_shown_and_secret_headers_masked(
    api: Api, client: Client, location_id: str
) -> None:
    config = await api.config(
        location_id,
        basic_auth_username="hookuser",
        basic_auth_password="Pa55-example",
        headers={"X-Api-Key": "s3cret-value", "X-Customer": "17"},
    )

    shown = await client.get(f"/v2/postbackconfigs/{config['id']}")
    listed = await client.get("/v2/postbackconfigs")

    assert shown.json["postbackconfig"]["headers"] == {"X-Api-Key": "***", "X-Customer": "17"}
    for body in (shown.body, listed.body):
        assert not any(secret in body for secret in (b"hookuser", b"Pa55-example", b"s3cret-value"))


async def test_stars_sent_back_keep_the_secrets(api: Api, client: Client, location_id: str) -> None:
    config = await api.config(
        location_id, basic_auth_username="u", basic_auth_password="p", headers={"X-Token": "t", "X-Old": "o"}
    )

    reply = await change(client, config, basic_auth_password="***", headers={"x-token": "***", "X-New": "n"})

    assert reply.status == 200
    kept = await stored(api, config)
    assert (kept.basic_auth.username, kept.basic_auth.password) == ("u", "p")
    assert kept.headers == {"x-token": "t", "X-New": "n"}


async def test_stars_for_a_secret_that_is_not_there_are_refused(api: Api, client: Client, location_id: str) -> None:
    config = await api.config(location_id)

    assert list((await change(client, config, headers={"X-Token": "***"})).errors) == ["headers"]
    assert list((await change(client, config, basic_auth_username="u", basic_auth_password="***")).errors) == [
        "basic_auth_password"
    ]


async def test_a_change_that_says_nothing_of_secrets_keeps_them(api: Api, client: Client, location_id: str) -> None:
    config = await api.config(location_id, basic_auth_username="u", basic_auth_password="p", headers={"X-Token": "t"})

    await change(client, config, number_of_attempts=2, url="http://127.0.0.1:9000/elsewhere")

    kept = await stored(api, config)
    assert (kept.basic_auth.password, kept.headers) == ("p", {"X-Token": "t"})


async def test_removing_the_user_name_removes_its_password(api: Api, client: Client, location_id: str) -> None:
    config = await api.config(location_id, basic_auth_username="u", basic_auth_password="p")

    reply = await change(client, config, basic_auth_username=None)

    assert reply.status == 200
    assert (await stored(api, config)).basic_auth is None


async def test_an_answer_does_not_tell_whether_a_password_is_the_one_that_is_kept(
    api: Api, client: Client, location_id: str
) -> None:
    config = await api.config(location_id, basic_auth_username="u", basic_auth_password="p")

    right, wrong, stars = [
        await change(client, config, basic_auth_username=None, basic_auth_password=password)
        for password in ("p", "q", "***")
    ]

    assert (right.status, right.body) == (wrong.status, wrong.body)
    assert (wrong.status, stars.status) == (422, 422)
    assert (await stored(api, config)).basic_auth.password == "p"


@pytest.mark.parametrize("url", ["https://127.0.0.1:9000/", "http://127.0.0.2:9000/", "http://127.0.0.1:9001/"])
async def test_secrets_do_not_follow_a_url_to_another_server(
    api: Api, client: Client, location_id: str, url: str
) -> None:
    config = await api.config(location_id, basic_auth_username="u", basic_auth_password="p", headers={"X-Token": "t"})

    silent = await change(client, config, url=url)
    starred = await change(client, config, url=url, basic_auth_password="***", headers={"X-Token": "***"})
    anew = await change(client, config, url=url, basic_auth_password="p2", headers={"X-Token": "t2"})

    for refused in (silent, starred):
        assert sorted(refused.errors) == ["basic_auth_password", "headers"]
        assert "X-Token" in refused.errors["headers"][0]
    assert anew.status == 200
    assert (await stored(api, config)).basic_auth.password == "p2"


async def test_a_url_to_another_server_passes_once_its_secrets_are_removed(
    api: Api, client: Client, location_id: str
) -> None:
    config = await api.config(location_id, basic_auth_username="u", basic_auth_password="p", headers={"X-Token": "t"})

    reply = await change(
        client, config, url="http://127.0.0.2/", basic_auth_username=None, basic_auth_password=None, headers=None
    )

    assert reply.status == 200
    kept = await stored(api, config)
    assert (kept.basic_auth, kept.headers) == (None, {})


async def test_pause_holds_and_resume_lets_go(api: Api, client: Client, location_id: str) -> None:
    config = await api.config(location_id)
    address = f"/v2/postbackconfigs/{config['id']}"

    paused = await client.post(f"{address}/pause")
    again = await client.post(f"{address}/pause")
    shown = await client.get(f"{address}?expand=state,policy")
    resumed = await client.post(f"{address}/resume")

    assert [reply.status for reply in (paused, again, shown, resumed)] == [200] * 4
    assert paused.json["postbackconfig"]["state"] == shown.json["postbackconfig"]["state"] == "paused"
    assert shown.json["postbackconfig"]["policy"]["number_of_attempts"] == 1
    assert shown.json["postbackconfig"]["warning"] is None
    assert resumed.json["postbackconfig"]["state"] == "active"
    assert api.woken == ["due"]
    assert "state" not in (await client.get(address)).json["postbackconfig"]


async def test_a_disabled_config_is_not_paused_but_resumed(api: Api, client: Client, location_id: str) -> None:
    config = await api.config(location_id)
    address = f"/v2/postbackconfigs/{config['id']}"
    number = parse("pbc", config["id"])
    await api.services.configs.set_state(ACCOUNT, number, ConfigState.DISABLED, "the receiver answered 410 Gone")

    shown = await client.get(f"{address}?expand=state")
    paused = await client.post(f"{address}/pause")
    resumed = await client.post(f"{address}/resume")

    assert shown.json["postbackconfig"]["state_reason"] == "the receiver answered 410 Gone"
    assert (paused.status, paused.code) == (409, "conflict")
    assert (resumed.status, resumed.json["postbackconfig"]["state_reason"]) == (200, None)


async def test_a_deleted_config_is_gone(api: Api, client: Client, location_id: str) -> None:
    config = await api.config(location_id)
    address = f"/v2/postbackconfigs/{config['id']}"

    deleted = await client.delete(address)

    assert (deleted.status, deleted.body) == (204, b"")
    assert (await client.get(address)).status == 404
    assert (await client.delete(address)).status == 404
    assert (await change(client, config, name="x")).status == 404


async def test_lists_are_narrowed_sorted_and_paged(
    api: Api, client: Client, location_id: str, clock: ClockDouble
) -> None:
    for number in range(3):
        await api.config(location_id, number_of_attempts=number + 1)
        clock.pass_(seconds=1)
    await api.config(location_id, resource="accountvault")

    contacts = await client.get("/v2/postbackconfigs?resource=contact&sort=number_of_attempts&page_size=2")
    second = await client.get("/v2/postbackconfigs?resource=contact&sort=number_of_attempts&page_size=2&page=2")
    both = await client.get("/v2/postbackconfigs?resource=contact,accountvault")

    assert [config["number_of_attempts"] for config in contacts.json["postbackconfigs"]] == [1, 2]
    links = contacts.json["meta"]["pagination"]["links"]
    assert links["next"]["href"].endswith("?resource=contact&sort=number_of_attempts&page_size=2&page=2")
    assert [config["number_of_attempts"] for config in second.json["postbackconfigs"]] == [3]
    assert set(second.json["meta"]["pagination"]["links"]) == {"self"}
    assert both.json["meta"]["pagination"]["totalCount"] == 4
    assert contacts.json["meta"]["sort"] == {"attributes": {"number_of_attempts": "asc"}}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=x", "page"),
        ("page=99999999999999999999", "page"),
        ("page_size=501", "page_size"),
        ("page_size=-1", "page_size"),
        ("sort=secret", "sort"),
        ("sort=--created_ts", "sort"),
        ("sort=", "sort"),
        ("state=zzz", "state"),
        ("state=active,zzz", "state"),
        ("resource=invoice", "resource"),
        ("format=soap", "format"),
        ("on_create=yes", "on_create"),
        ("is_active=2", "is_active"),
        ("number_of_attempts=abc", "number_of_attempts"),
        ("number_of_attempts=", "number_of_attempts"),
        ("created_ts=abc", "created_ts"),
        ("modified_ts=-1", "modified_ts"),
        ("password=x", "password"),
        ("page=1&page=2", "page"),
    ],
)
async def test_a_query_that_cannot_be_answered_names_its_parameter(client: Client, query: str, field: str) -> None:
    assert list((await client.get(f"/v2/postbackconfigs?{query}")).errors) == [field]


async def test_a_filter_is_read_as_its_field_is(api: Api, client: Client, location_id: str) -> None:
    config = await api.config(location_id, on_delete="0", number_of_attempts=7, attempt_interval=1)

    for query in (
        "on_create=1", "on_create=true", "on_delete=false,0", "number_of_attempts=07", "state=active,paused",
        f"created_ts={config['created_ts']}",
    ):  # fmt: skip
        listed = await client.get(f"/v2/postbackconfigs?{query}")
        assert [found["id"] for found in listed.json["postbackconfigs"]] == [config["id"]], query
    for query in ("on_create=0", "on_delete=1", "number_of_attempts=6", "state=paused", "created_ts=1"):
        assert (await client.get(f"/v2/postbackconfigs?{query}")).json["postbackconfigs"] == [], query


async def test_an_unknown_expand_is_refused(api: Api, client: Client, location_id: str) -> None:
    config = await api.config(location_id)

    assert list((await client.get(f"/v2/postbackconfigs/{config['id']}?expand=passwords")).errors) == ["expand"]


async def test_changes_at_the_same_time_all_count(api: Api, client: Client, location_id: str) -> None:
    config = await api.config(location_id)
    fields = {"name": "n", "number_of_attempts": 4, "attempt_interval": 7, "max_in_flight": 9, "on_delete": "0"}

    replies = await asyncio.gather(*(change(client, config, **{name: value}) for name, value in fields.items()))

    assert [reply.status for reply in replies] == [200] * 5
    shown = (await client.get(f"/v2/postbackconfigs/{config['id']}")).json["postbackconfig"]
    assert {name: shown[name] for name in fields} == fields


async def test_a_config_whose_row_cannot_be_read_is_shown_so_that_it_can_be_deleted(
    api: Api, client: Client, location_id: str
) -> None:
    config = await api.config(location_id)
    broken = update(config_versions).values(body="{")
    await api.store.write(lambda connection: connection.execute(broken))

    shown = await client.get(f"/v2/postbackconfigs/{config['id']}?expand=state")
    listed = await client.get("/v2/postbackconfigs")
    deleted = await client.delete(f"/v2/postbackconfigs/{config['id']}")

    assert (shown.status, shown.json["postbackconfig"]["format"]) == (200, "unreadable")
    assert "cannot be read" in shown.json["postbackconfig"]["state_reason"]
    assert (listed.status, len(listed.json["postbackconfigs"]), deleted.status) == (200, 1, 204)
