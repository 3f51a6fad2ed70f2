"""What things look like, as JSON Schemas with examples: for the OpenAPI document."""

from typing import Final

from postback.actions.limits import BODY_MAX, CONFIGS_MAX, RATE_MAX, RATE_MIN
from postback.actions.origins import ORIGINS_MAX
from postback.actions.portal_links import LASTS_MAX_S, LASTS_MIN_S, LASTS_S, ROLE, ROLES
from postback.actions.portal_links import NAME_MAX as LINK_NAME_MAX
from postback.actions.publish import DAYS_AHEAD, KEY_MAX, SUBJECT_MAX
from postback.api.config_schemas import CONFIG_SCHEMAS
from postback.api.hold_schemas import HOLD_SCHEMAS
from postback.api.record_schemas import RECORD_SCHEMAS
from postback.api.replay_schemas import REPLAY_SCHEMAS
from postback.api.schema_parts import (
    ANY_OBJECT,
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    Schema,
    a_list,
    an_object,
    or_null,
    ref,
    said,
)
from postback.domain.accounts import Scope
from postback.domain.deliveries import State, Verdict
from postback.domain.events import TYPE_MAX
from postback.domain.wire import Reason

_EVENT: Final[Schema] = {
    "id": TEXT,
    "type": TEXT,
    "location_id": TEXT_OR_NULL,
    "subject": TEXT_OR_NULL,
    "occurred_at": said(TIME_OR_NULL, "As its publisher sent it."),
    "accepted_at": TIME,
    "deliveries": said(NUMBER, "How many configs wanted it."),
}

_NEW_EVENT: Final = an_object(
    {
        "type": said(TEXT, "Such as contact.created.", maxLength=TYPE_MAX),
        "location_id": said(TEXT_OR_NULL, "Without it only configs of all locations hear of the event."),
        "subject": said(
            TEXT_OR_NULL, "What it is about; by default data.id, or a number or address.", maxLength=SUBJECT_MAX
        ),
        "data": said(
            ANY_OBJECT,
            "Kept and sent as it came, byte for byte. Of messaging events what /v2/eventtypes lists is checked.",
        ),
        "idempotency_key": said(
            TEXT_OR_NULL, "The same again answers the first event; with another body 409.", maxLength=KEY_MAX
        ),
        "occurred_at": TIME_OR_NULL,
        "deliver_at": said(TIME_OR_NULL, f"Not before then; at most {DAYS_AHEAD} days ahead."),
        "account": said(TEXT_OR_NULL, "Operator keys only: the account to act for."),
    },
    required=("type", "data"),
    example={
        "type": "sms.received",
        "location_id": "loc_1c8m4qy3r7v2t",
        "data": {"from": "15551230000", "to": "12345", "text": "HELLO", "received": "2026-09-21T12:00:00-04:00"},
        "idempotency_key": "inbound-8841",
    },
)

_UNSAYABLE: Final = said(
    NUMBER, "How many of the deliveries fail unsent, since their format cannot say this event; left out where none."
)

_DELIVERY: Final[Schema] = {
    "id": TEXT,
    "event_id": TEXT,
    "event_type": TEXT,
    "location_id": TEXT_OR_NULL,
    "postbackconfig_id": TEXT,
    "state": said(TEXT, "Held is a pending one of a paused or disabled config.", enum=list(State)),
    "attempts_made": said(NUMBER, "POSTs that had an outcome."),
    "due_at": said(TIME_OR_NULL, "When the next attempt is due."),
    "created_at": TIME,
    "finished_at": TIME_OR_NULL,
    "last_status": NUMBER_OR_NULL,
    "last_reason": said(TEXT_OR_NULL, "Why the last attempt was no success: " + ", ".join(Reason) + "."),
}

