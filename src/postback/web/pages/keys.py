"""API keys: which there are, new ones, whose secret is shown once, and their end."""

from typing import Final

from starlette.responses import Response

from postback.domain.accounts import ApiKey, Scope
from postback.domain.errors import InvalidValue
from postback.domain.times import rfc3339
from postback.web.forms import Form
from postback.web.pages.paging import pages_of, query_of
from postback.web.visit import Visit

SCOPES: Final = (
    (Scope.READ, "read: sees all things of the account"),
    (Scope.WRITE, "write: changes them"),
    (Scope.PUBLISH, "publish: sends events"),
    (Scope.ADMIN, "admin: makes and revokes keys"),
)
EXPIRES: Final = (("", "Never"), ("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"))
"""Days from now."""

DAY_MS: Final = 86_400_000


async def show_list(visit: Visit) -> Response:
    query = query_of(visit, "-created_ts", ("name", "prefix"))
    page = await visit.services.accounts.list_keys(visit.principal, query)
    return await visit.page(
        "account/keys.html", keys=page.items, pages=pages_of(visit, query, page), search=visit.asked("search")
    )


async def show_add(visit: Visit) -> Response:
    return await _add_page(visit, Form.of({"scopes": [Scope.PUBLISH]}))


async def add(visit: Visit) -> Response:
    form = await visit.form()
    try:
        key, secret = await visit.services.accounts.add_key(visit.principal, _fields(form, visit.now_ms))
    except InvalidValue as error:
        return await _add_page(visit, form.wrong(error), 422)
    return await visit.page("account/key.html", key=key, secret=secret)


async def show_revoke(visit: Visit) -> Response:
    key = await _key(visit)
    return await visit.confirm(
        title="Revoke this API key?",
        sentences=["Whatever uses it is refused within a second. This cannot be taken back."],
        facts={
            "Name": key.name,
            "Begins with": key.prefix,
            "Of": key.account or "the platform: it acts for every account",
            "May": ", ".join(sorted(key.scopes)),
        },
        action=f"/account/keys/{key.id}/revoke",
        button="Revoke API key",
        back="/account/keys",
    )


async def revoke(visit: Visit) -> Response:
    key = await _key(visit)
    await visit.services.accounts.revoke_key(visit.principal, key.id)
    return visit.go("/account/keys", f"The API key {key.name} was revoked.")


async def _key(visit: Visit) -> ApiKey:
    return await visit.services.accounts.find_key(visit.principal, visit.param("key_id"))


async def _add_page(visit: Visit, form: Form, status: int = 200) -> Response:
    return await visit.page("account/key_add.html", status, form=form, scopes=SCOPES, expires=EXPIRES)


def _fields(form: Form, now_ms: int) -> dict[str, object]:
    """InvalidValue for an end that is not offered."""
    days = form.text("expires_at")
    if days not in dict(EXPIRES):
        raise InvalidValue.of("expires_at", "expected one of those that are offered")
    fields: dict[str, object] = {**form.filled("name"), "scopes": list(form.all("scopes"))}
    return fields | ({"expires_at": rfc3339(now_ms + int(days) * DAY_MS)} if days else {})
