"""Many deliveries at once through the API: counted, replayed, cancelled, and never all of them by a slip."""

from typing import Any

import pytest

from postback.domain.deliveries import Settlement, Verdict
from postback.domain.errors import Unavailable
from postback.domain.ids import parse
from postback.domain.jobs import RUNNING_MAX
from tests.api.client import Api, Client
from tests.build import a_settlement
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio

REPLAY, CANCEL = "/v2/deliveries/replay", "/v2/deliveries/cancel"


@pytest.fixture
async def config(api: Api) -> dict[str, Any]:
    return await api.config(await api.location())


async def contacts(client: Client, config: dict[str, Any], n: int) -> None:
    for _ in range(n):
        contact = {"location_id": config["location_id"], "last_name": "Jones"}
        assert (await client.post("/v2/contacts", {"contact": contact})).status == 201


async def ended(api: Api, config: dict[str, Any], n: int, verdict: Verdict = Verdict.FAILED) -> None:
    await contacts(api.client, config, n)
    claims = await api.store.claim(api.worker, {parse("pbc", config["id"]): n}, 1 << 24)
    settlements: list[Settlement] = [a_settlement(claim, verdict) for claim in claims]
    assert (await api.store.settle(api.worker, settlements)).moved == n
    api.clock.pass_(seconds=1)


async def shown(client: Client, replay_id: str) -> dict[str, Any]:
    reply = await client.get(f"/v2/replays/{replay_id}")
    assert reply.status == 200
    replay: dict[str, Any] = reply.json["replay"]
    return replay


async def test_a_dry_run_counts_and_changes_nothing(api: Api, client: Client, config: dict[str, Any]) -> None:
    await ended(api, config, 3)

    reply = await client.post(REPLAY, {"filter": {"postbackconfig_id": config["id"]}, "dry_run": True})

    assert (reply.status, reply.json) == (200, {"count": 3})
    assert (await client.get("/v2/replays")).json == {"replays": [], "next_cursor": None}
    assert {delivery["state"] for delivery in await api.deliveries()} == {"failed"}


async def test_a_replay_is_a_job_whose_progress_is_shown(
    api: Api, client: Client, config: dict[str, Any], clock: ClockDouble
) -> None:
    await ended(api, config, 3)
    api.woken.clear()

    reply = await client.post(REPLAY, {"filter": {"postbackconfig_id": config["id"], "since": "2026-01-01T00:00:00Z"}})

    assert reply.status == 202
    replay = reply.json["replay"]
    assert replay == {
        "id": replay["id"],
        "kind": "replay",
        "state": "running",
        "filter": {"state": "failed", "postbackconfig_id": config["id"], "since": "2026-01-01T00:00:00.000Z"},
        "selected": 3,
        "done": 0,
        "skipped": 0,
        "created_at": "2026-09-21T14:13:21.000Z",
        "finished_at": None,
    }
    assert replay["id"].startswith("rpl_")
    assert api.woken == ["due"]
    await api.store.run_job(replay["id"], 2)
    assert await shown(client, replay["id"]) == {**replay, "done": 2}
    clock.pass_(seconds=2)
    await api.store.run_job(replay["id"], 2)
    assert await shown(client, replay["id"]) == {
        **replay,
        "done": 3,
        "state": "done",
        "finished_at": "2026-09-21T14:13:23.000Z",
    }
    assert {delivery["state"] for delivery in await api.deliveries()} == {"pending"}


async def test_a_cancellation_is_such_a_job_too(api: Api, client: Client, config: dict[str, Any]) -> None:
    await ended(api, config, 1)
    await contacts(client, config, 2)
    asked = {"filter": {"event_type": "contact.created"}}
    assert (await client.post(CANCEL, {**asked, "dry_run": True})).json == {"count": 2}

    reply = await client.post(CANCEL, asked)

    replay = reply.json["replay"]
    assert (reply.status, replay["kind"], replay["filter"], replay["selected"]) == (202, "cancel", asked["filter"], 2)
    await api.store.run_job(replay["id"], 10)
    assert (await shown(client, replay["id"]))["done"] == 2
    assert sorted(delivery["state"] for delivery in await api.deliveries()) == ["cancelled", "cancelled", "failed"]