_ATTEMPT: Final = an_object(
    {
        "number": NUMBER,
        "started_at": said(TIME_OR_NULL, "When a worker took the delivery."),
        "sent_at": said(TIME_OR_NULL, "When the first byte left; null when none did."),
        "finished_at": TIME,
        "worker": TEXT_OR_NULL,
        "manual": said({"type": "boolean"}, "Whether it follows a replay."),
        "test": said({"type": "boolean"}, "Whether it was a test."),
        "request": {
            "oneOf": [
                an_object({"url": TEXT, "headers": ANY_OBJECT, "body": TEXT_OR_NULL}),
                {"type": "null"},
            ],
            "description": "As it was sent, secrets as ***.",
        },
        "status": NUMBER_OR_NULL,
        "reason": said(TEXT_OR_NULL, "Why it was no success."),
        "detail": said(TEXT_OR_NULL, "The reason in words."),
        "notes": a_list(TEXT, description="What was odd and changed nothing."),
        "answer": {
            "oneOf": [
                an_object({"headers": ANY_OBJECT, "body": TEXT, "truncated": {"type": "boolean"}}),
                {"type": "null"},
            ]
        },
        "timings": an_object(
            dict.fromkeys(("dns_ms", "connect_ms", "tls_ms", "first_byte_ms", "total_ms"), NUMBER_OR_NULL)
        ),
        "decision": said(TEXT, "What was decided after it.", enum=[verdict.name.lower() for verdict in Verdict]),
        "next_at": said(TIME_OR_NULL, "When it was to be tried again."),
    }
)

_STEP: Final = an_object(
    {
        "at": said(TIME, "Its start."),
        "accepted": said(NUMBER, "Deliveries made by events: one for each config that wanted one."),
        "delivered": NUMBER,
        "failed": said(NUMBER, "Given up."),
        "retried": said(NUMBER, "Failed attempts that are followed by another."),
        "cancelled": NUMBER,
        "replayed": said(NUMBER, "Finished ones that were owed again."),
        "p50_ms": said(
            NUMBER_OR_NULL,
            "Of the delivered half took at most so long from acceptance to success; the slowest of them more than half "
            "of it. Null where none were.",
        ),
        "p99_ms": said(NUMBER_OR_NULL, "Likewise of 99 in a hundred."),
    }
)

_LIMITS: Final = said(
    an_object(
        {
            "events_per_second": said(
                {"type": ["number", "null"]},
                "Beyond it, and a burst of one second's worth, 429; each server process counts for itself.",
                minimum=RATE_MIN,
                maximum=RATE_MAX,
            ),
            "configs": said(
                {"type": ["integer", "null"]}, "How many there may be; 409.", minimum=0, maximum=CONFIGS_MAX
            ),
            "max_body": said(
                {"type": ["integer", "null"]},
                "Bytes of the data of one event that is published, beside the server's own limit; 413.",
                minimum=1,
                maximum=BODY_MAX,
            ),
        }
    ),
    "What the account is allowed; null is not limited.",
)
_ACCOUNT_FIELDS: Final[Schema] = {
    "name": said(TEXT_OR_NULL, "For people.", maxLength=256),
    "metadata": ANY_OBJECT,
    "limits": _LIMITS,
    "portal_origins": a_list(
        said(TEXT, "https://…; http:// of localhost and 127.0.0.1 only."),
        description="Whose pages may show the account's portal, opened by a portal link, in a frame.",
        maxItems=ORIGINS_MAX,
    ),
}
_KEY_FIELDS: Final[Schema] = {
    "name": said(TEXT, "For people.", maxLength=256),
    "scopes": a_list({"enum": list(Scope)}, minItems=1),
    "expires_at": TIME_OR_NULL,
    "account": said(TEXT_OR_NULL, "Operator keys only: whose key it will be."),
}
_KEY: Final[Schema] = {
    "id": TEXT,
    "account": TEXT_OR_NULL,
    "name": TEXT,
    "prefix": said(TEXT, "How the key begins, to tell it from others."),
    "scopes": a_list({"enum": list(Scope)}),
    "created_at": TIME,
    "expires_at": TIME_OR_NULL,
    "last_used_at": said(TIME_OR_NULL, "To the minute."),
}


