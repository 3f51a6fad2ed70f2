"""Signing secrets through the API: made, shown once, kept, rotated, and never taken along to another server."""

from base64 import b64encode
from typing import Any

import pytest

from postback.domain.configs import SigningSecret
from postback.domain.ids import parse
from postback.formats.signing import key_of, secret_text
from tests.api.client import Api, Client, Reply
from tests.build import ACCOUNT
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:9000/receiver"
ELSEWHERE = "http://127.0.0.1:9001/receiver"
OWN = secret_text(b"an owner's own key, 32 bytes long")
OTHER = secret_text(b"another key of the owner, long enough")


async def a_config(client: Client, **fields: Any) -> dict[str, Any]:
    sent = {"url": URL, "event_types": ["*"], "format": "json", **fields}
    reply = await client.post("/v2/postbackconfigs", {"postbackconfig": sent})
    assert reply.status == 201, reply.body
    config: dict[str, Any] = reply.json["postbackconfig"]
    return config


async def change(client: Client, config: dict[str, Any], **fields: Any) -> dict[str, Any]:
    reply = await put(client, config, **fields)
    assert reply.status == 200, reply.body
    changed: dict[str, Any] = reply.json["postbackconfig"]
    return changed


async def put(client: Client, config: dict[str, Any], **fields: Any) -> Reply:
    return await client.put(f"/v2/postbackconfigs/{config['id']}", {"postbackconfig": fields})


async def rotate(client: Client, config: dict[str, Any], body: Any = b"") -> Reply:
    return await client.post(f"/v2/postbackconfigs/{config['id']}/rotate-secret", body)


async def kept(api: Api, config: dict[str, Any]) -> tuple[SigningSecret, ...]:
    found = await api.services.configs.find(ACCOUNT, parse("pbc", config["id"]))
    return found.signing_secrets


async def test_json_gets_a_secret_that_is_shown_once(api: Api, client: Client) -> None:
    config = await a_config(client)

    shown = await client.get(f"/v2/postbackconfigs/{config['id']}?expand=state,policy")
    listed = await client.get("/v2/postbackconfigs")
    paused = await client.post(f"/v2/postbackconfigs/{config['id']}/pause")
    changed = await put(client, config, name="x")

    secret = config["signing_secret"]
    assert len(key_of(secret)) == 32
    assert shown.json["postbackconfig"]["signing_secret"] == "***"
    for reply in (shown, listed, paused, changed):
        assert secret.encode() not in reply.body
    assert await kept(api, config) == (SigningSecret(secret),)
    assert (await a_config(client))["signing_secret"] != secret


async def test_cloudevents_is_signed_only_with_a_secret_that_the_owner_sends(api: Api, client: Client) -> None:
    unsigned = await a_config(client, format="cloudevents")
    signed = await a_config(client, format="cloudevents", signing_secret=OWN)

    assert "signing_secret" not in unsigned
    assert signed["signing_secret"] == OWN
    assert (await kept(api, unsigned), await kept(api, signed)) == ((), (SigningSecret(OWN),))


@pytest.mark.parametrize(
    "secret",
    [
        "", "secret", "whsec_", "whsec_!!!!", OWN[:-1], OWN + "=", OWN.upper(), f" {OWN}", 5, ["whsec_"],
        "whsec_" + b64encode(b"x" * 23).decode(), "whsec_" + b64encode(b"x" * 65).decode(), "whsec_" + "é" * 40,
    ],
)  # fmt: skip
async def test_what_is_no_signing_secret_is_refused_and_never_shown(client: Client, secret: Any) -> None:
    fields = {"url": URL, "event_types": ["*"], "format": "json", "signing_secret": secret}

    reply = await client.post("/v2/postbackconfigs", {"postbackconfig": fields})

    assert list(reply.errors) == ["signing_secret"]
    assert OWN[10:30] not in reply.errors["signing_secret"][0]


