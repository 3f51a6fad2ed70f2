"""Receivers that give back what they were given: nothing that is a secret of the config is kept with their answers."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from postback.domain.addresses import AddressRules, networks
from postback.domain.configs import BasicAuth, PostbackConfig, SigningSecret
from postback.domain.deliveries import Settlement
from postback.domain.policy import RetryPolicy
from postback.domain.wire import Answered, Outcome, Reason, Request, Timings, Unreachable
from postback.engine.attempt import Attempter, destination_of
from postback.engine.echoes import SHORTEST, secrets_of
from postback.transport.guard import Guard
from postback.transport.sender import HttpSender
from tests.build import NOON, a_claim, a_config, answered
from tests.engine.scene import Scene
from tests.receivers import Behaviour, Visit, answer, receiving
from tests.transport.posting import Names

pytestmark = pytest.mark.anyio

SIGNING = "whsec_c2VjcmV0K3dpdGgvc2xhc2hlc/v//vv//vv//vv//vv//vv//vv//g=="
OLDER = "whsec_dGhlIG9sZGVyIG9uZSB0aGF0IHN0aWxsIHNpZ25z"
PASSWORD, TOKEN, API_KEY = 'p/ss"w+rd-canary', "canary-token-4711", "canary/key+=="
BASIC = "aG9va3VzZXI6cC9zcyJ3K3JkLWNhbmFyeQ=="


@pytest.fixture
def anyio_backend() -> str:
    """In real time, for the one test with a real receiver."""
    return "asyncio"


def a_secretive_config(**changes: object) -> PostbackConfig:
    return a_config(
        **{
            "format": "json",
            "signing_secrets": (SigningSecret(SIGNING), SigningSecret(OLDER, NOON + 1000)),
            "basic_auth": BasicAuth("hookuser", PASSWORD),
            "headers": {"X-Api-Key": API_KEY, "X-Auth-Token": f"Bearer {TOKEN}", "X-Customer": "canary-customer"},
            **changes,
        }
    )


def kept(config: PostbackConfig, gives_back: Callable[[Request], Outcome]) -> Settlement:
    """What is settled after an attempt whose receiver answers so."""

    class AtOnce:
        def send(self, request: Request, answered_with: Callable[[Outcome], None]) -> None:
            answered_with(gives_back(request))

        async def close(self, grace_s: float) -> None:
            raise NotImplementedError

    settled: list[Settlement] = []
    attempter = Attempter(AtOnce(), lambda: NOON, lambda: 0.0, lambda _: None)
    attempter.start(a_claim(), config, destination_of(config), settled.append)
    return settled[0]


def kept_answer(body: bytes = b"", config: PostbackConfig | None = None, **changes: object) -> Answered:
    outcome = kept(config or a_secretive_config(), lambda _: answered(500, body=body, **changes)).outcome
    assert isinstance(outcome, Answered)
    return outcome


def signature_of(request: Request) -> str:
    return dict(request.headers)["webhook-signature"]


@pytest.mark.parametrize(
    "secret",
    [SIGNING, SIGNING.removeprefix("whsec_"), OLDER, PASSWORD, BASIC, f"Basic {BASIC}", API_KEY, TOKEN],
    ids=["signing", "its key", "the older one", "password", "basic", "authorization", "header", "token"],
)
def test_103_a_secret_is_masked_however_it_is_written(secret: str) -> None:
    in_json = json.dumps(secret)
    ways = [secret, in_json, in_json.replace("/", "\\/"), in_json.replace("+", "\\u002B"), quote(secret, safe="")]
    bare = secret.removeprefix("Basic ")
    for way in ways:
        body = kept_answer(f"before {way} after".encode()).body.decode()

        assert "***" in body
        assert body.startswith("before ")
        assert body.endswith(" after")
        for spelled in (bare, json.dumps(bare)[1:-1].replace("/", "\\/"), quote(bare, safe="")):
            assert spelled not in body


@pytest.mark.parametrize(
    "way",
    [
        "p&amp;s&lt;w &#x27;&quot;é",
        "p&amp;s&lt;w '\"é",
        "p&amp;s&lt;w &#39;&#34;é",
        "p&amp;s&lt;w &#039;&quot;é",
        "p%26s%3Cw+%27%22%C3%A9",
        '{"password": "p&s<w \'\\"é"}',
        '{"password": "p\\u0026s\\u003cw \'\\"\\u00e9"}',
    ],
    ids=["Python", "without quotes", "Go", "PHP", "a form", "JSON as it is", "JSON for a page"],
)
def test_103_a_secret_is_masked_on_a_page_that_shows_it(way: str) -> None:
    config = a_secretive_config(basic_auth=BasicAuth("hookuser", "p&s<w '\"é"))

    body = kept_answer(f"<h1>401</h1> {way}".encode(), config).body.decode()

    assert "***" in body
    assert "s&lt;w" not in body
    assert "é" not in body


def test_103_both_signatures_of_a_request_are_masked() -> None:
    seen: list[str] = []

    def gives_back(request: Request) -> Outcome:
        seen.extend(signature_of(request).split())
        return answered(200, body=json.dumps(dict(request.headers)).encode(), headers=[(b"x-sent", seen[1].encode())])

    outcome = kept(a_secretive_config(), gives_back).outcome

    assert isinstance(outcome, Answered)
    assert len(seen) == 2
    for signature in seen:
        assert signature.removeprefix("v1,").encode() not in outcome.body
    assert b'"webhook-signature": "v1,*** v1,***"' in outcome.body
    assert b'"webhook-id": "evt_' in outcome.body
    assert outcome.headers == [(b"x-sent", b"v1,***")]


def test_103_headers_of_the_answer_are_masked_also_where_it_has_no_body() -> None:
    headers = [(b"server", b"nginx"), (b"x-echo", b"Basic " + BASIC.encode()), (b"x-more", API_KEY.encode())]

    outcome = kept_answer(headers=headers)

    assert outcome.headers == [(b"server", b"nginx"), (b"x-echo", b"Basic ***"), (b"x-more", b"***")]


def test_103_a_signature_in_a_header_is_masked_also_where_the_answer_has_no_body() -> None:
    outcome = kept(
        a_secretive_config(), lambda request: answered(200, headers=[(b"x-echo", signature_of(request).encode())])
    ).outcome

    assert isinstance(outcome, Answered)
    assert outcome.headers == [(b"x-echo", b"v1,*** v1,***")]


@pytest.mark.parametrize("length", range(SHORTEST, len(TOKEN)))
def test_103_an_answer_that_is_cut_within_a_secret_keeps_nothing_of_it(length: int) -> None:
    cut = f"token: {TOKEN[:length]}".encode()

    assert kept_answer(cut, truncated=True).body == b"token: ***"
    # One that is whole only looks like it.
    assert kept_answer(cut).body == cut


def test_103_what_is_no_secret_is_kept_as_it_came() -> None:
    body = b"X-Customer: canary-customer, hookuser, https://127.0.0.1/receiver, \xff\x00 canary"
    config = a_secretive_config(
        basic_auth=BasicAuth("hookuser", "abc"), headers={"X-Api-Key": "1", "X-Customer": "canary-customer"}
    )

    # A password of three letters stands in every other text.
    assert kept_answer(body + b" abc 1", config).body == body + b" abc 1"
    assert kept_answer(body, a_config()).body == body


def test_103_what_was_decided_is_decided_by_what_came() -> None:
    """Masking comes last: a Retry-After that holds a secret, of all things, is still obeyed."""
    config = a_secretive_config(headers={"X-Api-Key": "86400"}, retry=RetryPolicy(2, (60,)))

    settlement = kept(config, lambda _: answered(503, headers=[(b"retry-after", b"86400")]))

    assert settlement.wait_ms == 86_400_000
    assert isinstance(settlement.outcome, Answered)
    assert settlement.outcome.headers == [(b"retry-after", b"***")]


def test_103_no_answer_is_left_as_it_is() -> None:
    silent = Unreachable(Reason.RESPONSE_TIMEOUT, "silent", Timings())

    assert kept(a_secretive_config(), lambda _: silent).outcome is silent


def test_103_an_answer_in_which_nothing_is_secret_is_not_even_copied() -> None:
    plain = answered(200, headers=[(b"server", b"nginx")])
    with_body = answered(200, headers=[(b"server", b"nginx")], body=b"thank you")

    assert kept(a_secretive_config(), lambda _: plain).outcome is plain
    assert kept(a_config(), lambda _: with_body).outcome is with_body
    assert secrets_of(a_config()) == ()


async def test_103_nothing_of_an_echo_is_in_the_log_nor_in_the_file(scene: Scene, tmp_path: Path) -> None:
    seen: list[str] = []
    async with receiving(echoing(seen)) as receiver:
        scene.sender = HttpSender(Names(), Guard(AddressRules(networks(["127.0.0.0/8"]))))
        config = a_secretive_config(signing_secrets=(SigningSecret(SIGNING), SigningSecret(OLDER, NOON * 2)))
        changes = ("format", "signing_secrets", "basic_auth", "headers")
        await scene.add_config(
            0, url=receiver.url, retry=RetryPolicy(), **{name: getattr(config, name) for name in changes}
        )
        await scene.start()
        [event] = await scene.publish()
        await scene.rest(within_s=8)
        [row] = await scene.attempts(event)
        await scene.stop()

    assert len(seen) == 3
    assert b"canary-customer" in row.answer_body
    assert row.answer_body.count(b"***") >= 5
    stored = b"".join(path.read_bytes() for path in Path(scene.store.path).parent.iterdir())
    assert b"canary-customer" in stored
    for secret in (SIGNING, OLDER, PASSWORD, BASIC, API_KEY, TOKEN, *(part.removeprefix("v1,") for part in seen[:2])):
        for spelled in (secret, json.dumps(secret)[1:-1]):
            assert spelled.encode() not in stored, secret


def echoing(seen: list[str]) -> Behaviour:
    """Answers with a failure that holds all of the request, as debugging receivers do."""

    async def behave(visit: Visit) -> None:
        received = await visit.request()
        seen.extend([*received.headers["webhook-signature"].split(), received.headers["authorization"]])
        body = json.dumps({"headers": received.headers, "body": received.body.decode()}).encode()
        echoed = [("x-got-authorization", received.headers["authorization"])]
        await visit.say(answer(500, body, headers=echoed))

    return behave
