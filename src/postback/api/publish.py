"""POST /v2/events: the busiest route, so no more stands between the socket and the intake than has to."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from starlette.types import Receive, Scope, Send

from postback.actions.jsontext import Texts, read_events, read_lines
from postback.actions.publish import EVENTS_MAX, Published
from postback.api.answers import HEADERS
from postback.api.body import JSON, NDJSON, IsBatch, begins_a_batch, check_length, media_type, read_body
from postback.api.documents import TRACEPARENT, WRITING, demanding, documented, header, wrapped
from postback.api.errors import answer_to, body_of
from postback.api.keys import principal_of
from postback.api.schema_parts import Schema, a_list, an_object, ref
from postback.api.services import Services
from postback.api.traces import trace_of
from postback.domain.accounts import Scope as KeyScope
from postback.domain.errors import InvalidValue, PostbackError, RateLimited, Unavailable
from postback.domain.ids import event_text

PATH: Final = "/v2/events"
KEY_HEADER: Final = b"idempotency-key"

_LATER: Final = (RateLimited, Unavailable)

_ENCODER: Final = msgspec.json.Encoder()

_HEADERS: Final = (
    (b"content-type", b"application/json"),
    *((name.encode(), value.encode()) for name, value in HEADERS.items()),
)
_HEAD: Final = b"".join(b"%b: %b\r\n" % header for header in _HEADERS)


class Reply(NamedTuple):
    """An answer in bytes: `head` are its header lines, each with its end; `closes` ends the connection."""

    status: int
    head: bytes
    body: bytes
    closes: bool = False


class Publish:
    """An ASGI application of its own: what the framework does for other routes costs more than the work itself."""

    def __init__(self, services: Services) -> None:
        self._access = services.access
        self._publishing = services.publishing
        self._limits = services.body_limits
        self._refusals = services.refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def read(is_batch: IsBatch) -> bytes:
            return await read_body(scope, receive, self._limits, is_batch)

        body = await self._accept(scope, read)
        headers = [*_HEADERS, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def reply(self, scope: Scope, body: bytes) -> Reply:
        """The answer to a request that is here as a whole; of the scope method, path, headers and client are read."""

        async def whole(is_batch: IsBatch) -> bytes:
            check_length(scope, body, self._limits, is_batch)
            return body

        try:
            said = await self._accept(scope, whole)
        except Exception as error:  # noqa: BLE001 - as for all routes: an answer, and a bug is logged
            response = await answer_to(error, scope, self._refusals)
            head = b"".join(b"%b: %b\r\n" % header for header in response.raw_headers if header[0] != b"connection")
            return Reply(response.status_code, head, bytes(response.body), "connection" in response.headers)
        return Reply(202, b"%bcontent-length: %d\r\n" % (_HEAD, len(said)), said)

    async def _accept(self, scope: Scope, read: Callable[[IsBatch], Awaitable[bytes]]) -> bytes:
        """The body of the answer, once all that it says is durable."""
        principal = await principal_of(scope, self._access)
        principal.demand(KeyScope.PUBLISH)
        if media_type(scope, JSON, NDJSON) == JSON:
            texts = read_events(await read(begins_a_batch))
        else:
            texts = read_lines(await read(lambda _: True))
        key = _idempotency_key(scope)
        _check_batch(texts, key)
        answers = await self._publishing.publish(principal, texts.events, key, trace_of(scope))
        if not texts.is_batch:
            return _ENCODER.encode({"event": _single(answers[0])})
        _refuse_all_for_now(answers)
        return _ENCODER.encode({"events": [_in_batch(answer) for answer in answers]})


def _check_batch(texts: Texts, key: str | None) -> None:
    if not texts.is_batch:
        return
    if not 1 <= len(texts.events) <= EVENTS_MAX:
        raise InvalidValue.of("events", f"there are {len(texts.events):,} events; expected 1 to {EVENTS_MAX:,}")
    if key is not None:
        raise InvalidValue.of("Idempotency-Key", "the header is for one event; in a batch each has its idempotency_key")


def _idempotency_key(scope: Scope) -> str | None:
    found: str | None = None
    for name, value in scope["headers"]:
        if name == KEY_HEADER:
            if found is not None:
                raise InvalidValue.of("Idempotency-Key", "the header Idempotency-Key stands there twice")
            try:
                found = value.decode()
            except UnicodeDecodeError:
                # Replaced, two different keys would be one, and the second event would silently be the first.
                raise InvalidValue.of("Idempotency-Key", "the header Idempotency-Key is not UTF-8") from None
    return found


def _single(answer: Published | PostbackError) -> dict[str, Any]:
    if isinstance(answer, PostbackError):
        raise answer
    said = _in_batch(answer)
    return {"id": said["id"], "type": answer.type, **said}


def _in_batch(answer: Published | PostbackError) -> dict[str, Any]:
    if isinstance(answer, PostbackError):
        return body_of(answer)
    said = {"id": event_text(answer.id), "deliveries": answer.deliveries}
    if answer.unsayable:
        said["unsayable"] = answer.unsayable
    return said


def _refuse_all_for_now(answers: Sequence[Published | PostbackError]) -> None:
    """Where nothing at all was accepted the whole batch may be sent again later, and the status says so."""
    error = answers[0]
    if isinstance(error, _LATER) and all(isinstance(answer, _LATER) for answer in answers):
        raise error


def document() -> Schema:
    """The operation in the OpenAPI document, which the framework does not know of."""
    in_batch = {"oneOf": [ref("PublishedInBatch"), ref("FieldErrors"), ref("Error")]}
    batch = an_object({"events": a_list(ref("NewEvent"), minItems=1, maxItems=EVENTS_MAX)}, required=("events",))
    described = documented(
        "Publish an event, or up to 1,000",
        status=202,
        answer={"oneOf": [wrapped("event", "PublishedEvent"), an_object({"events": a_list(in_batch)})]},
        body={"oneOf": [wrapped("event", "NewEvent"), batch]},
        parameters=[header("Idempotency-Key", "Of one event, instead of its field idempotency_key."), TRACEPARENT],
        errors=(*WRITING, 409, 429),
        description="Answered only after it is durable. In a batch one bad event does not fail the others: each is "
        "answered in its place. As application/x-ndjson one event a line.",
    )
    extra = described["openapi_extra"]
    extra["requestBody"]["content"][NDJSON] = {"schema": ref("NewEvent")}
    responses = {str(status): response for status, response in sorted(described["responses"].items())}
    return {
        "tags": ["events"],
        "summary": described["summary"],
        "description": described["description"],
        "operationId": "publish_events",
        "security": demanding(KeyScope.PUBLISH),
        **extra,
        "responses": responses,
    }
