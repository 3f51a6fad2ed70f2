"""Is a body that arrived really ours, and recent? Signatures of Standard Webhooks, checked with any number of secrets."""

from collections.abc import Iterable, Mapping
from typing import Final, cast

from postback.formats.signing import ID, SIGNATURE, TIMESTAMP, accepts, key_of
from postback.receiver.clock import now_s

TOLERANCE_S: Final = 300
ID_MAX: Final = 256

_TIMESTAMP_DIGITS: Final = 12
_SHOWN: Final = 40

HeaderText = str | bytes
Headers = Mapping[str, HeaderText] | Mapping[bytes, HeaderText] | Iterable[tuple[HeaderText, HeaderText]]


class SignatureRefused(Exception):
    """Answer with 400 or 401 and do nothing else. The message tells your log why; it contains no secret."""


def verify(
    body: bytes | str,
    headers: Headers,
    secrets: str | Iterable[str],
    *,
    now: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> str:
    """The id of the event, the same in every attempt, if one of the secrets signed this body in the last minutes.

    Anything else, whatever the bytes, is SignatureRefused. `body` is the body as it arrived, not parsed and written
    anew. `headers` may hold more than those of the signature, their names in any case. `secrets` are the current one
    and, during a rotation, the one before it; ValueError when one of them is not a secret. `now` is unix seconds.
    """
    known = _checked(secrets)
    found = _gathered(headers)
    id, timestamp, signatures = (_only(name, found[name]) for name in (ID, TIMESTAMP, SIGNATURE))
    if not 0 < len(id) <= ID_MAX or "." in id:
        raise SignatureRefused(f"{ID} is {_shown(id)}; expected 1 to {ID_MAX} characters and no dot")
    _check_time(timestamp, now_s() if now is None else now, tolerance_s)
    if not accepts(known, id, timestamp, _as_bytes(body), signatures):
        raise SignatureRefused("none of the signatures is that of this body, id and time with a known secret")
    return id


def _checked(secrets: str | Iterable[str]) -> tuple[str, ...]:
    known = (secrets,) if isinstance(secrets, str | bytes) else tuple(secrets)
    if not known:
        raise ValueError("no signing secret was given; expected one or more")
    for secret in known:
        key_of(secret)
    return known


def _gathered(headers: Headers) -> Mapping[str, list[object]]:
    """All values of each of the three headers: servers and frameworks hand them over in many shapes."""
    found: dict[str, list[object]] = {ID: [], TIMESTAMP: [], SIGNATURE: []}
    # Not only mappings have it: the headers of some frameworks hold a name several times.
    items = getattr(headers, "items", None)
    pairs = cast(Iterable[tuple[object, object]], headers if items is None else items())
    for name, value in pairs:
        text = name.decode("latin-1") if isinstance(name, bytes) else name
        # Lower case turns some letters that are not ASCII into some that are.
        if isinstance(text, str) and text.isascii() and text.lower() in found:
            found[text.lower()].append(value)
    return found


def _only(name: str, values: list[object]) -> str:
    if len(values) != 1:
        raise SignatureRefused(f"the header {name} is {'there twice' if values else 'missing'}")
    value = values[0]
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str) or not text.isascii():
        raise SignatureRefused(f"the header {name} is not ASCII text")
    return text


def _check_time(timestamp: str, now: float, tolerance_s: float) -> None:
    if not (timestamp.isdigit() and len(timestamp) <= _TIMESTAMP_DIGITS):
        raise SignatureRefused(f"{TIMESTAMP} is {_shown(timestamp)}; expected unix seconds")
    age_s = now - int(timestamp)
    # Said in this way round, a time that is no number is refused too.
    if not -tolerance_s <= age_s <= tolerance_s:
        when = "ago" if age_s > 0 else "ahead"
        raise SignatureRefused(f"it was signed {abs(age_s):.0f} s {when}; at most {tolerance_s:g} s are accepted")


def _as_bytes(body: bytes | str) -> bytes:
    try:
        return body.encode() if isinstance(body, str) else bytes(body)
    except UnicodeEncodeError:
        raise SignatureRefused("the body is not UTF-8") from None


def _shown(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
