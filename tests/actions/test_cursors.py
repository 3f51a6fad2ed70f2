"""Cursors are taken back where they were given out, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postback.actions.cursors import cursor, position
from postback.domain.errors import InvalidValue


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_a_cursor_gives_its_position_back(event_id: int, config_id: int) -> None:
    text = cursor("acme", "deliveries", (event_id, config_id))

    assert position("acme", "deliveries", text, 2) == (event_id, config_id)
    for account, kind, length in (("other", "deliveries", 2), ("acme", "events", 2), ("acme", "deliveries", 1)):
        with pytest.raises(InvalidValue):
            position(account, kind, text, length)


@given(st.text(max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        position("acme", "events", text, 1)