@pytest.mark.parametrize(
    ("path", "state", "count"),
    [
        (REPLAY, None, 2),
        (REPLAY, "failed", 2),
        (REPLAY, "delivered", 3),
        (REPLAY, "cancelled", 0),
        (CANCEL, None, 4),
        (CANCEL, "pending", 4),
        (CANCEL, "held", 0),
        (CANCEL, "claimed", 0),
    ],
)
async def test_a_replay_takes_what_is_finished_and_a_cancellation_what_is_open(
    api: Api, client: Client, config: dict[str, Any], path: str, state: str | None, count: int
) -> None:
    await ended(api, config, 2)
    await ended(api, config, 3, Verdict.DELIVERED)
    await contacts(client, config, 4)
    narrowed = {"location_id": config["location_id"]} | ({} if state is None else {"state": state})

    reply = await client.post(path, {"filter": narrowed, "dry_run": True})

    assert reply.json == {"count": count}


# --- slips ----------------------------------------------------------------------------------------------------------

NEEDED = "expected at least one of postbackconfig_id, event_type, location_id, reason, since, until, search"
A_TIME = "expected a time with an offset (RFC 3339), such as 2026-09-21T12:00:00Z"
NULL = "is null; leave it out, or say what is meant"


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (b"", "filter", NEEDED),
        ({}, "filter", NEEDED),
        ({"filter": {}}, "filter", NEEDED),
        ({"filter": {"state": "delivered"}}, "filter", NEEDED),
        ({"all": False}, "filter", NEEDED),
        ({"filter": None}, "filter", NULL),
        ({"filter": {"postbackconfig_id": None}}, "filter.postbackconfig_id", NULL),
        ({"filter": {"event_type": "a.b", "since": None}}, "filter.since", NULL),
        ({"filter": {"event_type": "a.b"}, "dry_run": None}, "dry_run", NULL),
        ({"filter": {"event_type": "a.b"}, "dry_run": "true"}, "dry_run", "expected true or false"),
        ({"filter": {"event_type": "a.b"}, "dry_run": 1}, "dry_run", "expected true or false"),
        ({"filter": {"event_type": "a.b"}, "dryrun": True}, "dryrun", "is not a known field"),
        ({"filter": {"event_type": "a.b", "config": "x"}}, "filter.config", "is not a known field"),
        ({"event_type": "a.b"}, "event_type", "is not a known field"),
        ({"filter": {"event_type": "a.b"}, "all": True}, "all", "leave one of the two out"),
        ({"all": "yes"}, "all", "expected true or false"),
        ({"filter": ["a.b"]}, "filter", "expected an object"),
        ({"filter": {"event_type": ""}}, "filter.event_type", "has 0 characters"),
        ({"filter": {"event_type": ["a.b"]}}, "filter.event_type", "expected a string"),
        ({"filter": {"location_id": 7}}, "filter.location_id", "expected a string"),
        ({"filter": {"postbackconfig_id": "17"}}, "filter.postbackconfig_id", "expected the id of a postback config"),
        ({"filter": {"postbackconfig_id": 17}}, "filter.postbackconfig_id", "expected the id of a postback config"),
        ({"filter": {"since": "yesterday"}}, "filter.since", A_TIME),
        ({"filter": {"until": 1_790_000_000}}, "filter.until", A_TIME),
        ({"filter": {"subject": "con_1"}}, "filter.subject", "is not a known field"),
    ],
)
async def test_what_may_be_a_slip_never_becomes_all_of_them(
    api: Api, client: Client, config: dict[str, Any], body: Any, field: str, message: str
) -> None:
    await ended(api, config, 1)
    await contacts(client, config, 1)

    for path in (REPLAY, CANCEL):
        if path == CANCEL and body == {"filter": {"state": "delivered"}}:
            continue
        reply = await client.post(path, body)
        assert list(reply.errors) == [field]
        assert message in reply.errors[field][0]

    assert (await client.get("/v2/replays")).json["replays"] == []


@pytest.mark.parametrize(
    ("path", "states", "expected"),
    [
        (REPLAY, ["pending", "held", "claimed", "", 1, ["failed"]], "expected one of failed, delivered, cancelled"),
        (CANCEL, ["failed", "delivered", "cancelled", "open"], "expected one of pending, held, claimed"),
    ],
)
async def test_a_state_that_cannot_be_replayed_or_cancelled_is_refused(
    client: Client, path: str, states: list[object], expected: str
) -> None:
    for state in states:
        reply = await client.post(path, {"filter": {"state": state, "event_type": "a.b"}})
        assert expected in reply.errors["filter.state"][0]


async def test_a_dry_run_in_the_query_is_not_overlooked(api: Api, client: Client, config: dict[str, Any]) -> None:
    await ended(api, config, 1)

    reply = await client.post(f"{REPLAY}?dry_run=true", {"filter": {"event_type": "contact.created"}})

    assert reply.errors == {"dry_run": ["dry_run is not a known parameter; what is asked for stands in the body"]}
    assert (await client.get("/v2/replays")).json["replays"] == []