@pytest.mark.parametrize("chosen", ["api-default", "xml", "sms-callback"])
async def test_a_format_that_does_not_sign_takes_no_secret(client: Client, chosen: str) -> None:
    fields = {"url": URL, "event_types": ["sms.*"], "format": chosen, "signing_secret": OWN}

    errors = (await client.post("/v2/postbackconfigs", {"postbackconfig": fields})).errors

    assert list(errors) == ["signing_secret"]
    assert "json or cloudevents" in errors["signing_secret"][0]


async def test_a_change_keeps_the_secret_silently_by_stars_and_by_itself(api: Api, client: Client) -> None:
    config = await a_config(client, signing_secret=OWN)

    silent = await change(client, config, url=f"{URL}/elsewhere")
    starred = await change(client, config, signing_secret="***")
    itself = await change(client, config, signing_secret=OWN)
    signed_otherwise = await change(client, config, format="cloudevents")

    for shown in (silent, starred, itself, signed_otherwise):
        assert shown["signing_secret"] == "***"
    assert await kept(api, config) == (SigningSecret(OWN),)


async def test_another_secret_takes_the_place_of_all_before_it(api: Api, client: Client) -> None:
    config = await a_config(client)
    await rotate(client, config)

    changed = await change(client, config, signing_secret=OWN)

    assert changed["signing_secret"] == OWN
    assert await kept(api, config) == (SigningSecret(OWN),)


async def test_null_removes_a_secret_and_json_gets_a_new_one(api: Api, client: Client) -> None:
    plain = await a_config(client, format="cloudevents", signing_secret=OWN)
    always = await a_config(client, signing_secret=OWN)

    removed = await change(client, plain, signing_secret=None)
    replaced = await change(client, always, signing_secret=None)

    assert "signing_secret" not in removed
    assert await kept(api, plain) == ()
    assert replaced["signing_secret"] not in ("***", OWN)
    assert await kept(api, always) == (SigningSecret(replaced["signing_secret"]),)


async def test_a_secret_comes_and_goes_with_the_format(api: Api, client: Client) -> None:
    config = await a_config(client, format="api-default")

    signed = await change(client, config, format="json")
    unsigned = await change(client, config, format="api-default")

    assert signed["signing_secret"].startswith("whsec_")
    assert "signing_secret" not in unsigned
    assert await kept(api, config) == ()


async def test_stars_for_a_secret_that_is_not_there_are_refused(client: Client) -> None:
    config = await a_config(client, format="cloudevents")
    fields = {"url": URL, "event_types": ["*"], "format": "json", "signing_secret": "***"}

    replies = [
        await client.post("/v2/postbackconfigs", {"postbackconfig": fields}),
        await put(client, config, signing_secret="***"),
    ]

    assert [list(reply.errors) for reply in replies] == [["signing_secret"]] * 2


@pytest.mark.parametrize("chosen", ["json", "cloudevents"])
@pytest.mark.parametrize("sent", [{}, {"signing_secret": "***"}])
@pytest.mark.parametrize("url", [ELSEWHERE, "http://127.0.0.2:9000/receiver", "https://127.0.0.1:9000/receiver"])
async def test_on_the_way_to_another_server_the_secret_is_replaced_and_shown_once(
    api: Api, client: Client, chosen: str, sent: dict[str, Any], url: str
) -> None:
    config = await a_config(client, format=chosen, signing_secret=OWN)
    await rotate(client, config)

    changed = await change(client, config, url=url, **sent)

    new = changed["signing_secret"]
    assert new not in ("***", OWN)
    assert await kept(api, config) == (SigningSecret(new),)
    assert (await change(client, config, name="x"))["signing_secret"] == "***"


async def test_a_secret_that_is_sent_with_another_server_is_taken(api: Api, client: Client) -> None:
    config = await a_config(client, signing_secret=OWN)

    await change(client, config, url=ELSEWHERE, signing_secret=OTHER)

    assert await kept(api, config) == (SigningSecret(OTHER),)


async def test_a_config_without_a_secret_gets_none_by_going_elsewhere(client: Client) -> None:
    config = await a_config(client, format="cloudevents")

    assert "signing_secret" not in await change(client, config, url=ELSEWHERE)


