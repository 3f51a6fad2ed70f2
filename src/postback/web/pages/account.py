"""One's own account: who one is, where one is signed in, and the password."""

from starlette.responses import Response

from postback.domain.errors import Forbidden, InvalidValue
from postback.web.visit import Visit


async def show(visit: Visit) -> Response:
    sessions = await visit.services.sessions.list(visit.signed_in)
    return await visit.page("account/sessions.html", sessions=sessions)


async def end_session(visit: Visit) -> Response:
    session_id = visit.param("session_id")
    if session_id == visit.signed_in.id:
        await visit.services.sessions.sign_out(visit.signed_in, visit.visitor)
        return visit.sign_out()
    await visit.services.sessions.end(visit.signed_in, session_id, visit.visitor)
    return visit.go("/account", "The session was ended.")


async def show_password(visit: Visit) -> Response:
    if visit.signed_in.user_id is None:
        raise Forbidden("whoever came by a portal link has no password")
    return await visit.page("account/password.html")


async def change_password(visit: Visit) -> Response:
    form = await visit.form()
    try:
        await visit.services.sessions.change_password(
            visit.signed_in, form.text("old_password"), form.text("new_password"), visit.visitor
        )
    except InvalidValue as error:
        return await visit.page("account/password.html", 422, form=form.wrong(error))
    return visit.go("/account", "The password was changed; all other sessions have ended.")
