"""A receiver for WSGI servers, to be mounted in any application or served by itself."""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from postback.receiver.answering import ALLOWED, MAX_BODY, checked, receive
from postback.receiver.inbox import Inbox

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_CHUNK = 64 << 10
_LENGTH_DIGITS = 18


def wsgi_receiver(
    inbox: Inbox,
    *,
    secrets: str | Iterable[str] = (),
    time_zone: str | None = None,
    max_body: int = MAX_BODY,
) -> Application:
    """An application that stores what is posted to it, on any path, and answers at once with an empty body.

    `secrets`: take only what one of them has signed; empty: everything that is a postback. `time_zone`: of the local
    dates in callbacks, such as Europe/Paris. `max_body`: in bytes. ValueError for a secret or a zone that is none.
    """
    known = checked(secrets, time_zone)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status = HTTPStatus(_status(environ))
        headers = [("Content-Length", "0")]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", ALLOWED))
        start_response(f"{status.value} {status.phrase}", headers)
        return []

    def _status(environ: Mapping[str, Any]) -> int:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return HTTPStatus.OK
        if environ["REQUEST_METHOD"] != "POST":
            return HTTPStatus.METHOD_NOT_ALLOWED
        body = _body(environ, max_body)
        if isinstance(body, HTTPStatus):
            return body
        return receive(inbox, body, _headers(environ), secrets=known, time_zone=time_zone)

    return application


def _body(environ: Mapping[str, Any], max_body: int) -> bytes | HTTPStatus:
    """The body, or what to answer where there is none that can be taken."""
    announced = environ.get("CONTENT_LENGTH") or ""
    if announced and not (announced.isascii() and announced.isdecimal() and len(announced) <= _LENGTH_DIGITS):
        return HTTPStatus.BAD_REQUEST
    if not announced and not environ.get("wsgi.input_terminated"):
        # A server that does not say that its input ends would let us wait for more for ever.
        return HTTPStatus.LENGTH_REQUIRED
    length = int(announced) if announced else max_body + 1
    if announced and length > max_body:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    body = bytearray()
    try:
        while len(body) < length and (chunk := environ["wsgi.input"].read(min(length - len(body), _CHUNK))):
            body += chunk
    except (OSError, ValueError):
        # The sender went away in the middle, or its chunks are none; some servers say so in this way.
        return HTTPStatus.BAD_REQUEST
    if announced and len(body) < length:
        return HTTPStatus.BAD_REQUEST
    return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if len(body) > max_body else bytes(body)


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    return headers | {"content-type": environ.get("CONTENT_TYPE") or ""}
