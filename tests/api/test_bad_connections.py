"""What goes wrong below HTTP: bodies that lie, stall or never end, through a real server and a plain socket."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import pytest
import uvicorn

from postback.api.app import build
from tests.api.client import OPERATOR, Api, open_api
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio

STALLED_S = 0.4
CLOSE = "Connection: close"
EVENT = b'{"event":{"type":"a.b","data":{}}}'


@dataclass
class Server:
    api: Api
    port: int

    async def speak(self, *parts: bytes, pause_s: float = 0) -> bytes:
        """Everything that the server says until it closes the connection, which it must do soon."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        said = b""
        try:
            async with asyncio.timeout(5), asyncio.TaskGroup() as group:
                writing = group.create_task(_write(writer, parts, pause_s))
                # It may close while more is on the way.
                with suppress(ConnectionError):
                    while part := await reader.read(1 << 16):
                        said += part
                writing.cancel()
        finally:
            writer.close()
        return said


async def _write(writer: asyncio.StreamWriter, parts: Sequence[bytes], pause_s: float) -> None:
    with suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)


@pytest.fixture
async def server(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Server]:
    api = await open_api(tmp_path, ClockDouble(), stalled_body_s=STALLED_S, max_body=100_000, max_batch=1_000_000)
    config = uvicorn.Config(
        build(api.services), port=0, http="httptools", lifespan="off", proxy_headers=False, log_config=None
    )
    running = uvicorn.Server(config)
    serving = asyncio.create_task(running.serve())
    while not running.started:
        await asyncio.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield Server(api, port)
    running.should_exit = True
    await serving
    await api.store.close()


def head(*headers: str, method: str = "POST", target: str = "/v2/events") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: x", f"Authorization: Bearer {OPERATOR}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def status(said: bytes) -> int:
    return int(said.split(b" ", 2)[1])


async def accepted(server: Server) -> int:
    return len((await server.api.client.get("/v2/events")).json["events"])


async def test_a_plain_request_passes(server: Server) -> None:
    said = await server.speak(head(f"Content-Length: {len(EVENT)}", CLOSE), EVENT)

    assert status(said) == 202
    assert await accepted(server) == 1


@pytest.mark.parametrize("target", ["/v2/events", "/v2/locations"])
async def test_17_a_body_without_length_is_read_little_beyond_the_limit(server: Server, target: str) -> None:
    chunk = b"8000\r\n" + b'{"location":{"name":"' + b"x" * (0x8000 - 21) + b"\r\n"

    said = await server.speak(head("Transfer-Encoding: chunked", target=target), *[chunk] * 60)

    assert status(said) == 413
    assert b"connection: close" in said.lower()


@pytest.mark.parametrize("target", ["/v2/events", "/v2/locations"])
async def test_18_a_length_of_two_gigabytes_is_refused_before_it_is_read(server: Server, target: str) -> None:
    said = await server.speak(head("Content-Length: 2000000000", target=target), b"{")

    assert status(said) == 413
    assert b"connection: close" in said.lower()


async def test_18_one_event_is_not_let_grow_to_the_length_of_a_batch(server: Server) -> None:
    said = await server.speak(head("Content-Length: 900000"), b'{"event":{"type":"a.b","data":{"x":"' + b"y" * 300)

    assert status(said) == 413


async def test_19_an_upload_without_end_is_a_408(server: Server) -> None:
    drips = [b"1\r\n{\r\n"] + [b"1\r\n \r\n"] * 30

    said = await server.speak(head("Transfer-Encoding: chunked"), *drips, pause_s=STALLED_S / 10)

    assert status(said) == 408
    assert b"body_stalled" in said
    assert b"connection: close" in said.lower()


async def test_19_a_body_that_stops_halfway_is_a_408(server: Server) -> None:
    said = await server.speak(head("Content-Length: 100", target="/v2/locations"), b'{"location":')

    assert status(said) == 408


async def test_19_a_slow_body_that_comes_on_is_read_to_its_end(server: Server) -> None:
    data = b'{"event":{"type":"a.b","data":{"x":"' + b"y" * 60_000 + b'"}}}'
    parts = [data[start : start + 8_000] for start in range(0, len(data), 8_000)]

    said = await server.speak(head(f"Content-Length: {len(data)}", CLOSE), *parts, pause_s=STALLED_S / 4)

    assert status(said) == 202


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity", "gzip, gzip"])
async def test_20_an_encoded_body_is_a_415_and_never_inflated(server: Server, encoding: str) -> None:
    bomb = gzip.compress(b"{" + b" " * 20_000_000)
    started = process_time()

    said = await server.speak(head(f"Content-Encoding: {encoding}", f"Content-Length: {len(bomb)}", CLOSE), bomb)

    assert status(said) == 415
    assert b"unsupported_media_type" in said
    assert process_time() - started < 0.5


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 34", "Transfer-Encoding: chunked"),
        ("Content-Length: 34", "Content-Length: 35"),
        ("Content-Length: -1",),
        ("Content-Length: +34",),
        ("Content-Length: 34 34",),
        ("Content-Length: " + "9" * 30,),
        ("Transfer-Encoding: chunked, gzip",),
        ("X-A: a\r\n b",),
        ("X-A : a",),
        ("X-A: a\x00b",),
    ],
)
async def test_21_framing_that_can_be_read_in_two_ways_is_refused_and_the_connection_closed(
    server: Server, headers: tuple[str, ...]
) -> None:
    said = await server.speak(head(*headers), EVENT)

    assert status(said) in {400, 413}
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in said.lower()
    assert await accepted(server) == 0


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "json", ""]
)
async def test_a_body_of_another_type_is_a_415(server: Server, content_type: str) -> None:
    for target in ("/v2/events", "/v2/locations"):
        said = await server.speak(
            head(f"Content-Type: {content_type}", f"Content-Length: {len(EVENT)}", CLOSE, target=target),
            EVENT,
        )
        assert status(said) == 415


@pytest.mark.parametrize("content_type", ["application/json", 'Application/JSON; charset="UTF-8"', "application/json;"])
async def test_json_is_known_in_every_spelling(server: Server, content_type: str) -> None:
    said = await server.speak(head(f"Content-Type: {content_type}", f"Content-Length: {len(EVENT)}", CLOSE), EVENT)

    assert status(said) == 202


async def test_one_who_goes_away_halfway_leaves_nothing(server: Server) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head("Content-Length: 500") + b'{"event":')
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    said = await server.speak(head(f"Content-Length: {len(EVENT)}", CLOSE), EVENT)

    assert status(said) == 202
    assert await accepted(server) == 1


async def test_head_has_no_body(server: Server) -> None:
    said = await server.speak(head(CLOSE, method="HEAD", target="/health"))

    assert status(said) == 200
    assert said.endswith(b"\r\n\r\n")
