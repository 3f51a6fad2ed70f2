"""The vault: what it seals opens in its own place only, and says nothing anywhere else."""

import base64

import pytest

from postback.storage.vault import PREFIX_LENGTH, CannotOpenSecret, Place, Vault, key_id, key_id_of

FIRST, SECOND = b"\x01" * 32, b"\x02" * 32
HERE = Place("config_versions", 17, 3, "default")
TEXT = '{"basic_auth_password":"Pa55-example"}'


def test_what_was_sealed_opens_in_its_place() -> None:
    vault = Vault([FIRST])

    sealed = vault.seal(TEXT, HERE)

    assert vault.open(sealed, HERE) == TEXT
    assert "Pa55" not in sealed
    assert b"Pa55" not in base64.b64decode(sealed[PREFIX_LENGTH + 1 :])


@pytest.mark.parametrize(
    "elsewhere",
    [
        HERE._replace(table="records"),
        HERE._replace(config_id=18),
        HERE._replace(version=2),
        HERE._replace(account="other"),
        # Numbers that run together must not look the same.
        HERE._replace(config_id=1, version=73),
    ],
)
def test_what_was_sealed_for_one_row_does_not_open_in_another(elsewhere: Place) -> None:
    vault = Vault([FIRST])
    sealed = vault.seal(TEXT, HERE)

    with pytest.raises(CannotOpenSecret, match="another row"):
        vault.open(sealed, elsewhere)


def test_the_same_text_never_looks_the_same_twice() -> None:
    vault = Vault([FIRST])

    assert len({vault.seal(TEXT, HERE) for _ in range(100)}) == 100


def test_the_first_key_seals_and_all_of_them_open() -> None:
    old = Vault([FIRST]).seal(TEXT, HERE)

    both = Vault([SECOND, FIRST])
    new = both.seal(TEXT, HERE)

    assert both.open(old, HERE) == both.open(new, HERE) == TEXT
    assert Vault([SECOND]).open(new, HERE) == TEXT
    assert [key_id_of(one) for one in (old, new)] == [key_id(FIRST), key_id(SECOND)]
    assert both.ids == [key_id(SECOND), key_id(FIRST)]
    with pytest.raises(CannotOpenSecret, match="key"):
        Vault([SECOND]).open(old, HERE)


def test_no_byte_of_it_can_be_changed() -> None:
    vault = Vault([FIRST])
    sealed = vault.seal(TEXT, HERE)
    kept = base64.b64decode(sealed[PREFIX_LENGTH + 1 :])

    for place in range(len(kept)):
        changed = bytearray(kept)
        changed[place] ^= 1
        with pytest.raises(CannotOpenSecret):
            vault.open(sealed[: PREFIX_LENGTH + 1] + base64.b64encode(changed).decode(), HERE)


@pytest.mark.parametrize("cut", [0, 1, 2, PREFIX_LENGTH, PREFIX_LENGTH + 1, PREFIX_LENGTH + 9, -1])
def test_a_part_of_it_does_not_open(cut: int) -> None:
    vault = Vault([FIRST])

    with pytest.raises(CannotOpenSecret):
        vault.open(vault.seal(TEXT, HERE)[:cut], HERE)


@pytest.mark.parametrize("text", ["", "v2:0011223344556677:AAAA", "null", "é", "v1:"])
def test_what_was_never_sealed_does_not_open(text: str) -> None:
    with pytest.raises(CannotOpenSecret):
        Vault([FIRST]).open(text, HERE)


def test_what_stood_there_before_there_was_a_vault_is_read_as_it_is() -> None:
    assert Vault([FIRST]).open(TEXT, HERE) == TEXT


def test_the_id_of_a_key_says_nothing_about_it() -> None:
    assert key_id(FIRST) not in FIRST.hex()
    assert len({key_id(bytes([n]) * 32) for n in range(200)}) == 200
