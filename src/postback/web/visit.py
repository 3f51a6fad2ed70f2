"""One request to the portal: who visits, for which account, and the ways to answer. What every handler is given."""

import asyncio
import secrets
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from postback.actions.access import Principal
from postback.actions.sessions import SignedIn, Visitor, principal_of
from postback.domain.accounts import Account, Actor
from postback.domain.errors import TooLarge, Unavailable
from postback.domain.ids import ACCOUNT_DEFAULT
from postback.domain.users import Session
from postback.ports import Query
from postback.web import cookies as names
from postback.web import headers, tokens
from postback.web.cookies import Cookies
from postback.web.forms import Form
from postback.web.menu import Entry, menu
from postback.web.rendering import render
from postback.web.services import Services
from postback.web.tokens import Flash

FORM_MAX: Final = 256 << 10
FORM_OF_STRANGERS_MAX: Final = 16 << 10
"""Bytes of a form, of whoever is signed in and of anybody else: those need few, and there may be many of them."""

FORM_S: Final = 15.0
"""How long a form may take to arrive."""

ACCOUNTS_OFFERED: Final = 12
THEMES: Final = ("auto", "light", "dark")
_SECRET_BYTES: Final = 32


class Switcher(NamedTuple):
    """The accounts that somebody of the platform may switch to at once, and whether there are more."""

    accounts: Sequence[Account]
    has_more: bool


