"""What to answer to a request: the part that all receivers share, whatever carries the HTTP."""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final
from zoneinfo import ZoneInfo

from postback.formats.signing import key_of
from postback.receiver.inbox import Inbox
from postback.receiver.parsing import NotAPostback, header
from postback.receiver.verifying import SignatureRefused, verify

MAX_BODY: Final = 4 << 20
"""An event of 1 MiB is up to three times as long as a form."""

ALLOWED: Final = "GET, HEAD, POST"
"""Some systems try an address with GET before they use it; only a POST is a postback."""

_log = logging.getLogger("postback.receiver")


def receive(
    inbox: Inbox,
    body: bytes,
    headers: Mapping[str, str],
    *,
    secrets: str | Iterable[str] = (),
    time_zone: str | None = None,
) -> int:
    """Check and store one POST, and say the status to answer with; the body of the answer stays empty. Never raises.

    With `secrets` only what one of them has signed is taken; without, everything that is a postback.
    """
    try:
        if secrets:
            verify(body, headers, secrets)
        inbox.put(body, header(headers, "content-type") or "", headers=headers, time_zone=time_zone)
    except SignatureRefused as error:
        _log.warning("answered 401: %s", error)
        return HTTPStatus.UNAUTHORIZED
    except NotAPostback as error:
        _log.warning("answered 400: %s", error)
        return HTTPStatus.BAD_REQUEST
    except Exception:  # noqa: BLE001 - drivers raise what they like; it is not stored, so it must be sent again
        _log.exception("answered 503: the inbox did not take it")
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.OK


def checked(secrets: str | Iterable[str], time_zone: str | None) -> tuple[str, ...]:
    """The secrets; ValueError at the start for what would otherwise refuse every request."""
    if time_zone is not None:
        try:
            ZoneInfo(time_zone)
        except (KeyError, OSError):
            raise ValueError(f"time_zone is {time_zone!r}; expected a name such as Europe/Paris") from None
    known = (secrets,) if isinstance(secrets, str) else tuple(secrets)
    for secret in known:
        key_of(secret)
    return known
