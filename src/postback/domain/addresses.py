"""Which addresses may be called: what a webhook must never be used to reach, and what the operator opened."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from postback.domain.errors import InvalidValue

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

ALLOW_NETWORKS: Final = "POSTBACK_ALLOW_NETWORKS"

ALWAYS_OPEN_PORTS: Final = frozenset({80, 443})
FIRST_OPEN_PORT: Final = 1024
SERVICE_PORTS: Final = frozenset({1433, 1521, 2049, 2375, 3306, 3389, 5432, 5672, 6379, 9042, 9200, 11211, 27017})

# `ipaddress.is_global` is not enough: it lets NAT64, 6to4, multicast, SIIT, ISATAP-like and fec0:: addresses pass.
_FORBIDDEN: Final[Sequence[tuple[Network, str]]] = [
    (ip_network(network), name)
    for network, name in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared (carrier-grade NAT)"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "reserved (6to4 relay)"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("168.63.129.16/32", "cloud metadata"),
        # Loopback first: it is also within ::/8, which covers v4-compatible, v4-mapped and translated addresses.
        ("::1/128", "loopback"),
        ("::/8", "reserved or embedding an IPv4 address"),
        ("64:ff9b:1::/48", "local-use NAT64"),
        ("100::/64", "discard-only"),
        ("2001::/23", "reserved (Teredo, ORCHID, benchmarking)"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
]

_NEVER: Final[Sequence[tuple[Network, str]]] = [
    (ip_network(network), name)
    for network, name in (
        ("0.0.0.0/8", "this host"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "this host"),
        ("::ffff:0:0/96", "IPv4 written as IPv6"),
        ("ff00::/8", "multicast"),
    )
]
"""What no setting opens: nobody can receive a POST there, or it is another address in disguise."""

_NAT64: Final = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class AddressRules:
    """What may be called.

    `allowed` are networks that may be called although they are private, at any port. `own` are the
    (address, port) pairs where postback itself and its database listen: never called, whatever is allowed.
    0.0.0.0 or :: in `own` stands for every loopback address.
    """

    allowed: tuple[Network, ...] = ()
    own: frozenset[tuple[Address, int]] = frozenset()

    def verdict(self, address: str | Address, port: int) -> str | None:
        """Why this address and port must not be called, in words; None when it may be."""
        ip = _unwrapped(ip_address(address))
        if self._is_own(ip, port):
            return f"{_pair(ip, port)} is where postback itself or its database listens"
        if name := _name_in(_NEVER, ip):
            return f"{ip} is not an address that can be called ({name})"
        if self._allows(ip):
            return None
        if name := _name_in(_FORBIDDEN, ip):
            return f"{ip} is not a public address ({name}); to allow it, set {ALLOW_NETWORKS} to {self._with(ip)}"
        return port_verdict(port)

    def _is_own(self, ip: Address, port: int) -> bool:
        return any(
            port == own_port and (ip == own or (own.is_unspecified and ip.is_loopback)) for own, own_port in self.own
        )

    def _allows(self, ip: Address) -> bool:
        return any(ip in network for network in self.allowed)

    def _with(self, ip: Address) -> str:
        return ",".join([*(str(network) for network in self.allowed), str(ip_network(ip))])


def port_verdict(port: int) -> str | None:
    """Why this port must not be called outside the allowed networks; None when it may be."""
    if port in ALWAYS_OPEN_PORTS or (port >= FIRST_OPEN_PORT and port not in SERVICE_PORTS):
        return None
    if port in SERVICE_PORTS:
        return f"port {port} belongs to a well-known service that takes no postbacks"
    return f"port {port} is not allowed; expected 80, 443 or {FIRST_OPEN_PORT} to 65535"


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Parse CIDR networks; a single address is a network of one."""
    return tuple(_network(text) for text in texts)


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        message = f"{text!r} is not a network; expected CIDR such as 10.1.0.0/16 or 127.0.0.1 ({error})"
        raise InvalidValue.of("allow_networks", message) from None


def _unwrapped(ip: Address) -> Address:
    """A NAT64 address is judged by the IPv4 address that its packets will reach."""
    return IPv4Address(int(ip) & 0xFFFFFFFF) if isinstance(ip, IPv6Address) and ip in _NAT64 else ip


def _name_in(table: Sequence[tuple[Network, str]], ip: Address) -> str | None:
    return next((name for network, name in table if ip in network), None)


def _pair(ip: Address, port: int) -> str:
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
