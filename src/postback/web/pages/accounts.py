"""For users of the platform: which accounts there are, whose things to see, what each is allowed, and its portal links."""

from typing import Final

from starlette.responses import Response

from postback.actions.portal_links import LASTS_S, ROLE, ROLES
from postback.domain.accounts import Account
from postback.domain.errors import InvalidValue, NotFound
from postback.domain.users import Role
from postback.web.forms import Form, number
from postback.web.pages.paging import pages_of, query_of
from postback.web.visit import Visit

LIMITS: Final = ("events_per_second", "configs", "max_body")
LABELS: Final = {
    "id": "Id",
    "limits.events_per_second": "Events a second",
    "limits.configs": "Postback configs",
    "limits.max_body": "Bytes of an event's data",
    "portal_origins": "Portal origins",
    "lasts": "May be opened for",
}
ROLES_SAID: Final = {
    Role.VIEWER: "Sees, and changes nothing.",
    Role.EDITOR: "Changes postback configs and records, publishes, replays.",
    Role.ADMIN: "The same, and sees the audit.",
}
LASTS: Final = ((600, "10 minutes"), (LASTS_S, "An hour"), (8 * 3600, "8 hours"), (24 * 3600, "A day"))
"""Seconds that a portal link may be opened for."""


async def show_list(visit: Visit) -> Response:
    if not visit.signed_in.is_of_the_platform:
        raise NotFound("path", visit.path)
    query = query_of(visit, "id", ("id", "name"))
    page = await visit.services.accounts.list(visit.principal, query)
    return await visit.page(
        "account/accounts.html", accounts=page.items, pages=pages_of(visit, query, page), search=visit.asked("search")
    )


async def act_for(visit: Visit) -> Response:
    if not visit.signed_in.is_of_the_platform:
        raise NotFound("path", visit.path)
    account = visit.param("account")
    await visit.services.sessions.act_for(visit.signed_in, account)
    return visit.go("/", None)


async def show_add(visit: Visit) -> Response:
    return await visit.page("account/account_add.html", labels=LABELS)


async def add(visit: Visit) -> Response:
    form = await visit.form()
    account_id = form.text("id").strip()
    try:
        fields = form.filled("name")
        account, _ = await visit.services.accounts.save(visit.principal, account_id, fields, only_new=True)
    except InvalidValue as error:
        return await visit.page("account/account_add.html", 422, form=form.wrong(error), labels=LABELS)
    return visit.go(f"/accounts/{account.id}/settings", f"The account {account.id} was added.")


async def show_settings(visit: Visit) -> Response:
    account = await _account(visit)
    return await _settings_page(visit, account, _form_of(account))


async def change(visit: Visit) -> Response:
    account, form = await _account(visit), await visit.form()
    try:
        await visit.services.accounts.save(visit.principal, account.id, _fields_of(form))
    except InvalidValue as error:
        return await _settings_page(visit, account, form.wrong(error), 422)
    return visit.go(f"/accounts/{account.id}/settings", "Saved: it holds within a second.")


async def show_portal_link(visit: Visit) -> Response:
    account = await _account(visit)
    form = Form.of({"role": ROLE, "lasts": LASTS_S, "name": account.name})
    return await _portal_link_page(visit, account, form)


async def make_portal_link(visit: Visit) -> Response:
    account, form = await _account(visit), await visit.form()
    fields = {**form.filled("name", "role"), "lasts": number(form.text("lasts"))}
    try:
        made = await visit.services.portal_links.make(visit.principal, account.id, fields)
    except InvalidValue as error:
        return await _portal_link_page(visit, account, form.wrong(error), 422)
    url = f"{visit.services.base_url}/portal/{made.token}"
    return await visit.page("account/portal_link.html", account=account, link=made.link, url=url)


async def revoke_portal_link(visit: Visit) -> Response:
    account = await _account(visit)
    await visit.services.portal_links.revoke(visit.principal, account.id, visit.param("portal_link_id"))
    said = "The portal link was revoked; whoever came by it is signed out."
    return visit.go(f"/accounts/{account.id}/settings", said)


async def _account(visit: Visit) -> Account:
    return await visit.services.accounts.find(visit.principal, visit.param("account"))


async def _settings_page(visit: Visit, account: Account, form: Form, status: int = 200) -> Response:
    links = await visit.services.portal_links.list(visit.principal, account.id)
    return await visit.page("account/account.html", status, account=account, form=form, links=links, labels=LABELS)


async def _portal_link_page(visit: Visit, account: Account, form: Form, status: int = 200) -> Response:
    return await visit.page(
        "account/portal_link_add.html",
        status,
        account=account,
        form=form,
        roles=[(role, role.capitalize(), ROLES_SAID[role]) for role in ROLES],
        lasts=LASTS,
        labels=LABELS,
    )


def _form_of(account: Account) -> Form:
    limits = {f"limits.{name}": getattr(account.limits, name) for name in LIMITS}
    rate = account.limits.events_per_second
    if rate is not None:
        limits["limits.events_per_second"] = f"{rate:g}" if rate < 1_000_000 else f"{rate:.0f}"
    return Form.of({"name": account.name, **limits, "portal_origins": "\n".join(account.portal_origins)})


def _fields_of(form: Form) -> dict[str, object]:
    """What is empty is removed."""
    return {
        **form.fields("name"),
        "limits": {name: number(form.text(f"limits.{name}")) for name in LIMITS},
        "portal_origins": form.text("portal_origins").split(),
    }
