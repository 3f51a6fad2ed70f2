"""Tries to sign in, counted by where they come from and by e-mail."""

import pytest

from postback.actions.sign_in_limit import OF_ADDRESS, SignInLimit, place_of
from postback.domain.errors import RateLimited


def tries(limit: SignInLimit, *addresses: str) -> int:
    """How many are let in, each with an e-mail of its own, one after the other from these addresses."""
    for number in range(1000):
        try:
            limit.begin(addresses[number % len(addresses)], f"{number}@example.com")
        except RateLimited:
            return number
    return 1000


def test_an_address_has_so_many_tries_whatever_the_email() -> None:
    assert tries(SignInLimit(lambda: 0.0), "192.0.2.1") == OF_ADDRESS.burst


def test_all_addresses_of_one_customer_count_as_one() -> None:
    """Whoever has IPv6 has 2^64 of them, and so could guess, and keep us busy, without an end."""
    addresses = [f"2001:db8:0:7::{number:x}" for number in range(1, 400)]

    assert tries(SignInLimit(lambda: 0.0), *addresses) == OF_ADDRESS.burst


def test_others_are_let_in() -> None:
    limit = SignInLimit(lambda: 0.0)
    tries(limit, "2001:db8:0:7::1")

    assert tries(limit, "2001:db8:0:8::1") == OF_ADDRESS.burst


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        # As a socket for both families sees it: one network of 64 bits would be all of IPv4.
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1:2:3:4", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_what_an_address_counts_as(address: str, place: str) -> None:
    assert place_of(address) == place
