"""The requests that the guides show are taken as they stand. Nothing is sent here: no engine runs."""

import json

import pytest

from tests import manual
from tests.api.client import Client

pytestmark = pytest.mark.anyio

GUIDES = manual.ROOT / "docs" / "guide"


@pytest.mark.parametrize("name", ["xml-postbacks", "sms-callbacks"])
async def test_the_requests_of_a_guide_are_taken(client: Client, name: str) -> None:
    shown = [block for block in manual.blocks((GUIDES / f"{name}.md").read_text("utf-8")) if block.language == "http"]

    assert shown
    for block in shown:
        head, _, body = block.text.partition("\n\n")
        method, target = head.split()
        reply = await client.send(method, target, json.loads(body))
        assert reply.status in (200, 201, 202), f"line {block.line}: {reply.body.decode()}"
