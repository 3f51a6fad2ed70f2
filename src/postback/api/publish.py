"""POST /v2/events: the busiest route, so no more stands between the socket and the intake than has to."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.types import Receive, Scope, Send

from postback.actions.publish import EVENTS_MAX, Published
from postback.api.body import JSON, NDJSON, begins_a_batch, media_type, read_body
from postback.api.documents import TRACEPARENT, WRITING, demanding, documented, header, wrapped
from postback.api.errors import body_of
from postback.api.jsontext import Texts, read_events, read_lines
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


class Publish:
    """An ASGI application of its own: what the framework does for other routes costs more than the work itself."""

    def __init__(self, services: Services) -> None:
        self._access = services.access
        self._publishing = services.publishing
        self._limits = services.body_limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = await principal_of(scope, self._access)
        principal.demand(KeyScope.PUBLISH)
        if media_type(scope, JSON, NDJSON) == JSON:
            texts = read_events(await read_body(scope, receive, self._limits, begins_a_batch))
        else:
            texts = read_lines(await read_body(scope, receive, self._limits, lambda _: True))
        key = _idempotency_key(scope)
        _check_batch(texts, key)
        answers = await self._publishing.publish(principal, texts.events, key, trace_of(scope))
        if texts.is_batch:
            _refuse_all_for_now(answers)
            value: dict[str, Any] = {"events": [_in_batch(answer) for answer in answers]}
        else:
            value = {"event": _single(answers[0])}
        await _accepted(send, value)


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
    return {"id": event_text(answer.id), "type": answer.type, "deliveries": answer.deliveries, **_unsayable(answer)}


def _in_batch(answer: Published | PostbackError) -> dict[str, Any]:
    if isinstance(answer, PostbackError):
        return body_of(answer)
    return {"id": event_text(answer.id), "deliveries": answer.deliveries, **_unsayable(answer)}


def _unsayable(answer: Published) -> Mapping[str, int]:
    return {"unsayable": answer.unsayable} if answer.unsayable else {}


def _refuse_all_for_now(answers: Sequence[Published | PostbackError]) -> None:
    """Where nothing at all was accepted the whole batch may be sent again later, and the status says so."""
    error = answers[0]
    if isinstance(error, _LATER) and all(isinstance(answer, _LATER) for answer in answers):
        raise error


async def _accepted(send: Send, value: dict[str, Any]) -> None:
    body = _ENCODER.encode(value)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": body})


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
