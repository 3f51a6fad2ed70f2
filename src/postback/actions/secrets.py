"""API keys as texts: random enough never to be guessed, and of a form that secret scanners can find."""

import hashlib
import secrets
from typing import Final
from zlib import crc32

OWN_SECRET_MIN: Final = 24
"""Characters that a key must have which somebody made up."""

_PREFIX: Final = "pbk_"
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BYTES: Final = 20


def new_secret() -> str:
    """`pbk_`, 160 random bits, and a checksum by which a find in a log or a repository is told from noise."""
    body = _letters(int.from_bytes(secrets.token_bytes(_RANDOM_BYTES)), 32)
    return f"{_PREFIX}{body}{_checksum(body)}"


def hash_of(secret: str) -> bytes:
    """What is stored of a key. It is random, not chosen, so one round of SHA-256 is enough."""
    return hashlib.sha256(secret.encode()).digest()


def prefix_of(secret: str) -> str:
    """What is shown of a key, to tell one from another."""
    return secret[:8] if secret.startswith(_PREFIX) else secret[:4]


def _checksum(body: str) -> str:
    return _letters(crc32(body.encode()), 7)


def _letters(number: int, length: int) -> str:
    return "".join(_ALPHABET[(number >> 5 * place) & 31] for place in reversed(range(length)))
