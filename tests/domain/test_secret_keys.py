"""Keys of secrets as people write them."""

import base64

import pytest

from postback.domain.secret_keys import key_text, parse_keys

KEY = bytes(range(224, 256))
OTHER = bytes(range(32))
BASE64 = base64.b64encode(KEY).decode()


@pytest.mark.parametrize(
    "text",
    [BASE64, BASE64.rstrip("="), base64.urlsafe_b64encode(KEY).decode(), KEY.hex(), KEY.hex().upper(), f" {BASE64}\n"],
)
def test_a_key_is_32_bytes_in_base64_or_hexadecimal(text: str) -> None:
    assert parse_keys(text) == (KEY,)


@pytest.mark.parametrize("between", [",", ", ", "\n", "\r\n"])
def test_several_keys_keep_their_order(between: str) -> None:
    assert parse_keys(key_text(KEY) + between + OTHER.hex()) == (KEY, OTHER)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ",
        "secret",
        BASE64[:-3],
        BASE64 + "AAAA",
        KEY.hex()[:-1],
        KEY.hex()[:-1] + "g",
        "é" * 43,
        "*" * 43,
        f"{BASE64};{OTHER.hex()}",
        f"{BASE64},x",
    ],
)
def test_anything_else_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="32 bytes in base64 or hexadecimal") as refused:
        parse_keys(text)

    assert not text.strip(" ,") or text not in str(refused.value)


def test_the_same_key_twice_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="twice") as refused:
        parse_keys(f"{BASE64},{KEY.hex()}")

    assert BASE64 not in str(refused.value)
