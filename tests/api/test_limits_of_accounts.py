"""Limits of an account through the API: set by an operator, and held at every way in."""

from typing import Any

import pytest

from postback.domain.accounts import Account, AccountLimits
from tests.api.client import Api, Client
from tests.storage import watched

pytestmark = pytest.mark.anyio

ACME = "/v2/accounts/acme"
EVENT = {"type": "a.b", "data": {}}
NOT_LIMITED = {"events_per_second": None, "configs": None, "max_body": None}


async def acme_with(client: Client, **limits: Any) -> Client:
    """An operator who acts for an account that is allowed so much."""
    reply = await client.put(ACME, {"account": {"limits": limits}})
    assert reply.status in (200, 201), reply.body
    return client.as_(client.key, "acme")


async def limits_shown(client: Client) -> dict[str, Any]:
    limits: dict[str, Any] = (await client.get(ACME)).json["account"]["limits"]
    return limits


async def test_limits_are_set_one_by_one_and_null_removes(client: Client) -> None:
    made = await client.put(ACME, {"account": {"limits": {"events_per_second": 2.5, "configs": 0}}})
    assert made.json["account"]["limits"] == {"events_per_second": 2.5, "configs": 0, "max_body": None}

    await client.put(ACME, {"account": {"name": "Acme"}})
    assert await limits_shown(client) == {"events_per_second": 2.5, "configs": 0, "max_body": None}

    await client.put(ACME, {"account": {"limits": {"max_body": 1000, "configs": None, "events_per_second": 3}}})
    assert await limits_shown(client) == {"events_per_second": 3, "configs": None, "max_body": 1000}
    assert b'"events_per_second":3,' in (await client.get(ACME)).body

    await client.put(ACME, {"account": {"limits": None}})
    assert await limits_shown(client) == NOT_LIMITED


async def test_the_account_itself_cannot_change_what_it_is_allowed(api: Api, client: Client) -> None:
    other = await api.other_account()

    reply = await other.put("/v2/accounts/other", {"account": {"limits": {"configs": 5}}})

    assert (reply.status, reply.code) == (403, "forbidden")


async def test_a_single_event_beyond_the_rate_is_a_429_with_retry_after(client: Client) -> None:
    acme = await acme_with(client, events_per_second=0.1)

    first = await acme.post("/v2/events", {"event": EVENT})
    second = await acme.post("/v2/events", {"event": EVENT})
    elsewhere = await client.post("/v2/events", {"event": EVENT})

    assert (first.status, second.status, elsewhere.status) == (202, 429, 202)
    assert (second.code, second.headers["retry-after"]) == ("rate_limited", "10")
    assert "limits.events_per_second" in second.message
    assert len((await acme.get("/v2/events")).json["events"]) == 1


async def test_in_a_batch_those_beyond_the_rate_are_refused_in_their_place(client: Client) -> None:
    acme = await acme_with(client, events_per_second=2)
    wrong = {"type": "a b", "data": {}}

    reply = await acme.post("/v2/events", {"events": [EVENT, wrong, EVENT, EVENT]})

    assert reply.status == 202
    answers = reply.json["events"]
    # What is refused for itself uses nothing up.
    assert [sorted(answer) for answer in answers] == [["deliveries", "id"], ["errors"], ["deliveries", "id"], ["error"]]
    assert answers[3]["error"]["code"] == "rate_limited"


async def test_a_batch_of_which_nothing_is_let_in_is_a_429(client: Client) -> None:
    acme = await acme_with(client, events_per_second=0.5)
    await acme.post("/v2/events", {"event": EVENT})

    reply = await acme.post("/v2/events", {"events": [EVENT, EVENT]})

    assert (reply.status, reply.code, reply.headers["retry-after"]) == (429, "rate_limited", "2")


async def test_an_operator_s_event_counts_for_the_account_that_it_names(client: Client) -> None:
    await acme_with(client, events_per_second=0.1)
    named = {**EVENT, "account": "acme"}

    answers = (await client.post("/v2/events", {"events": [named, EVENT, named]})).json["events"]

    assert ["id" in answer for answer in answers] == [True, True, False]


