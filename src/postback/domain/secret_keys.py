"""Keys that secrets are encrypted with at rest, as people write them: 32 bytes each, in base64 or hexadecimal."""

import base64
import binascii
import re
from typing import Final

KEY_BYTES: Final = 32

EXPECTED: Final = f"{KEY_BYTES} bytes in base64 or hexadecimal, such as `openssl rand -base64 {KEY_BYTES}` prints"

_BETWEEN: Final = re.compile(r"[,\s]+")
_STANDARD: Final = str.maketrans("-_", "+/")
_HEX: Final = re.compile(rf"[0-9A-Fa-f]{{{2 * KEY_BYTES}}}")


def parse_keys(text: str) -> tuple[bytes, ...]:
    """The keys in their order, parted by commas or lines; ValueError otherwise, which shows nothing of them."""
    keys = [_parse_key(part) for part in _BETWEEN.split(text) if part]
    if len(set(keys)) < len(keys):
        raise ValueError("keys that differ from each other: one of them stands there twice")
    if not keys:
        raise ValueError(EXPECTED)
    return tuple(keys)


def key_text(key: bytes) -> str:
    return base64.b64encode(key).decode("ascii")


def _parse_key(text: str) -> bytes:
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    try:
        # Both alphabets, and the padding that some programs leave away.
        key = base64.b64decode(text.rstrip("=").translate(_STANDARD) + "=", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(EXPECTED)
    return key
