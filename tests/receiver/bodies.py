"""Real bodies in every format, as the product renders them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from postback.domain.catalog import CATALOG
from postback.domain.configs import FormatOptions, SigningSecret
from postback.formats import render
from tests.build import NOON, a_config, an_event

SECRET: Final = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
OTHER_SECRET: Final = "whsec_" + "WFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhY"
FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Posted:
    """What a receiver is sent. `headers` are all of it, the content type included."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        return self.headers["content-type"]


def posted(
    format_name: str,
    event_type: str = "sms.delivered",
    data: Mapping[str, Any] | None = None,
    *,
    counter: int = 1,
    now_ms: int = NOON,
    secret: str | None = None,
    number: int = 0,
    **options: Any,
) -> Posted:
    """One event in one format; `number` makes another event of it. The format json is always signed."""
    if format_name == "json":
        secret = secret or SECRET
    event = an_event(
        id=(NOON << 21) + number,
        type=event_type,
        data=json.dumps(CATALOG[event_type].example if data is None else data).encode(),
    )
    secrets = (SigningSecret(secret),) if secret else ()
    config = a_config(format=format_name, options=FormatOptions(**options), signing_secrets=secrets)
    rendered = render(event, config, counter, now_ms)
    return Posted(rendered.body, {"content-type": rendered.content_type, **dict(rendered.headers)})


KINDS: Final[Mapping[str, tuple[str, Posted]]] = {
    "api-default": ("api-default", posted("api-default", "contact.created")),
    "xml 2015": ("xml", posted("xml")),
    "xml 2014-03": ("xml", posted("xml", "mms.received", xml_layout="2014-03")),
    "xml as form": ("xml", posted("xml", xml_content_type="form")),
    "pass of old": ("xml", posted("xml", "pass.generated", xml_content_type="form", xml_strict_historic=True)),
    "receipt": ("sms-callback", posted("sms-callback")),
    "receipt, reference": ("sms-callback", posted("sms-callback", callback_naming="reference")),
    "reply": ("sms-callback", posted("sms-callback", "sms.received")),
    "reply as form": ("sms-callback", posted("sms-callback", "sms.received", callback_payload="form")),
    "opt-out": ("sms-callback", posted("sms-callback", "subscriber.unsubscribed")),
    "json": ("json", posted("json")),
    "cloudevents": ("cloudevents", posted("cloudevents")),
}
"""Name → the format that `parse` has to find, and the body."""
