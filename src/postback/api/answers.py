"""Answers: JSON that no cache keeps and no browser guesses about."""

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.responses import Response

HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

_ENCODER: Final = msgspec.json.Encoder()


def answer(status: int, value: object, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        _ENCODER.encode(value),
        status_code=status,
        media_type="application/json",
        headers={**HEADERS, **(headers or {})},
    )


def no_content() -> Response:
    return Response(status_code=204, headers=dict(HEADERS))
