"""The secrets of a config that is copied by hand: sealed for one row, they open in no other."""

import base64
import json
import secrets
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12


class Place(NamedTuple):
    """The row of `config_versions` that they belong to."""

    config_id: int
    version: int
    account: str

    def as_bytes(self) -> bytes:
        return json.dumps(["config_versions", *self]).encode()


class Copier:
    """Opens what the server has sealed (`v1:<key id>:<nonce and ciphertext>`), and seals it for other rows."""

    def __init__(self, key: bytes, sealed: str, place: Place) -> None:
        self._cipher = AESGCM(key)
        self._beginning, _, text = sealed.rpartition(":")
        found = base64.b64decode(text)
        self._secrets = self._cipher.decrypt(found[:_NONCE_BYTES], found[_NONCE_BYTES:], place.as_bytes())

    def sealed_for(self, place: Place) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, self._secrets, place.as_bytes())
        return f"{self._beginning}:{base64.b64encode(sealed).decode()}"
