"""What configs look like, those of `/v2/postbackconfigs` and the settings of an account that make some."""

from typing import Final

from postback.actions.config_fields import (
    CREDENTIAL_MAX,
    DISABLE_AFTER_MIN_S,
    IN_FLIGHT_MAX,
    RATE_MAX,
    RATE_MIN,
    TIMEOUT_MAX_S,
    TIMEOUT_MIN_S,
)
from postback.actions.config_secrets import OVERLAP_MAX_S, OVERLAP_S
from postback.actions.config_wants import EXPANDS, PATTERNS_MAX
from postback.api.schema_parts import (
    ANY_OBJECT,
    BOOLEAN,
    FLAG,
    LINKS,
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
    said,
)
from postback.domain.configs import DISABLE_AFTER_S, MAX_IN_FLIGHT, RESOURCES, ConfigState, Purpose
from postback.domain.event_types import Layout
from postback.domain.events import TYPE_MAX
from postback.domain.policy import (
    ATTEMPTS_MAX,
    INTERVAL_MAX_S,
    POLICIES,
    SCHEDULE_MAX_WAITS,
    SCHEDULE_SUM_MAX_S,
    WAIT_MAX_S,
    SuccessRule,
)
from postback.domain.stats import PENDING_MAX

_SECONDS: Final[Schema] = {"type": "number", "minimum": TIMEOUT_MIN_S, "maximum": TIMEOUT_MAX_S}

CONFIG_FIELDS: Final[Schema] = {
    "location_id": said(
        TEXT_OR_NULL, "The location whose events are wanted; with event_types null stands for all of the account."
    ),
    "resource": said(TEXT, "The kind of record whose changes are wanted; or event_types.", enum=list(RESOURCES)),
    "on_create": said(FLAG, "Whether creations are wanted.", default="0"),
    "on_update": said(FLAG, "Whether changes are wanted.", default="0"),
    "on_delete": said(FLAG, "Whether deletions are wanted.", default="0"),
    "url": said(TEXT, "Where the POSTs go.", format="uri", maxLength=2048),
    "is_active": said(FLAG, "Off: events from now on make no delivery.", default="1"),
    "format": said(TEXT, "How events are said.", enum=list(POLICIES), default="api-default"),
    "number_of_attempts": said(
        NUMBER,
        "Attempts in all, the first included; by default those of the format.",
        minimum=1,
        maximum=ATTEMPTS_MAX,
    ),
    "attempt_interval": said(
        NUMBER_OR_NULL,
        "Seconds between attempts; null with a schedule, also with that of a format.",
        minimum=1,
        maximum=INTERVAL_MAX_S,
    ),
    "expands": said(
        TEXT,
        "Related records to add, joined by commas; only with resource. "
        + "; ".join(f"{resource}: {', '.join(names)}" for resource, names in EXPANDS.items()),
        default="",
    ),
    "event_types": a_list(
        said(TEXT, "A type, or a pattern: sms.* or *.", maxLength=TYPE_MAX),
        description="The events that are wanted, instead of resource and on_create, on_update, on_delete.",
        minItems=1,
        maxItems=PATTERNS_MAX,
    ),
    "product_transaction_id": said(TEXT, "Required for transaction and transactionbatch; not for contact."),
    "name": said(TEXT, "For people.", maxLength=256),
    "xml_layout": said(TEXT, "Format xml: the generation of the layout.", enum=list(Layout), default=Layout.L2015),
    "xml_content_type": said(
        TEXT, "Format xml: the body as XML, or its elements as a form.", enum=["raw", "form"], default="raw"
    ),
    "xml_strict_historic": said(FLAG, "Format xml: passes show STATUSCODE only.", default="0"),
    "callback_payload": said(TEXT, "Format sms-callback: what the body is.", enum=["json", "form"], default="json"),
    "callback_naming": said(
        TEXT, "Format sms-callback: which names the fields have.", enum=["overview", "reference"], default="overview"
    ),
    "time_zone": said(
        TEXT,
        "Format sms-callback: the zone of its dates, by its IANA name; by default the offset that a time came with.",
    ),
    "cloudevents_mode": said(TEXT, "Format cloudevents.", enum=["structured"], default="structured"),
    "signature_algorithm": said(TEXT, "Formats json and cloudevents.", enum=["v1"], default="v1"),
    "success_status": said(TEXT, "Which answers acknowledge; by default as the format has it.", enum=list(SuccessRule)),
    "retry_schedule": a_list(
        {"type": "integer", "minimum": 1, "maximum": WAIT_MAX_S},
        description="Seconds to wait after each failed attempt, instead of attempt_interval; the last repeats.",
        minItems=1,
        maxItems=SCHEDULE_MAX_WAITS,
    ),
    "connect_timeout": said(_SECONDS, "Seconds for name, connection and TLS together; by default those of the format."),
    "response_timeout": said(
        _SECONDS, "Seconds until the head of the answer is complete; by default those of the format."
    ),
    "total_timeout": said(
        {**_SECONDS, "maximum": 2 * TIMEOUT_MAX_S},
        "Seconds for an attempt; by default 1 for sms-callback, 20 for json and cloudevents, else the two others together.",
    ),
    "max_in_flight": said(
        NUMBER, "Attempts under way at the same time.", minimum=1, maximum=IN_FLIGHT_MAX, default=MAX_IN_FLIGHT
    ),
    "rate_limit": said(
        {"type": "number"}, "Deliveries a second; by default as many as can be.", minimum=RATE_MIN, maximum=RATE_MAX
    ),
    "disable_after": said(
        {"type": ["integer", "null"]},
        "Seconds without a success, and at least 20 failed attempts since, after which the config is disabled; null: never.",
        minimum=DISABLE_AFTER_MIN_S,
        maximum=SCHEDULE_SUM_MAX_S,
        default=DISABLE_AFTER_S,
    ),
    "headers": said(
        {"type": "object", "additionalProperties": TEXT},
        "Own headers. Those named like a secret are shown as ***, which sent back keeps the value.",
        maxProperties=30,
    ),
    "signing_secret": said(
        TEXT,
        "Formats json and cloudevents: whsec_ and base64. Made where the format is json and none is sent; shown once, "
        "in the answer of the request that set it, afterwards as ***, which sent back keeps it.",
    ),
}