_NEXT_CURSOR: Final = said(TEXT_OR_NULL, "What to send as cursor for the next part; null at the end.")

SCHEMAS: Final[Schema] = {
    **CONFIG_SCHEMAS,
    **REPLAY_SCHEMAS,
    **RECORD_SCHEMAS,
    **HOLD_SCHEMAS,
    "NewEvent": _NEW_EVENT,
    "PublishedEvent": an_object({"id": TEXT, "type": TEXT, "deliveries": NUMBER, "unsayable": _UNSAYABLE}),
    "PublishedInBatch": an_object({"id": TEXT, "deliveries": NUMBER, "unsayable": _UNSAYABLE}),
    "Event": an_object(_EVENT),
    "EventWithDeliveries": an_object({**_EVENT, "data": ANY_OBJECT, "deliveries": a_list(ref("Delivery"))}),
    "Events": an_object({"events": a_list(ref("Event")), "next_cursor": _NEXT_CURSOR}),
    "Delivery": an_object(_DELIVERY),
    "DeliveryWithAttempts": an_object({**_DELIVERY, "attempts": a_list(ref("Attempt"))}),
    "Deliveries": an_object({"deliveries": a_list(ref("Delivery")), "next_cursor": _NEXT_CURSOR}),
    "Attempt": _ATTEMPT,
    "Stats": an_object({"steps": a_list(_STEP)}, required=("steps",)),
    "Account": an_object({"id": TEXT, **_ACCOUNT_FIELDS, "created_at": TIME, "modified_at": TIME}),
    "NewAccount": an_object(
        {name: or_null(schema) for name, schema in _ACCOUNT_FIELDS.items()},
        example={"name": "Acme", "metadata": {"plan": "gold"}, "limits": {"events_per_second": 100}},
    ),
    "PortalLink": an_object(
        {
            "id": TEXT,
            "url": said(TEXT, "The sign-in address, shown this once."),
            "account": TEXT,
            "role": {"enum": list(ROLES)},
            "name": TEXT,
            "created_at": TIME,
            "ends_at": said(TIME, "From then on it opens nothing."),
        }
    ),
    "NewPortalLink": an_object(
        {
            "role": said({"enum": list(ROLES)}, "What whoever opens it may do.", default=ROLE),
            "name": said(
                TEXT,
                "Who it is for: what the session and the audit say. Without it the id of the account.",
                minLength=1,
                maxLength=LINK_NAME_MAX,
            ),
            "lasts": said(
                NUMBER,
                "Seconds that it may be opened for.",
                minimum=LASTS_MIN_S,
                maximum=LASTS_MAX_S,
                default=LASTS_S,
            ),
        },
        example={"role": "editor", "name": "Ann of Acme", "lasts": 600},
    ),
    "Key": an_object(_KEY),
    "KeyWithSecret": an_object({**_KEY, "secret": said(TEXT, "The key itself, shown this once.")}),
    "NewKey": an_object(
        _KEY_FIELDS, required=("name", "scopes"), example={"name": "shop back end", "scopes": ["publish", "read"]}
    ),
    "ListMeta": an_object(
        {
            "pagination": an_object(
                {
                    "links": ANY_OBJECT,
                    "totalCount": NUMBER,
                    "pageCount": NUMBER,
                    "currentPage": NUMBER,
                    "perPage": NUMBER,
                }
            ),
            "sort": an_object({"attributes": ANY_OBJECT}),
        }
    ),
    "Error": an_object(
        {"error": an_object({"code": TEXT, "message": TEXT, "id": said(TEXT, "Of a 500: where to look in the log.")})}
    ),
    "FieldErrors": an_object(
        {"errors": {"type": "object", "additionalProperties": a_list(TEXT)}},
        example={"errors": {"location_id": ["location_id provided is not valid"]}},
    ),
}
