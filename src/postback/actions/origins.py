"""Origins: whose pages may show an account's portal in a frame. They end up in a header, so nothing else gets here."""

import re
from typing import Final

from postback.domain.urls import DEFAULT_PORTS, HOST_MAX
from postback.resources.fields import Refusal, shown

ORIGINS_MAX: Final = 20
EXPECTED: Final = "an origin such as https://crm.example or https://crm.example:8443, without a path"

_ORIGIN: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?/?", re.IGNORECASE | re.ASCII
)
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LOCAL: Final = ("localhost", "127.0.0.1")
"""Pages of the machine itself need no encryption: nobody stands between."""


def origins(sent: object) -> tuple[str, ...]:
    """A reader of fields: each once, in the form in which browsers name it."""
    if not isinstance(sent, list) or len(sent) > ORIGINS_MAX:
        raise Refusal(f"is {shown(sent)}; expected a list of at most {ORIGINS_MAX} origins")
    return tuple(dict.fromkeys(map(_origin, sent)))


def _origin(sent: object) -> str:
    match = _ORIGIN.fullmatch(sent) if isinstance(sent, str) else None
    if match is None:
        raise Refusal(f"names {shown(sent)}; expected {EXPECTED}")
    scheme, host, port = match["scheme"].lower(), match["host"].lower(), match["port"]
    if len(host) > HOST_MAX or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise Refusal(f"names {shown(sent)}, whose host is none; expected {EXPECTED}")
    if scheme == "http" and host not in _LOCAL:
        raise Refusal(f"names {shown(sent)}; expected https, since whoever is between could change that page")
    number = DEFAULT_PORTS[scheme] if port is None else int(port)
    if not 1 <= number <= 65_535:
        raise Refusal(f"names {shown(sent)}; expected a port from 1 to 65535")
    return f"{scheme}://{host}" if number == DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{number}"
