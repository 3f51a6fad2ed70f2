"""Our own stylesheets, scripts and pictures, from memory, under an address that changes with their content."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from starlette.responses import Response

CSS: Final = "text/css; charset=utf-8"

_FOLDER: Final = Path(__file__).with_name("static")
_TYPES: Final = {
    ".css": CSS,
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

FOR_EVER: Final = "public, max-age=31536000, immutable"


class Static(NamedTuple):
    body: bytes
    media_type: str


def _load() -> Mapping[str, Static]:
    files = sorted(path for path in _FOLDER.iterdir() if path.suffix in _TYPES)
    return {path.name: Static(path.read_bytes(), _TYPES[path.suffix]) for path in files}


FILES: Final = _load()


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]


DIGEST: Final = digest(b"\0".join(name.encode() + b"\0" + file.body for name, file in FILES.items()))


def answer(file: Static, *, is_digest_right: bool) -> Response:
    """Kept by browsers for ever under its own digest; under another one, of a server that is older or newer, not at all."""
    kept = FOR_EVER if is_digest_right else "no-store"
    return Response(file.body, media_type=file.media_type, headers={"cache-control": kept})


def url(name: str) -> str:
    """Where pages find a file; KeyError for one that there is not."""
    if name not in FILES:
        raise KeyError(name)
    return f"/static/{DIGEST}/{name}"
