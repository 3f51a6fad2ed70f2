"""What a config's POSTs always say: its URL, credentials and own headers, checked and put into bytes once."""

import re
from collections.abc import Mapping
from typing import Final, NoReturn

from postback.domain.configs import BasicAuth
from postback.domain.errors import InvalidValue
from postback.domain.policy import Deadlines
from postback.domain.urls import Url
from postback.domain.wire import USER_AGENT, Destination
from postback.domain.wire import basic_auth as basic_auth_value

HEADERS_MAX: Final = 30
HEADERS_SIZE_MAX: Final = 8 * 1024

RESERVED_HEADERS: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
RESERVED_PREFIXES: Final = ("proxy-", "webhook-")

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"([!-~]([\t -~]*[!-~])?)?")


def destination(
    url: Url,
    *,
    headers: Mapping[str, str] | None = None,
    basic_auth: BasicAuth | None = None,
    deadlines: Deadlines,
    asker: str = "",
) -> Destination:
    """Where and how one version of a config is called; InvalidValue when its headers must not be sent."""
    own = headers or {}
    check_headers(own, basic_auth=basic_auth)
    lines = [f"POST {url.target} HTTP/1.1", f"host: {url.authority}", f"user-agent: {USER_AGENT}"]
    if not any(name.lower() == "accept" for name in own):
        lines.append("accept: */*")
    lines.append("accept-encoding: identity")
    if basic_auth is not None:
        lines.append(f"authorization: {basic_auth_value(basic_auth.username, basic_auth.password)}")
    lines += [f"{name}: {value}" for name, value in own.items()]
    head = "".join(f"{line}\r\n" for line in lines).encode("ascii")
    return Destination(scheme=url.scheme, host=url.host, port=url.port, head=head, deadlines=deadlines, asker=asker)


def check_headers(headers: Mapping[str, str], *, basic_auth: BasicAuth | None = None) -> None:
    """Refuse what would break or forge a request: an owner's headers are bytes on our wire."""
    if len(headers) > HEADERS_MAX:
        _refuse(f"expected at most {HEADERS_MAX} headers, got {len(headers)}")
    size = sum(len(name) + len(value) for name, value in headers.items())
    if size > HEADERS_SIZE_MAX:
        _refuse(f"expected at most {HEADERS_SIZE_MAX} characters in all names and values, got {size}")
    seen: set[str] = set()
    for name, value in headers.items():
        _check_name(name)
        if not is_header_value(value):
            _refuse(f"{name} has a value that cannot be sent; expected visible ASCII with spaces only between")
        if name.lower() in seen:
            _refuse(f"{name} is there twice; upper and lower case make no other name")
        seen.add(name.lower())
    if basic_auth is not None and "authorization" in seen:
        _refuse("Authorization is already made from basic_auth_username and basic_auth_password; use one of them")


def is_header_value(text: str) -> bool:
    """Whether a header may carry it: no CR, LF or NUL, nothing beyond ASCII, no space at its ends."""
    return _VALUE.fullmatch(text) is not None


def is_header_name(text: str) -> bool:
    """Whether it is a token of RFC 9110."""
    return _TOKEN.fullmatch(text) is not None


def _check_name(name: str) -> None:
    if not is_header_name(name):
        _refuse(f"{name!r} is not a header name; expected letters, digits and - such as X-Customer")
    if name.lower() in RESERVED_HEADERS or name.lower().startswith(RESERVED_PREFIXES):
        _refuse(f"{name} is set by postback itself and cannot be chosen")


def _refuse(message: str) -> NoReturn:
    raise InvalidValue.of("headers", message)
