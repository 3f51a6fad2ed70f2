"""The form of API keys."""

import re
from zlib import crc32

from postback.actions.secrets import hash_of, new_secret, prefix_of


def test_a_secret_can_be_found_by_its_form_and_proved_by_its_checksum() -> None:
    secret = new_secret()

    assert re.fullmatch(r"pbk_[0-9a-hjkmnp-tv-z]{39}", secret)
    body, checksum = secret[4:36], secret[36:]
    number = 0
    for letter in checksum:
        number = number * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
    assert number == crc32(body.encode())


def test_secrets_do_not_repeat() -> None:
    assert len({new_secret() for _ in range(1000)}) == 1000


def test_what_is_shown_and_stored_of_a_secret_does_not_give_it_away() -> None:
    secret = new_secret()

    assert prefix_of(secret) == secret[:8]
    assert prefix_of("my-own-key-of-24-characters") == "my-o"
    assert len(hash_of(secret)) == 32
    assert secret.encode() not in hash_of(secret)
