"""The two layouts of the XML postbacks as tables: which elements an event shows, in which order, inside which root.

Documented in Overview: Postback Notification System and the pages that it leads to, one for each group of events.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from postback.domain.event_types import Layout, Row
from postback.domain.messaging import MESSAGING

ROOT: Final = "POSTBACK"
WRAPPER: Final = "NOTIFICATION"
CONTENT: Final = "CONTENT"
FILE: Final = "FILE"
SCHEMA_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"

_PASS: Final = "REFERENCEDBY REFERENCEVALUE CUSTOMPASSID PASSDATAID SERIALNUMBER TIMESTAMP"  # noqa: S105

_ELEMENTS_2015: Final = {
    "N201 E201": "STATUS FROM FROM_MASK TO TRACKINGID SPID TIMESTAMP",
    "N202 E202": "STATUS FROM FROM_MASK TO TRACKINGID SPID TIMESTAMP STATUSDETAILS AGGREGATORID",
    "N101 N501": "SENTAS STATUS MMSID FROM TO TRACKINGID SPID TIMESTAMP",
    "N101-link N501-link": "SENTAS STATUS MMSID FROM TO TRACKINGID SPID TIMESTAMP STATUSDETAILS",
    "E101 E501 E999": "STATUS MMSID FROM TO TRACKINGID SPID STATUSDETAILS",
    "N102 N502": "SENTAS STATUS MMSID FROM TO TRACKINGID SPID TIMESTAMP HANDSET AGGREGATORID",
    "E102 E502": "STATUS MMSID FROM TO TRACKINGID SPID TIMESTAMP AGGREGATORID STATUSDETAILS",
    "N202-link": "SENTAS STATUS FROM TO TRACKINGID SPID TIMESTAMP AGGREGATORID",
    "E202-link": "SENTAS STATUS FROM TO TRACKINGID SPID TIMESTAMP AGGREGATORID STATUSDETAILS",
    "N003 N013": "MMSID",
    "E002 E012": "MMSID AUDIONAME",
    "E003 E011 E013": "MMSID VIDEONAME",
    "N211": "FROM TO TEXT RECEIVED TRANSACTIONID",
    "N401": "FROM TO KEYWORD SUBJECT TRACKINGID SPID TIMESTAMP FILE",
    "N301 N302": "MOBILE CAMPAIGNID TIMESTAMP SHORTCODE CAMPAIGNTITLE BRANDNAME SOURCE",
    "N303 N304": "EMAIL CAMPAIGNID",
    "N801 N802 N803 N811": _PASS,
}

_ELEMENTS_2014_03: Final = {
    "N201 E201": "STATUS TO TRACKINGID SPID TIMESTAMP",
    "N202 E202": "STATUS TO TRACKINGID SPID TIMESTAMP AGGREGATORID STATUSDETAILS",
    "N101 N501 N101-link N501-link": "SENTAS STATUS MMSID TO TRACKINGID SPID TIMESTAMP STATUSDETAILS",
    "E101 E501 E999": "STATUS MMSID TO TRACKINGID SPID STATUSDETAILS",
    "N102 E102 N502": "SENTAS STATUS MMSID TO TRACKINGID SPID TIMESTAMP HANDSET AGGREGATORID",
    "E502": "STATUS MMSID TO TRACKINGID SPID TIMESTAMP AGGREGATORID STATUSDETAILS",
    "N202-link": "SENTAS STATUS TO TRACKINGID SPID TIMESTAMP AGGREGATORID",
    "E202-link": "SENTAS STATUS TO TRACKINGID SPID TIMESTAMP AGGREGATORID STATUSDETAILS",
    "N003 N013": "MMSID",
    "E002 E012": "MMSID AUDIONAME",
    "E003 E011 E013": "MMSID VIDEONAME",
    "N211": "FROM TO TEXT RECEIVED",
    "N401": "FROM TO KEYWORD TRACKINGID SPID TIMESTAMP FILE",
    "N301 N302": "MOBILE CAMPAIGNID SUBID",
    "N303 N304": "EMAIL CAMPAIGNID SUBID",
    "N801 N802 N803 N811": _PASS,
}


def _by_kind(table: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    return {kind: tuple(elements.split()) for kinds, elements in table.items() for kind in kinds.split()}


_ELEMENTS: Final = {Layout.L2015: _by_kind(_ELEMENTS_2015), Layout.L2014_03: _by_kind(_ELEMENTS_2014_03)}
"""Layout → kind of event → what follows ORIGIN and CODE (and STATUSCODE).

A kind is named by its code in 2015, whatever the layout calls it, with `-link` where a link stood for the MMS.
"""

_WITHOUT_DECLARATION: Final = frozenset({"SMS_MO", "MMS_MO", "GENERATE_PASS"})

_OF_SAVED_MMS: Final = frozenset({"N003", "N013", "E002", "E003", "E011", "E012", "E013"})

_SCHEMA_2014_03: Final = {
    "SMS_MT": "http://www.skycore.com/schema/postback.xsd",
    "MMS_MT": "http://www.skycore.com/schema/postback.xsd",
    "SUB": "https://www.skycore.com/platform/platform/schema/pass-postback.xsd",
    "EMAIL_SUB": "https://www.skycore.com/platform/platform/schema/pass-postback.xsd",
    "GENERATE_PASS": "http://www.skycore.com/schema/pass-postback.xsd",
}


def elements(layout: Layout, row: Row, sent_as: object) -> tuple[str, ...]:
    """The elements that this row of the catalog may show after its codes, in their order."""
    is_link = row.field("sent_as") is not None and sent_as == "SMS"
    return _ELEMENTS[layout][f"{row.code}-link" if is_link else row.code]


class Frame(NamedTuple):
    """What stands around the elements of an event: a declaration, the schema that the root names, a wrapper in the root."""

    declaration: bytes
    schema: str | None
    is_wrapped: bool


def frame(layout: Layout, origin: str, row: Row) -> Frame:
    declaration = b"" if origin in _WITHOUT_DECLARATION else b"<?xml version='1.0'?>\n"
    if layout is Layout.L2015:
        return Frame(declaration, None, is_wrapped=False)
    schema = None if row.code in _OF_SAVED_MMS else _SCHEMA_2014_03.get(origin)
    return Frame(declaration, schema, is_wrapped=origin == "MMS_MO")


def _tag(name: str) -> str:
    return {"from_mask": "FROM_MASK", "files": FILE}.get(name) or name.replace("_", "").upper()


_SHOWN: Final = {tag for kinds in _ELEMENTS.values() for tags in kinds.values() for tag in tags}

FIELD_OF_TAG: Final[Mapping[str, str]] = {
    _tag(field.name): field.name
    for event_type in MESSAGING
    for row in event_type.rows
    for field in row.fields
    if _tag(field.name) in _SHOWN
}
"""Tag → our name of the field."""

CODES: Final = ("ORIGIN", "CODE", "STATUSCODE")
TAG_AS_READ: Final[Mapping[str, str]] = {
    **{tag: tag for tag in (*CODES, *FIELD_OF_TAG)},
    "AGGREGATOR": "AGGREGATORID",
}
"""Every known tag as it may come, in capitals → as it is now."""
