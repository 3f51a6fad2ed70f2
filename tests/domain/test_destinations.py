"""Own headers by their numbers in the list of bad inputs, and the head that is made of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postback.domain.configs import BasicAuth
from postback.domain.destinations import HEADERS_MAX, check_headers, destination
from postback.domain.errors import InvalidValue
from postback.domain.policy import Deadlines
from postback.domain.urls import parse_url

URL = parse_url("https://client.example:8443/in?a=1", allow_http=False)


def refusal(headers: dict[str, str], basic_auth: BasicAuth | None = None) -> str:
    with pytest.raises(InvalidValue) as refused:
        check_headers(headers, basic_auth=basic_auth)
    [[field, [message]]] = refused.value.errors.items()
    assert field == "headers"
    return message


def test_the_head_says_everything_up_to_the_content_type() -> None:
    made = destination(
        URL, headers={"X-Customer": "Jones"}, basic_auth=BasicAuth("ann", "secret"), deadlines=Deadlines()
    )

    assert (made.scheme, made.host, made.port) == ("https", "client.example", 8443)
    assert made.head == (
        b"POST /in?a=1 HTTP/1.1\r\n"
        b"host: client.example:8443\r\n"
        b"user-agent: postback/0.1\r\n"
        b"accept: */*\r\n"
        b"accept-encoding: identity\r\n"
        b"authorization: Basic YW5uOnNlY3JldA==\r\n"
        b"X-Customer: Jones\r\n"
    )


def test_an_own_accept_header_stands_instead_of_ours() -> None:
    made = destination(URL, headers={"Accept": "application/json"}, deadlines=Deadlines())

    assert made.head.lower().count(b"\r\naccept:") == 1
    assert b"Accept: application/json\r\n" in made.head


def test_a_destination_is_not_made_with_headers_that_are_refused() -> None:
    with pytest.raises(InvalidValue, match="Host"):
        destination(URL, headers={"Host": "evil"}, deadlines=Deadlines())


@pytest.mark.parametrize("name", ["X A", "", ":authority", "X:A", "X\r\nEvil", "X\x00", "é", "X\t", "(x)", "\ud800"])
def test_66_names_that_are_no_token_are_refused(name: str) -> None:
    assert "is not a header name" in refusal({name: "1"})


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "HOST",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Content-Type",
        "Content-Encoding",
        "Accept-Encoding",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "User-Agent",
        "Proxy-Authorization",
        "proxy-connection",
        "webhook-id",
        "Webhook-Signature",
    ],
)
def test_66_names_that_postback_sets_itself_are_refused(name: str) -> None:
    assert "set by postback itself" in refusal({name: "1"})


def test_66_too_many_or_too_large_headers_are_refused() -> None:
    check_headers({f"X-{n}": "1" for n in range(HEADERS_MAX)})
    check_headers({"X-A": "a" * (8192 - 3)})

    assert "at most 30" in refusal({f"X-{n}": "1" for n in range(HEADERS_MAX + 1)})
    assert "at most 30" in refusal({f"X-{n}": "1" for n in range(10_000)})
    assert "at most 8192" in refusal({"X-A": "a" * (8192 - 2)})


def test_66_the_same_name_twice_is_refused() -> None:
    assert "twice" in refusal({"X-A": "1", "x-a": "2"})


def test_66_authorization_has_one_source() -> None:
    check_headers({"Authorization": "Bearer x"})

    assert "basic_auth_username" in refusal({"Authorization": "Bearer x"}, BasicAuth("ann"))


@pytest.mark.parametrize(
    "value", ["a\r\nX: 1", "a\nb", "a\rb", "a\x00b", " a", "a ", "\ta", "é", "\ud83d", "\x7f", "a\x1b[2J", "\r\n"]
)
def test_67_values_that_could_break_a_request_are_refused(value: str) -> None:
    assert "cannot be sent" in refusal({"X-A": value})


def test_67_a_refused_value_is_not_repeated_since_it_may_be_a_secret() -> None:
    assert "s3cret" not in refusal({"X-Key": "s3cret\r\n"})


@pytest.mark.parametrize("value", ["", "a", "a b", "a\tb", "!~", "Bearer abc.def=="])
def test_67_plain_values_are_fine(value: str) -> None:
    check_headers({"X-A": value})


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=4))
def test_whatever_is_accepted_stays_one_line_each(headers: dict[str, str]) -> None:
    try:
        made = destination(URL, headers=headers, deadlines=Deadlines())
    except InvalidValue:
        return
    lines = made.head.removesuffix(b"\r\n").split(b"\r\n")

    assert len(lines) == 4 + len(headers) + (not any(name.lower() == "accept" for name in headers))
    assert all(line.isascii() and b"\n" not in line and b"\r" not in line for line in lines)
