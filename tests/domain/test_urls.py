"""URLs by their numbers in the list of bad inputs: what is refused when a config is made, and in which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postback.domain.addresses import AddressRules, networks
from postback.domain.errors import InvalidValue
from postback.domain.urls import Url, judge_url, parse_url

PUBLIC_ONLY = AddressRules()
LOOPBACK_TOO = AddressRules(networks(["127.0.0.0/8", "::1"]))


def accept(text: str, rules: AddressRules = PUBLIC_ONLY) -> Url:
    """As a config is made: parsed, then judged."""
    url = parse_url(text, allow_http=True)
    judge_url(url, rules)
    return url


def refusal(text: str, rules: AddressRules = PUBLIC_ONLY) -> str:
    with pytest.raises(InvalidValue) as refused:
        accept(text, rules)
    [[field, [message]]] = refused.value.errors.items()
    assert field == "url"
    # Each message begins with its field, whatever is wrong.
    assert message.startswith("url ")
    return message


@pytest.mark.parametrize(
    ("text", "url", "authority"),
    [
        ("https://client.example", Url("https", "client.example", 443, "/"), "client.example"),
        ("HTTPS://Client.Example./In?a=b&c", Url("https", "client.example", 443, "/In?a=b&c"), "client.example"),
        ("http://client.example:80/", Url("http", "client.example", 80, "/"), "client.example"),
        ("http://client.example:443?q", Url("http", "client.example", 443, "/?q"), "client.example:443"),
        ("https://my_app-1.example:8443/%2e", Url("https", "my_app-1.example", 8443, "/%2e"), "my_app-1.example:8443"),
        ("https://8.8.8.8/", Url("https", "8.8.8.8", 443, "/"), "8.8.8.8"),
        ("https://[2606:4700::1111]:8443/x", Url("https", "2606:4700::1111", 8443, "/x"), "[2606:4700::1111]:8443"),
        ("https://[2606:4700:0:0::1111]/", Url("https", "2606:4700::1111", 443, "/"), "[2606:4700::1111]"),
        ("https://xn--bcher-kva.example/", Url("https", "xn--bcher-kva.example", 443, "/"), "xn--bcher-kva.example"),
    ],
)
def test_a_good_url_is_taken_apart(text: str, url: Url, authority: str) -> None:
    assert accept(text) == url
    assert url.authority == authority


def test_http_is_refused_where_only_https_is_allowed() -> None:
    assert parse_url("https://client.example/", allow_http=False).scheme == "https"
    with pytest.raises(InvalidValue, match="begins with https://, such as"):
        parse_url("http://client.example/", allow_http=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.255.254"])
def test_41_loopback_urls_are_refused(host: str) -> None:
    assert f"set POSTBACK_ALLOW_NETWORKS to {host}/32" in refusal(f"http://{host}:9000/")


def test_41_this_host_is_refused_whatever_is_allowed() -> None:
    for rules in (PUBLIC_ONLY, AddressRules(networks(["0.0.0.0/0"]))):
        assert "not an address that can be called" in refusal("http://0.0.0.0/", rules)


@pytest.mark.parametrize("text", ["http://127.1/", "http://0/"])
def test_41_short_forms_of_loopback_are_refused(text: str) -> None:
    assert "four decimal numbers" in refusal(text)
    assert "four decimal numbers" in refusal(text, LOOPBACK_TOO)


def test_41_loopback_is_fine_where_it_is_allowed() -> None:
    assert accept("http://127.0.0.1:9000/receiver", LOOPBACK_TOO).port == 9000
    assert accept("http://127.0.0.1:22/receiver", LOOPBACK_TOO).port == 22


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.01",
        "1.2.3.4.5",
        "256.1.1.1",
        "1.0x",
    ],
)
def test_42_numbers_that_are_no_canonical_ipv4_are_refused(host: str) -> None:
    for rules in (PUBLIC_ONLY, LOOPBACK_TOO):
        assert "four decimal numbers" in refusal(f"http://{host}/", rules)
        assert "four decimal numbers" in refusal(f"http://{host}./", rules)


@pytest.mark.parametrize("host", ["①②⑦.⓪.⓪.①", "127。0。0。1", "１２７.0.0.1"])
def test_43_digits_of_other_scripts_are_refused(host: str) -> None:
    assert "beyond ASCII" in refusal(f"http://{host}/", LOOPBACK_TOO)


@pytest.mark.parametrize("host", ["[::1]", "[::]", "[0:0:0:0:0:0:0:1]"])
def test_44_ipv6_loopback_is_refused(host: str) -> None:
    assert "loopback" in refusal(f"http://{host}/") or "this host" in refusal(f"http://{host}/")


@pytest.mark.parametrize(
    "host",
    ["::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "::ffff:0:127.0.0.1", "::5efe:127.0.0.1"],
)
def test_45_ipv4_in_ipv6_is_refused(host: str) -> None:
    assert refusal(f"http://[{host}]/")


@pytest.mark.parametrize(
    "host", ["64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001:0:53aa:64c:0:0:0:1"]
)
def test_46_addresses_that_are_translated_or_tunnelled_are_refused(host: str) -> None:
    assert refusal(f"http://[{host}]/")


@pytest.mark.parametrize("host", ["fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fe80::1"])
def test_47_local_ipv6_is_refused(host: str) -> None:
    assert refusal(f"http://[{host}]/")


def test_47_a_zone_is_refused() -> None:
    assert "zone" in refusal("http://[fe80::1%25eth0]/")


@pytest.mark.parametrize("host", ["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16"])
def test_48_metadata_services_are_refused(host: str) -> None:
    assert refusal(f"http://{host}/latest/")


def test_48_the_name_of_a_metadata_service_is_refused() -> None:
    assert "not a public name" in refusal("http://metadata.google.internal/")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "x.localhost"])
def test_49_localhost_is_refused_unless_networks_are_allowed(host: str) -> None:
    assert "POSTBACK_ALLOW_NETWORKS" in refusal(f"http://{host}:9000/")
    assert accept(f"http://{host}:9000/", LOOPBACK_TOO)


def test_49_a_public_name_is_judged_only_when_it_is_sent_to() -> None:
    assert accept("https://lvh.me/").host == "lvh.me"
    assert accept("https://127.0.0.1.nip.io/").host == "127.0.0.1.nip.io"


@pytest.mark.parametrize("host", ["db", "db.", "service.internal", "printer.local"])
def test_50_names_of_a_local_network_are_refused_unless_networks_are_allowed(host: str) -> None:
    assert "not a public name" in refusal(f"http://{host}/")
    assert accept(f"http://{host}/", LOOPBACK_TOO)


@pytest.mark.parametrize(
    "text", ["http://user:pw@host.example/", "http://good.example@127.0.0.1/", "http://@client.example/"]
)
def test_56_user_names_in_a_url_are_refused_with_the_fields_to_use(text: str) -> None:
    assert "basic_auth_username" in refusal(text)


def test_56_forms_that_parsers_read_differently_are_refused() -> None:
    assert "fragment" in refusal("http://127.0.0.1#@good.example/")
    assert "backslash" in refusal("http://good.example\\@127.0.0.1/")


@pytest.mark.parametrize(
    "text",
    [
        "http:\\\\127.0.0.1/",
        "http:///127.0.0.1/",
        "http:127.0.0.1",
        "//127.0.0.1/",
        "http:/client.example/",
        "http://",
        "http://?x",
        "https://:443/",
        "client.example/x",
        "",
    ],
)
def test_57_a_url_without_a_plain_host_is_refused(text: str) -> None:
    assert refusal(text, LOOPBACK_TOO)


@pytest.mark.parametrize("port", ["22", "25", "6379", "5432", "11211"])
def test_58_ports_of_known_services_are_refused(port: str) -> None:
    assert f"port {port}" in refusal(f"https://client.example:{port}/")
    assert f"port {port}" in refusal(f"https://8.8.8.8:{port}/")
    assert f"port {port}" in refusal(f"https://8.8.8.8:{port}/", LOOPBACK_TOO)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "80x", "", "080", "8 0", "１２", "99999999999999999999"])
def test_58_what_is_no_port_is_refused(port: str) -> None:
    assert refusal(f"https://client.example:{port}/")
    assert refusal(f"https://[2606:4700::1111]:{port}/")


@pytest.mark.parametrize("scheme", ["ftp", "file", "gopher", "javascript", "data", "unix", "http+unix", "ws", "httpx"])
def test_59_other_schemes_are_refused(scheme: str) -> None:
    assert "https:// or http://" in refusal(f"{scheme}://client.example/")
    assert "https:// or http://" in refusal(f"{scheme}:client.example")


@pytest.mark.parametrize("character", [chr(code) for code in range(0x21)] + ["\x7f"])
def test_60_control_characters_and_spaces_are_refused_wherever_they_stand(character: str) -> None:
    for text in (
        f"http://client.example/{character}x",
        f"http://client{character}.example/",
        f"{character}http://client.example/",
        f"http://client.example/{character}",
    ):
        assert "control character" in refusal(text)


def test_60_a_forged_header_is_refused() -> None:
    assert "control character" in refusal("http://client.example\r\nHost: x/")


@pytest.mark.parametrize("host", ["good.example%2f@127.0.0.1", "%31%32%37.0.0.1", "%2531.example", "a%00.example"])
def test_61_percent_in_a_host_is_refused(host: str) -> None:
    assert refusal(f"http://{host}/", LOOPBACK_TOO)


@pytest.mark.parametrize("host", ["%31%32%37.0.0.1", "%2531.example", "a%00.example"])
def test_61_percent_in_a_host_is_named(host: str) -> None:
    assert "% in the host" in refusal(f"http://{host}/")


@pytest.mark.parametrize(
    "host",
    [
        "a" * 64 + ".example",
        ".".join(["a" * 60] * 5),
        "xn--.example",
        "xn--\x61\x62\x63\x21.example",
        "xn--99999999.example",
        "xn--abc-.example",
        "a..example",
        ".example",
        "-a.example",
        "a-.example",
        "a,b.example",
        "..",
        ".",
    ],
)
def test_62_broken_names_are_refused(host: str) -> None:
    assert refusal(f"http://{host}/", LOOPBACK_TOO)


def test_62_names_at_their_limits_are_fine() -> None:
    assert accept(f"https://{'a' * 63}.example/")
    assert accept(f"https://{'.'.join(['a' * 61] * 4)}.abcde/")


def test_62_a_name_in_another_script_is_answered_with_its_punycode() -> None:
    assert "xn--bcher-kva.example" in refusal("https://bücher.example/x")
    assert "punycode" in refusal("https://client.example/ü")
    assert "punycode" in refusal("https://\ud800.example/")


def test_63_long_urls_and_fragments_are_refused() -> None:
    fits = "https://client.example/" + "a" * (2048 - 23)
    assert accept(fits).target == fits[22:]
    assert "at most 2048" in refusal(fits + "a")
    assert "at most 2048" in refusal("https://client.example/" + "a" * 100_000)
    assert "at most 2048" in refusal("https://client.example/?" + "a=1&" * 10_000)
    assert "fragment" in refusal("https://client.example/x#top")
    assert "fragment" in refusal("https://client.example#")


@given(st.text(max_size=80))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    for attempt in (text, f"http://{text}", f"https://{text}/", f"https://client.example:{text}"):
        try:
            url = parse_url(attempt, allow_http=True)
        except InvalidValue:
            continue
        assert parse_url(f"{url.scheme}://{url.authority}{url.target}", allow_http=True) == url
        assert not set(url.host + url.target) & set("\r\n\0 \\#")
