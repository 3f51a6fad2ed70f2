"""Postback configs as the tests of the API ask for them."""

from typing import Any, Final

from postback.domain.ids import parse
from tests.api.client import Api, Client, Reply
from tests.build import ACCOUNT

URL: Final = "http://127.0.0.1:9000/receiver"


async def post(client: Client, **fields: Any) -> Reply:
    return await client.post("/v2/postbackconfigs", {"postbackconfig": {"url": URL, **fields}})


async def a_config(client: Client, **fields: Any) -> dict[str, Any]:
    reply = await post(client, **fields)
    assert reply.status == 201, reply.body
    config: dict[str, Any] = reply.json["postbackconfig"]
    return config


async def change(client: Client, config: dict[str, Any], **fields: Any) -> Reply:
    return await client.put(f"/v2/postbackconfigs/{config['id']}", {"postbackconfig": fields})


async def stored(api: Api, config: dict[str, Any]) -> Any:
    return await api.services.configs.find(ACCOUNT, parse("pbc", config["id"]))
