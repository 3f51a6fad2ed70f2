"""GET /docs: the page, rendered once, with headers that let a browser load nothing and run nothing."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from postback.api.answers import HEADERS
from postback.api.documents import READING, documented
from postback.api.keys import LOCAL_OR_READER, LocalOrReader
from postback.api.reference.html import page
from postback.api.reference.markup import Html, element
from postback.api.schema_parts import Schema

_STYLE: Final = Path(__file__).with_name("page.css")

router = APIRouter(tags=["operations"])


class Rendered(NamedTuple):
    """A page and the headers that go with it."""

    body: bytes
    headers: Mapping[str, str]


def rendered(document: Schema) -> Rendered:
    """The page of a document. Its stylesheet is the only thing that a browser may use, and is known by its hash."""
    style = _STYLE.read_text("utf-8")
    known = b64encode(sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{known}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {**HEADERS, "content-security-policy": policy, "referrer-policy": "no-referrer"}
    return Rendered(page(document, element("style", Html(style))).encode(), headers)


def linked(document: Schema, address: str, back: str) -> Rendered:
    """The page for somewhere else, whose stylesheet (`stylesheet`) is found at this address, and which leads back there;
    headers are that place's own."""
    style = Html(f'<link rel="stylesheet" href="{escape(address)}">')
    return Rendered(page(document, style, back).encode(), {})


def stylesheet() -> bytes:
    return _STYLE.read_bytes()


@router.get(
    "/docs",
    dependencies=[LocalOrReader],
    response_class=HTMLResponse,
    **documented(
        "This reference as a page",
        errors=READING,
        description=LOCAL_OR_READER,
    ),
)
async def reference_page(request: Request) -> Response:
    # The first one takes a tenth of a second, for which deliveries do not wait.
    ready: Rendered = await asyncio.to_thread(request.app.state.reference)
    return HTMLResponse(ready.body, headers=dict(ready.headers))
