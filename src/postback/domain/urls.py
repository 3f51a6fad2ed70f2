"""The URLs that postbacks go to: one strict grammar of our own, so that no two parsers can disagree about the host."""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple, NoReturn

from postback.domain.addresses import AddressRules, port_verdict
from postback.domain.errors import InvalidValue

URL_MAX: Final = 2048
HOST_MAX: Final = 253
LABEL_MAX: Final = 63
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_EXAMPLE: Final = "https://client.example/postbacks"
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_SUFFIXES: Final = (".localhost", ".internal", ".local")


class Url(NamedTuple):
    """`host` is in lower case, without brackets and trailing dot; `target` is path and query as they were written."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(text: str, *, allow_http: bool) -> Url:
    """The URL in its parts, or InvalidValue that says what would be right."""
    _check_characters(text)
    scheme, rest = _split_scheme(text, allow_http=allow_http)
    authority, target = _split_authority(rest)
    host, port = _split_port(authority)
    return Url(scheme, _host(host), DEFAULT_PORTS[scheme] if port is None else _port(port), target)


def judge_url(url: Url, rules: AddressRules) -> None:
    """Refuse what is known to be forbidden before anything is sent; names are judged again each time they are resolved."""
    if literal := ip_literal(url.host):
        if verdict := rules.verdict(literal, url.port):
            _refuse(f"is refused: {verdict}")
    elif not rules.allowed:
        # With networks allowed a name may turn out to be inside them, where every port is fine.
        if "." not in url.host or url.host.endswith(_LOCAL_SUFFIXES):
            _refuse(
                f"names {url.host!r}, which is not a public name; expected one such as client.example, or set"
                " POSTBACK_ALLOW_NETWORKS to the networks it is in"
            )
        if verdict := port_verdict(url.port):
            _refuse(f"is refused: {verdict}")


def ip_literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a parsed host is, or None when it is a name."""
    if ":" in host:
        return IPv6Address(host)
    return IPv4Address(host) if host[-1].isdigit() and _NUMBER.fullmatch(host.rpartition(".")[2]) else None


def _check_characters(text: str) -> None:
    if not text:
        _refuse(f"is empty; expected one such as {_EXAMPLE}")
    if len(text) > URL_MAX:
        _refuse(f"has {len(text):,} characters; expected at most {URL_MAX}")
    for position, character in enumerate(text):
        if character <= " " or character == "\x7f":
            _refuse(f"contains white space or a control character at position {position}; percent-encode it")
        if character == "\\":
            _refuse("contains a backslash; expected / between the parts")
    if not text.isascii():
        _refuse(f"contains characters beyond ASCII; {_ascii_advice(text)}")


def _split_scheme(text: str, *, allow_http: bool) -> tuple[str, str]:
    schemes = ("https", "http") if allow_http else ("https",)
    expected = " or ".join(f"{scheme}://" for scheme in schemes)
    found = _SCHEME.match(text)
    if found is None or found[1].lower() not in schemes:
        _refuse(f"has another scheme, or none; expected one that begins with {expected}, such as {_EXAMPLE}")
    rest = text[found.end() :]
    if not rest.startswith("//") or rest[2:3] in ("", "/", "?", "#"):
        _refuse(f"has no host; expected one after {found[1].lower()}://, such as {_EXAMPLE}")
    return found[1].lower(), rest[2:]


def _split_authority(rest: str) -> tuple[str, str]:
    if "#" in rest:
        _refuse("has a fragment; leave out the # and what follows, no receiver would see it")
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    authority, target = rest[:end], rest[end:]
    if "@" in authority:
        _refuse("contains a user name; use basic_auth_username and basic_auth_password")
    if "%" in authority:
        _refuse("contains % in the host; write the host plainly, without percent-encoding or zone")
    return authority, target if target.startswith("/") else f"/{target}"


def _split_port(authority: str) -> tuple[str, str | None]:
    if authority.startswith("["):
        host, bracket, rest = authority.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            _refuse("has an open bracket; expected an IPv6 address in brackets, such as https://[2606:4700::1111]/")
        return f"{host}]", rest[1:] if rest else None
    if authority.count(":") > 1:
        _refuse("contains more than one : in the host; IPv6 addresses stand in brackets")
    host, colon, port = authority.partition(":")
    return host, port if colon else None


def _port(text: str) -> int:
    if not (text.isdigit() and len(text) <= 5 and text[0] != "0" and int(text) <= 65535):
        _refuse(f"has the port {text!r}; expected a number from 1 to 65535, or no colon")
    return int(text)


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1]))
        except ValueError:
            _refuse(f"has the host {text}, which is not an IPv6 address; expected one such as [2606:4700::1111]")
    host = text.lower().removesuffix(".")
    if not host or len(host) > HOST_MAX:
        _refuse(f"has a host of {len(host)} characters; expected 1 to {HOST_MAX}")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(host)
    for label in labels:
        _check_label(label)
    return host


def _ipv4(host: str) -> str:
    try:
        return str(IPv4Address(host))
    except ValueError:
        _refuse(
            f"has the host {host!r}, which is not an IPv4 address; expected four decimal numbers, such as 192.0.2.10"
        )


def _check_label(label: str) -> None:
    if not _LABEL.fullmatch(label) or len(label) > LABEL_MAX:
        _refuse(
            f"has {label!r} in its host; expected names of 1 to {LABEL_MAX} letters, digits, - or _,"
            " not beginning or ending with -"
        )
    if label.startswith("xn--"):
        try:
            decoded = label[4:].encode().decode("punycode")
            is_sound = not decoded.isascii() and decoded.encode("punycode").decode() == label[4:]
        except UnicodeError:
            is_sound = False
        if not is_sound:
            _refuse(f"has {label!r} in its host, which is not valid punycode")


def _ascii_advice(text: str) -> str:
    """What the owner may write instead, where that can be told."""
    authority = text.partition("://")[2].partition("/")[0]
    try:
        host = authority.encode("idna").decode()
    except UnicodeError:
        host = ""
    if "xn--" in host:
        return f"write the host as {host}"
    return "write the host in punycode (xn--…) and percent-encode the rest"


def _refuse(what: str) -> NoReturn:
    raise InvalidValue.of("url", f"url {what}")
