"""Reading bodies: how much, for how long, and of which type."""

import asyncio
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from postback.api.errors import BodyStalled, UnsupportedMediaType
from postback.domain.errors import Malformed, TooLarge

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

SLACK: Final = 64 << 10
"""More than a limit for payloads by what may stand around one; no more than this is read before we stop listening."""

PROGRESS: Final = 4 << 10
"""Bytes that have to come within the time after which a body is stalled: a byte a second is a stall too."""

_HEAD: Final = 256
_BATCH: Final = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"events"')


IsBatch = Callable[[bytes], bool]
"""Judges by the beginning of a body whether it holds many events."""


class BodyLimits(NamedTuple):
    """`single` bounds the payload of one event and every other body, `batch` a body with many events."""

    single: int
    batch: int
    stalled_s: float


def begins_a_batch(head: bytes) -> bool:
    return _BATCH.match(head) is not None


async def read_body(scope: Scope, receive: Receive, limits: BodyLimits, is_batch: IsBatch | None = None) -> bytes:
    """The whole body of a request, if it may be as long as it is: `is_batch` judges by the beginning of a long one."""
    allowance = _Allowance(limits, scope, is_batch)
    body = b""
    mark = 0
    try:
        async with asyncio.timeout(limits.stalled_s) as stall:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                part: bytes = message.get("body", b"")
                body = body + part if body else part
                allowance.check(body)
                if not message.get("more_body", False):
                    return body
                if len(body) - mark >= PROGRESS:
                    mark = len(body)
                    stall.reschedule(asyncio.get_running_loop().time() + limits.stalled_s)
    except TimeoutError:
        raise BodyStalled(f"the body did not come on for {limits.stalled_s:g} seconds") from None


def check_length(scope: Scope, body: bytes, limits: BodyLimits, is_batch: IsBatch) -> None:
    """What `read_body` checks, of a body that is here already."""
    if len(body) > limits.single + SLACK:
        _Allowance(limits, scope, is_batch).check(body)


def media_type(scope: Scope, *accepted: str) -> str:
    """The type of the body, one of those accepted; without a header it is taken for the first of them."""
    found = accepted[0]
    for name, value in scope["headers"]:
        if name == b"content-type":
            found = _media_type(value.decode("latin-1"))
        elif name == b"content-encoding":
            raise UnsupportedMediaType("a Content-Encoding is not taken; send the body as it is")
    if found not in accepted:
        raise UnsupportedMediaType(f"the Content-Type is not taken; expected {' or '.join(accepted)} in UTF-8")
    return found


class _Allowance:
    """How long a body may be: decided by its declared length at once, else by what has come."""

    def __init__(self, limits: BodyLimits, scope: Scope, is_batch: IsBatch | None) -> None:
        self._single = limits.single + SLACK
        self._most = limits.batch + SLACK if is_batch is not None else self._single
        self._is_batch = is_batch
        self._declared = _content_length(scope)
        if self._declared > self._most:
            raise _too_long(self._most)

    def check(self, body: bytes) -> None:
        size = len(body)
        if size > self._most:
            raise _too_long(self._most)
        is_long = size > self._single or (self._declared > self._single and size >= _HEAD)
        if is_long and self._is_batch is not None:
            if not self._is_batch(body):
                raise _too_long(self._single)
            self._is_batch = None


# Publishers say the same each time.
@lru_cache(maxsize=64)
def _media_type(header: str) -> str:
    kind, *parameters = (part.strip().lower() for part in header.split(";"))
    is_utf8 = all(parameter.replace('"', "") in {"charset=utf-8", ""} for parameter in parameters)
    return kind if is_utf8 else ""


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            if not value.isdigit():
                raise Malformed("Content-Length is not a number")
            # int() refuses a number of 5,000 digits, and none of 19 is short enough for us.
            return int(value[:19])
    return 0


def _too_long(most: int) -> TooLarge:
    return TooLarge(f"the body is longer than {most:,} bytes")
