"""/.well-known/security.txt: whom to tell of a weakness, where the operator has said so."""

from dataclasses import replace
from pathlib import Path

import pytest

from postback import web
from postback.domain.times import unix_ms
from tests.live import Live
from tests.web.pages import Browser, Portal

pytestmark = pytest.mark.anyio

PATH = "/.well-known/security.txt"
YEAR_MS = 365 * 86_400_000


def told(portal: Portal, **changes: object) -> Browser:
    """Somebody who is not signed in, at a portal whose operator named a contact."""
    services = replace(portal.services, security_contact="mailto:security@example.com", **changes)  # type: ignore[arg-type]
    return Browser(web.build(services))


def fields(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines())


async def test_it_names_the_contact_and_an_end_that_moves_along(portal: Portal) -> None:
    anybody = told(portal)

    first = await anybody.get(PATH)
    portal.clock.pass_(seconds=86_400)
    later = await anybody.get(PATH)

    assert first.status == 200
    assert first.headers["content-type"] == "text/plain; charset=utf-8"
    assert fields(first.html)["Contact"] == "mailto:security@example.com"
    ends, later_ends = (unix_ms(fields(page.html)["Expires"]) for page in (first, later))
    assert ends is not None
    assert 86_400_000 < ends - (portal.clock() - 86_400_000) < YEAR_MS
    assert later_ends == ends + 86_400_000


async def test_it_says_where_it_stands_only_where_that_is_encrypted(portal: Portal) -> None:
    encrypted, plain = told(portal), told(portal, base_url="http://127.0.0.1:8080")

    assert fields((await encrypted.get(PATH)).html)["Canonical"] == f"https://api.example{PATH}"
    assert fields((await plain.get(PATH)).html).keys() == {"Contact", "Expires"}


async def test_where_nobody_is_named_there_is_none(stranger: Browser) -> None:
    assert (await stranger.get(PATH)).status == 404


def test_the_operators_setting_names_the_contact(tmp_path: Path) -> None:
    with Live(tmp_path, POSTBACK_SECURITY_CONTACT="https://example.com/report") as live:
        answer = live.ask("GET", PATH, key=None)

    assert answer.status == 200
    assert fields(answer.text)["Contact"] == "https://example.com/report"
