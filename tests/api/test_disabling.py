"""How long a config may fail before it is disabled, as its owner says it."""

import pytest

from tests.api.asking import a_config, change, post, stored
from tests.api.client import Api, Client

pytestmark = pytest.mark.anyio


async def test_by_default_it_is_five_days(api: Api, client: Client) -> None:
    config = await a_config(client, event_types=["*"])

    shown = await client.get(f"/v2/postbackconfigs/{config['id']}?expand=policy")

    assert "disable_after" not in config
    assert shown.json["postbackconfig"]["policy"]["disable_after"] == 432_000
    assert (await stored(api, config)).disable_after_s == 432_000


async def test_null_is_never_and_stays_so(api: Api, client: Client) -> None:
    config = await a_config(client, event_types=["*"], disable_after=None)

    changed = (await change(client, config, name="x")).json["postbackconfig"]

    assert config["disable_after"] is None
    assert changed["disable_after"] is None
    assert (await stored(api, config)).disable_after_s is None


async def test_it_can_be_changed_and_is_shown_as_it_was_sent(api: Api, client: Client) -> None:
    config = await a_config(client, event_types=["*"], disable_after=None)

    changed = (await change(client, config, disable_after=3600)).json["postbackconfig"]

    assert changed["disable_after"] == 3600
    assert (await stored(api, config)).disable_after_s == 3600


@pytest.mark.parametrize("wrong", [59, 2_592_001, "soon", 1.5, True])
async def test_it_is_seconds_from_a_minute_to_thirty_days(client: Client, wrong: object) -> None:
    reply = await post(client, event_types=["*"], disable_after=wrong)

    assert (reply.status, list(reply.errors)) == (422, ["disable_after"])
