"""Ids sort by time, never repeat, and are read back."""

import pytest

from postback.domain import ids
from postback.domain.errors import NotFound
from tests.build import NOON
from tests.doubles import ClockDouble


def test_ids_sort_by_time_also_as_text() -> None:
    clock = ClockDouble()
    source = ids.IdSource(clock, slot=3)

    numbers = []
    for _ in range(50):
        numbers += [source() for _ in range(100)]
        clock.pass_(ms=1)

    assert numbers == sorted(set(numbers))
    assert [ids.encode(number) for number in numbers] == sorted(ids.encode(number) for number in numbers)


def test_more_ids_than_a_millisecond_has_run_ahead_of_the_clock_and_never_repeat() -> None:
    source = ids.IdSource(ClockDouble(), slot=511)

    numbers = [source() for _ in range(10_000)]

    assert len(set(numbers)) == 10_000
    assert max(numbers) < 1 << 63


def test_ids_do_not_go_back_when_the_clock_does() -> None:
    clock = ClockDouble()
    source = ids.IdSource(clock, slot=0)
    before = source()

    clock.pass_(seconds=-3600)

    assert source() > before


def test_a_new_source_goes_on_after_the_last_id_that_the_store_knows() -> None:
    clock = ClockDouble()
    last = [ids.IdSource(clock, slot=7)() for _ in range(3)][-1]
    clock.pass_(seconds=-3600)

    assert ids.IdSource(clock, slot=0, last=last)() > last


def test_workers_in_different_slots_never_give_out_the_same_id() -> None:
    clock = ClockDouble()
    sources = [ids.IdSource(clock, slot) for slot in (0, 1, 511)]

    numbers = [source() for source in sources for _ in range(1_000)]

    assert len(set(numbers)) == 3_000


def test_an_id_tells_the_time_it_was_given_out() -> None:
    assert ids.first_id_at(NOON) <= ids.IdSource(ClockDouble(), slot=511)() < ids.first_id_at(NOON + 1)


def test_public_ids_are_read_back() -> None:
    event_id, config_id = ids.IdSource(ClockDouble(), 1)(), ids.IdSource(ClockDouble(), 2)()

    assert ids.parse("evt", ids.event_text(event_id)) == event_id
    assert ids.parse("pbc", ids.config_text(config_id)) == config_id
    assert ids.parse_delivery(ids.delivery_text(event_id, config_id)) == (event_id, config_id)


def test_25_ids_have_at_most_36_characters_and_no_dot() -> None:
    most = (1 << 63) - 1

    assert len(ids.delivery_text(most, most)) <= 36
    assert "." not in ids.delivery_text(most, most) + ids.event_text(most) + ids.config_text(most)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evt_",
        "evt_0",
        "pbc_0000000000000",
        "evt_000000000000u",
        "evt_zzzzzzzzzzzzz",
        "evt_00000000000000",
        "EVT_0000000000000",
    ],
)
def test_any_other_text_is_simply_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        ids.parse("evt", text)
    with pytest.raises(NotFound):
        ids.parse_delivery(text)


def test_the_beginning_of_an_id_names_all_that_begin_so() -> None:
    number = NOON << 21
    letters = ids.encode(number)

    for length in range(1, 14):
        found = ids.numbers_of(letters[:length])
        assert found is not None
        first, last = found
        assert first <= number <= last
        assert ids.encode(first)[:length] == ids.encode(last)[:length] == letters[:length]
        assert last - first == (1 << 5 * (13 - length)) - 1
    assert ids.numbers_of("7") == (7 << 60, (1 << 63) - 1)


@pytest.mark.parametrize("letters", ["", "8", "z", "u", "A", "1 ", "0" * 14])
def test_what_begins_no_id_names_none(letters: str) -> None:
    assert ids.numbers_of(letters) is None
