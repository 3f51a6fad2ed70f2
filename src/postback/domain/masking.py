"""What is never shown again: the values that let somebody act for a receiver, for us, or for a person."""

import re
from collections.abc import Mapping
from typing import Final

MASK: Final = "***"
"""Stands for a secret in what is shown; sent back, it keeps the value."""

_TELLTALES: Final = ("authorization", "key", "token", "secret", "cookie")

SENSITIVE: Final = frozenset(
    {"ssn4", "dob_year", "dl_number", "routing", "aba", "dda", "basic_auth_username", "basic_auth_password"}
)
"""Fields of records and configs whose values are secrets, though their names do not say so."""

_PASSWORD_OF_URL: Final = re.compile(r"(://[^\s/?#@:]*):[^\s/?#]*@")


def is_secret_header(name: str) -> bool:
    lowered = name.lower()
    return any(word in lowered for word in _TELLTALES)


def masked_value(name: str, value: str) -> str:
    """A header's value as it may be shown."""
    return MASK if is_secret_header(name) else value


def masked(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers as they may be shown."""
    return {name: masked_value(name, value) for name, value in headers.items()}


def without_secrets(value: object, name: str = "") -> object:
    """A JSON value with every secret in it masked, by the names of its fields; null says that there is none."""
    match value:
        case None:
            return None
        case _ if name in SENSITIVE or is_secret_header(name):
            return MASK
        case str():
            return _PASSWORD_OF_URL.sub(rf"\1:{MASK}@", value)
        case Mapping():
            return {inner: without_secrets(one, inner) for inner, one in value.items()}
        case list() | tuple():
            return [without_secrets(one) for one in value]
    return value
