"""The audit: who did what, when, and what was changed by it; the same as GET /v2/audit."""

from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from postback.domain.accounts import PLATFORM as OPERATORS
from postback.domain.audited import AUDITED
from postback.domain.errors import InvalidValue
from postback.domain.users import Permission
from postback.ports import AuditFilter
from postback.web.audit_shown import changes
from postback.web.forms import Form, time_ms
from postback.web.visit import Visit

PAGE_SIZE: Final = 25
LOOKED_AT: Final = 10_000
"""Entries that a page looks at: what is rarer is found further back, page by page."""

PLATFORM: Final = "platform"

_FILTERS: Final = ("who", "kind", "thing", "from", "to", "of")
_IDS: Final = ("key_", "usr_", "lnk_")


async def show(visit: Visit) -> Response:
    form = Form.of({name: visit.asked(name) for name in _FILTERS})
    may_see_platform = visit.may(Permission.MANAGE_ACCOUNTS)
    known: dict[str, Any] = {
        "kinds": AUDITED,
        "may_see_platform": may_see_platform,
        "is_filtered": any(form.text(name) for name in _FILTERS),
    }
    try:
        narrowed = _narrowed(form)
    except InvalidValue as error:
        context = {**known, "form": form.wrong(error), "part": None, "entries": (), "first": None, "next": None}
        return await visit.page("account/audit.html", 422, **context)
    account = None if form.text("of") == PLATFORM and may_see_platform else visit.account
    cursor = visit.asked("cursor") or None
    part = await visit.services.audit.entries(
        account, narrowed, cursor, PAGE_SIZE, LOOKED_AT, sees_operators=visit.principal.is_operator
    )
    entries = [(entry, changes(entry)) for entry in part.items]
    return await visit.page(
        "account/audit.html",
        form=form,
        part=part,
        entries=entries,
        first=_link(form) if cursor else None,
        next=_link(form, part.next_cursor) if part.next_cursor else None,
        **known,
    )


def _narrowed(form: Form) -> AuditFilter:
    """Who it was is named by an id or by a name."""
    filters = form.fields("who", "kind", "thing")
    who, action, target = (None if value is None else str(value) for value in filters.values())
    is_id = who is not None and (who.startswith(_IDS) or who == OPERATORS.key_id)
    errors: dict[str, list[str]] = {}
    since_ms, until_ms = (_time(form, name, errors) for name in ("from", "to"))
    if errors:
        raise InvalidValue(errors)
    return AuditFilter(
        action=action,
        target=target,
        key_id=who if is_id else None,
        key_name=None if is_id else who,
        since_ms=since_ms,
        until_ms=until_ms,
    )


def _time(form: Form, name: str, errors: dict[str, list[str]]) -> int | None:
    text = form.text(name)
    if not text:
        return None
    ms = time_ms(text)
    if ms is None:
        errors[name] = ["expected a day and a time such as 2026-09-21T12:00"]
    return ms


def _link(form: Form, cursor: str | None = None) -> str:
    kept = {name: form.text(name) for name in _FILTERS if form.text(name)}
    return "?" + urlencode({**kept, **({"cursor": cursor} if cursor else {})})
