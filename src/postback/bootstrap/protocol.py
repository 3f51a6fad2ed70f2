"""The API's HTTP protocol: uvicorn's, with a shorter way for the requests that most of all requests are.

An event that is published in one piece (a POST whose body came with its head) needs nothing of what the interface
between server and framework offers: no scope to route by, no messages to wait for. It is read, published and answered
here, with the answers of `api.publish`; every other request goes uvicorn's own way.
"""

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from postback.api.publish import PATH, Publish

_PATH: Final = PATH.encode()


class _Arrival:
    """A request that may turn out to be all here, with what uvicorn's protocol asks of one under way."""

    __slots__ = ("body", "disconnected", "keep_alive", "more_body", "response_complete")

    def __init__(self) -> None:
        self.body = bytearray()
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.keep_alive = True

    @property
    def message_event(self) -> "_Arrival":
        return self

    def set(self) -> None:
        """Nobody waits for parts of it."""


class Protocol(HttpToolsProtocol):
    """`publish` answers what is published."""

    publish: Publish

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        arrival: Any = self.cycle
        if type(arrival) is _Arrival and arrival.more_body and not self.transport.is_closing():
            # The rest is still on its way, and somebody has to wait for it.
            self.cycle = None  # type: ignore[assignment]
            super().on_headers_complete()
            if arrival.body:
                super().on_body(bytes(arrival.body))

    def on_headers_complete(self) -> None:
        parser, cycle = self.parser, self.cycle
        if (
            self.url == _PATH
            and parser.get_method() == b"POST"
            and (cycle is None or cycle.response_complete)
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
        ):
            self.cycle = _Arrival()  # type: ignore[assignment]
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        arrival: Any = self.cycle
        if type(arrival) is _Arrival:
            task = self.loop.create_task(self._publish(arrival, self.scope))
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)

    async def _publish(self, arrival: _Arrival, scope: Any) -> None:
        scope["method"], scope["path"] = "POST", PATH
        reply = await self.publish.reply(scope, bytes(arrival.body))
        if self.flow.write_paused and not arrival.disconnected:
            await self.flow.drain()
        arrival.response_complete = True
        if arrival.disconnected:
            return
        keep_alive = arrival.keep_alive and not reply.closes
        head = [STATUS_LINE[reply.status]]
        for name, value in self.server_state.default_headers:
            head += (name, b": ", value, b"\r\n")
        head.append(reply.head)
        if not keep_alive:
            head.append(b"connection: close\r\n")
        head += (b"\r\n", reply.body)
        self.transport.write(b"".join(head))
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()


def protocol_of(publish: Publish) -> type[Protocol]:
    """What uvicorn makes a protocol with for each connection."""
    return type("PublishingProtocol", (Protocol,), {"publish": publish})
