"""What is signed with the token of a session: forms, so that only our own pages can send them, and flash messages."""

import base64
import hmac
import json
from hashlib import sha256
from typing import Final, NamedTuple

FIELD: Final = "form_token"
"""The hidden field of each form."""

HEADER: Final = "postback-form-token"
"""The same for scripts."""

_LENGTH: Final = 32


class Flash(NamedTuple):
    """What is said once on the next page: `kind` is done, note or problem."""

    kind: str
    text: str


def form_token(secret: str, account: str) -> str:
    """Good in this session only, and for this account only: a form of a tab that shows another account is refused."""
    return _mac(secret, f"form\0{account}")


def is_form_token(secret: str, account: str, sent: str) -> bool:
    return hmac.compare_digest(form_token(secret, account).encode(), sent.encode())


def pack(secret: str, flash: Flash) -> str:
    text = base64.urlsafe_b64encode(json.dumps(list(flash)).encode()).decode().rstrip("=")
    return f"{text}.{_mac(secret, 'flash' + chr(0) + text)}"


def unpack(secret: str, packed: str) -> Flash | None:
    """None for what was not packed in this session."""
    text, _, mac = packed.partition(".")
    if not hmac.compare_digest(_mac(secret, "flash\0" + text).encode(), mac.encode()):
        return None
    kind, said = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return Flash(kind, said)


def _mac(secret: str, message: str) -> str:
    digest = hmac.new(secret.encode(), message.encode(), sha256).digest()
    return base64.urlsafe_b64encode(digest).decode()[:_LENGTH]
