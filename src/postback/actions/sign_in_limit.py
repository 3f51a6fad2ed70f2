"""How often somebody may try to sign in: by address, and by e-mail, without locking anybody out of their account.

A try takes a token and success gives it back; tokens come again with time. Whoever has signed in from an address before
has tokens of their own there, so that others who try the same e-mail from elsewhere do not keep them out. Of IPv6 an
address is its network of 64 bits: each customer has one, and may come from any address in it.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final, Generic, NamedTuple, TypeVar

from postback.domain.errors import RateLimited


class Rate(NamedTuple):
    """So many at once, and one more every so many seconds."""

    burst: int
    every_s: float


OF_EMAIL: Final = Rate(10, 30.0)
OF_ADDRESS: Final = Rate(30, 2.0)

REMEMBERED: Final = 20_000
"""E-mails and addresses that are kept in mind; those that nobody has tried for the longest time are forgotten."""

_NETWORK_BITS: Final = 64

K = TypeVar("K")
V = TypeVar("V")


class _Recent(OrderedDict[K, V], Generic[K, V]):
    def keep(self, key: K, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > REMEMBERED:
            self.popitem(last=False)


class SignInLimit:
    """Of this process: several behind one port allow so many times as much together."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # Tokens that are left, and when that was.
        self._buckets: _Recent[tuple[str, str], tuple[float, float]] = _Recent()
        self._known: _Recent[tuple[str, str], None] = _Recent()

    def begin(self, address: str, email: str) -> None:
        """RateLimited where there were too many tries."""
        address = place_of(address)
        for key, rate in self._keys(address, email):
            tokens = self._tokens(key, rate)
            if tokens < 1:
                wait_s = max(1, math.ceil((1 - tokens) * rate.every_s))
                raise RateLimited(f"too many tries to sign in; try again in {wait_s} s", wait_s)
        for key, rate in self._keys(address, email):
            self._buckets.keep(key, (self._tokens(key, rate) - 1, self._monotonic()))

    def succeeded(self, address: str, email: str) -> None:
        address = place_of(address)
        for key, rate in self._keys(address, email):
            self._buckets.keep(key, (min(self._tokens(key, rate) + 1, rate.burst), self._monotonic()))
        self._known.keep((address, email), None)

    def _keys(self, address: str, email: str) -> tuple[tuple[tuple[str, str], Rate], ...]:
        of_email = (address if (address, email) in self._known else "", email)
        return ((of_email, OF_EMAIL), ((address, ""), OF_ADDRESS))

    def _tokens(self, key: tuple[str, str], rate: Rate) -> float:
        tokens, at = self._buckets.get(key, (float(rate.burst), 0.0))
        return min(tokens + (self._monotonic() - at) / rate.every_s, rate.burst)


def place_of(address: str) -> str:
    """What tries from an address are counted by: itself, or of IPv6 its network. What is no address stays as it is."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return address
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(IPv6Network((int(known), _NETWORK_BITS), strict=False))
