"""Headers of every answer: what a browser may load, run, keep and tell others of a page. Nothing that is not ours."""

from collections.abc import Iterable
from typing import Final

from starlette.datastructures import MutableHeaders

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors {ancestors}"
)

_ALWAYS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_YEAR_S: Final = 31_536_000


def put(headers: MutableHeaders, *, is_encrypted: bool, framed_by: Iterable[str] = ()) -> None:
    """Onto an answer; `framed_by` are the origins whose pages may show it in a frame."""
    headers.update(_ALWAYS)
    headers["content-security-policy"] = _POLICY.format(ancestors=" ".join(framed_by) or "'none'")
    if "cache-control" not in headers:
        headers["cache-control"] = "no-store"
    if is_encrypted:
        headers["strict-transport-security"] = f"max-age={_YEAR_S}"
