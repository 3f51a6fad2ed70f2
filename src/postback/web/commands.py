"""A request as a command line for people to try it again: what is secret in it stays masked."""

import shlex
from typing import Final

from postback.actions.log import SentRequest
from postback.domain.masking import masked, without_secrets
from postback.web.shown import text_of

_BY_ITSELF: Final = frozenset({"host", "content-length", "connection"})
"""Headers that curl makes by itself."""


def curl(sent: SentRequest) -> str | None:
    """None where the body is not known any more."""
    if sent.body is None:
        return None
    url = str(without_secrets(sent.url))
    words = ["curl", "--request", "POST", shlex.quote(url)]
    for name, value in masked(sent.headers).items():
        if name.lower() not in _BY_ITSELF:
            words += ["--header", shlex.quote(f"{name}: {value}")]
    # Unlike --data it reads no file where a body begins with @.
    return " ".join([*words, "--data-raw", shlex.quote(text_of(sent.body))])
