"""Why deliveries failed, as finely as it helps to tell them apart."""

import pytest

from postback.domain.causes import OTHER, TLS_DETAILS, WITH_STATUS, Cause, cause_of, in_words, parse_cause
from postback.domain.errors import InvalidValue
from postback.domain.wire import Outcome, Reason, Timings, Unreachable
from tests.build import answered


def unreachable(reason: Reason, detail: str = "") -> Unreachable:
    return Unreachable(reason, detail, Timings())


def tls(detail: str) -> Unreachable:
    return unreachable(Reason.TLS_ERROR, detail)


@pytest.mark.parametrize(
    ("outcome", "text", "words"),
    [
        (answered(503), "bad_status.503", "answered 503 Service Unavailable"),
        (answered(599), "bad_status.599", "answered 599"),
        (answered(201), "bad_status.201", "answered 201 Created"),
        (answered(302), "redirect_not_followed.302", "redirect not followed: 302 Found"),
        (unreachable(Reason.CONNECTION_REFUSED), "connection_refused", "connection refused"),
        (unreachable(Reason.DNS_ERROR), "dns_error", "host name not found"),
        (
            tls("the certificate is not accepted: certificate has expired"),
            "tls_error.certificate_expired",
            "certificate expired",
        ),
        (
            tls("the certificate is not accepted: Hostname mismatch, certificate is not valid for 'a.example'."),
            "tls_error.wrong_name",
            "certificate is for another host",
        ),
        (
            tls("the certificate is not accepted: IP address mismatch, certificate is not valid for '192.0.2.1'."),
            "tls_error.wrong_name",
            "certificate is for another host",
        ),
        (
            tls("the certificate is not accepted: self-signed certificate in certificate chain"),
            "tls_error.not_trusted",
            "certificate not trusted",
        ),
        (tls("the receiver does not speak TLS on this port"), "tls_error.other", "TLS failed"),
    ],
)
def test_an_outcome_has_a_cause_which_is_said_in_words(outcome: Outcome, text: str, words: str) -> None:
    cause = cause_of(outcome)

    assert str(cause) == text
    assert in_words(cause) == words
    assert parse_cause(text) == cause


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_can_be_asked_for_and_has_words(reason: Reason) -> None:
    assert parse_cause(str(reason)) == Cause(reason)
    assert in_words(Cause(reason))


def test_a_status_is_one_number_however_it_is_written() -> None:
    assert parse_cause("bad_status.007") == parse_cause("bad_status.7") == cause_of(answered(7))


@pytest.mark.parametrize(
    "text",
    [
        *("", "bad", "bad_status.", "bad_status.5xx", "bad_status.1000", "bad_status.-1", "bad_status.٥٠٣"),
        *("connection_refused.1", "tls_error.", "tls_error.503", "tls_error.certificate_expired.x", "BAD_STATUS"),
        *(".503", "bad_status 503", "bad_status.503\n"),
    ],
)
def test_what_is_no_cause_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(InvalidValue, match="expected a reason such as connection_refused") as refused:
        parse_cause(text)

    assert set(refused.value.errors) == {"reason"}


def test_tls_is_told_apart_by_texts_of_which_none_is_part_of_another_s() -> None:
    texts = [(part, text) for part, found in TLS_DETAILS.items() for text in found]

    for part, text in texts:
        assert cause_of(tls(text.upper())) == Cause(Reason.TLS_ERROR, part)
        assert [other for other, said in texts if other != part and said in text] == []
    assert OTHER not in TLS_DETAILS
    assert Reason.TLS_ERROR not in WITH_STATUS
