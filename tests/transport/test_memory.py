"""What has ended is gone at once: a connection holds far more memory than the garbage collector knows of."""

import asyncio
import gc
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from postback.domain.policy import Deadlines
from postback.transport.connection import Connection
from postback.transport.tls import client_context
from tests.receivers import answer, answers, closes, greets, never_answers, receiving, resets
from tests.transport.certificates import Authority
from tests.transport.posting import OpenSender, a_request, post_all

pytestmark = pytest.mark.anyio

SOON = Deadlines(connect_s=0.2, response_s=0.2, total_s=0.4)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def trusting(authority: Authority) -> ssl.SSLContext:
    return client_context(str(authority.file))


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(
    "behaviour",
    [closes(answer()), answers(), never_answers, resets(), greets(b"nonsense\r\n\r\n")],
    ids=["closes", "answers", "is silent", "resets", "nonsense"],
)
async def test_a_connection_that_ended_needs_no_collector(
    open_sender: OpenSender,
    authority: Authority,
    trusting: ssl.SSLContext,
    without_collector: None,
    behaviour: object,
    tls: bool,
) -> None:
    sender = open_sender(context=trusting)
    async with receiving(behaviour, tls=authority.server() if tls else None) as receiver:  # type: ignore[arg-type]
        await post_all(sender, [a_request(receiver.url, deadlines=SOON) for _ in range(5)])
        await sender.close(0)
    await nothing_is_under_way()

    assert connections() == 0


async def test_a_handshake_that_failed_needs_no_collector(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext, tmp_path: Path, without_collector: None
) -> None:
    sender = open_sender(context=trusting)
    stranger = Authority(tmp_path, "Stranger")
    async with receiving(answers(), tls=stranger.server()) as untrusted, receiving(greets(b"")) as silent:
        urls = [untrusted.url, f"https://127.0.0.1:{silent.port}/"]
        await post_all(sender, [a_request(url, deadlines=SOON) for url in urls])
        await sender.close(0)
    await nothing_is_under_way()

    assert connections() == 0


def connections() -> int:
    # Of the type itself: some objects that others have made say that they are of another class.
    return sum(issubclass(type(each), Connection) for each in gc.get_objects())


async def nothing_is_under_way() -> None:
    """What the loop still does for them has been done."""
    for _ in range(20):
        await asyncio.sleep(0)
