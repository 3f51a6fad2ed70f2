"""Times as texts: what is one, and which moment it names."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postback.domain.times import rfc3339, unix_ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.5Z", 500),
        ("1970-01-01T00:00:00.123456789Z", 123),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T01:00:00+01", 0),
        ("1969-12-31T18:30:00-05:30", 0),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000),
        ("9999-12-31T23:59:59-23:59", 253_402_387_139_000),
    ],
)
def test_a_time_names_a_moment(text: str, ms: int) -> None:
    assert unix_ms(text) == ms


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1)))  # noqa: DTZ001
def test_what_we_write_we_read(moment: datetime) -> None:
    ms = (moment - datetime(1970, 1, 1)).days * 86_400_000 + moment.microsecond // 1000  # noqa: DTZ001

    assert unix_ms(rfc3339(ms)) == ms


@given(st.text(alphabet="0123456789-+:TZ. ", max_size=30))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert unix_ms(text) is None or text.count("T") == 1
