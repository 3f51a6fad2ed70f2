"""What the reference shows of an event: the body of an example in each format, made as the bodies of deliveries are."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from postback.actions.config_preview import Preview, preview
from postback.domain.catalog import can_say
from postback.domain.event_types import Layout


class Way(NamedTuple):
    """A format with the options that make its bodies others; `options` are fields of a config."""

    name: str
    format: str
    options: Mapping[str, object]


WAYS: Final[Sequence[Way]] = (
    Way("api-default", "api-default", {}),
    *(Way(f"xml, layout {layout}", "xml", {"xml_layout": layout}) for layout in Layout),
    Way("xml, as a form", "xml", {"xml_content_type": "form"}),
    Way("sms-callback", "sms-callback", {}),
    Way("sms-callback, naming of the reference", "sms-callback", {"callback_naming": "reference"}),
    Way("sms-callback, as a form", "sms-callback", {"callback_payload": "form"}),
    Way("json", "json", {}),
    Way("cloudevents", "cloudevents", {}),
)


class Example(NamedTuple):
    """One way with the body of the first attempt, and the fields of a config that sends it."""

    way: Way
    body: Preview
    fields: Mapping[str, object]


def examples(account: str, event_type: str, now_ms: int) -> Sequence[Example]:
    """In every way that can say events of this type."""
    found = []
    for way in WAYS:
        if can_say(way.format, event_type):
            fields = {"format": way.format, **way.options}
            body = preview(account, {**fields, "event_types": [event_type]}, event_type, now_ms)
            found.append(Example(way, body, fields))
    return found


VERIFYING: Final = '''\
import base64
import hashlib
import hmac
import time


def is_from_us(body: bytes, headers: dict[str, str], secret: str) -> bool:
    """`body` is the bytes as they arrived; names of `headers` are in lower case."""
    id, sent_at = headers["webhook-id"], headers["webhook-timestamp"]
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > 300:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{id}.{sent_at}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    sent = headers["webhook-signature"].encode().split(b" ")
    return any(hmac.compare_digest(expected, one) for one in sent)
'''
"""How a receiver checks a signature by itself, as the page shows it."""

VERIFYING_WITH_TOOLKIT: Final = """\
from postback.receiver import SignatureRefused, verify

try:
    event_id = verify(body, headers, [secret])
except SignatureRefused as refused:
    print(refused)
"""
"""The same with the toolkit for receivers."""
