"""GET /v2/audit: who changed what, and when."""

from typing import Final

from fastapi import APIRouter, Request, Response

from postback.api.answers import answer
from postback.api.documents import PAGE_SIZE_PARAMETER, READING, documented, query
from postback.api.keys import Joined, Reader
from postback.api.lists import PAGE_SIZE, PAGE_SIZE_MAX, Parameters
from postback.api.schema_parts import TEXT, TEXT_OR_NULL, TIME, Schema, a_list, an_object, said
from postback.api.views import View
from postback.domain.ids import encode
from postback.domain.times import rfc3339
from postback.ports import AuditEntry, AuditFilter

router = APIRouter(tags=["audit"])

_FACTS: Final[Schema] = {"type": ["object", "null"]}

_ENTRY: Final = an_object(
    {
        "id": TEXT,
        "at": TIME,
        "key_id": said(
            TEXT_OR_NULL,
            "Whose change it was: a key, a user or a portal link; null for the server itself, and for account keys "
            "`platform` for operators.",
        ),
        "key_name": said(TEXT_OR_NULL, "As the key was called then; `the platform` where key_id says so."),
        "address": said(
            TEXT_OR_NULL,
            "Where the request came from: the peer of the connection, or whom a trusted proxy names; null where it "
            "was an operator and an account key asks.",
        ),
        "action": said(TEXT, "Such as postbackconfig.change."),
        "target": said(
            TEXT,
            "The id of what was changed; of settings of a whole account the account's; of what was refused the route.",
        ),
        "before": said(_FACTS, "What it was, secrets as ***; null where it was not there."),
        "after": said(_FACTS, "What it is since, secrets as ***; null where it is not there any more."),
    }
)


@router.get(
    "/v2/audit",
    **documented(
        "List who changed what, the newest first",
        answer=an_object(
            {
                "audit": a_list(_ENTRY),
                "next_cursor": said(TEXT_OR_NULL, "What to send as cursor for the next part; null at the end."),
            },
            required=("audit", "next_cursor"),
        ),
        parameters=[
            query("action", "Only changes of this kind."),
            query("target", "Only changes of the thing with this id."),
            query("key_id", "Only changes by this key, user or portal link; `platform` is any operator."),
            query("key_name", "Only changes by whoever was called so: a key's name, a user's e-mail."),
            query("since", "Made then or later (RFC 3339).", format="date-time"),
            query("until", "Made before then (RFC 3339).", format="date-time"),
            PAGE_SIZE_PARAMETER,
            query("cursor", "The next_cursor of the part before."),
        ],
        errors=(*READING, 422),
        description="A change and its entry are one transaction; what changed nothing has none. Of what a key or a role "
        "does not allow there is an access.refuse, of the same again at most one a minute. Who of the operators did "
        "something only operator keys are shown.",
    ),
)
async def list_audit(request: Request, principal: Reader, services: Joined) -> Response:
    asked = Parameters(request, "action", "target", "key_id", "key_name", "since", "until", "page_size", "cursor")
    narrowed = AuditFilter(
        action=asked.text("action"),
        target=asked.text("target"),
        key_id=asked.text("key_id"),
        key_name=asked.text("key_name"),
        since_ms=asked.time("since"),
        until_ms=asked.time("until"),
    )
    size = asked.number("page_size", PAGE_SIZE, PAGE_SIZE_MAX)
    part = await services.audit_actions.entries(
        principal.account, narrowed, asked.text("cursor"), size, sees_operators=principal.is_operator
    )
    return answer(200, {"audit": [_view(entry) for entry in part.items], "next_cursor": part.next_cursor})


def _view(entry: AuditEntry) -> View:
    by = entry.by
    return {
        "id": f"aud_{encode(entry.id)}",
        "at": rfc3339(entry.at_ms),
        "key_id": None if by is None else by.key_id,
        "key_name": None if by is None else by.key_name,
        "address": None if by is None else by.address,
        "action": entry.action,
        "target": entry.target,
        "before": entry.before,
        "after": entry.after,
    }
