"""GET /v2/eventtypes: the catalog, for pickers and for those who publish."""

from typing import Final

from fastapi import APIRouter, Request, Response

from postback.api.answers import answer
from postback.api.documents import documented, query
from postback.api.keys import Reader
from postback.api.lists import Parameters
from postback.api.schema_parts import ANY_OBJECT, TEXT, TEXT_OR_NULL, a_list, an_object, said
from postback.domain.catalog import CATALOG, SAYABLE
from postback.domain.described import described, described_types
from postback.domain.errors import InvalidValue
from postback.domain.event_types import Kind, Layout
from postback.domain.patterns import EXPECTED, is_pattern
from postback.resources.fields import Refusal, shown

PLURAL: Final = "eventtypes"

_FIELD: Final = an_object(
    {
        "name": TEXT,
        "type": said(TEXT, "What it takes.", enum=list(Kind)),
        "required": said({"type": "boolean"}, "Whether data without it is refused."),
        "choices": a_list(TEXT, description="All the values that it may have, where not any."),
        "default": said(TEXT, "What stands where it is left out."),
        "description": TEXT,
    },
    required=("name", "type", "required", "description"),
)

_VARIANT: Final = an_object(
    {
        "told_by": an_object(
            {"field": TEXT, "value": said(TEXT_OR_NULL, "Null: it is enough that the field is there.")}
        ),
        "codes": an_object(dict.fromkeys(Layout, TEXT)),
        "fields": a_list(_FIELD),
        "example": ANY_OBJECT,
    }
)

_EVENT_TYPE: Final = an_object(
    {
        "type": TEXT,
        "description": TEXT,
        "origin": said(TEXT_OR_NULL, "The ORIGIN of its XML postback."),
        "codes": said(
            an_object({layout: a_list(TEXT) for layout in Layout}), "The CODE of its XML postback, by layout."
        ),
        "formats": a_list({"enum": list(SAYABLE)}, description="Those that can say it."),
        "fields": a_list(_FIELD, description="Of its data. Empty: any object is taken, as further fields always are."),
        "variants": a_list(
            _VARIANT,
            description="The ways in which it comes, told from each other by a field. Empty where there is one; else "
            "`fields` are those of all, required where each requires them.",
        ),
        "example": said(ANY_OBJECT, "Data that is taken."),
    },
    example=described(CATALOG["email.subscribed"]),
)

router = APIRouter(prefix=f"/v2/{PLURAL}", tags=["events"])


@router.get(
    "",
    **documented(
        "List the event types that the product knows by name",
        answer=an_object({PLURAL: a_list(_EVENT_TYPE)}, required=(PLURAL,)),
        parameters=[
            query("type", "Only those that this pattern names; several are joined by commas."),
            query("format", "Only those that this format can say.", enum=list(SAYABLE)),
        ],
        errors=(401, 403, 422),
        description="Other types can be published all the same, with any object as data.",
    ),
)
async def list_event_types(request: Request, _principal: Reader) -> Response:
    parameters = Parameters(request, "type", "format")
    format_name = parameters.text("format")
    if format_name is not None and format_name not in SAYABLE:
        raise InvalidValue.of("format", f"format is {shown(format_name)}; expected one of {', '.join(SAYABLE)}")
    patterns = parameters.choices("type", _pattern)
    return answer(200, {PLURAL: described_types(("*",) if patterns is None else patterns, format_name)})


def _pattern(sent: object) -> str:
    if not isinstance(sent, str) or not is_pattern(sent):
        raise Refusal(f"is {shown(sent)}; {EXPECTED}")
    return sent