class Visit:
    """`session` is None while nobody is signed in; `framed_by` are the origins that may show the answer in a frame."""

    def __init__(self, services: Services, request: Request, session: Session | None, token: str | None) -> None:
        self.services = services
        self.request = request
        self.session = session
        self.framed_by: Sequence[str] = ()
        self.is_encrypted = is_encrypted(services, request)
        self._cookies = Cookies(self.is_encrypted)
        self._token = token if session is not None else None
        self._form: Form | None = None
        self._new_cookies: list[tuple[str, str, int | None]] = []
        self._removed: list[str] = []
        self._changes_frames = False

    # --- who and what -------------------------------------------------------------------------------------------------

    @property
    def signed_in(self) -> Session:
        """The session of a page that needs a permission; the door lets nobody else in."""
        if self.session is None:
            raise Unavailable("nobody is signed in")
        return self.session

    @property
    def account(self) -> str:
        """Whose things are shown and changed."""
        return ACCOUNT_DEFAULT if self.session is None else self.session.acts_for

    @cached_property
    def visitor(self) -> Visitor:
        peer = self.request.client
        return Visitor(peer.host if peer else None, self.request.headers.get("user-agent", ""))

    @cached_property
    def principal(self) -> Principal:
        return principal_of(self.signed_in, self.visitor)

    @property
    def actor(self) -> Actor:
        """Who is put on record: what actions take as `by`."""
        return self.principal.actor

    def may(self, permission: str) -> bool:
        """Whether to offer something; the door asks the same before a handler is called."""
        return self.session is not None and permission in self.session.permissions

    @property
    def is_proved(self) -> bool:
        """Whether who is signed in has proved it lately enough for secrets to be shown or changed."""
        return self.signed_in.is_proved(self.now_ms)

    async def prove(self, password: str) -> None:
        """By the password: the session goes on under a new token."""
        self._take(await self.services.sessions.prove(self.signed_in, password, self.visitor))

    async def is_as_it_was(self) -> bool:
        """Whether the session is not over, and sees the same things of the same account: asked anew of the store, by what
        lasts longer than a request."""
        known = None if self._token is None else await self.services.sessions.look(self._token)
        mine = self.signed_in
        return known is not None and (known.permissions, known.acts_for) == (mine.permissions, mine.acts_for)

    @property
    def now_ms(self) -> int:
        return self.services.clock()

    def param(self, name: str) -> str:
        """A part of the path, such as an id."""
        return str(self.request.path_params[name])

    def asked(self, name: str) -> str:
        """A parameter of the query, empty where there is none."""
        return self.request.query_params.get(name, "").strip()

    async def form(self) -> Form:
        """What was sent; its token is right, or the door would not have let it in."""
        if self._form is None:
            self._form = Form.read(await self._body())
        return self._form

    # --- answers ------------------------------------------------------------------------------------------------------

    async def page(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page of a template. It knows `visit`, and `form`, an empty one where none is given."""
        known = {"form": Form(), "switcher": await self._switcher(), **context}
        return self.bare(template, status, **known)

    def bare(self, template: str, status: int = 200, **context: Any) -> Response:
        """The same without a look into the store: for errors, and for whoever is not signed in."""
        known = {"visit": self, "form": Form(), "switcher": None, "flash": self._take_flash(), **context}
        return HTMLResponse(render(template, known), status)

    def section(self, template: str, **context: Any) -> str:
        """A part of a page, for whoever follows it: without what is said once."""
        return render(template, {"visit": self, "form": Form(), **context})

    def go(self, path: str, said: str | None = None, kind: str = "done") -> Response:
        """To another page of ours, where `said` is read once; kinds are done, note and problem."""
        if said is not None:
            packed = tokens.pack(self._secret, Flash(kind, said))
            self._new_cookies.append((names.FLASH, packed, names.FLASH_S))
        return RedirectResponse(path, 303)

    async def confirm(self, **context: Any) -> Response:
        """Ask before it is done: `title`, `sentences`, `facts` (word → number), `action`, `button`, `back` and what that
        is called, `fields`, which are sent along, `links` (words → path) to a question about less, and the `kind` of the
        button: `primary` where nothing is taken away."""
        known = {
            "facts": {},
            "fields": {},
            "sentences": [],
            "links": {},
            "back_label": "Cancel",
            "kind": "danger",
        }
        return await self.page("confirm.html", **{**known, **context})

    def sign_in(self, signed_in: SignedIn, path: str, framed_by: Sequence[str]) -> Response:
        """A new session, under a token that nobody knew before, which the pages of these origins may frame."""
        self._changes_frames = self.session is not None and bool(self.framed_by) != bool(framed_by)
        self.framed_by = framed_by
        self._take(signed_in)
        self._removed.append(names.VISITOR)
        return RedirectResponse(path, 303)

    def sign_out(self) -> Response:
        """In the browser. Whoever came by a portal link has nothing to sign in with, and no frame shows the sign-in page."""
        is_user = self.session is None or self.session.user_id is not None
        self.session = self._token = None
        self._removed.append(names.SESSION)
        return self.go("/sign-in", "You are signed out.") if is_user else self.bare("signed_out.html")

    def set_theme(self, theme: str) -> None:
        self._new_cookies.append((names.THEME, theme, names.YEAR_S))

    def finish(self, response: Response) -> Response:
        """Cookies and headers, which every answer gets here."""
        if self._changes_frames:
            # The one until now is another one to the browser, which would send both.
            self._cookies.remove(response, names.SESSION, is_framed=not self.framed_by)
        for name, value, max_age_s in self._new_cookies:
            self._cookies.put(response, name, value, max_age_s, is_framed=bool(self.framed_by))
        for name in self._removed:
            self._cookies.remove(response, name, is_framed=bool(self.framed_by))
        headers.put(response.headers, is_encrypted=self.is_encrypted, framed_by=self.framed_by)
        return response

    # --- what templates ask -------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        return self.request.url.path

    @property
    def form_token(self) -> str:
        return tokens.form_token(self._secret, self.account)

    def is_own_form(self, sent: str) -> bool:
        return tokens.is_form_token(self._secret, self.account, sent)

    @property
    def menu(self) -> Sequence[Entry]:
        return menu(self.path, frozenset() if self.session is None else self.session.permissions)

    @property
    def theme(self) -> str:
        found = self._cookies.get(self.request, names.THEME)
        return found if found in THEMES else "auto"

    # --- inside -------------------------------------------------------------------------------------------------------

    def _take(self, signed_in: SignedIn) -> None:
        self._token, self.session = signed_in.token, signed_in.session
        self._new_cookies.append((names.SESSION, signed_in.token, None))

    @cached_property
    def _visitor_secret(self) -> str:
        known = self._cookies.get(self.request, names.VISITOR)
        if known:
            return known
        made = secrets.token_urlsafe(_SECRET_BYTES)
        self._new_cookies.append((names.VISITOR, made, None))
        return made

    @property
    def _secret(self) -> str:
        return self._visitor_secret if self._token is None else self._token

    def _take_flash(self) -> Flash | None:
        packed = self._cookies.get(self.request, names.FLASH)
        if packed is None:
            return None
        self._removed.append(names.FLASH)
        return tokens.unpack(self._secret, packed)

    async def _switcher(self) -> Switcher | None:
        if self.session is None or not self.session.is_of_the_platform:
            return None
        query = Query(page_size=ACCOUNTS_OFFERED, sort="-modified_ts")
        page = await self.services.accounts.list(self.principal, query)
        return Switcher(page.items, page.total > len(page.items))

    async def _body(self) -> bytes:
        parts, length = [], 0
        most = FORM_OF_STRANGERS_MAX if self.session is None else FORM_MAX
        try:
            async with asyncio.timeout(FORM_S):
                async for part in self.request.stream():
                    length += len(part)
                    if length > most:
                        raise TooLarge(f"a form may have {most >> 10} KiB")
                    parts.append(part)
        except TimeoutError:
            raise Unavailable("the form took too long to arrive; send it again") from None
        return b"".join(parts)


def is_encrypted(services: Services, request: Request) -> bool:
    """By the public URL, or by what a trusted proxy says of this request: what is secret goes over no other connection."""
    return services.is_encrypted or request.url.scheme == "https"


def own_path(text: str) -> str:
    """A path of ours, or the start page where the text leads anywhere else, which a browser would follow too."""
    if not text.startswith("/") or text[1:2] in ("/", "\\") or not text.isprintable() or "\\" in text:
        return "/"
    return text
