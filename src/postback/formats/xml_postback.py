"""The format xml: one messaging event as the document `<POSTBACK>`, or as a form whose names are the tags.

Documented in Overview: Postback Notification System. What each layout shows stands in `xml_layouts`.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote_plus

from postback.domain.catalog import CATALOG
from postback.domain.configs import PostbackConfig
from postback.domain.errors import CannotRender, Malformed
from postback.domain.event_types import EventType, Field, Kind, Layout
from postback.domain.events import Event, split_type
from postback.domain.facts import completed, refusals, row_of, with_constants
from postback.domain.messaging import MESSAGING
from postback.domain.times import TIME
from postback.formats.body import Parsed, Rendered
from postback.formats.xml_layouts import (
    CODES,
    CONTENT,
    FIELD_OF_TAG,
    FILE,
    ROOT,
    SCHEMA_INSTANCE,
    TAG_AS_READ,
    WRAPPER,
    Frame,
    elements,
    frame,
)
from postback.formats.xml_reading import Shown, fields_of_document, quoted

if TYPE_CHECKING:
    import msgspec

NAME: Final = "xml"
XML: Final = "application/xml; charset=utf-8"
FORM: Final = "application/x-www-form-urlencoded"

BODY_MAX: Final = 16 << 20
MASK_MAX: Final = 11
_CACHED_BYTES: Final = 4096


def render(event: Event, config: PostbackConfig, _counter: int, _now_ms: int) -> Rendered:
    """The same bytes in every attempt: neither its number nor its time stands in a postback."""
    options = config.options
    # The same event is asked for before it is accepted, again on a retry, and by several configs.
    say = _said if len(event.data) <= _CACHED_BYTES else _said.__wrapped__
    return say(
        event.type, event.data, options.xml_layout, options.xml_content_type == "form", options.xml_strict_historic
    )


def parse(body: bytes, content_type: str, _time_zone: str | None = None) -> Parsed:
    """The event of a document or form, of either layout and their historic variants.

    A body carries texts: `mms_id` and the other ids are their digits. Times have an offset of hours and minutes. An
    empty FROM_MASK says that there is no mask. What else is empty was sent empty, and what is missing stays missing.
    """
    if len(body) > BODY_MAX:
        raise Malformed(f"the body has {len(body)} bytes; expected at most {BODY_MAX}")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == FORM:
        shown = _fields_of_form(body)
    elif kind in {"application/xml", "text/xml"} or kind.endswith("+xml"):
        shown = fields_of_document(body, content_type)
    else:
        raise Malformed(f"the content type is {quoted(content_type)}; expected application/xml or {FORM}")
    event_type, data = _event(shown)
    return Parsed(event_type, json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())


@lru_cache(maxsize=512)
def _said(event_type: str, data: bytes, layout: Layout, as_form: bool, strict_historic: bool) -> Rendered:
    known = CATALOG.get(event_type)
    if known is None or known.origin is None:
        raise CannotRender(f"the type is {event_type[:128]!r}; the format xml says the messaging events only")
    facts = _facts(known, data)
    row = row_of(event_type, facts)
    if row is None:
        raise CannotRender(f"the data is of none of the kinds of {event_type}")

    code = row.code_in(layout)
    shown = [("ORIGIN", known.origin), ("CODE", code)]
    if known.origin == "GENERATE_PASS":
        # Historic receivers knew no CODE here, others are told that CODE is always there.
        shown[1:] = [("STATUSCODE", code)] if strict_historic else [("CODE", code), ("STATUSCODE", code)]
    # The documents show the short offset on these events, and on no others.
    short_times = known.origin == "SUB" and layout is Layout.L2015
    for tag in elements(layout, row, facts.get("sent_as")):
        field = row.field(FIELD_OF_TAG[tag])
        if field is not None:
            shown += [(tag, text) for text in _texts(field, facts, short_times=short_times)]

    if as_form:
        return Rendered(FORM, "&".join(f"{tag}={quote_plus(text)}" for tag, text in shown).encode())
    return Rendered(XML, _document(frame(layout, known.origin, row), shown))


def _facts(known: EventType, data: bytes) -> Mapping[str, Any]:
    """The listed fields of the data, as the catalog allows them; the others may be anything that is JSON."""
    import msgspec  # noqa: PLC0415 - not installed where only the receiver's part is

    try:
        data.decode()
        members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError) as error:
        raise CannotRender(f"the data of the event cannot be read: {error}") from None
    names = {field.name for row in known.rows for field in row.fields}
    facts = {name: _value(name, member) for name, member in members.items() if name in names}
    refused = refusals(known.name, facts)
    if refused:
        raise CannotRender("; ".join(f"{name}: {text}" for name, texts in refused.items() for text in texts))
    return completed(known.name, facts)


def _value(name: str, member: "msgspec.Raw") -> Any:
    import msgspec  # noqa: PLC0415

    try:
        return msgspec.json.decode(member)
    except (ValueError, RecursionError) as error:
        # An integer of 5,000 digits is JSON, and yet no number can hold it.
        raise CannotRender(f"{name} cannot be read: {error}") from None


def _texts(field: Field, facts: Mapping[str, Any], *, short_times: bool) -> Sequence[str]:
    """What the elements of a field hold: most often one, of files several, none where the event does not have it."""
    name = field.name
    if name == "from_mask":
        return [facts.get(name, "")[:MASK_MAX]]
    if name not in facts:
        return []
    value = facts[name]
    if field.kind is Kind.URLS:
        return [str(one) for one in value]
    if field.kind is Kind.TIME:
        return [_time(value, short=short_times)]
    return [value.removeprefix("+") if name in {"to", "mobile"} else str(value)]


def _time(text: str, *, short: bool) -> str:
    """The time as it came, with an offset of hours and minutes; short: of hours where that is all, without fraction."""
    match = TIME.fullmatch(text)
    if match is None:
        return text
    fraction = f".{match['fraction']}" if match["fraction"] and not short else ""
    minutes = match["minutes"] or "00"
    offset = f"{match['sign'] or '+'}{match['hours'] or '00'}" + ("" if short and minutes == "00" else f":{minutes}")
    return f"{match['date']}T{match['clock']}{fraction}{offset}"


def _document(frame: Frame, shown: Sequence[tuple[str, str]]) -> bytes:
    """The elements one after another, the files in an element of their own."""
    from lxml import etree  # noqa: PLC0415 - not installed where only the receiver's part is

    root = etree.Element(ROOT, nsmap={"xsi": SCHEMA_INSTANCE} if frame.schema else None)
    if frame.schema:
        root.set(f"{{{SCHEMA_INSTANCE}}}noNamespaceSchemaLocation", frame.schema)
    parent = etree.SubElement(root, WRAPPER) if frame.is_wrapped else root
    content = None
    for tag, text in shown:
        if tag == FILE and content is None:
            content = etree.SubElement(parent, CONTENT)
        element = etree.SubElement(parent if content is None else content, tag)
        try:
            element.text = text
        except ValueError:
            raise CannotRender(f"{FIELD_OF_TAG[tag]} holds a character that XML cannot carry: {text[:80]!a}") from None
    return frame.declaration + bytes(etree.tostring(root, encoding="UTF-8", xml_declaration=False))


def _event(shown: Shown) -> tuple[str, Mapping[str, Any]]:
    """The type and the facts; what a body may show once is in `shown` once."""
    for tag, texts in shown.items():
        if len(texts) > 1 and tag != FILE:
            raise Malformed(f"{tag} is there {len(texts)} times")
    first = {tag: texts[0] for tag, texts in shown.items()}
    origin, code, status_code = (first.get(tag, "").strip() for tag in CODES)
    if code and status_code and code != status_code:
        raise Malformed(f"CODE is {quoted(code)} and STATUSCODE is {quoted(status_code)}")
    code = code or status_code
    by_code = _BY_CODE.get((origin, code))
    if by_code is None:
        raise Malformed(f"ORIGIN {quoted(origin)} and CODE {quoted(code)} are not those of an event")

    facts: dict[str, Any] = {
        FIELD_OF_TAG[tag]: list(shown[FILE]) if tag == FILE else text
        for tag, text in first.items()
        if tag not in CODES and not (tag == "FROM_MASK" and not text)
    }
    for word in ("status", "sent_as"):
        if word in facts:
            facts[word] = facts[word].strip()
    event_type = _by_status(by_code, code, facts.get("status", ""))
    # Also where the catalog lists no time: some documents show one on the events of what could not be sent.
    for name in _TIMES & facts.keys():
        facts[name] = _time(facts[name], short=False)
    _tell_by_code(event_type, code, facts)
    return event_type, with_constants(event_type, facts)


_TIMES: Final = {field.name for one in MESSAGING for row in one.rows for field in row.fields if field.kind is Kind.TIME}
_BY_CODE: Final = {(one.origin, row.code): one.name for one in MESSAGING for row in one.rows}
_DELIVERED: Final = "Message Sent/Delivered"
_SUCCESS: Final = {"sent": "Message Sent", "delivered": _DELIVERED}
_FAILURE_OF: Final = {
    "sent": "failed",
    "failed": "failed",
    "delivered": "undelivered",
    "undelivered": "undelivered",
}


def _by_status(event_type: str, code: str, status: str) -> str:
    """The type by code and status: until 2014-03 the status alone told what failed, under the code of success."""
    subject, verb = split_type(event_type)
    failure = _FAILURE_OF.get(verb)
    if failure is None or not status or status == _SUCCESS.get(verb):
        return event_type
    if status == "Message Failed" or (status.startswith("Message Sent/") and status != _DELIVERED):
        return f"{subject}.{failure}"
    raise Malformed(f"STATUS is {quoted(status)}, which does not belong to CODE {code}")


def _tell_by_code(event_type: str, code: str, facts: dict[str, Any]) -> None:
    """What the code alone tells of the kind of event, such as that a link stood for the MMS."""
    for row in CATALOG[event_type].rows:
        if row.told_by is not None and row.told_by[1] is not None and code in {row.code, row.code_2014_03}:
            facts.setdefault(*row.told_by)


def _fields_of_form(body: bytes) -> Shown:
    shown: Shown = {}
    try:
        text = body.decode("utf-8-sig").strip()
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise Malformed(f"not a form: {str(error)[:200]}") from None
    for name, value in pairs:
        tag = TAG_AS_READ.get(name.upper())
        if tag is not None:
            shown.setdefault(tag, []).append(value)
    return shown
