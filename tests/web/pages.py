"""The portal on a real store, and browsers without a window: they keep cookies, and read forms out of pages."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from argon2 import PasswordHasher
from starlette.types import ASGIApp

from postback import web
from postback.actions.access import Principal
from postback.actions.passwords import Passwords
from postback.actions.sessions import Visitor
from postback.actions.sign_in_links import MadeLink
from postback.bootstrap.portal import portal_services
from postback.domain.accounts import Account, Actor, Scope
from postback.domain.configs import PostbackConfig
from postback.domain.ids import ACCOUNT_DEFAULT, config_text
from postback.domain.users import Role, User
from postback.resources import RESOURCES
from postback.storage.links import SqlSignInLinks
from postback.storage.sessions import SqlSessions
from postback.storage.users import SqlUsers
from tests.api.client import Api, open_api
from tests.asked import ask
from tests.doubles import ClockDouble

PASSWORD: Final = "five quiet otters juggle"
OTHER: Final = "other"
OPERATOR: Final = Principal(ACCOUNT_DEFAULT, frozenset(Scope), is_operator=True, actor=Actor("key_1", "an operator"))
CHEAP: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""The same algorithm with next to no work."""


@dataclass
class Form:
    """A form as it stands in a page: where it goes, and what it would send now."""

    action: str
    method: str
    values: dict[str, list[str]] = field(default_factory=dict)
    button: str = ""

    def fill(self, **values: str) -> "Form":
        for name in values:
            assert name in self.values, f"there is no field {name}, but {', '.join(self.values)}"
        return replace(self, values=self.values | {name: [value] for name, value in values.items()})

    def press(self, name: str, value: str) -> "Form":
        """As a button with a name of its own sends it."""
        return replace(self, values=self.values | {name: [value]})

    def at(self, action: str) -> "Form":
        """As a button with an address of its own sends it."""
        return replace(self, action=action)

    def without(self, name: str) -> "Form":
        return replace(self, values={key: value for key, value in self.values.items() if key != name})


