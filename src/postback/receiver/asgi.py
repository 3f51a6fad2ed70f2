"""A receiver for ASGI servers, to be mounted in any application or served by itself."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from postback.receiver.answering import ALLOWED, MAX_BODY, checked, receive
from postback.receiver.inbox import Inbox

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def asgi_receiver(
    inbox: Inbox,
    *,
    secrets: str | Iterable[str] = (),
    time_zone: str | None = None,
    max_body: int = MAX_BODY,
) -> "AsgiReceiver":
    """An application that stores what is posted to it, on any path, and answers at once with an empty body.

    `secrets`: take only what one of them has signed; empty: everything that is a postback. `time_zone`: of the local
    dates in callbacks, such as Europe/Paris. `max_body`: in bytes. ValueError for a secret or a zone that is none.
    """
    return AsgiReceiver(inbox, checked(secrets, time_zone), time_zone, max_body)


class AsgiReceiver:
    """An object and not a function, since frameworks take functions for views of their own."""

    def __init__(self, inbox: Inbox, secrets: tuple[str, ...], time_zone: str | None, max_body: int) -> None:
        self._inbox = inbox
        self._secrets = secrets
        self._time_zone = time_zone
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            status = await self._status(scope, receive)
            if status is not None:
                await _answer(send, status)
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise NotImplementedError(f"scope of type {scope['type']!r}")

    async def _status(self, scope: Scope, more: Receive) -> int | None:
        if scope["method"] in ("GET", "HEAD"):
            return HTTPStatus.OK
        if scope["method"] != "POST":
            return HTTPStatus.METHOD_NOT_ALLOWED
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        announced = headers.get("content-length", "")
        if announced.isdecimal() and len(announced) < 19 and int(announced) > self._max_body:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        body = bytearray()
        while True:
            message = await more()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._max_body:
                return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            if not message.get("more_body", False):
                break
        # The database may keep one waiting, and the loop has others to serve.
        return await asyncio.to_thread(
            receive, self._inbox, bytes(body), headers, secrets=self._secrets, time_zone=self._time_zone
        )


async def _answer(send: Send, status: int) -> None:
    headers = [(b"content-length", b"0")]
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append((b"allow", ALLOWED.encode()))
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
