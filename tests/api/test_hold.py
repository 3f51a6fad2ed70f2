"""/v2/hold: what an operator sees of a server that was started after a restore, and its release."""

from typing import Any

import pytest

from postback.bootstrap.held import AfterRestore
from postback.domain.accounts import Scope
from postback.domain.errors import Unavailable
from tests.api.client import Api, Client
from tests.api.test_audit import rows

pytestmark = pytest.mark.anyio


@pytest.fixture
async def config(api: Api) -> dict[str, Any]:
    """A config that is owed two deliveries of the copy, and one that was accepted since."""
    config = await api.config(await api.location())
    await api.client.post("/v2/contacts", {"contact": {"location_id": config["location_id"], "last_name": "a"}})
    await api.client.post("/v2/contacts", {"contact": {"location_id": config["location_id"], "last_name": "b"}})
    held = api.services.held
    assert isinstance(held, AfterRestore)
    await held.look()
    await api.client.post("/v2/contacts", {"contact": {"location_id": config["location_id"], "last_name": "c"}})
    return config


async def test_a_held_server_says_what_it_would_send_and_to_whom(client: Client, config: dict[str, Any]) -> None:
    hold = (await client.get("/v2/hold")).json["hold"]

    assert hold == {
        "is_held": True,
        "known_until": "2026-09-21T14:13:20.000Z",
        "owed": 3,
        "owed_in_copy": 2,
        "replays": 0,
        "most_owed": [
            {
                "account": "default",
                "postbackconfig_id": config["id"],
                "state": "active",
                "url": config["url"],
                "owed": 3,
            }
        ],
    }


async def test_an_operator_releases_it_on_record_and_again_changes_nothing(
    api: Api, client: Client, config: dict[str, Any]
) -> None:
    before = rows(api)

    replies = [await client.post("/v2/hold/release", body) for body in (b"", {}, b"")]
    shown = await client.get("/v2/hold")

    released = {
        "is_held": False,
        "known_until": "2026-09-21T14:13:20.000Z",
        "owed": None,
        "owed_in_copy": None,
        "replays": None,
        "most_owed": [],
    }
    assert [(reply.status, reply.json["hold"]) for reply in [*replies, shown]] == [(200, released)] * 4
    [row] = rows(api)[len(before) :]
    assert (row["account"], row["action"], row["key_name"]) == (None, "hold.release", "of the test")
    assert row["after"] == '{"owed":3,"owed_in_copy":2,"known_until":"2026-09-21T14:13:20.000Z"}'


async def test_it_stays_held_where_the_release_cannot_be_put_on_record(
    api: Api, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: object) -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(api.store, "write", refuse)
    reply = await api.client.post("/v2/hold/release", b"")

    assert (reply.status, reply.code) == (503, "unavailable")
    assert api.services.held.is_held


async def test_a_copy_that_owes_nothing_is_not_held(api: Api, client: Client) -> None:
    held = api.services.held
    assert isinstance(held, AfterRestore)
    restored = await held.look()

    hold = (await client.get("/v2/hold")).json["hold"]

    assert restored.owing.is_nothing
    assert (hold["is_held"], hold["owed"]) == (False, None)
    await restored.until_released()


async def test_a_key_of_an_account_neither_sees_nor_releases_it(api: Api, config: dict[str, Any]) -> None:
    account = api.client.as_(await api.key(*Scope))

    replies = [await account.get("/v2/hold"), await account.post("/v2/hold/release", b"")]

    assert [(reply.status, reply.code) for reply in replies] == [(403, "forbidden")] * 2
    assert api.services.held.is_held
