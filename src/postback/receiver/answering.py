"""What to answer to a request: the part that all receivers share, whatever carries the HTTP."""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from postback.formats.signing import key_of
from postback.receiver.inbox import Inbox
from postback.receiver.parsing import NotAPostback, header
from postback.receiver.verifying import SignatureRefused, verify

MAX_BODY: Final = 4 << 20
"""An event of 1 MiB is up to three times as long as a form."""

ALLOWED: Final = "GET, HEAD, POST"
"""Some systems try an address with GET before they use it; only a POST is a postback."""

_LENGTH_DIGITS: Final = 18

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

    With `secrets` (one, or several) only what one of them has signed is taken; with an empty list of them, which is
    the default, everything that is a postback. An empty text is not none but a wrong one, so nothing is taken. Pass
    `headers` whole: a body that is shorter than its `content-length` is not taken either.
    """
    try:
        _check_whole(body, header(headers, "content-length") or "")
        known = _listed(secrets)
        if known:
            verify(body, headers, known)
        inbox.put(body, header(headers, "content-type") or "", headers=headers, time_zone=time_zone)
    except SignatureRefused as error:
        _log.warning("answered 401: %s", error)
        return HTTPStatus.UNAUTHORIZED
    except NotAPostback as error:
        _log.warning("answered 400: %s", error)
        return HTTPStatus.BAD_REQUEST
    except Exception:  # noqa: BLE001 - drivers raise what they like; it is not stored, so it must be sent again
        _log.exception("answered 503: it could not be checked or stored")
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.OK


def _check_whole(body: bytes, announced: str) -> None:
    """Frameworks give what they have when a sender goes away in the middle, and half a form looks like a form."""
    is_length = announced.isascii() and announced.isdecimal() and len(announced) <= _LENGTH_DIGITS
    if is_length and len(body) < int(announced):
        raise NotAPostback(f"it broke off: {len(body)} bytes arrived of {announced} that were announced")


def checked(secrets: str | Iterable[str], time_zone: str | None) -> tuple[str, ...]:
    """The secrets; ValueError at the start for what would otherwise refuse every request."""
    if time_zone is not None:
        try:
            ZoneInfo(time_zone)
        except (KeyError, OSError, ValueError):
            expected = (
                "a name such as Europe/Paris" if available_timezones() else "the package tzdata: no zone is known here"
            )
            raise ValueError(f"time_zone is {time_zone!r:.80}; expected {expected}") from None
    known = _listed(secrets)
    for secret in known:
        key_of(secret)
    return known


def _listed(secrets: str | Iterable[str]) -> tuple[str, ...]:
    return (secrets,) if isinstance(secrets, str) else tuple(secrets)
