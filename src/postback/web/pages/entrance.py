"""The way in and out: sign in, become a user by a link, set a new password, open a portal link, sign out."""

from collections.abc import Sequence

from starlette.responses import Response

from postback.actions.sessions import SignedIn
from postback.domain.errors import InvalidValue, NotFound
from postback.domain.users import LinkKind
from postback.web.forms import Form
from postback.web.visit import THEMES, Visit, own_path


async def show_sign_in(visit: Visit) -> Response:
    if visit.session is not None:
        return visit.go(own_path(visit.asked("next")))
    return await _sign_in_page(visit, Form.of({"next": own_path(visit.asked("next"))}))


async def sign_in(visit: Visit) -> Response:
    form = await visit.form()
    try:
        signed_in = await visit.services.sessions.sign_in(form.text("email"), form.text("password"), visit.visitor)
    except InvalidValue as error:
        return await _sign_in_page(visit, form.wrong(error), 422)
    return await _enter(visit, signed_in, own_path(form.text("next")))


async def _sign_in_page(visit: Visit, form: Form, status: int = 200) -> Response:
    needs_first = await visit.services.users.needs_first()
    return visit.bare("sign_in.html", status, form=form, needs_first=needs_first)


async def sign_out(visit: Visit) -> Response:
    if visit.session is not None:
        await visit.services.sessions.sign_out(visit.session, visit.visitor)
    return visit.sign_out()


async def show_join(visit: Visit) -> Response:
    link = await visit.services.users.open_link(visit.param("token"))
    if link.kind not in (LinkKind.FIRST, LinkKind.INVITATION):
        raise NotFound("lnk", "")
    return visit.bare("join.html", link=link, form=Form.of({"email": link.email}))


async def join(visit: Visit) -> Response:
    form, token = await visit.form(), visit.param("token")
    link = await visit.services.users.open_link(token)
    try:
        known = await visit.services.users.join(token, form.text("email"), form.text("password"), visit.visitor)
    except InvalidValue as error:
        return visit.bare("join.html", 422, link=link, form=form.wrong(error))
    return await _enter(visit, await visit.services.sessions.start(known, visit.visitor), "/")


async def show_new_password(visit: Visit) -> Response:
    link = await visit.services.users.open_link(visit.param("token"))
    if link.kind is not LinkKind.PASSWORD:
        raise NotFound("lnk", "")
    return visit.bare("new_password.html")


async def set_new_password(visit: Visit) -> Response:
    form = await visit.form()
    try:
        known = await visit.services.users.set_password(visit.param("token"), form.text("password"), visit.visitor)
    except InvalidValue as error:
        return visit.bare("new_password.html", 422, form=form.wrong(error))
    return await _enter(visit, await visit.services.sessions.start(known, visit.visitor), "/")


async def show_portal(visit: Visit) -> Response:
    """A button, since whatever looks at links in messages beforehand would use it up."""
    link = await visit.services.users.open_link(visit.param("token"))
    if link.kind is not LinkKind.PORTAL or link.account is None:
        raise NotFound("lnk", "")
    visit.framed_by = await visit.services.sessions.access.portal_origins_of(link.account)
    return visit.bare("open_portal.html", link=link)


async def open_portal(visit: Visit) -> Response:
    signed_in = await visit.services.sessions.open_portal(visit.param("token"), visit.visitor)
    framed_by = await visit.services.sessions.access.portal_origins_of(signed_in.session.acts_for)
    return await _enter(visit, signed_in, "/", framed_by)


async def _enter(visit: Visit, signed_in: SignedIn, path: str, framed_by: Sequence[str] = ()) -> Response:
    """The session that this browser had until now is over: nobody has its token any more but who should not."""
    if visit.session is not None:
        await visit.services.sessions.sign_out(visit.session, visit.visitor)
    return visit.sign_in(signed_in, path, framed_by)


async def set_theme(visit: Visit) -> Response:
    form = await visit.form()
    theme = form.text("theme")
    if theme in THEMES:
        visit.set_theme(theme)
    return visit.go(own_path(form.text("next")))