async def test_a_change_of_a_record_is_an_event_as_any_other(api: Api, client: Client) -> None:
    """And where it is one too many, nothing of it is done."""
    acme = await acme_with(client, events_per_second=0.1)
    location_id = await api.location(acme)
    contact = {"contact": {"location_id": location_id, "last_name": "Jones"}}

    made = await acme.post("/v2/contacts", contact)
    more = await acme.post("/v2/contacts", contact)
    path = f"/v2/contacts/{made.json['contact']['id']}"
    changed = await acme.put(path, {"contact": {"last_name": "Lue"}})
    deleted = await acme.delete(path)
    located = await acme.post("/v2/locations", {"location": {"name": "No event tells of it"}})

    assert [reply.status for reply in (made, more, changed, deleted, located)] == [201, 429, 429, 429, 201]
    assert more.headers["retry-after"] == "10"
    [left] = (await acme.get("/v2/contacts")).json["contacts"]
    assert left["last_name"] == "Jones"


async def test_a_config_too_many_is_a_409_that_names_the_limit(api: Api, client: Client) -> None:
    acme = await acme_with(client, configs=2)
    config = {"event_types": ["*"], "url": "http://127.0.0.1:9000/"}
    made = [await acme.post("/v2/postbackconfigs", {"postbackconfig": config}) for _ in range(3)]

    assert [reply.status for reply in made] == [201, 201, 409]
    assert made[2].code == "conflict"
    assert "limits.configs" in made[2].message
    first = f"/v2/postbackconfigs/{made[0].json['postbackconfig']['id']}"
    assert (await acme.put(first, {"postbackconfig": {"name": "still mine"}})).status == 200
    assert (await acme.delete(first)).status == 204
    assert (await acme.post("/v2/postbackconfigs", {"postbackconfig": config})).status == 201


async def test_a_limit_below_what_is_there_takes_nothing_away(client: Client) -> None:
    acme = await acme_with(client)
    config = {"event_types": ["*"], "url": "http://127.0.0.1:9000/"}
    for _ in range(2):
        await acme.post("/v2/postbackconfigs", {"postbackconfig": config})

    await acme_with(client, configs=1)

    assert len((await acme.get("/v2/postbackconfigs")).json["postbackconfigs"]) == 2
    assert (await acme.post("/v2/postbackconfigs", {"postbackconfig": config})).status == 409


async def test_the_configs_of_account_wide_settings_count_as_well(client: Client) -> None:
    acme = await acme_with(client, configs=2)
    urls = ("callback_url_for_deliveries", "callback_url_for_inbounds", "callback_url_for_blacklisted_numbers")
    callbacks = dict.fromkeys(urls, "http://127.0.0.1:9000/")

    refused = await acme.put("/v2/callbacks", {"callbacks": callbacks})
    shown = (await acme.get("/v2/callbacks")).json["callbacks"]
    taken = await acme.put("/v2/callbacks", {"callbacks": {**callbacks, urls[2]: None}})
    # One goes, so another may come.
    other = await acme.put("/v2/callbacks", {"callbacks": {urls[0]: None, urls[2]: callbacks[urls[2]]}})

    assert (refused.status, taken.status, other.status) == (409, 200, 200)
    assert [shown[url] for url in urls] == [None] * 3


async def test_an_event_longer_than_the_account_is_allowed_is_a_413(client: Client) -> None:
    acme = await acme_with(client, max_body=20)
    fits, too_long = ({"type": "a.b", "data": {"x": "y" * size}} for size in (11, 12))

    single = await acme.post("/v2/events", {"event": too_long})
    batch = await acme.post("/v2/events", {"events": [fits, too_long]})

    assert (single.status, single.code) == (413, "too_large")
    assert "limits.max_body" in single.message
    assert ["id" in answer for answer in batch.json["events"]] == [True, False]
    assert (await client.post("/v2/events", {"event": too_long})).status == 202


async def test_what_an_account_is_allowed_is_no_query_of_every_request(api: Api, client: Client) -> None:
    await acme_with(client, events_per_second=1_000)
    acme = client.as_(await api.key("publish", account="acme"))  # type: ignore[arg-type]
    await acme.post("/v2/events", {"event": EVENT})

    with watched.statements() as seen:
        for _ in range(10):
            assert (await acme.post("/v2/events", {"event": EVENT})).status == 202

    assert len([one for one in seen if "limits" in one.sql]) <= 1


async def test_limits_are_kept_as_they_were_set(api: Api) -> None:
    limits = AccountLimits(events_per_second=0.5, max_body=7)
    await api.services.accounts.save(Account(id="acme", limits=limits))

    assert (await api.services.accounts.find("acme")).limits == limits
