"""The names of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postback.domain.events import TYPE_MAX, is_event_type, split_type


@pytest.mark.parametrize(
    "text",
    ["contact.created", "a.b", "mms.save-failed", "a_b.c_d", "1.2", "a.b.c.d.e.f.g.h.i.j", "x." + "y" * (TYPE_MAX - 2)],
)
def test_parts_joined_by_dots_are_a_type(text: str) -> None:
    assert is_event_type(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "contact",
        ".created",
        "contact.",
        "contact..created",
        "Contact.created",
        "contact created",
        "contact.created\n",
        "contact.*",
        "käse.created",
        "contact.\u0663",
        "a.b.c.d.e.f.g.h.i.j.k",
        "x." + "y" * (TYPE_MAX - 1),
    ],
)
def test_other_texts_are_none(text: str) -> None:
    assert not is_event_type(text)


def test_the_verb_is_what_stands_after_the_last_dot() -> None:
    assert split_type("contact.created") == ("contact", "created")
    assert split_type("account.vault.updated") == ("account.vault", "updated")


@given(st.lists(st.from_regex(r"[a-z0-9_-]{1,8}", fullmatch=True), min_size=2, max_size=10))
def test_a_type_is_its_subject_and_its_verb(parts: list[str]) -> None:
    text = ".".join(parts)
    subject, verb = split_type(text)

    assert is_event_type(text)
    assert f"{subject}.{verb}" == text
    assert "." not in verb
