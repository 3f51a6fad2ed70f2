"""What receivers give back of what they were given: no secret of a config is kept with an answer."""

import html
import json
import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote, quote_plus

from postback.domain.configs import PostbackConfig
from postback.domain.masking import MASK, is_secret_header
from postback.domain.wire import Answered, Outcome, Request, basic_auth
from postback.formats.signing import PREFIX, SIGNATURE

SHORTEST: Final = 4
"""Shorter values stand in any text by chance: to mask them would hide what a receiver said, and nothing else."""

_MASK: Final = MASK.encode()

_FOR_HTML: Final = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "&<>"})
"""In JSON that may stand in a page these are escaped as well."""

_LIKE_BASE64: Final = re.compile(r"[A-Za-z0-9+/=_.-]+")
"""Pages show it as it is: of each signature there is no more to look for."""


def secrets_of(config: PostbackConfig) -> tuple[bytes, ...]:
    """The secrets of a config in every way that a receiver may write them, the longest first. Made once for a version."""
    return _spelled(_values(config))


def without_secrets(outcome: Outcome, request: Request) -> Outcome:
    """The outcome as it may be kept. Where nothing was secret, or nothing came back, it costs next to nothing."""
    known, signed = request.destination.secrets, request.headers
    if not (known or signed) or not isinstance(outcome, Answered):
        return outcome
    headers, body = outcome.headers, outcome.body
    if not body and not _stands_in(headers, known, signed):
        return outcome
    signatures = [part.partition(",")[2] for name, value in signed if name == SIGNATURE for part in value.split()]
    secrets = (*_spelled(signatures), *known)
    masked_body = _masked(body, secrets)
    if outcome.truncated:
        masked_body = _masked_at_the_cut(masked_body, secrets)
    return outcome._replace(headers=[(name, _masked(value, secrets)) for name, value in headers], body=masked_body)


def _stands_in(
    headers: Sequence[tuple[bytes, bytes]], known: Sequence[bytes], signed: Sequence[tuple[str, str]]
) -> bool:
    values = b"\n".join([value for _, value in headers])
    for secret in known:
        if secret in values:
            return True
    return any(name == SIGNATURE and value.encode() in values for name, value in signed)


def _values(config: PostbackConfig) -> Iterator[str]:
    for secret in config.signing_secrets:
        yield secret.text
        yield secret.text.removeprefix(PREFIX)
    for name, value in config.headers.items():
        if is_secret_header(name):
            yield value
            # Of a scheme and a token, the token.
            yield value.rpartition(" ")[2]
    if config.basic_auth is not None:
        username, password = config.basic_auth.username, config.basic_auth.password
        yield password
        yield basic_auth(username, password).rpartition(" ")[2]


def _spelled(values: Iterator[str] | Sequence[str]) -> tuple[bytes, ...]:
    """As they are, in JSON and HTML as several libraries write them, and percent-encoded."""
    found: set[bytes] = set()
    for value in values:
        if len(value) < SHORTEST:
            continue
        in_json = json.dumps(value)[1:-1]
        found.update((value.encode(), in_json.encode(), quote(value, safe="").encode()))
        found.update((in_json.replace("/", "\\/").encode(), in_json.replace("+", "\\u002B").encode()))
        if not _LIKE_BASE64.fullmatch(value):
            found.update(way.encode() for way in _on_pages(value))
    return tuple(sorted(found, key=len, reverse=True))


def _on_pages(value: str) -> Iterator[str]:
    """In HTML, in JSON within HTML or without escapes, and as forms have it."""
    in_html = html.escape(value)
    yield in_html
    yield html.escape(value, quote=False)
    yield in_html.replace("&#x27;", "&#039;")
    yield in_html.replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    yield json.dumps(value)[1:-1].translate(_FOR_HTML)
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield quote_plus(value)


def _masked(text: bytes, secrets: Sequence[bytes]) -> bytes:
    for secret in secrets:
        text = text.replace(secret, _MASK)
    return text


def _masked_at_the_cut(text: bytes, secrets: Sequence[bytes]) -> bytes:
    """What is kept of a long answer may end within a secret."""
    for secret in secrets:
        for length in range(len(secret) - 1, SHORTEST - 1, -1):
            if text.endswith(secret[:length]):
                return text[:-length] + _MASK
    return text
