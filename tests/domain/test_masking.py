"""What may be told of a thing, and what of it is never told."""

import pytest

from postback.domain.masking import MASK, SENSITIVE, without_secrets


@pytest.mark.parametrize(
    "name", [*sorted(SENSITIVE), "Authorization", "api_key", "X-Token", "signing_secret", "Set-Cookie"]
)
def test_a_secret_is_known_by_the_name_of_its_field(name: str) -> None:
    assert without_secrets({name: "canary", "name": "x"}) == {name: MASK, "name": "x"}
    assert without_secrets({"deep": [{"er": {name: {"a": ["canary"]}}}]}) == {"deep": [{"er": {name: MASK}}]}
    assert without_secrets("canary", name) == MASK


def test_null_says_that_there_is_no_secret() -> None:
    assert without_secrets({"signing_secret": None}) == {"signing_secret": None}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:canary@host.example/", "https://user:***@host.example/"),
        ("https://:canary@host.example", "https://:***@host.example"),
        ("https://user:can@ary@host.example/x", "https://user:***@host.example/x"),
        ("see postgresql://u:canary@db/x and http://h/", "see postgresql://u:***@db/x and http://h/"),
        # No passwords.
        ("https://host.example:8443/a@b", "https://host.example:8443/a@b"),
        ("https://user@host.example/", "https://user@host.example/"),
        ("https://host.example/?at=12:30@noon", "https://host.example/?at=12:30@noon"),
        ("somebody@host.example", "somebody@host.example"),
    ],
)
def test_the_password_of_a_url_is_masked_in_any_text(text: str, shown: str) -> None:
    assert without_secrets({"anything": [text]}) == {"anything": [shown]}


def test_what_is_no_secret_stays_as_it_is_in_its_order() -> None:
    facts = {"b": 1, "a": [True, 2.5, None, {"d": "x", "c": ()}], "": ""}

    shown = without_secrets(facts)

    assert shown == {"b": 1, "a": [True, 2.5, None, {"d": "x", "c": []}], "": ""}
    assert str(shown) == str({"b": 1, "a": [True, 2.5, None, {"d": "x", "c": []}], "": ""})
