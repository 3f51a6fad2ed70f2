"""Encrypted connections: who answers is checked, and a connection serves many requests here as well."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postback.client import NotReachable, NotTrusted, Retrying
from tests.client.scripted import Scripted, says
from tests.client.speaking import Speaker
from tests.transport.certificates import Authority

Make = Callable[..., Speaker]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@contextmanager
def encrypted(context: ssl.SSLContext, tls_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Iterator[Scripted]:
    """A server behind TLS: it is a scripted one whose sockets are wrapped before it sees them."""
    context.maximum_version = tls_version

    class Wrapped(Scripted):
        def _serve(self, connection: socket.socket, number: int) -> None:
            try:
                wrapped = context.wrap_socket(connection, server_side=True)
            except OSError:
                connection.close()
                return
            self._open.discard(connection)
            self._open.add(wrapped)
            super()._serve(wrapped, number)

    with Wrapped(says(200, b'{"a": 1}')) as server:
        server.url = server.url.replace("http://127.0.0.1", "https://localhost")
        yield server


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_one_encrypted_connection_serves_many_requests(
    authority: Authority, speaker: Make, version: ssl.TLSVersion
) -> None:
    trusting = ssl.create_default_context(cafile=authority.file)

    with encrypted(authority.server(), version) as server:
        client = speaker(server.url, tls=trusting)
        answers = [client.post("/v2/locations", {"much": "x" * 200_000}) for _ in range(4)]

    assert answers == [{"a": 1}] * 4
    assert server.connections <= 2


@pytest.mark.parametrize("what", ["an authority that nobody knows", "another name", "an old certificate"])
def test_who_is_not_trusted_is_sent_nothing(authority: Authority, speaker: Make, what: str, tmp_path: Path) -> None:
    trusting = None if what == "an authority that nobody knows" else ssl.create_default_context(cafile=authority.file)
    names = ["elsewhere.example"] if what == "another name" else ["localhost"]
    context = authority.server(names, days=-1 if what == "an old certificate" else 30)

    with encrypted(context) as server:
        # Patience would do no good.
        client = speaker(server.url, tls=trusting, retrying=Retrying(times=3, first_wait_s=60))
        with pytest.raises(NotTrusted, match="CERTIFICATE_VERIFY_FAILED") as lost:
            client.post("/v2/locations", {})

    assert not lost.value.may_have_arrived
    assert server.asked == []


def test_a_server_without_encryption_is_not_spoken_to_in_the_clear(speaker: Make) -> None:
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        for _ in range(4):
            connection, _ = listener.accept()
            with connection:
                heard.append(connection.recv(1_000))
                connection.sendall(b"HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=listen)
    thread.start()
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    with listener:
        with pytest.raises(NotReachable):
            speaker(url, "canary-of-24-characters").post("/v2/locations", {})
        thread.join(10)

    assert heard
    assert not any(b"canary" in one for one in heard)
