"""Secrets at rest: AES-256-GCM, each bound to the one row that it belongs to, so that no two can change places."""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION: Final = "v1"
_NONCE_BYTES: Final = 12
_KEY_ID_DIGITS: Final = 16
_KEY_ID: Final = re.compile(rf"{_VERSION}:([0-9a-f]{{{_KEY_ID_DIGITS}}})")

PREFIX_LENGTH: Final = len(_VERSION) + 1 + _KEY_ID_DIGITS
"""So many characters of a sealed text say which key it was sealed with; `key_id_of` reads them."""


class CannotOpenSecret(ValueError):
    """A sealed text that was not sealed for this place, was changed since, or whose key is not there."""


class KeyMissing(CannotOpenSecret):
    """A sealed text whose key was not given to this process; another one may have it."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"its secrets are encrypted with the key {key}, which this process was not given (POSTBACK_SECRET_KEY)"
        )
        self.key = key


class Place(NamedTuple):
    """The row that a secret belongs to."""

    table: str
    config_id: int
    version: int
    account: str

    def as_bytes(self) -> bytes:
        return json.dumps(self).encode("ascii")


class Vault:
    """Seals with the first of its keys, and opens what any of them sealed: `v1:<key id>:<nonce and ciphertext>`.

    `missing` are the ids of keys that something was to be opened with, and that it does not have.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self.first_id = next(iter(self._ciphers))
        self.missing: set[str] = set()

    @property
    def ids(self) -> Sequence[str]:
        """Of its keys, the one that seals first."""
        return list(self._ciphers)

    def seal(self, text: str, place: Place) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self.first_id].encrypt(nonce, text.encode(), place.as_bytes())
        return f"{_VERSION}:{self.first_id}:{base64.b64encode(nonce + sealed).decode('ascii')}"

    def open(self, text: str, place: Place) -> str:
        """What was sealed for this place; a text that was stored before there was a vault is given as it is."""
        if is_clear(text):
            return text
        key = key_id_of(text)
        if key is None:
            raise CannotOpenSecret("its secrets are damaged")
        cipher = self._ciphers.get(key)
        if cipher is None:
            self.missing.add(key)
            raise KeyMissing(key)
        try:
            sealed = base64.b64decode(text[PREFIX_LENGTH + 1 :], validate=True)
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.as_bytes()).decode()
        except (InvalidTag, ValueError) as error:
            raise CannotOpenSecret("its secrets are damaged, or those of another row") from error


def is_clear(text: str) -> bool:
    """Whether it is JSON as it was stored before there was a vault."""
    return text.startswith("{")


def key_id_of(text: str) -> str | None:
    """Of the key that a text was sealed with, None for one that is not sealed; its beginning is enough."""
    found = _KEY_ID.match(text)
    return found[1] if found else None


def key_id(key: bytes) -> str:
    """Tells keys apart and says nothing about them."""
    return hashlib.sha256(b"postback secret key id\0" + key).hexdigest()[:_KEY_ID_DIGITS]