_CREDENTIALS: Final[Schema] = {
    "basic_auth_username": said(TEXT_OR_NULL, "Sent as Basic auth; never shown.", maxLength=CREDENTIAL_MAX),
    "basic_auth_password": said(TEXT_OR_NULL, "Never shown; *** keeps it.", maxLength=CREDENTIAL_MAX),
}

_CONFIG_EXAMPLE: Final[Schema] = {
    "location_id": "loc_1c8m4qy3r7v2t",
    "resource": "contact",
    "on_create": "1",
    "on_update": "1",
    "on_delete": "1",
    "url": "https://client.example/receiver",
    "is_active": "1",
    "format": "api-default",
    "number_of_attempts": 3,
    "attempt_interval": 300,
    "expands": "",
}

_HEALTH: Final = an_object(
    {
        "delivered": said(NUMBER, "Within the last hour, as are failed and retried."),
        "failed": said(NUMBER, "Deliveries that were given up."),
        "retried": said(NUMBER, "Failed attempts that are followed by another."),
        "pending": said(NUMBER, "Deliveries that wait now, held ones too.", maximum=PENDING_MAX),
        "pending_is_more": said(BOOLEAN, "There are more than that."),
        "last_success_at": TIME_OR_NULL,
        "certificate_expires_at": said(
            TIME_OR_NULL, "When the certificate expires that the receiver last showed; null where it has shown none."
        ),
        "last_error": {
            "oneOf": [
                an_object({"at": TIME, "delivery_id": TEXT, "status": NUMBER_OR_NULL, "reason": TEXT_OR_NULL}),
                {"type": "null"},
            ],
            "description": "The last attempt that was no success, while it is in the log.",
        },
    }
)

_CONFIG: Final = an_object(
    {
        "id": TEXT,
        **CONFIG_FIELDS,
        "created_ts": said(NUMBER, "Unix seconds."),
        "modified_ts": said(NUMBER, "Unix seconds."),
        "purpose": said(
            TEXT, "Of configs that the settings of the account make: which of them. Read only.", enum=list(Purpose)
        ),
        "_links": LINKS,
        "state": said(TEXT, "With expand=state, and after pause and resume.", enum=list(ConfigState)),
        "state_reason": TEXT_OR_NULL,
        "warning": {
            "oneOf": [an_object({"text": TEXT, "since": TIME}), {"type": "null"}],
            "description": "With the state: what the receiver does that it was told not to do.",
        },
        "health": said(_HEALTH, "With expand=health: how it is doing."),
        "policy": said(ANY_OBJECT, "With expand=policy: what applies, defaults included."),
    },
    example={
        "id": "pbc_1c8m4r0000000",
        **_CONFIG_EXAMPLE,
        "created_ts": 1790000000,
        "modified_ts": 1790000000,
        "_links": {"self": {"href": "http://127.0.0.1:8080/v2/postbackconfigs/pbc_1c8m4r0000000"}},
    },
)