class _Reader(HTMLParser):
    """Forms, links, headings and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._form: Form | None = None
        self._select = ""
        self._area = ""
        self._link: str | None = None
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.tags.append((tag, known))
        if tag in ("script", "style", "title"):
            self._silent += 1
        if tag == "form":
            self._form = Form(known.get("action", ""), known.get("method", "get").upper())
            self.forms.append(self._form)
        if tag == "a":
            self._link = known.get("href", "")
            self.links.append((self._link, ""))
        if self._form is None:
            return
        name, kind = known.get("name", ""), known.get("type", "text")
        if tag == "input" and name:
            if kind in ("checkbox", "radio"):
                self._form.values.setdefault(name, [])
                if "checked" in known:
                    self._form.values[name].append(known.get("value", "on"))
            else:
                self._form.values.setdefault(name, []).append(known.get("value", ""))
        if tag == "select":
            self._select = name
            self._form.values.setdefault(name, [])
        if tag == "option" and self._select and ("selected" in known or not self._form.values[self._select]):
            self._form.values[self._select] = [known.get("value", "")]
        if tag == "textarea":
            self._area = name
            self._form.values[name] = [""]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "title"):
            self._silent -= 1
        if tag == "form":
            self._form = None
        if tag == "select":
            self._select = ""
        if tag == "textarea":
            self._area = ""
        if tag == "a":
            self._link = None

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._area and self._form is not None:
            self._form.values[self._area][0] += data.removeprefix("\n")
        if data.strip():
            self.texts.append(" ".join(data.split()))
            if self._link is not None:
                href, said = self.links[-1]
                self.links[-1] = (href, f"{said} {data.strip()}".strip())


@dataclass(frozen=True)
class Page:
    """An answer, and what a person would read in it."""

    status: int
    headers: Mapping[str, str]
    cookies: tuple[str, ...]
    body: bytes
    path: str

    @property
    def html(self) -> str:
        return self.body.decode()

    @property
    def read(self) -> _Reader:
        reader = _Reader()
        reader.feed(self.html)
        return reader

    @property
    def text(self) -> str:
        return " ".join(self.read.texts)

    @property
    def links(self) -> dict[str, str]:
        """What is said → where it leads."""
        return {said: href for href, said in self.read.links}

    @property
    def to(self) -> str:
        """Where it leads on."""
        assert self.status == 303, (self.status, self.text)
        return self.headers["location"]

    def form(self, action: str | None = None) -> Form:
        """The form with this action, by default the last one of the content: menus and switches come before it."""
        forms = [form for form in self.read.forms if form.method == "POST"]
        if action is not None:
            forms = [form for form in forms if form.action == action]
        assert forms, f"no form {action or ''} in: {self.text}"
        return forms[-1]

    def wrong(self, name: str) -> bool:
        """Whether something is said to be wrong beside this field."""
        return f'id="f-{name}-wrong"' in self.html


@dataclass
class Browser:
    """Sends as a browser does, and keeps its cookies. `site` is what it says of where a request comes from."""

    app: ASGIApp
    jar: dict[str, str] = field(default_factory=dict)
    peer: str = "192.0.2.10"
    site: str | None = "same-origin"

    async def get(self, target: str, **headers: str) -> Page:
        return await self.send("GET", target, b"", headers)

    async def follow(self, page: Page) -> Page:
        return await self.get(page.to)

    async def submit(self, form: Form, **headers: str) -> Page:
        pairs = [(name, value) for name, values in form.values.items() for value in values]
        return await self.send(form.method, form.action, urlencode(pairs).encode(), headers)

    async def post(self, target: str, fields: Mapping[str, str] | None = None, **headers: str) -> Page:
        return await self.send("POST", target, urlencode(fields or {}).encode(), headers)

    async def send(self, method: str, target: str, body: bytes, headers: Mapping[str, str] | None = None) -> Page:
        sent = {"host": "whatever.example", "user-agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0"}
        if self.site is not None:
            sent["sec-fetch-site"] = self.site
        if self.jar:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        if body:
            sent |= {"content-type": "application/x-www-form-urlencoded", "content-length": str(len(body))}
        sent |= {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        raw = [(name.encode(), value.encode()) for name, value in sent.items()]
        answered = await ask(self.app, method, target, raw, body, self.peer)
        cookies = tuple(value for name, value in answered.headers if name == "set-cookie")
        page = Page(answered.status, dict(answered.headers), cookies, answered.body, target)
        for cookie in page.cookies:
            self._keep(cookie)
        return page

    def _keep(self, cookie: str) -> None:
        pair, *attributes = cookie.split("; ")
        name, _, value = pair.partition("=")
        if "Max-Age=0" in attributes:
            self.jar.pop(name, None)
        else:
            self.jar[name] = value.strip('"')


@dataclass
class Portal:
    """The portal with an account `default` and another one; `api` is what is behind both."""

    api: Api
    services: web.Services
    app: ASGIApp
    clock: ClockDouble
    users: SqlUsers
    links: SqlSignInLinks
    sessions: SqlSessions
    number: int = 0

    def browser(self, **changes: Any) -> Browser:
        return Browser(self.app, **changes)

    async def user(self, role: Role = Role.OWNER, account: str | None = ACCOUNT_DEFAULT, **changes: Any) -> User:
        """A user whose password is PASSWORD."""
        self.number += 1
        user = User(
            id=f"usr_{self.number}",
            account=account,
            email=f"{role}{self.number}@example.com",
            role=role,
            created_ms=self.clock(),
        )
        user = replace(user, **changes)
        await self.users.add(user, CHEAP.hash(PASSWORD))
        return user

    async def signed_in(self, role: Role = Role.OWNER, account: str | None = ACCOUNT_DEFAULT) -> Browser:
        """A browser in which a new user of that role is signed in; of the platform for the account None."""
        return await self.browser_of(await self.user(role, account))

    async def browser_of(self, user: User) -> Browser:
        signed_in = await self.services.sessions.start(await self.users.find(user.id), Visitor("192.0.2.10", "Firefox"))
        return self.browser(jar={"__Host-session": signed_in.token})

    async def portal_link(
        self, account: str, role: Role = Role.EDITOR, name: str = "Shop", lasts: int = 3600
    ) -> MadeLink:
        """As an operator makes it."""
        fields = {"role": role.value, "name": name, "lasts": lasts}
        return await self.services.portal_links.make(OPERATOR, account, fields)

    async def came_by_link(self, account: str, role: Role = Role.EDITOR, **changes: Any) -> Browser:
        """A browser in which a new portal link was opened."""
        guest = self.browser()
        path = f"/portal/{(await self.portal_link(account, role, **changes)).token}"
        await guest.submit((await guest.get(path)).form(path))
        return guest

    async def framed_by(self, account: str, *origins: str) -> None:
        """Whose pages may show this account's portal in a frame."""
        await self.services.accounts.save(OPERATOR, account, {"portal_origins": [*origins]})

    async def location(self, account: str = ACCOUNT_DEFAULT, name: str = "Main Street", **fields: object) -> str:
        location, _ = await self.services.records.create(account, RESOURCES["location"], {"name": name, **fields})
        return location.id

    async def contact(self, location_id: str, account: str = ACCOUNT_DEFAULT, **fields: object) -> str:
        sent = {"location_id": location_id, "last_name": "Jones", **fields}
        contact, _ = await self.services.records.create(account, RESOURCES["contact"], sent)
        return contact.id

    async def config(self, account: str = ACCOUNT_DEFAULT, **fields: object) -> str:
        """The id of a postback config, of the whole account where nothing else is said."""
        sent = {"url": "http://127.0.0.1:9000/receiver", "event_types": ["sms.*"], **fields}
        saved = await self.services.configs.create(account, sent)
        return config_text(saved.config.id)

    async def stored(self, config_id: str, account: str = ACCOUNT_DEFAULT) -> PostbackConfig:
        return await self.services.configs.find(account, config_id)


async def open_portal(path: Path, clock: ClockDouble, **changes: Any) -> Portal:
    api = await open_api(path, clock, **changes)
    await api.services.accounts.save(Account(id=OTHER, created_ms=clock(), modified_ms=clock()))
    services = portal_services(api.store, api.services, asyncio.Event(), Passwords(CHEAP))
    return Portal(
        api,
        services,
        web.build(services),
        clock,
        SqlUsers(api.store),
        SqlSignInLinks(api.store),
        SqlSessions(api.store),
    )