async def test_a_rotation_shows_the_new_secret_and_lets_the_old_one_sign_for_a_while(
    api: Api, client: Client, clock: ClockDouble
) -> None:
    config = await a_config(client)

    by_default = (await rotate(client, config)).json
    clock.pass_(seconds=60)
    with_overlap = (await rotate(client, config, {"overlap": 3600})).json

    assert list(by_default) == list(with_overlap) == ["signing_secret"]
    assert sorted(await kept(api, config), key=lambda secret: secret.expires_ms or 0) == [
        SigningSecret(with_overlap["signing_secret"]),
        SigningSecret(by_default["signing_secret"], clock() + 3_600_000),
        SigningSecret(config["signing_secret"], clock() + 3_600_000),
    ]
    assert (await kept(api, config))[0].text == with_overlap["signing_secret"]
    assert (await change(client, config, name="x"))["signing_secret"] == "***"


async def test_without_an_overlap_the_old_secret_signs_no_more(api: Api, client: Client) -> None:
    config = await a_config(client)

    new = (await rotate(client, config, {"overlap": 0})).json["signing_secret"]

    assert await kept(api, config) == (SigningSecret(new),)


async def test_a_secret_that_became_known_ends_with_all_before_it_by_one_rotation(api: Api, client: Client) -> None:
    """Rotated with an overlap, then found to have leaked: the first one went on signing for the rest of its day."""
    config = await a_config(client)
    await rotate(client, config)

    new = (await rotate(client, config, {"overlap": 0})).json["signing_secret"]

    assert await kept(api, config) == (SigningSecret(new),)


async def test_a_longer_overlap_prolongs_no_earlier_secret(api: Api, client: Client, clock: ClockDouble) -> None:
    config = await a_config(client)
    await rotate(client, config, {"overlap": 100})

    await rotate(client, config, {"overlap": 5000})

    ends = {secret.text: secret.expires_ms for secret in await kept(api, config)}
    assert ends[config["signing_secret"]] == clock() + 100_000


async def test_what_has_ended_is_forgotten(api: Api, client: Client, clock: ClockDouble) -> None:
    config = await a_config(client)
    await rotate(client, config, {"overlap": 10})

    clock.pass_(seconds=10)
    new = (await rotate(client, config, {"overlap": 20})).json["signing_secret"]
    clock.pass_(seconds=20)
    await change(client, config, name="x")

    assert await kept(api, config) == (SigningSecret(new),)


async def test_at_most_five_secrets_live_and_those_that_would_end_first_go_first(api: Api, client: Client) -> None:
    config = await a_config(client)

    replies = [await rotate(client, config, {"overlap": overlap}) for overlap in (600, 100, 500, 400, 300)]

    first, second, third, fourth, fifth = (reply.json["signing_secret"] for reply in replies)
    secrets = await kept(api, config)
    assert secrets[0] == SigningSecret(fifth)
    assert {secret.text for secret in secrets} == {first, second, third, fourth, fifth}
    assert config["signing_secret"] not in {secret.text for secret in secrets}


async def test_a_config_without_a_secret_has_nothing_to_rotate(api: Api, client: Client) -> None:
    unsigned = await a_config(client, format="cloudevents")
    unsignable = await a_config(client, format="api-default")

    for config, words in ((unsigned, "no signing secret"), (unsignable, "json or cloudevents")):
        reply = await rotate(client, config)
        assert (reply.status, reply.code) == (409, "conflict")
        assert words in reply.message


@pytest.mark.parametrize("body", [{"overlap": -1}, {"overlap": 604_801}, {"overlap": "60"}, {"overlap": 1.5}])
async def test_an_overlap_is_seconds_of_up_to_a_week(client: Client, body: Any) -> None:
    config = await a_config(client)

    assert list((await rotate(client, config, body)).errors) == ["overlap"]
    assert (await rotate(client, config, {"overlap": 604_800})).status == 200


async def test_a_rotation_takes_nothing_else(client: Client) -> None:
    config = await a_config(client)

    assert list((await rotate(client, config, {"signing_secret": OWN})).errors) == ["signing_secret"]
    assert (await rotate(client, config, [1])).status == 400
    assert (await rotate(client, config, b"{")).status == 400
    assert (await rotate(client, config, {})).status == 200
