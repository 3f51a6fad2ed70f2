"""The event types that the product knows by name, as data; what is judged by it stands in `facts`.

The documents behind it: Overview: Postback Notification System (messaging events and their codes), Postback
Operations (resource events), Callbacks (receipts, replies, opt-outs).
"""

from collections.abc import Mapping
from typing import Final

from postback.domain.event_types import EventType
from postback.domain.messaging import MESSAGING

_RECORDS: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "contact": ("A contact", {"id": "con_1", "location_id": "loc_1", "last_name": "Jones"}),
    "transaction": ("A transaction", {"id": "trx_1", "location_id": "loc_1", "transaction_amount": "24.50"}),
    "transactionbatch": ("A batch of transactions", {"id": "bat_1", "batch_num": 7, "is_open": 1}),
    "accountvault": ("An account vault", {"id": "acv_1", "location_id": "loc_1", "last_four": "1111"}),
}
_HAPPENED: Final = {"created": "was created", "updated": "was changed", "deleted": "was deleted"}

RESOURCE_EVENTS: Final = tuple(
    EventType(
        name=f"{resource}.{verb}",
        sentence=f"{thing} {happened}; the data is the whole record at that time.",
        example=example,
    )
    for resource, (thing, example) in _RECORDS.items()
    for verb, happened in _HAPPENED.items()
)

_OF_CONFIG: Final = {
    "postbackconfig_id": "pbc_38fweqg9qzw00",
    "name": "CRM",
    "receiver": "https://client.example",
    "reason": "no success since 2026-09-21T12:00:00.000Z, and 64 failed attempts",
    "failed_attempts": 64,
    "failing_since": "2026-09-21T12:00:00.000Z",
    "last_success": "2026-09-21T11:59:00.000Z",
}

NOTICE_EVENTS: Final = (
    EventType(
        name="delivery.failed",
        sentence="A delivery has failed for good; the data says which, and why. Told to other configs only.",
        example={
            "delivery_id": "dlv_38fweqhs1000038fweqg9qzw00",
            "event_id": "evt_38fweqhs10000",
            "event_type": "sms.delivered",
            "subject": "12025550143",
            "postbackconfig_id": "pbc_38fweqg9qzw00",
            "attempts_made": 6,
            "last_status": 503,
            "last_reason": "bad_status",
        },
    ),
    EventType(
        name="postbackconfig.failing",
        sentence="A config has not had a success for a while, and is disabled if that goes on. Told to other configs only.",
        example=_OF_CONFIG,
    ),
    EventType(
        name="postbackconfig.disabled",
        sentence="A config was disabled by a 410 or for failing too long: its deliveries are held. Told to other configs only.",
        example=_OF_CONFIG,
    ),
    EventType(
        name="postbackconfig.recovered",
        sentence="A config that was failing has had a success again. Told to other configs only.",
        example={**_OF_CONFIG, "reason": None, "failed_attempts": 0, "failing_since": None},
    ),
)

CATALOG: Final[Mapping[str, EventType]] = {one.name: one for one in (*MESSAGING, *RESOURCE_EVENTS, *NOTICE_EVENTS)}

RECEIPTS: Final = ("sms.sent", "sms.delivered", "sms.undelivered", "sms.failed")
INBOUND: Final = "sms.received"
OPT_OUT: Final = "subscriber.unsubscribed"

SAYABLE: Final[Mapping[str, frozenset[str] | None]] = {
    "api-default": None,
    "xml": frozenset(one.name for one in MESSAGING),
    "sms-callback": frozenset({*RECEIPTS, INBOUND, OPT_OUT}),
    "json": None,
    "cloudevents": None,
}
"""Format → the types it can say; None for all."""


def can_say(format_name: str, event_type: str) -> bool:
    """Whether events of this type can be said in this format; a format that nobody knows says, and fails, visibly."""
    types = SAYABLE.get(format_name)
    return types is None or event_type in types
