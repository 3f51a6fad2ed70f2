"""What things look like, filled in: examples for the schemas that carry none of their own."""

from collections.abc import Mapping
from typing import Any, Final

from postback.api.schema_parts import Schema

_CONFIG_ID: Final = "pbc_38fweqg9nzw00"
_CONTACT_ID: Final = "con_38fweqgahzw00"
_DELIVERY_ID: Final = "dlv_38fweqgag000038fweqg9nzw00"
_EVENT_ID: Final = "evt_38fweqgag0000"
_LOCATION_ID: Final = "loc_38fweqg0bzw00"

RECORDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "location": {"name": "Main Street", "city": "Springfield"},
    "contact": {"location_id": _LOCATION_ID, "first_name": "Mary", "last_name": "Jones"},
    "transaction": {
        "location_id": _LOCATION_ID,
        "transaction_amount": "12.50",
        "payment_method": "cc",
        "last_four": "1111",
        "product_transaction_id": "prt_1",
    },
    "transactionbatch": {"location_id": _LOCATION_ID, "batch_num": 42, "product_transaction_id": "prt_1"},
    "accountvault": {"location_id": _LOCATION_ID, "payment_method": "cc", "last_four": "1111", "exp_date": "0929"},
}
"""What a new record of each kind may look like."""

_CONTACT: Final = {"id": _CONTACT_ID, "location_id": _LOCATION_ID, "last_name": "Jones"}

_EVENT: Final = {
    "id": _EVENT_ID,
    "type": "contact.created",
    "location_id": _LOCATION_ID,
    "subject": _CONTACT_ID,
    "occurred_at": None,
    "accepted_at": "2026-11-21T04:55:46.088Z",
    "deliveries": 1,
}

_ATTEMPT: Final = {
    "number": 1,
    "started_at": "2026-11-21T04:55:46.088Z",
    "sent_at": "2026-11-21T04:55:46.089Z",
    "finished_at": "2026-11-21T04:55:46.131Z",
    "worker": "38fweqg120000",
    "manual": False,
    "test": False,
    "request": {
        "url": "https://client.example/receiver",
        "headers": {
            "host": "client.example",
            "user-agent": "postback/0.1",
            "accept": "*/*",
            "accept-encoding": "identity",
            "content-type": "application/x-www-form-urlencoded",
            "content-length": "194",
        },
        "body": "type=CREATE&resource=contact&number_of_attempts=1&data=%7B%22id%22%3A%22con_38fweqgahzw00%22…",
    },
    "status": 503,
    "reason": "bad_status",
    "detail": None,
    "notes": [],
    "answer": {"headers": {"content-length": "4"}, "body": "busy", "truncated": False},
    "timings": {"dns_ms": 3, "connect_ms": 9, "tls_ms": 14, "first_byte_ms": 42, "total_ms": 42},
    "decision": "retry",
    "next_at": "2026-11-21T05:00:46.131Z",
}

_DELIVERY: Final = {
    "id": _DELIVERY_ID,
    "event_id": _EVENT_ID,
    "event_type": "contact.created",
    "location_id": _LOCATION_ID,
    "postbackconfig_id": _CONFIG_ID,
    "state": "pending",
    "attempts_made": 1,
    "due_at": "2026-11-21T05:00:46.131Z",
    "created_at": "2026-11-21T04:55:46.088Z",
    "finished_at": None,
    "last_status": 503,
    "last_reason": "bad_status",
}

_EXAMPLES: Final[Mapping[str, Any]] = {
    "Attempt": _ATTEMPT,
    "Delivery": _DELIVERY,
    "DeliveryWithAttempts": {**_DELIVERY, "attempts": [_ATTEMPT]},
    "Error": {"error": {"code": "not_found", "message": "there is no such thing, or it belongs to another account"}},
    "Event": _EVENT,
    "EventWithDeliveries": {**_EVENT, "data": _CONTACT, "deliveries": [_DELIVERY]},
    "Explained": {
        "wants": False,
        "reasons": ["on_create is off"],
    },
    **{f"New{name.capitalize()}": example for name, example in RECORDS.items()},
    "PublishedEvent": {"id": _EVENT_ID, "type": "sms.received", "deliveries": 2},
    "PublishedInBatch": {"id": _EVENT_ID, "deliveries": 2},
}


def with_examples(schemas: Mapping[str, Schema]) -> Mapping[str, Schema]:
    """The schemas, each with an example where there is one."""
    return {
        name: {**schema, "example": _EXAMPLES[name]} if name in _EXAMPLES and "example" not in schema else schema
        for name, schema in schemas.items()
    }
