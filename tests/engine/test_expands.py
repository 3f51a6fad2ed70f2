"""Related records: each config hears of those that it asks for, as they were when the event was accepted."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from postback.domain.accounts import Actor
from postback.domain.records import Insert, Record, Update
from postback.domain.telemetry import InternalError
from tests.build import ACCOUNT, LOCATION_ID, NOON
from tests.engine.scene import Post, Scene

pytestmark = pytest.mark.anyio

CONTACT = Record(
    account=ACCOUNT,
    resource="contact",
    id="con_1",
    location_id=LOCATION_ID,
    key=None,
    revision=1,
    created_ms=NOON,
    body={"id": "con_1", "last_name": "Okafor"},
)
RENAMED = replace(CONTACT, body={**CONTACT.body, "last_name": "Lue"})


def data_of(post: Post) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(dict(parse_qsl(post.body.decode()))["data"])
    return data


async def change(scene: Scene, record: Record, *changes: Insert | Update, verb: str = "created") -> None:
    await scene.publish(
        type=f"contact.{verb}", subject=record.id, data=json.dumps(record.body).encode(), changes=changes
    )


async def test_each_config_gets_what_it_asks_for_in_its_own_order(scene: Scene) -> None:
    await scene.add_config(0, expands=("notes", "location", "user"))
    await scene.add_config(1, expands=("created_user", "location"))
    await scene.add_config(2)
    await scene.start()

    await change(scene, CONTACT, Insert(CONTACT, Actor("key_1", "shop.owner")))
    await scene.rest()

    [first], [second], [third] = (scene.posts(f"r{n}") for n in range(3))
    location = {"id": LOCATION_ID, "name": ACCOUNT}
    user = {"id": "key_1", "username": "shop.owner", "first_name": None, "last_name": None}
    own = [("id", "con_1"), ("last_name", "Okafor")]
    assert list(data_of(first).items()) == [*own, ("notes", []), ("location", location), ("user", None)]
    assert list(data_of(second).items()) == [*own, ("created_user", user), ("location", location)]
    assert list(data_of(third).items()) == own


async def test_a_retry_tells_of_related_records_as_they_were(scene: Scene) -> None:
    """Also by another process, which has the event from the store."""
    scene.receives("r0", 500, 500, 200)
    await scene.add_config(0, resource="transaction", expands=("contact",))
    await scene.start()
    await change(scene, CONTACT, Insert(CONTACT))

    await scene.publish(type="transaction.created", data=b'{"contact_id":"con_1"}')
    await scene.pass_(1)
    await change(scene, RENAMED, Update(RENAMED), verb="updated")
    await scene.stop()
    await scene.start()
    await scene.rest()

    names = [data_of(post)["contact"]["last_name"] for post in scene.posts()]
    assert names == ["Okafor"] * 3


async def test_what_a_publisher_sends_of_related_records_is_what_is_told(scene: Scene) -> None:
    await scene.add_config(0, resource="transaction", expands=("contact", "location"))
    await scene.start()
    await change(scene, CONTACT, Insert(CONTACT))

    await scene.publish(type="transaction.created", data=b'{"contact":{"own":1},"contact_id":"con_1"}')
    await scene.rest()

    [post] = scene.posts()
    assert data_of(post) == {
        "contact": {"own": 1},
        "contact_id": "con_1",
        "location": {"id": LOCATION_ID, "name": ACCOUNT},
    }
    assert scene.reported(InternalError) == []


async def test_events_that_are_published_together_carry_their_own(scene: Scene) -> None:
    await scene.add_config(0, resource="transaction", expands=("contact",))
    await scene.start()
    await change(scene, CONTACT, Insert(CONTACT))

    known = scene.new_event(type="transaction.created", data=b'{"contact_id":"con_1"}')
    unknown = known._replace(data=b'{"contact_id":"con_2"}')
    await scene.engine.intake.publish([known, unknown, known])
    await scene.rest()

    contacts = sorted(str(data_of(post)["contact"]) for post in scene.posts())
    assert contacts == ["None", str(CONTACT.body), str(CONTACT.body)]