_CALLBACKS: Final[Schema] = {
    "callback_url_for_deliveries": said(TEXT_OR_NULL, "Where receipts go: sent, delivered, undelivered, failed."),
    "callback_url_for_inbounds": said(TEXT_OR_NULL, "Where what people answer goes."),
    "callback_url_for_blacklisted_numbers": said(TEXT_OR_NULL, "Where opt-outs go."),
    "payload": said(TEXT, "The form of the body.", enum=["json", "form"], default="json"),
    "naming": said(TEXT, "Whose names of fields.", enum=["overview", "reference"], default="overview"),
}


def _postback_settings(flag: Schema) -> Schema:
    return {
        "postback_url": said(TEXT_OR_NULL, "Where all messaging events go that have no URL of their own."),
        "enabled": said(flag, "Off: events from now on make no delivery to postback_url.", default=True),
        "mo_postback_url": said(TEXT_OR_NULL, "Where messages that come in go, instead of postback_url."),
        "mms_mo_postback": said(flag, "Off: an MMS that comes in goes nowhere.", default=True),
        "pass_postback_url": said(TEXT_OR_NULL, "Where events of passes go, instead of postback_url."),
        "pass_generate_postback": said(flag, "Off: events of passes go nowhere.", default=True),
        "xml_layout": said(TEXT, "Which generation of the XML.", enum=list(Layout), default=str(Layout.L2015)),
        "xml_content_type": said(TEXT, "As XML, or as a form.", enum=["raw", "form"], default="raw"),
        "xml_strict_historic": said(
            flag, "Exactly as it once was, where that differs from what is documented.", default=False
        ),
    }


def _sent(fields: Schema) -> Schema:
    """As callers may send them: null stands for the default again. Only a URL a config cannot be without."""
    return {name: schema if name == "url" else or_null(schema) for name, schema in fields.items()}


_CONFIG_OF_SETTINGS: Final = an_object(
    {
        "id": said(TEXT, "Of its postback config, which takes what these settings do not have."),
        "is_active": BOOLEAN,
        "state": said(TEXT, "Paused and disabled hold what is owed.", enum=list(ConfigState)),
        "state_reason": TEXT_OR_NULL,
        "warning": {
            "oneOf": [an_object({"text": TEXT, "since": TIME}), {"type": "null"}],
            "description": "What the receiver does that it was told not to do.",
        },
    }
)

CONFIG_SCHEMAS: Final[Schema] = {
    "PostbackConfig": _CONFIG,
    "NewPostbackConfig": an_object({**_sent(CONFIG_FIELDS), **_CREDENTIALS}, example=_CONFIG_EXAMPLE),
    "Callbacks": an_object(_CALLBACKS),
    "NewCallbacks": an_object(
        _sent(_CALLBACKS), example={"callback_url_for_deliveries": "https://client.example/receipts", "payload": "json"}
    ),
    "PostbackSettings": an_object(_postback_settings(BOOLEAN)),
    "NewPostbackSettings": an_object(
        _sent(_postback_settings(FLAG)), example={"postback_url": "https://client.example/postbacks", "enabled": "1"}
    ),
    "ConfigsOfSettings": {
        "type": "object",
        "additionalProperties": {"oneOf": [_CONFIG_OF_SETTINGS, {"type": "null"}]},
        "description": "The name of each URL → its postback config.",
    },
    "Rotation": an_object(
        {
            "overlap": said(
                NUMBER_OR_NULL,
                "Seconds for which the secret before signs too.",
                minimum=0,
                maximum=OVERLAP_MAX_S,
                default=OVERLAP_S,
            )
        }
    ),
    "RotatedSecret": an_object({"signing_secret": said(TEXT, "The new one, shown this once.")}),
    "Explained": an_object({"wants": {"type": "boolean"}, "reasons": a_list(TEXT)}),
    "Test": an_object(
        {"event_type": said(TEXT_OR_NULL, "By default the first that the config wants.", maxLength=TYPE_MAX)}
    ),
}