async def test_a_search_narrows_and_is_told_again(api: Api, client: Client, config: dict[str, Any]) -> None:
    await ended(api, config, 2)

    for text, count in (("127.0.0.1", 2), (config["id"], 2), ("nothing.example", 0)):
        reply = await client.post(REPLAY, {"filter": {"search": text}, "dry_run": True})
        assert reply.json == {"count": count}
    job = (await client.post(REPLAY, {"filter": {"search": config["id"]}})).json["replay"]
    refused = await client.post(REPLAY, {"filter": {"search": ""}})

    assert (job["selected"], job["filter"]) == (2, {"state": "failed", "search": config["id"]})
    assert list(refused.errors) == ["filter.search"]


async def test_all_of_them_has_to_be_said(api: Api, client: Client, config: dict[str, Any]) -> None:
    await ended(api, config, 2)
    await ended(api, config, 1, Verdict.DELIVERED)

    assert (await client.post(REPLAY, {"all": True, "dry_run": True})).json == {"count": 2}
    everything = {"all": True, "filter": {"state": "delivered"}, "dry_run": True}
    assert (await client.post(REPLAY, everything)).json == {"count": 1}
    assert (await client.post(CANCEL, {"all": True})).status == 202


async def test_times_at_the_ends_of_the_calendar_are_times(api: Api, client: Client, config: dict[str, Any]) -> None:
    await ended(api, config, 1)
    ends = {"since": "0001-01-01T00:00:00+12:00", "until": "9999-12-31T23:59:59-12:00"}

    replay = (await client.post(REPLAY, {"filter": ends})).json["replay"]

    assert replay["filter"]["since"] == "0001-01-01T00:00:00.000Z"
    assert replay["filter"]["until"] == "9999-12-31T23:59:59.000Z"
    assert replay["selected"] == 1
    assert (await client.get("/v2/audit?action=deliveries.replay")).json["audit"][0]["after"]["filter"] == replay[
        "filter"
    ]


# --- jobs -----------------------------------------------------------------------------------------------------------


async def test_jobs_are_listed_from_the_newest_on_in_parts(api: Api, client: Client, clock: ClockDouble) -> None:
    made = []
    for _ in range(5):
        made.append((await client.post(CANCEL, {"all": True})).json["replay"]["id"])
        clock.pass_(seconds=1)

    listed, cursor = [], ""
    while cursor is not None:
        reply = await client.get(f"/v2/replays?page_size=2{cursor and '&cursor='}{cursor}")
        assert len(reply.json["replays"]) <= 2
        listed += [replay["id"] for replay in reply.json["replays"]]
        cursor = reply.json["next_cursor"]

    assert listed == made[::-1]
    assert "cursor" in (await client.get("/v2/replays?cursor=x")).errors
    assert "state" in (await client.get("/v2/replays?state=done")).errors


async def test_a_job_is_its_accounts_own(api: Api, client: Client) -> None:
    replay_id = (await client.post(CANCEL, {"all": True})).json["replay"]["id"]
    other = await api.other_account()

    assert (await other.get(f"/v2/replays/{replay_id}")).status == 404
    assert (await other.get("/v2/replays")).json["replays"] == []
    for unknown in ("rpl_0000000000000", "rpl_", "x", "pbc_0000000000000"):
        assert (await client.get(f"/v2/replays/{unknown}")).code == "not_found"


async def test_so_many_jobs_at_a_time_and_no_more(api: Api, client: Client, clock: ClockDouble) -> None:
    for _ in range(RUNNING_MAX):
        assert (await client.post(CANCEL, {"all": True})).status == 202

    reply = await client.post(REPLAY, {"all": True})

    assert (reply.status, reply.code) == (409, "conflict")
    assert reply.message == "10 jobs of this account are running; wait until one is done"
    assert (await client.post(REPLAY, {"all": True, "dry_run": True})).status == 200


async def test_whoever_made_a_job_is_in_the_audit(api: Api, client: Client) -> None:
    replay_id = (await client.post(REPLAY, {"all": True})).json["replay"]["id"]

    entries = (await client.get("/v2/audit")).json["audit"]

    [entry] = [entry for entry in entries if entry["action"] == "deliveries.replay"]
    assert (entry["target"], entry["after"]) == (replay_id, {"filter": {"state": "failed"}, "selected": 0})


async def test_a_store_that_cannot_count_in_time_is_asked_again(
    api: Api, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_long(*_: object) -> int:
        raise Unavailable("reading took longer than 5 s")

    monkeypatch.setattr(api.store, "count_for_job", too_long)
    reply = await client.post(REPLAY, {"all": True, "dry_run": True})

    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
