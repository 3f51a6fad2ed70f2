"""What is never shown again: the values that let somebody act for a receiver or for us."""

from collections.abc import Mapping
from typing import Final

MASK: Final = "***"
"""Stands for a secret in what is shown; sent back, it keeps the value."""

_TELLTALES: Final = ("authorization", "key", "token", "secret", "cookie")


def is_secret_header(name: str) -> bool:
    lowered = name.lower()
    return any(word in lowered for word in _TELLTALES)


def masked_value(name: str, value: str) -> str:
    """A header's value as it may be shown."""
    return MASK if is_secret_header(name) else value


def masked(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers as they may be shown."""
    return {name: masked_value(name, value) for name, value in headers.items()}
