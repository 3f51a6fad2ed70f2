"""Sends every request there is: over a connection that waits for it, or over a new one; always ends in an outcome."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from postback.domain.wire import Note, Outcome, Reason, Request, Unreachable
from postback.transport.connection import Connection
from postback.transport.dialer import Dialer, key_of
from postback.transport.exchange import Exchange, Phase
from postback.transport.failures import CannotReach
from postback.transport.guard import Guard
from postback.transport.pool import Pool
from postback.transport.resolver import Resolver
from postback.transport.tls import client_context

SWEEP_S: Final = 0.05
"""One timer looks after all deadlines: exact to this, and far cheaper than a timer for each request."""

KEEP_ANSWER: Final = 4096
CLOSING_S: Final = 1.0


class HttpSender:
    """Implements `ports.Sender` on the running loop. It owns the resolver that it is given: `close` closes both."""

    def __init__(
        self,
        resolver: Resolver,
        guard: Guard,
        *,
        context: ssl.SSLContext | None = None,
        keep_answer: int = KEEP_ANSWER,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._resolver = resolver
        self._dialer = Dialer(self, resolver, guard, context or client_context(), keep_answer=keep_answer)
        self._pool = Pool()
        self._under_way: set[Exchange] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_closing = False
        self._changed = asyncio.Event()

    def send(self, request: Request, answered: Callable[[Outcome], None]) -> None:
        """POST it and call `answered` exactly once, on the loop, with what came of it; never raises.

        Over a connection that is there already, this makes no task, no future and no timer.
        """
        now = self._time()
        exchange = Exchange(request, answered, now)
        self._under_way.add(exchange)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(SWEEP_S, self._sweep)
        if self._is_closing:
            self._fail_soon(exchange, CannotReach(Reason.INTERRUPTED, "postback is stopping"))
            return
        connection = self._pool.take(key_of(request.destination))
        if connection is None:
            self._open(exchange)
            return
        try:
            connection.post(exchange, now)
        except ValueError as error:
            self._pool.put(connection)
            self._fail_soon(exchange, self._bug(error))

    async def close(self, grace_s: float) -> None:
        """End: what is still under way after so many seconds is answered as `interrupted`."""
        self._is_closing = True
        await self._until(lambda: not self._under_way, grace_s)
        for exchange in list(self._under_way):
            self._give_up(exchange, Reason.INTERRUPTED, "postback stopped before there was an answer")
        self._pool.close_all()
        for connection in list(self._connections):
            connection.close()
        await asyncio.gather(*self._opening, return_exceptions=True)
        await self._until(lambda: not self._connections, CLOSING_S)
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self._resolver.close()

    # --- connections ---------------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)

    def free(self, connection: Connection) -> None:
        self._pool.put(connection)

    def repeat(self, exchange: Exchange) -> None:
        exchange.note(Note.SENT_AGAIN)
        self._open(exchange)

    def lost(self, connection: Connection) -> None:
        self._pool.remove(connection)
        self._connections.discard(connection)
        self._changed.set()

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        self._under_way.remove(exchange)
        if self._is_closing:
            self._changed.set()
        exchange.answered(outcome)

    def _open(self, exchange: Exchange) -> None:
        exchange.open(self._time())
        task = self._loop.create_task(self._post_on_new(exchange))
        exchange.opening = task
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _post_on_new(self, exchange: Exchange) -> None:
        try:
            connection = await self._dialer.dial(exchange)
            try:
                connection.post(exchange, self._time())
            except BaseException:
                connection.abort()
                raise
        except CannotReach as failure:
            self._fail(exchange, failure)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not leave a delivery without an outcome
            self._fail(exchange, self._bug(error))
        finally:
            # What cancelled it leads back to the exchange.
            exchange.opening = None

    # --- deadlines -----------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        now = self._time()
        self._sweeping = self._loop.call_later(SWEEP_S, self._sweep)
        for exchange in [exchange for exchange in self._under_way if exchange.deadline <= now]:
            self._give_up(exchange, *_missed(exchange))
        self._pool.close_unused(now)
        if not self._under_way and not self._pool:
            self._sweeping.cancel()
            self._sweeping = None

    def _give_up(self, exchange: Exchange, reason: Reason, detail: str) -> None:
        if exchange.connection is not None:
            exchange.connection.give_up(reason, detail)
            return
        if exchange.opening is not None:
            exchange.opening.cancel()
        self._fail(exchange, CannotReach(reason, detail))

    # --- outcomes ------------------------------------------------------------------------------------------------

    def _fail(self, exchange: Exchange, failure: CannotReach) -> None:
        timings = exchange.timings(self._time())
        self.ended(exchange, Unreachable(failure.reason, failure.detail, timings, exchange.notes))

    def _fail_soon(self, exchange: Exchange, failure: CannotReach) -> None:
        """In the next turn of the loop, as every other outcome: whoever calls `send` is not called back within it."""

        def fail() -> None:
            if exchange in self._under_way:  # unless a deadline, or the end of the grace, was faster
                self._fail(exchange, failure)

        self._loop.call_soon(fail)

    def _bug(self, error: Exception) -> CannotReach:
        """Loud on our side, and an outcome for the delivery."""
        self._loop.call_exception_handler({"message": "a request could not be sent", "exception": error})
        return CannotReach(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")

    async def _until(self, is_so: Callable[[], bool], timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not is_so():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return


def _missed(exchange: Exchange) -> tuple[Reason, str]:
    """What it means that an exchange is not further by now."""
    destination = exchange.request.destination
    deadlines = destination.deadlines
    limit_s = min(deadlines.connect_s, deadlines.total_s)
    match exchange.phase:
        case Phase.RESOLVING:
            return Reason.DNS_ERROR, f"{destination.host}: the name servers did not answer within {limit_s:g} s"
        case Phase.CONNECTING:
            return (
                Reason.CONNECT_TIMEOUT,
                f"no connection to {destination.host}:{destination.port} within {limit_s:g} s",
            )
        case Phase.HANDSHAKING:
            return Reason.TLS_ERROR, f"the TLS handshake did not end within {limit_s:g} s"
    limit_s = min(deadlines.response_s, deadlines.total_s)
    if exchange.connection is not None and exchange.connection.has_unsent():
        return Reason.RESPONSE_TIMEOUT, f"the receiver did not take the whole request within {limit_s:g} s"
    return Reason.RESPONSE_TIMEOUT, f"no answer within {limit_s:g} s"
