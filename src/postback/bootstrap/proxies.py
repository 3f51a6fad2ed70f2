"""Proxies that are trusted: whom a request really comes from, and whether it came encrypted, where one of them says so."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from postback.settings.values import Network

_FOR: Final = b"x-forwarded-for"
_PROTO: Final = b"x-forwarded-proto"
_SCHEMES: Final = ("http", "https")

Address = IPv4Address | IPv6Address


class Seen(NamedTuple):
    """Where a request comes from, and by which scheme; None where the connection itself is all that is known."""

    address: str | None
    scheme: str | None


def behind(app: ASGIApp, trusted: Sequence[Network]) -> ASGIApp:
    """The same application, which is told of requests as the trusted proxies before it saw them."""
    if not trusted:
        return app

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        if scope["type"] == "http" and peer is not None:
            address, scheme = seen(peer[0], scope["headers"], trusted)
            if address is not None:
                # The port is that of the proxy's own connection: nobody knows the one of whoever asked it.
                scope = {**scope, "client": (address, 0)}
            if scheme is not None:
                scope = {**scope, "scheme": scheme}
        await app(scope, receive, send)

    return told


def seen(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: Sequence[Network]) -> Seen:
    """By what the peer says, if it is trusted. Each proxy adds whom it was asked by at the end of the list: read from there,
    the first one that is not trusted is who asks, and what stands before that anybody may have written."""
    if not _is_trusted(_address(peer), trusted):
        return Seen(None, None)
    listed, schemes = [], []
    for name, value in headers:
        if name == _FOR:
            listed += value.decode("latin-1").split(",")
        elif name == _PROTO:
            schemes += value.decode("latin-1").split(",")
    scheme = schemes[-1].strip().lower() if schemes else None
    return Seen(_who_asks(listed, trusted), scheme if scheme in _SCHEMES else None)


def _who_asks(listed: Sequence[str], trusted: Sequence[Network]) -> str | None:
    last: Address | None = None
    for text in reversed(listed):
        address = _address(text.strip())
        if address is None:
            # Whoever wrote that is the last one that is known by an address.
            break
        last = address
        if not _is_trusted(address, trusted):
            break
    return None if last is None else str(last)


def _address(text: str) -> Address | None:
    """An address with or without a port, of IPv4 where it is one in the clothes of IPv6."""
    host = text
    if text.startswith("["):
        host = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        host = text.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_trusted(address: Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in trusted if network.version == address.version)
