"""The messaging events of the catalog, a row for each way in which they come.

Documented in Overview: Postback Notification System and the pages it leads to; what callbacks show beyond it in Callbacks.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from postback.domain.event_types import EventType, Field, Kind, Row

_TO: Final = Field(name="to", meaning="Number of the recipient, international digits.", required=True)
_FROM: Final = Field(name="from", meaning="Short or long code that sent it.")
_FROM_MASK: Final = Field(name="from_mask", meaning="Alphanumeric sender; the XML shows 11 characters of it.")
_TRACKING: Final = Field(name="tracking_id", meaning="The id that the sending call answered.", required=True)
_SPID: Final = Field(name="spid", meaning="Carrier, 7 digits.")
_TIMESTAMP: Final = Field(name="timestamp", meaning="When it happened.", kind=Kind.TIME)
_DETAILS: Final = Field(name="status_details", meaning="The reason, or the carrier's own words.")
_AGGREGATOR: Final = Field(name="aggregator_id", meaning="The carrier's id of the transmission.")
_HANDSET: Final = Field(name="handset", meaning="Profile of the device that received it.")
_MMS: Final = Field(name="mms_id", meaning="Id of the saved MMS.", kind=Kind.ID, required=True)
_AUDIO: Final = Field(name="audio_name", meaning="The audio file that could not be encoded.", required=True)
_VIDEO: Final = Field(name="video_name", meaning="The video file that could not be encoded.", required=True)
_SUB_ID: Final = Field(name="sub_id", meaning="Id of the subscription; shown by the layout 2014-03 only.", kind=Kind.ID)
_CAMPAIGN: Final = Field(name="campaign_id", meaning="Campaign of the subscription.", kind=Kind.ID, required=True)

_MESSAGE: Final = Field(name="message_id", meaning="Id that callbacks show; without it they show tracking_id.")
_CHANNEL: Final = Field(name="channel", meaning="Channel that callbacks of the naming `reference` show, else sms.")
_META_DATA: Final = Field(
    name="meta_data", meaning="Further data that callbacks of the naming `reference` show.", kind=Kind.OBJECT
)

CALLBACK_STATUSES: Final = (
    "ACK", "DELIVERED", "NOT_DELIVERED", "NOT_ALLOWED", "UNKNOWN_DELIVERY", "BAD_DESTINATION", "BLACKLISTED_NUMBER",
    "UNDEFINED", "READ", "OPENED", "CLICKED", "TRANSMITTED", "ISP_SEND", "PROCESSED", "SPAM_PRESUMPTION", "EXPIRED",
    "ANTI_FLOODING", "NOT_DELIVERABLE", "BUSY", "REFUSED",
)  # fmt: skip
"""The words that a receipt of the callback system may carry as its status."""

_CALLBACK_STATUS: Final = Field(
    name="callback_status", meaning="The word that callbacks show as the status.", choices=CALLBACK_STATUSES
)
_FOR_RECEIPTS: Final = (_CALLBACK_STATUS, _MESSAGE, _CHANNEL, _META_DATA)
_FOR_CALLBACKS: Final = tuple(
    replace(field, meaning="Of receipts; callbacks of this type do not show it.")
    if field in (_CALLBACK_STATUS, _CHANNEL, _META_DATA)
    else field
    for field in _FOR_RECEIPTS
)


def _status(*values: str, required: bool = False) -> Field:
    """The status that a row always has; of several the first stands where none is sent, unless one is required."""
    return Field(
        name="status",
        meaning="What became of it.",
        choices=values,
        required=required,
        default=None if required else values[0],
    )


def _sent_as(*values: str) -> Field:
    return Field(name="sent_as", meaning="MMS, or SMS for a link.", choices=values, default=values[0])


_SMS_FACTS: Final = {
    "to": "12025550143",
    "tracking_id": "U01TXzMxNDE1OQ==",
    "from": "24687",
    "from_mask": "HARBOR",
    "spid": "0001890",
    "timestamp": "2026-04-09T10:15:09-04:00",
}
_MMS_FACTS: Final = {
    "mms_id": 51208,
    "to": "12025550177",
    "tracking_id": "TU1TXzI3MTk1NQ==",
    "from": "24687",
    "spid": "0001570",
}
_MMS_TIME: Final = {"timestamp": "2026-05-20T18:29:58-04:00"}
_RECEIPT: Final = {"aggregator_id": "20417-33860-91452-07718-64093"}
_EXPIRED: Final = {"status": "Message Sent/Expired", "status_details": "The recipient's device was off for three days"}

_SMS: Final = (_TO, _TRACKING, _FROM, _FROM_MASK, _SPID, _TIMESTAMP)
_SMS_RECEIPT: Final = (*_SMS, _DETAILS, _AGGREGATOR)
_MMS_MT: Final = (_MMS, _TO, _TRACKING, _FROM, _SPID)
_MMS_RECEIPT: Final = (*_MMS_MT, _TIMESTAMP, _HANDSET, _AGGREGATOR)
_LINK_RECEIPT: Final = (_TO, _TRACKING, _FROM, _SPID, _TIMESTAMP, _AGGREGATOR)
_UNDELIVERED: Final = (
    "Message Sent/Expired",
    "Message Sent/Rejected",
    "Message Sent/NotSupported",
    "Message Sent/Failed",
)
_SMS_UNDELIVERED: Final = ("Message Sent/Failed", "Message Sent/Expired", "Message Sent/NotSupported")


def _one(
    name: str, sentence: str, origin: str, codes: str, fields: tuple[Field, ...], example: Mapping[str, object]
) -> EventType:
    """A type that comes in one way; `codes` are that of 2015 and, where it is another one, that of 2014-03."""
    code, _, old = codes.partition(" ")
    row = Row(code=code, code_2014_03=old or code, fields=fields, example=example)
    return EventType(name=name, sentence=sentence, origin=origin, rows=(row,), example=example)


def _several(name: str, sentence: str, origin: str, *rows: Row) -> EventType:
    return EventType(name=name, sentence=sentence, origin=origin, rows=rows, example=rows[0].example)


def _failed(name: str, sentence: str, codes: str) -> EventType:
    """An MMS that could not be sent: neither SENTAS nor TIMESTAMP belong to it."""
    return _one(
        name, sentence, "MMS_MT", codes, (*_MMS_MT, _DETAILS, _status("Message Failed")),
        {**_MMS_FACTS, "status": "Message Failed", "status_details": "The content is too large"},
    )  # fmt: skip


def _media(name: str, sentence: str, audio: str, video: str) -> EventType:
    """Encoding that failed: the code says of what, and exactly one of the two names is there."""
    return _several(
        name, sentence, "MMS_MT",
        Row(
            code=audio, code_2014_03=_old_media_code(audio), fields=(_MMS, _AUDIO), told_by=("audio_name", None),
            example={"mms_id": 51307, "audio_name": "jingle-04.mp3"},
        ),
        Row(
            code=video, code_2014_03=_old_media_code(video), fields=(_MMS, _VIDEO), told_by=("video_name", None),
            example={"mms_id": 51307, "video_name": "clip-04.3gp"},
        ),
    )  # fmt: skip


def _old_media_code(code: str) -> str:
    """Until 2014-03 a saved MMS whose video failed was reported under the code of audio."""
    return "E002" if code == "E003" else code


_MMS_AND_LINK_RECEIPTS: Final = (
    _several(
        "mms.delivered", "An MMS arrived, or the link that stood for it.", "MMS_MT",
        Row(
            code="N102", code_2014_03="N102", told_by=("sent_as", "MMS"),
            fields=(*_MMS_RECEIPT, _sent_as("MMS"), _status("Message Sent/Delivered")),
            example={**_MMS_FACTS, **_MMS_TIME, **_RECEIPT, "handset": "Nokia6680", "sent_as": "MMS",
                     "status": "Message Sent/Delivered"},
        ),
        Row(
            code="N202", code_2014_03="N202", told_by=("sent_as", "SMS"),
            fields=(*_LINK_RECEIPT, _sent_as("SMS"), _status("Message Sent/Delivered")),
            example={**{name: value for name, value in _MMS_FACTS.items() if name != "mms_id"}, **_MMS_TIME,
                     **_RECEIPT, "sent_as": "SMS", "status": "Message Sent/Delivered"},
        ),
    ),
    _several(
        "mms.undelivered", "The carrier says that an MMS, or the link that stood for it, did not arrive.", "MMS_MT",
        Row(
            code="E102", code_2014_03="N102", told_by=("sent_as", "MMS"),
            fields=(*_MMS_RECEIPT, _DETAILS, _sent_as("MMS"), _status(*_UNDELIVERED, required=True)),
            example={**_MMS_FACTS, **_MMS_TIME, **_RECEIPT, **_EXPIRED, "sent_as": "MMS"},
        ),
        Row(
            code="E202", code_2014_03="N202", told_by=("sent_as", "SMS"),
            fields=(*_LINK_RECEIPT, _DETAILS, _sent_as("SMS"), _status("Message Sent/Failed", *_UNDELIVERED[:3])),
            example={**{name: value for name, value in _MMS_FACTS.items() if name != "mms_id"}, **_MMS_TIME,
                     **_RECEIPT, **_EXPIRED, "sent_as": "SMS"},
        ),
    ),
)  # fmt: skip


def _mms_sent(name: str, sentence: str, code: str) -> EventType:
    return _one(
        name, sentence, "MMS_MT", code,
        (*_MMS_MT, _TIMESTAMP, _DETAILS, _sent_as("MMS", "SMS"), _status("Message Sent")),
        {**_MMS_FACTS, **_MMS_TIME, "sent_as": "MMS", "status": "Message Sent"},
    )  # fmt: skip


_SUBSCRIBER: Final = (
    Field(name="mobile", meaning="Number of the subscriber, international digits.", required=True),
    _CAMPAIGN,
    _SUB_ID,
    _TIMESTAMP,
    Field(name="short_code", meaning="Short code of the campaign."),
    Field(name="campaign_title", meaning="Title of the campaign."),
    Field(name="brand_name", meaning="Brand of the campaign."),
    Field(name="source", meaning="How it came: MANAGER, API, MO, WEB, IMPORTED AS UNSUBSCRIBED."),
)
_SUBSCRIPTION: Final = {
    "mobile": "12025550119",
    "campaign_id": 2046,
    "sub_id": 90455,
    "timestamp": "2026-02-11T16:05:48-05:00",
    "short_code": "24687",
    "campaign_title": "Spring Deals",
    "brand_name": "Harbor & Finch",
}
_EMAIL: Final = (Field(name="email", meaning="Address of the subscriber.", required=True), _CAMPAIGN, _SUB_ID)
_EMAIL_FACTS: Final = {"email": "ana.ruiz@example.com", "campaign_id": 318, "sub_id": 90455}
_PASS: Final = (
    Field(name="referenced_by", meaning="Kind of the reference, such as Email.", required=True),
    Field(name="reference_value", meaning="Whom the pass is for.", required=True),
    Field(name="custom_pass_id", meaning="The caller's own id of the pass."),
    Field(name="pass_data_id", meaning="Id of the data of the pass.", kind=Kind.ID),
    Field(name="serial_number", meaning="Serial number of the pass."),
    _TIMESTAMP,
)
_PASS_FACTS: Final = {
    "referenced_by": "Email",
    "reference_value": "ana.ruiz@example.com",
    "custom_pass_id": "LOYAL-000871",
    "pass_data_id": 61277,
    "serial_number": "53A1F0C29B4D7-040326-090533",
    "timestamp": "2026-04-03T09:05:33-04:00",
}

MESSAGING: Final = (
    _one(
        "sms.sent", "An SMS was handed to the carrier.", "SMS_MT", "N201",
        (*_SMS, _status("Message Sent"), *_FOR_RECEIPTS), {**_SMS_FACTS, "status": "Message Sent"},
    ),
    _one(
        "sms.failed", "An SMS could not be sent.", "SMS_MT", "E201 N201",
        (*_SMS, _status("Message Failed"), *_FOR_RECEIPTS), {**_SMS_FACTS, "status": "Message Failed"},
    ),
    _one(
        "sms.delivered", "The carrier says that an SMS arrived.", "SMS_MT", "N202",
        (*_SMS_RECEIPT, _status("Message Sent/Delivered"), *_FOR_RECEIPTS),
        {**_SMS_FACTS, **_RECEIPT, "status": "Message Sent/Delivered"},
    ),
    _one(
        "sms.undelivered", "The carrier says that an SMS did not arrive.", "SMS_MT", "E202 N202",
        (*_SMS_RECEIPT, _status(*_SMS_UNDELIVERED), *_FOR_RECEIPTS), {**_SMS_FACTS, **_RECEIPT, **_EXPIRED},
    ),
    _one(
        "sms.received", "Somebody sent an SMS to a number of the account.", "SMS_MO", "N211",
        (
            replace(_FROM, meaning="Number of the sender, international digits.", required=True),
            replace(_TO, meaning="Short or long code that received it."),
            Field(name="text", meaning="The text as received.", required=True),
            Field(name="received", meaning="When it was received.", kind=Kind.TIME, required=True),
            Field(name="transaction_id", meaning="Id of the reception; shown by the layout 2015 only."),
            *_FOR_CALLBACKS,
        ),
        {"from": "12025550166", "to": "24687", "text": "INFO opening hours & prices",
         "received": "2026-03-02T08:44:57-05:00", "transaction_id": "704QK-51830-66LWD-290Z5"},
    ),
    _mms_sent("mms.sent", "The sending of an MMS began.", "N101"),
    _failed("mms.failed", "An MMS could not be sent.", "E101"),
    *_MMS_AND_LINK_RECEIPTS,
    _one(
        "mms.received", "Somebody sent an MMS to a number of the account.", "MMS_MO", "N401",
        (
            replace(_FROM, meaning="Number of the sender, international digits.", required=True),
            replace(_TO, meaning="Short or long code that received it."),
            Field(name="keyword", meaning="Keyword that the message was matched by."),
            Field(name="subject", meaning="Subject of the message; shown by the layout 2015 only."),
            _TRACKING,
            _SPID,
            replace(_TIMESTAMP, meaning="When it was received.", required=True),
            Field(name="files", meaning="Where its files are, one or more.", kind=Kind.URLS, required=True),
        ),
        {"from": "12025550166", "to": "24687", "keyword": "contest", "subject": "My entry",
         "tracking_id": "MMS_MO_q7RzT2wK", "spid": "0001890", "timestamp": "2026-03-12T08:51:20-04:00",
         "files": ["https://media.example.net/mo/7h2k/photo-01.jpg", "https://media.example.net/mo/7h2k/note-01.txt"]},
    ),
    _one("mms.saved", "An MMS was stored and encoded.", "MMS_MT", "N003", (_MMS,), {"mms_id": 51307}),
    _media("mms.save_failed", "Audio or video of a saved MMS could not be encoded.", "E002", "E003"),
    _one(
        "mms.saved_and_sent", "An MMS was stored and encoded, and its sending began.", "MMS_MT", "N013",
        (_MMS,), {"mms_id": 51307},
    ),
    _media("mms.encode_failed", "Audio or video of an MMS that was to be sent could not be encoded.", "E012", "E013"),
    _one(
        "mms.video_failed", "A mobile video could not be encoded.", "MMS_MT", "E011",
        (_MMS, replace(_VIDEO, required=False)), {"mms_id": 51307, "video_name": "clip-04.3gp"},
    ),
    _mms_sent("discovery.sent", "A message to discover the recipient's device was sent.", "N501"),
    _failed("discovery.failed", "A message to discover the recipient's device could not be sent.", "E501"),
    _one(
        "discovery.delivered", "A message to discover the recipient's device arrived.", "MMS_MT", "N502",
        (*_MMS_RECEIPT, _sent_as("MMS"), _status("Message Sent/Delivered")),
        {**_MMS_FACTS, **_MMS_TIME, **_RECEIPT, "handset": "Nokia6680", "sent_as": "MMS",
         "status": "Message Sent/Delivered"},
    ),
    _one(
        "discovery.undelivered", "A message to discover the recipient's device did not arrive.", "MMS_MT", "E502",
        (*_MMS_RECEIPT, _DETAILS, _sent_as("MMS"), _status(*_UNDELIVERED, required=True)),
        {**_MMS_FACTS, **_MMS_TIME, **_RECEIPT, **_EXPIRED, "sent_as": "MMS"},
    ),
    _failed("queue.failed", "A message was lost to an error in the sending queue.", "E999"),
    _one(
        "subscriber.subscribed", "A number was subscribed to a campaign; also when it was already.", "SUB", "N301",
        _SUBSCRIBER, {**_SUBSCRIPTION, "source": "WEB"},
    ),
    _one(
        "subscriber.unsubscribed", "A number was unsubscribed from a campaign.", "SUB", "N302",
        (*_SUBSCRIBER, Field(name="text", meaning="What was written to unsubscribe; callbacks show it, else STOP."),
         *_FOR_CALLBACKS),
        {**_SUBSCRIPTION, "source": "MO", "text": "STOP"},
    ),
    _one("email.subscribed", "An address was subscribed to a campaign.", "EMAIL_SUB", "N303", _EMAIL, _EMAIL_FACTS),
    _one(
        "email.unsubscribed", "An address was unsubscribed from a campaign.", "EMAIL_SUB", "N304", _EMAIL, _EMAIL_FACTS
    ),
    _one("pass.generated", "A pass was generated.", "GENERATE_PASS", "N801", _PASS, _PASS_FACTS),
    _one("pass.failed", "A pass could not be generated.", "GENERATE_PASS", "N802", _PASS, _PASS_FACTS),
    _one(
        "pass.limit_reached", "No pass was generated: the limit is reached.", "GENERATE_PASS", "N803",
        _PASS, _PASS_FACTS,
    ),
    _one(
        "pass.no_credit", "No pass was generated: the account has no credit.", "GENERATE_PASS", "N811",
        _PASS, _PASS_FACTS,
    ),
)  # fmt: skip
