"""Addresses: the deny table, what the operator opens, and what nobody can open."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postback.domain.addresses import AddressRules, networks, port_verdict
from postback.domain.errors import InvalidValue

PUBLIC_ONLY = AddressRules()

FORBIDDEN = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:0:127.0.0.1",
    "::5efe:127.0.0.1",
    "ff::1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2002::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ffff::1",
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.255",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "203.0.112.255",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700::1111",
    "2a00:1450::1",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_a_forbidden_address_is_refused_and_says_why(address: str) -> None:
    assert PUBLIC_ONLY.verdict(address, 443)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called(address: str) -> None:
    assert PUBLIC_ONLY.verdict(address, 443) is None


def test_41_the_refusal_of_a_private_address_names_the_setting_and_the_value() -> None:
    alone = PUBLIC_ONLY.verdict("10.1.2.3", 80)
    beside = AddressRules(networks(["127.0.0.0/8", "::1"])).verdict("10.1.2.3", 80)

    assert alone == (
        "10.1.2.3 is not a public address (private); to allow it, set POSTBACK_ALLOW_NETWORKS to 10.1.2.3/32"
    )
    assert beside is not None
    assert beside.endswith("set POSTBACK_ALLOW_NETWORKS to 127.0.0.0/8,::1/128,10.1.2.3/32")


def test_the_value_that_a_refusal_names_opens_the_address() -> None:
    for address in ("127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "2001:db8::1"):
        refusal = PUBLIC_ONLY.verdict(address, 9000)
        assert refusal is not None
        value = refusal.rpartition(" ")[2]

        assert AddressRules(networks(value.split(","))).verdict(address, 9000) is None


def test_46_a_nat64_address_is_judged_by_the_address_within() -> None:
    inside = AddressRules(networks(["10.0.0.0/8"]))

    assert PUBLIC_ONLY.verdict("64:ff9b::8.8.8.8", 443) is None
    assert "10.0.0.1" in str(PUBLIC_ONLY.verdict("64:ff9b::10.0.0.1", 443))
    assert inside.verdict("64:ff9b::10.0.0.1", 443) is None


def test_allowed_networks_open_private_addresses_at_any_port_and_nothing_else() -> None:
    rules = AddressRules(networks(["10.1.0.0/16"]))

    assert rules.verdict("10.1.255.255", 22) is None
    assert rules.verdict("10.1.0.1", 6379) is None
    assert rules.verdict("10.2.0.0", 443)
    assert rules.verdict("8.8.8.8", 22)


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "::ffff:127.0.0.1", "ff02::1"])
def test_what_cannot_be_called_is_not_opened_by_any_network(address: str) -> None:
    everything = AddressRules(networks(["0.0.0.0/0", "::/0"]))

    assert everything.verdict(address, 80)
    assert everything.verdict("169.254.169.254", 80) is None


def test_64_where_we_listen_is_never_called_whatever_is_allowed() -> None:
    own = frozenset({(ip_address("127.0.0.1"), 8080), (ip_address("10.0.0.5"), 5432)})
    rules = AddressRules(networks(["127.0.0.0/8", "10.0.0.0/8"]), own)

    assert "listens" in str(rules.verdict("127.0.0.1", 8080))
    assert "listens" in str(rules.verdict("10.0.0.5", 5432))
    assert "listens" in str(rules.verdict("64:ff9b::10.0.0.5", 5432))
    assert rules.verdict("127.0.0.1", 8081) is None
    assert rules.verdict("10.0.0.6", 5432) is None


@pytest.mark.parametrize("unspecified", ["0.0.0.0", "::"])
def test_64_who_listens_everywhere_listens_on_loopback(unspecified: str) -> None:
    own = frozenset({(ip_address(unspecified), 8080)})
    rules = AddressRules(networks(["127.0.0.0/8", "::1"]), own)

    assert rules.verdict("127.0.0.1", 8080)
    assert rules.verdict("127.0.0.2", 8080)
    assert rules.verdict("::1", 8080)
    assert rules.verdict("127.0.0.1", 9000) is None


@pytest.mark.parametrize("port", [80, 443, 1024, 8080, 8443, 65535])
def test_58_ordinary_ports_may_be_called(port: int) -> None:
    assert port_verdict(port) is None


@pytest.mark.parametrize(
    "port",
    [22, 25, 53, 79, 81, 1023, 1433, 1521, 2049, 2375, 3306, 3389, 5432, 5672, 6379, 9042, 9200, 11211, 27017],
)
def test_58_ports_of_other_services_may_not(port: int) -> None:
    assert f"port {port}" in str(port_verdict(port))
    assert f"port {port}" in str(PUBLIC_ONLY.verdict("8.8.8.8", port))


def test_a_network_that_is_none_is_refused_with_an_example() -> None:
    for text in ("10.0.0.0/33", "localhost", "", "10.0.0.1/8"):
        with pytest.raises(InvalidValue, match=r"10\.1\.0\.0/16"):
            networks([text])


@given(st.integers(0, 2**32 - 1))
def test_no_private_ipv4_passes(number: int) -> None:
    address = IPv4Address(number)
    if not address.is_global or address.is_multicast:
        # 192.0.0.9 and .10 are global by registry and within 192.0.0.0/24, which is refused as a whole.
        assert PUBLIC_ONLY.verdict(address, 443)


@given(st.integers(0, 2**128 - 1))
def test_no_private_ipv6_passes(number: int) -> None:
    address = IPv6Address(number)
    if not address.is_global or address.is_multicast or address.ipv4_mapped or address.sixtofour or address.teredo:
        assert PUBLIC_ONLY.verdict(address, 443)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_in_nat64_is_judged_as_itself(number: int) -> None:
    plain = IPv4Address(number)
    within = IPv6Address((0x64FF9B << 96) | number)

    assert PUBLIC_ONLY.verdict(within, 443) == PUBLIC_ONLY.verdict(plain, 443)
