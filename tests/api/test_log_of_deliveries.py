"""Events and deliveries through the API: what is shown of them, replaying and cancelling."""

import hashlib
from typing import Any

import pytest

from postback.domain.deliveries import Claim, Settlement, Verdict
from postback.domain.ids import parse
from postback.domain.wire import Answered, Outcome, Reason, Timings, Unreachable
from postback.formats import render
from tests.api.client import Api, Client
from tests.build import ACCOUNT
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio

TIMINGS = Timings(dns_ms=1, connect_ms=2, tls_ms=None, first_byte_ms=3, total_ms=9, sent_after_ms=4)


@pytest.fixture
async def location_id(api: Api) -> str:
    return await api.location()


@pytest.fixture
async def config(api: Api, location_id: str) -> dict[str, Any]:
    return await api.config(
        location_id,
        number_of_attempts=3,
        attempt_interval=60,
        basic_auth_username="u",
        basic_auth_password="Pa55-example",
        headers={"X-Api-Key": "s3cret", "X-Customer": "17"},
    )


async def a_contact(client: Client, location_id: str) -> None:
    reply = await client.post("/v2/contacts", {"contact": {"location_id": location_id, "last_name": "Jones"}})
    assert reply.status == 201


async def attempt(api: Api, config: dict[str, Any], outcome: Outcome, verdict: Verdict, wait_ms: int = 0) -> Claim:
    """Carry the next delivery of the config out, as the engine would."""
    number = parse("pbc", config["id"])
    [claim] = await api.store.claim(api.worker, {number: 1}, 1 << 20)
    version = await api.services.configs.find(ACCOUNT, number)
    body = render(claim.event, version, claim.attempts + 1, api.clock()).body
    settlement = Settlement(
        claim, verdict, outcome, version.version, wait_ms, hashlib.sha256(body).digest(), api.clock()
    )
    assert (await api.store.settle(api.worker, [settlement])).moved == 1
    return claim


async def shown(client: Client, delivery_id: str) -> dict[str, Any]:
    reply = await client.get(f"/v2/deliveries/{delivery_id}")
    assert reply.status == 200
    delivery: dict[str, Any] = reply.json["delivery"]
    return delivery


async def test_a_delivery_is_shown_with_each_attempt_and_the_request_as_it_was_sent(
    api: Api, client: Client, location_id: str, config: dict[str, Any], clock: ClockDouble
) -> None:
    await a_contact(client, location_id)
    [listed] = await api.deliveries()
    failure = Answered(500, [(b"Content-Type", b"text/html"), (b"X-A", b"\xff"), (b"X-A", b"b")], b"oops \xff", TIMINGS)
    await attempt(api, config, failure, Verdict.RETRY, 60_000)
    clock.pass_(seconds=61)
    await attempt(api, config, Answered(200, [], b"", TIMINGS), Verdict.DELIVERED)

    delivery = await shown(client, listed["id"])

    assert {name: delivery[name] for name in ("state", "attempts_made", "last_status", "due_at")} == {
        "state": "delivered",
        "attempts_made": 2,
        "last_status": 200,
        "due_at": None,
    }
    first, second = delivery["attempts"]
    assert (first["number"], first["status"], first["decision"]) == (1, 500, "retry")
    assert first["answer"] == {
        "headers": {"Content-Type": "text/html", "X-A": "\\xff, b"},
        "body": "oops \\xff",
        "truncated": False,
    }
    assert first["next_at"] == "2026-09-21T14:14:20.009Z"
    assert first["request"]["url"] == "http://127.0.0.1:9000/receiver"
    assert first["request"]["body"].startswith("type=CREATE&resource=contact&number_of_attempts=1&data=")
    assert second["request"]["body"].startswith("type=CREATE&resource=contact&number_of_attempts=2&data=")
    assert (second["decision"], second["next_at"], second["manual"]) == ("delivered", None, False)
    assert second["timings"] == {
        "dns_ms": 1,
        "connect_ms": 2,
        "tls_ms": None,
        "first_byte_ms": 3,
        "total_ms": second["timings"]["total_ms"],
    }


async def test_secrets_of_a_request_are_shown_as_stars(
    api: Api, client: Client, location_id: str, config: dict[str, Any]
) -> None:
    await a_contact(client, location_id)
    [listed] = await api.deliveries()
    await attempt(api, config, Answered(200, [], b"", TIMINGS), Verdict.DELIVERED)

    reply = await client.get(f"/v2/deliveries/{listed['id']}")

    headers = reply.json["delivery"]["attempts"][0]["request"]["headers"]
    assert (headers["authorization"], headers["X-Api-Key"], headers["X-Customer"]) == ("***", "***", "17")
    assert headers["host"] == "127.0.0.1:9000"
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert not any(secret in reply.body for secret in (b"Pa55-example", b"s3cret", b"dTpQYTU1"))


