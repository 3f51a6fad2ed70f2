"""Signatures of Standard Webhooks, version 1: HMAC-SHA256 over id, time and body, with every secret that is live."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from functools import lru_cache
from secrets import token_bytes
from typing import Final

from postback.domain.configs import PostbackConfig
from postback.domain.errors import CannotRender
from postback.domain.events import Event
from postback.domain.ids import event_text

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

ALGORITHM: Final = "v1"
PREFIX: Final = "whsec_"
KEY_MIN: Final = 24
KEY_MAX: Final = 64
ENTRIES_MAX: Final = 32
"""Signatures of one header that are looked at: a rotation needs two, and a hostile header shall not cost more."""

_NEW_KEY: Final = 32


def new_secret(random_bytes: Callable[[int], bytes] = token_bytes) -> str:
    return secret_text(random_bytes(_NEW_KEY))


def secret_text(key: bytes) -> str:
    """A key as people pass it on; ValueError for a key that is too short or too long."""
    if not KEY_MIN <= len(key) <= KEY_MAX:
        raise ValueError(f"a signing secret has {KEY_MIN} to {KEY_MAX} bytes; this one has {len(key)}")
    return PREFIX + b64encode(key).decode()


def key_of(secret: str) -> bytes:
    """The key that the text of a secret stands for; ValueError, which never shows the text, for one that is none."""
    if not isinstance(secret, str) or not secret.startswith(PREFIX):
        raise ValueError(f"a signing secret is a text that begins with {PREFIX}; this one does not")
    encoded = secret.removeprefix(PREFIX)
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    # The decoder also takes texts whose last character has bits that count for nothing.
    if not encoded or b64encode(key).decode() != encoded:
        raise ValueError(f"a signing secret is {PREFIX} and base64 with its padding; this one is not")
    secret_text(key)
    return key


def sign(secrets: Sequence[str], id: str, timestamp: int | str, body: bytes) -> str:
    """The header's value: a signature for each secret. `timestamp` is unix seconds."""
    head = f"{id}.{timestamp}.".encode()
    return " ".join([_signature(secret, head, body) for secret in secrets])


def accepts(secrets: Sequence[str], id: str, timestamp: int | str, body: bytes, signatures: str) -> bool:
    """Whether one of the header's signatures is that of one of the secrets; the time it takes tells nothing of which."""
    head = f"{id}.{timestamp}.".encode()
    expected = [_signature(secret, head, body).encode() for secret in secrets]
    accepted = False
    for entry in signatures.split(" ", ENTRIES_MAX)[:ENTRIES_MAX]:
        # What is not ASCII becomes a character that no signature has.
        sent = entry.encode("ascii", "replace")
        for one in expected:
            accepted |= hmac.compare_digest(sent, one)
    return accepted


def signed_headers(event: Event, config: PostbackConfig, now_ms: int, body: bytes) -> Sequence[tuple[str, str]]:
    """The headers of an attempt that is made now; CannotRender when no secret is live."""
    if config.options.signature_algorithm != ALGORITHM:
        raise CannotRender(f"signature_algorithm is {config.options.signature_algorithm!r}; expected {ALGORITHM}")
    live = [secret.text for secret in config.signing_secrets if secret.expires_ms is None or now_ms < secret.expires_ms]
    if not live:
        raise CannotRender("the config has no signing secret that is still valid")
    id, timestamp = event_text(event.id), str(now_ms // 1000)
    try:
        signatures = sign(live, id, timestamp, body)
    except ValueError as error:
        raise CannotRender(f"a signing secret of the config cannot be read: {error}") from None
    return ((ID, id), (TIMESTAMP, timestamp), (SIGNATURE, signatures))


def _signature(secret: str, head: bytes, body: bytes) -> str:
    keyed = _keyed(secret).copy()
    keyed.update(head)
    keyed.update(body)
    return f"{ALGORITHM},{b64encode(keyed.digest()).decode()}"


# Reading the text and taking in the key cost more than a signature, and every attempt makes one.
@lru_cache(maxsize=4096)
def _keyed(secret: str) -> hmac.HMAC:
    return hmac.new(key_of(secret), digestmod="sha256")
