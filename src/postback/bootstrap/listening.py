"""The API's port: taken before anything else, answered by uvicorn, and called by no postback."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

import uvicorn

from postback.api.publish import Publish
from postback.bootstrap.protocol import protocol_of
from postback.bootstrap.started import CannotStart
from postback.domain import databases
from postback.settings import Address, Settings

BACKLOG: Final = 4096
IDLE_CONNECTION_S: Final = 75
REQUESTS_END_S: Final = 2
"""How long requests under way may take at the end."""


class Api(uvicorn.Server):
    """uvicorn on our loop; signals are for the whole process, not for it."""

    def __init__(self, app: Any, publish: Publish | None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools" if publish is None else protocol_of(publish),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=IDLE_CONNECTION_S,
                timeout_graceful_shutdown=REQUESTS_END_S,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def ready(self) -> None:
        while not self.started:
            await asyncio.sleep(0.005)


@contextlib.contextmanager
def listening(listen: Address, setting: str) -> Iterator[socket.socket]:
    """Take the port before anything else is touched: a second server on it gets a clear word at once. `setting` names it."""
    family, address = found_at(listen)
    with socket.socket(family, socket.SOCK_STREAM) as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(address)
        except OSError as error:
            raise refused(listen, setting, error) from error
        found.setblocking(False)
        yield found


def found_at(listen: Address) -> tuple[socket.AddressFamily, Any]:
    """The family and the address that a socket is bound to."""
    family, _, _, _, address = socket.getaddrinfo(*listen, type=socket.SOCK_STREAM)[0]
    return family, address


def refused(listen: Address, setting: str, error: OSError) -> CannotStart:
    return CannotStart(
        f"cannot listen on {listen}: {os.strerror(error.errno or 0)}; choose another address with {setting}"
    )


def own_addresses(settings: Settings) -> frozenset[tuple[Any, int]]:
    """Where we and our database listen: a postback to ourselves could go round for ever, and one to the database is none."""
    found = _of_ours(settings.listen)
    if settings.worker_listen is not None:
        found |= _of_ours(settings.worker_listen)
    if settings.is_on_a_server:
        for name, database_port in databases.hosts(settings.database, os.environ):
            found |= {(address, database_port) for address in _of_database(name)}
    return frozenset(found)


def _of_ours(listen: Address) -> set[tuple[Any, int]]:
    host, port = listen
    hosts = {"127.0.0.1", "::1"} if host == "localhost" else {host}
    if listen.is_every:
        hosts |= _addresses_of_this_machine()
    return {(ip_address(one), port) for one in hosts}


def _of_database(name: str) -> set[IPv4Address | IPv6Address]:
    """The addresses behind a name, as they are now; one on this machine may be reached by all of the machine's."""
    found = {ip_address(one) for one in _addresses_of(name)}
    if any(one.is_loopback for one in found):
        found |= {IPv4Address(0), *map(ip_address, _addresses_of_this_machine())}
    return found


def _addresses_of_this_machine() -> set[str]:
    """As its own name says; a machine whose name nobody knows has none to add."""
    return _addresses_of(socket.gethostname())


def _addresses_of(name: str) -> set[str]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {str(address[0]).partition("%")[0] for *_, address in found}