async def test_an_attempt_shows_the_config_as_it_was_then(
    api: Api, client: Client, location_id: str, config: dict[str, Any]
) -> None:
    await a_contact(client, location_id)
    [listed] = await api.deliveries()
    await attempt(api, config, Unreachable(Reason.CONNECTION_REFUSED, "nobody listens", TIMINGS), Verdict.FAILED)
    moved = {"postbackconfig": {"url": "http://127.0.0.1:9000/moved"}}
    assert (await client.put(f"/v2/postbackconfigs/{config['id']}", moved)).status == 200

    [first] = (await shown(client, listed["id"]))["attempts"]

    assert first["request"]["url"] == "http://127.0.0.1:9000/receiver"
    assert (first["reason"], first["detail"], first["answer"]) == ("connection_refused", "nobody listens", None)


async def test_a_body_that_cannot_be_made_again_exactly_is_not_shown(
    api: Api, client: Client, location_id: str, config: dict[str, Any]
) -> None:
    await a_contact(client, location_id)
    [listed] = await api.deliveries()
    number = parse("pbc", config["id"])
    [claim] = await api.store.claim(api.worker, {number: 1}, 1 << 20)
    made_otherwise = hashlib.sha256(b"by an older version").digest()
    outcome = Answered(200, [], b"", TIMINGS)
    settlement = Settlement(claim, Verdict.DELIVERED, outcome, 1, 0, made_otherwise, api.clock())
    await api.store.settle(api.worker, [settlement])

    [first] = (await shown(client, listed["id"]))["attempts"]

    assert first["request"]["url"] == "http://127.0.0.1:9000/receiver"
    assert first["request"]["body"] is None


async def test_a_finished_delivery_is_replayed(
    api: Api, client: Client, location_id: str, config: dict[str, Any], clock: ClockDouble
) -> None:
    await a_contact(client, location_id)
    [listed] = await api.deliveries()
    while_owed = await client.post(f"/v2/deliveries/{listed['id']}/replay")
    await attempt(api, config, Answered(404, [], b"", TIMINGS), Verdict.FAILED)
    clock.pass_(seconds=5)

    replayed = await client.post(f"/v2/deliveries/{listed['id']}/replay")
    await attempt(api, config, Answered(200, [], b"", TIMINGS), Verdict.DELIVERED)

    assert (while_owed.status, while_owed.code) == (409, "conflict")
    assert (replayed.status, replayed.json["delivery"]["state"]) == (202, "pending")
    assert api.woken == ["due"]
    delivery = await shown(client, listed["id"])
    assert [(found["number"], found["manual"]) for found in delivery["attempts"]] == [(1, False), (2, True)]
    assert delivery["attempts"][1]["request"]["body"].startswith("type=CREATE&resource=contact&number_of_attempts=2&")


async def test_an_open_delivery_is_cancelled(
    api: Api, client: Client, location_id: str, config: dict[str, Any]
) -> None:
    await a_contact(client, location_id)
    [listed] = await api.deliveries()

    cancelled = await client.post(f"/v2/deliveries/{listed['id']}/cancel")
    again = await client.post(f"/v2/deliveries/{listed['id']}/cancel")

    assert (cancelled.status, cancelled.json["delivery"]["state"]) == (200, "cancelled")
    assert (again.status, again.code) == (409, "conflict")
    [only] = (await shown(client, listed["id"]))["attempts"]
    assert (only["decision"], only["request"], only["answer"]) == ("cancelled", None, None)


async def test_a_delivery_of_a_paused_config_is_held(
    api: Api, client: Client, location_id: str, config: dict[str, Any]
) -> None:
    await client.post(f"/v2/postbackconfigs/{config['id']}/pause")
    await a_contact(client, location_id)

    held = (await client.get("/v2/deliveries?state=held")).json["deliveries"]
    pending = (await client.get("/v2/deliveries?state=pending")).json["deliveries"]

    assert ([delivery["state"] for delivery in held], pending) == (["held"], [])


