"""A request that is rightly signed, and what becomes of one that is not."""

import base64
import hashlib
import hmac
from typing import Any

import pytest

from postback.formats.signing import secret_text, sign
from postback.receiver.verifying import SignatureRefused, verify
from tests.build import NOON

SECRET, OLD, OTHER = (secret_text(bytes((number,)) * 32) for number in (1, 2, 3))
ID = "evt_38fweqg95zw00"
NOW = NOON // 1000
BODY = b'{"type":"contact.created","timestamp":"2026-09-21T12:00:00Z","data":{}}'
SIGNATURE = sign([SECRET], ID, NOW, BODY)
GOOD = {"webhook-id": ID, "webhook-timestamp": str(NOW), "webhook-signature": SIGNATURE}


def by_hand(secret: str, id: str, timestamp: str, body: bytes) -> str:
    """The signature as the specification describes it, without any of the code under test."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, b".".join((id.encode(), timestamp.encode(), body)), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def signed(id: str, timestamp: str, body: bytes = BODY) -> dict[str, str]:
    """Headers whose signature is right for whatever they say."""
    return {"webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": by_hand(SECRET, id, timestamp, body)}


def refusal(headers: Any, body: bytes | str = BODY, secrets: Any = SECRET, now: float = NOW) -> str:
    with pytest.raises(SignatureRefused) as refused:
        verify(body, headers, secrets, now=now)
    message = str(refused.value)
    assert not any(secret.removeprefix("whsec_") in message for secret in (SECRET, OLD, OTHER))
    assert len(message) < 200
    assert message.isascii()
    assert message.isprintable()
    return message
