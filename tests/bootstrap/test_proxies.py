"""Whom a request comes from, as proxies say: believed of those that are trusted, and only as far as they can know."""

from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from postback.bootstrap.proxies import behind, seen
from postback.settings.values import proxies
from tests.live import Live

TRUSTED = proxies("10.0.0.0/8, 127.0.0.1/32, fd00::/8")


def said(forwarded_for: str | None = None, proto: str | None = None) -> list[tuple[bytes, bytes]]:
    pairs = [(b"x-forwarded-for", forwarded_for), (b"x-forwarded-proto", proto), (b"forwarded", "for=198.51.100.66")]
    return [(name, value.encode()) for name, value in pairs if value is not None]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("203.0.113.9", "198.51.100.7", None),
        ("127.0.0.1", None, None),
        ("127.0.0.1", "", None),
        # What stands before the first that is not trusted anybody may have written.
        ("127.0.0.1", "8.8.8.8, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "8.8.8.8, 198.51.100.7, 10.0.0.3", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("127.0.0.1", "198.51.100.7, nonsense", None),
        ("127.0.0.1", "nonsense, 10.0.0.2", "10.0.0.2"),
        ("127.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("127.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("127.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("fd00::1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "198.51.100.7 , ", None),
        ("", "198.51.100.7", None),
    ],
)
def test_the_last_address_that_is_no_trusted_proxy_is_who_asks(
    peer: str, forwarded_for: str | None, address: str | None
) -> None:
    assert seen(peer, said(forwarded_for), TRUSTED).address == address


def test_lists_in_several_headers_are_one_list() -> None:
    headers = [(b"x-forwarded-for", b"8.8.8.8"), (b"x-forwarded-for", b"198.51.100.7, 10.0.0.2")]

    assert seen("127.0.0.1", headers, TRUSTED).address == "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "proto", "scheme"),
    [
        ("127.0.0.1", "https", "https"),
        ("127.0.0.1", "HTTPS", "https"),
        ("127.0.0.1", "http", "http"),
        ("127.0.0.1", "http, https", "https"),
        ("127.0.0.1", "gopher", None),
        ("127.0.0.1", None, None),
        ("203.0.113.9", "https", None),
    ],
)
def test_only_a_trusted_proxy_says_whether_it_was_encrypted(peer: str, proto: str | None, scheme: str | None) -> None:
    assert seen(peer, said(proto=proto), TRUSTED).scheme == scheme


@pytest.mark.anyio
async def test_the_application_is_told_of_requests_as_the_proxy_saw_them() -> None:
    told: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.append(scope)

    async def nothing() -> Message:
        return {"type": "http.disconnect"}

    async def nowhere(message: Message) -> None:
        raise AssertionError(message)

    scope: Scope = {
        "type": "http",
        "client": ("127.0.0.1", 5),
        "scheme": "http",
        "headers": said("198.51.100.7", "https"),
    }

    for one in (behind(app, TRUSTED), behind(app, ())):
        await one(scope, nothing, nowhere)
    await behind(app, TRUSTED)({**scope, "client": None}, nothing, nowhere)

    assert [(one["client"], one["scheme"]) for one in told] == [
        (("198.51.100.7", 0), "https"),
        (("127.0.0.1", 5), "http"),
        (None, "http"),
    ]


def test_a_server_goes_by_what_the_proxy_that_its_settings_name_says(tmp_path: Path) -> None:
    with Live(tmp_path, POSTBACK_TRUSTED_PROXIES="127.0.0.0/8") as live:
        headers = {"x-forwarded-for": "8.8.8.8, 198.51.100.7", "x-forwarded-proto": "https"}
        live.made("/v2/locations", {"location": {"name": "Main Street"}}, headers=headers)
        [entry, *_] = live.ask("GET", "/v2/audit?action=location.create").json["audit"]

    assert entry["address"] == "198.51.100.7"