async def test_deliveries_are_narrowed(
    api: Api, client: Client, location_id: str, config: dict[str, Any], clock: ClockDouble
) -> None:
    other = await api.config(location_id, on_update="0")
    await a_contact(client, location_id)
    clock.pass_(seconds=60)
    contact_id = (await client.get("/v2/contacts")).json["contacts"][0]["id"]
    await client.put(f"/v2/contacts/{contact_id}", {"contact": {"city": "Ulm"}})

    async def count(query: str) -> int:
        return len((await client.get(f"/v2/deliveries?{query}")).json["deliveries"])

    assert await count("") == 3
    assert await count(f"postbackconfig_id={config['id']}") == 2
    assert await count(f"postbackconfig_id={other['id']}") == 1
    assert await count("event_type=contact.updated") == 1
    assert await count(f"location_id={location_id}") == 3
    assert await count("location_id=loc_of_nobody") == 0
    assert await count("state=failed") == 0
    assert await count("search=127.0.0.1:9000") == 3
    assert await count(f"search={contact_id}") == 3
    assert await count(f"search={other['id']}") == 1
    assert await count("search=nothing.example") == 0
    assert len((await client.get(f"/v2/events?search={contact_id}&type=contact.updated")).json["events"]) == 1
    assert await count("since=2026-09-21T14:14:00Z") == 1
    assert await count("until=2026-09-21T16:14:00+02:00") == 2


async def test_long_logs_go_on_where_the_last_part_ended(api: Api, client: Client, location_id: str) -> None:
    for _ in range(2):
        await api.config(location_id)
    for _ in range(3):
        await a_contact(client, location_id)

    for what, expected in (("deliveries", 6), ("events", 3)):
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            query = "page_size=2" + (f"&cursor={cursor}" if cursor else "")
            part = (await client.get(f"/v2/{what}?{query}")).json
            assert len(part[what]) <= 2
            seen += [found["id"] for found in part[what]]
            cursor = part["next_cursor"]
        assert len(seen) == len(set(seen)) == expected
        assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=nowhere", "state"),
        ("postbackconfig_id=junk", "postbackconfig_id"),
        ("since=yesterday", "since"),
        ("until=1790000000", "until"),
        ("page_size=0", "page_size"),
        ("cursor=junk", "cursor"),
        ("search=", "search"),
        ("search=%00", "search"),
        ("page=1", "page"),
    ],
)
async def test_a_query_of_the_log_that_cannot_be_answered_names_its_parameter(
    client: Client, query: str, field: str
) -> None:
    assert list((await client.get(f"/v2/deliveries?{query}")).errors) == [field]


async def test_a_cursor_holds_in_its_own_account_and_list_only(api: Api, client: Client, location_id: str) -> None:
    await api.config(location_id)
    for _ in range(2):
        await a_contact(client, location_id)
    other = await api.other_account()
    cursor = (await client.get("/v2/events?page_size=1")).json["next_cursor"]

    assert list((await other.get(f"/v2/events?cursor={cursor}")).errors) == ["cursor"]
    assert list((await client.get(f"/v2/deliveries?cursor={cursor}")).errors) == ["cursor"]
    assert len((await client.get(f"/v2/events?cursor={cursor}")).json["events"]) == 1


async def test_an_event_is_shown_with_its_data_and_deliveries(
    api: Api, client: Client, location_id: str, config: dict[str, Any]
) -> None:
    published = await client.post(
        "/v2/events",
        b'{"event":{"type":"contact.created","location_id":"%s","data":{"b":1.0e2,"a":1}}}' % location_id.encode(),
    )

    reply = await client.get(f"/v2/events/{published.json['event']['id']}")

    event = reply.json["event"]
    assert b'"data":{"b":1.0e2,"a":1}' in reply.body
    assert [delivery["postbackconfig_id"] for delivery in event["deliveries"]] == [config["id"]]
    assert list(event) == [
        "id", "type", "location_id", "subject", "occurred_at", "accepted_at", "deliveries", "data",
    ]  # fmt: skip


@pytest.mark.parametrize("what", ["events", "deliveries"])
async def test_times_far_away_are_times_too(client: Client, location_id: str, api: Api, what: str) -> None:
    await api.config(location_id)
    await a_contact(client, location_id)

    async def count(query: str) -> int:
        reply = await client.get(f"/v2/{what}?{query}")
        assert reply.status == 200, reply.body
        return len(reply.json[what])

    assert await count("since=9999-12-31T23:59:59Z") == 0
    assert await count("until=9999-12-31T23:59:59Z") == 1
    assert await count("since=0001-01-01T00:00:00Z") == 1
    assert await count("until=0001-01-01T00:00:00Z") == 0
