"""Users: who there are, their roles, invitations, and links to a new password."""

from starlette.responses import Response

from postback.domain.errors import InvalidValue
from postback.domain.users import Role, may_give
from postback.web.forms import Form
from postback.web.pages.paging import pages_of, query_of
from postback.web.visit import Visit


async def show_list(visit: Visit) -> Response:
    services, session = visit.services, visit.signed_in
    query = query_of(visit, "email", ("email",))
    page = await services.users.list(session, query)
    platform = await services.users.list_of_the_platform(session, query) if session.is_of_the_platform else None
    return await visit.page(
        "account/users.html",
        users=page.items,
        platform_users=platform.items if platform else (),
        links=await services.users.list_links(session),
        pages=pages_of(visit, query, page),
        roles=_roles(visit),
    )


async def show_invite(visit: Visit) -> Response:
    return await visit.page("account/invite.html", form=Form.of({"role": Role.VIEWER}), roles=_roles(visit))


async def invite(visit: Visit) -> Response:
    form = await visit.form()
    try:
        token = await visit.services.users.invite(
            visit.signed_in,
            form.text("email"),
            form.text("role"),
            visit.visitor,
            to_platform=form.is_on("to_platform"),
        )
    except InvalidValue as error:
        return await visit.page("account/invite.html", 422, form=form.wrong(error), roles=_roles(visit))
    return await visit.page(
        "account/link.html",
        title="Invitation",
        link=f"{visit.services.base_url}/join/{token}",
        sentence=f"Send this link to {form.text('email')}. It is good for 24 hours and for one person, and is shown this once.",
    )


async def change(visit: Visit) -> Response:
    form = await visit.form()
    disabled = form.text("disabled")
    user = await visit.services.users.change(
        visit.signed_in,
        visit.param("user_id"),
        visit.visitor,
        role=form.text("role") or None,
        is_disabled=None if disabled not in ("0", "1") else disabled == "1",
    )
    said = "may not sign in any more" if user.is_disabled else f"is {user.role}"
    return visit.go("/account/users", f"{user.email} {said}.")


async def make_password_link(visit: Visit) -> Response:
    token = await visit.services.users.password_link(visit.signed_in, visit.param("user_id"), visit.visitor)
    return await visit.page(
        "account/link.html",
        title="Link to a new password",
        link=f"{visit.services.base_url}/new-password/{token}",
        sentence="Give this link to the user. It is good for 24 hours and for one time, and is shown this once.",
    )


async def revoke_link(visit: Visit) -> Response:
    await visit.services.users.revoke_link(visit.signed_in, visit.param("link_id"), visit.visitor)
    return visit.go("/account/users", "The link was revoked.")


def _roles(visit: Visit) -> list[Role]:
    return [role for role in Role if may_give(visit.signed_in.role, role)]
