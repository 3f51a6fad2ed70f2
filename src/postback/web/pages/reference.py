"""The reference: the catalog of events with an example in every format, how to check signatures, and the API."""

import asyncio
import json
from typing import Final

from starlette.responses import HTMLResponse, Response

from postback.domain.catalog import CATALOG, SAYABLE
from postback.domain.described import described, described_types
from postback.domain.errors import NotFound
from postback.web import statics
from postback.web.forms import Form
from postback.web.reference_shown import VERIFYING, VERIFYING_WITH_TOOLKIT, examples
from postback.web.visit import Visit

ADDRESS: Final = "/reference"


async def show(visit: Visit) -> Response:
    """Narrowed to what a format can say, or to a part of a name."""
    format_name, search = visit.asked("format"), visit.asked("search").lower()
    types = [
        one
        for one in described_types(("*",), format_name if format_name in SAYABLE else None)
        if search in str(one["type"]) or search in str(one["description"]).lower()
    ]
    return await visit.page(
        "reference/list.html",
        form=Form.of({"format": format_name}),
        formats=list(SAYABLE),
        types=types,
        search=visit.asked("search"),
    )


async def show_type(visit: Visit) -> Response:
    name = visit.param("event_type")
    known = CATALOG.get(name)
    if known is None:
        raise NotFound("eventtype", name)
    told = described(known)
    return await visit.page(
        "reference/type.html",
        type=told,
        data=json.dumps(told["example"], indent=2, ensure_ascii=False),
        examples=examples(visit.account, name, visit.now_ms),
    )


async def show_signatures(visit: Visit) -> Response:
    return await visit.page("reference/signatures.html", verifying=VERIFYING, with_toolkit=VERIFYING_WITH_TOOLKIT)


async def show_api(visit: Visit) -> Response:
    """A page of its own make."""
    # The first one takes a tenth of a second, for which deliveries do not wait.
    return HTMLResponse(await asyncio.to_thread(visit.services.api_reference, _stylesheet_url(visit), ADDRESS))


def _stylesheet_url(visit: Visit) -> str:
    return f"/reference/api/{statics.digest(visit.services.api_stylesheet())}/api.css"
