"""From a host to a connection that may carry a request: resolve, check, connect, shake hands."""

import asyncio
import ssl
from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from postback.domain.urls import ip_literal
from postback.domain.wire import Destination
from postback.transport.connection import Connection, HostKey, Owner
from postback.transport.exchange import Exchange, Phase
from postback.transport.failures import CannotReach, lost, none_connected, not_connected
from postback.transport.guard import Guard
from postback.transport.resolver import Resolver
from postback.transport.tls import Sessions, TlsConnection
from postback.transport.turns import Turns

NEXT_ADDRESS_S: Final = 0.25
WINNERS_MAX: Final = 10_000


class Dialer:
    """Opens connections; every one of them goes through the guard and through `_open`, the one door."""

    def __init__(
        self, owner: Owner, resolver: Resolver, guard: Guard, context: ssl.SSLContext, *, keep_answer: int
    ) -> None:
        self._owner = owner
        self._resolver = resolver
        self._guard = guard
        self._context = context
        self._keep_answer = keep_answer
        self._loop = asyncio.get_running_loop()
        self._sessions = Sessions()
        self._turns = Turns(self._loop)
        self._winners: OrderedDict[HostKey, str] = OrderedDict()

    async def dial(self, exchange: Exchange) -> Connection:
        """A fresh connection to the exchange's destination, or CannotReach; its phase and times are kept on the way."""
        destination = exchange.request.destination
        key = key_of(destination)
        addresses = await self._addresses(exchange, destination.host)
        self._guard.check(destination.host, addresses, destination.port)
        if destination.scheme == "http":
            return await self._connect(exchange, key, addresses)
        exchange.wait(self._loop.time())
        place = await self._turns.begin(destination.asker, key)
        try:
            exchange.go_on(self._loop.time())
            return await self._connect(exchange, key, addresses)
        finally:
            self._turns.end(place)

    async def _connect(self, exchange: Exchange, key: HostKey, addresses: Sequence[str]) -> Connection:
        exchange.phase = Phase.CONNECTING
        connecting = self._loop.time()
        address, connection = await self._first(self._in_turn(key, addresses), key)
        self._remember(key, address)
        connected = self._loop.time()
        exchange.connect_s = connected - connecting
        if isinstance(connection, TlsConnection):
            exchange.phase = Phase.HANDSHAKING
            await connection.shake_hands()
            exchange.tls_s = self._loop.time() - connected
            exchange.certificate_ends_ms = connection.certificate_ends_ms()
        if not connection.is_usable():
            raise lost(None)
        return connection

    async def _addresses(self, exchange: Exchange, host: str) -> Sequence[str]:
        if ip_literal(host) is not None:
            return [host]
        started = self._loop.time()
        addresses = await self._resolver.resolve(host, exchange.request.destination.asker)
        exchange.dns_s = self._loop.time() - started
        return addresses

    def _in_turn(self, key: HostKey, addresses: Sequence[str]) -> list[str]:
        """The one that worked last first, then the families in alternation (RFC 8305)."""
        winner = self._winners.get(key)
        first = winner if winner is not None and winner in addresses else addresses[0]
        same = [address for address in addresses if (":" in address) == (":" in first) and address != first]
        other = [address for address in addresses if (":" in address) != (":" in first)]
        return [first] + [address for pair in zip_longest(other, same) for address in pair if address is not None]

    async def _first(self, addresses: Sequence[str], key: HostKey) -> tuple[str, Connection]:
        """The first address that connects; each has NEXT_ADDRESS_S before the next is tried beside it."""
        if len(addresses) == 1:
            return addresses[0], await self._open(addresses[0], key)
        waiting = deque(addresses)
        dialing: dict[asyncio.Task[Connection], str] = {}
        failures: list[CannotReach] = []
        try:
            while waiting or dialing:
                if waiting:
                    address = waiting.popleft()
                    dialing[self._loop.create_task(self._open(address, key))] = address
                head_start_s = NEXT_ADDRESS_S if waiting else None
                done, _ = await asyncio.wait(dialing, timeout=head_start_s, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    address = dialing.pop(task)
                    try:
                        return address, task.result()
                    except CannotReach as failure:
                        failures.append(failure)
        finally:
            for task in dialing:
                task.add_done_callback(_close_late)
                task.cancel()
        raise none_connected(failures)

    async def _open(self, address: str, key: HostKey) -> Connection:
        """The one door to the network, to exactly the address that was checked; a proxy for egress would stand here."""
        try:
            _, connection = await self._loop.create_connection(lambda: self._make(key), address, key[2])
        except OSError as error:
            raise not_connected(address, key[2], error) from error
        # Not earlier: a connection whose making was cancelled is closed by the loop, and uvloop tells nobody.
        if connection.is_usable():
            self._owner.opened(connection)
        return connection

    def _make(self, key: HostKey) -> Connection:
        if key[0] == "http":
            return Connection(self._owner, key, self._keep_answer, self._loop.time)
        return TlsConnection(
            self._owner,
            key,
            self._keep_answer,
            self._loop.time,
            context=self._context,
            sessions=self._sessions,
            turns=self._turns,
        )

    def _remember(self, key: HostKey, address: str) -> None:
        self._winners[key] = address
        self._winners.move_to_end(key)
        if len(self._winners) > WINNERS_MAX:
            self._winners.popitem(last=False)


def key_of(destination: Destination) -> HostKey:
    return (destination.scheme, destination.host, destination.port)


def _close_late(task: asyncio.Task[Connection]) -> None:
    """It connected after another address had won, or after nobody waited any more."""
    if not task.cancelled() and task.exception() is None:
        task.result().abort()
