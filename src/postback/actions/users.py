"""Users: the first one, those who are invited, their passwords and roles."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from postback.actions.passwords import Passwords
from postback.actions.secrets import hash_of
from postback.actions.sessions import Visitor, actor_of, actor_of_user
from postback.actions.sign_in_links import make_link
from postback.domain.accounts import Actor
from postback.domain.errors import Conflict, Forbidden, InvalidValue, NotFound
from postback.domain.ids import encode
from postback.domain.users import (
    LINK_MAX_MS,
    Link,
    LinkKind,
    Permission,
    Role,
    Session,
    User,
    may_give,
    normal_email,
)
from postback.ports import Clock, Known, Page, Query, SignInLinks, Users

EMAIL_MAX: Final = 254
LINKS_LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class UserActions:
    users: Users
    links: SignInLinks
    passwords: Passwords
    clock: Clock
    ids: Callable[[], int]

    async def needs_first(self) -> bool:
        return not await self.users.any()

    async def first_link(self) -> str:
        """The token of a link by which somebody becomes the owner of the platform, while there is no user."""
        return await self._link(Link(id="", kind=LinkKind.FIRST, created_ms=0, role=Role.OWNER), None, None)

    async def make_owner(self, email: str, password: str) -> User:
        """The first user without a link, as the settings say; judged as anybody's."""
        return (await self._add(None, Role.OWNER, email, password, None)).user

    async def open_link(self, token: str) -> Link:
        """What a link is for; NotFound where it is not good (any more)."""
        link = await self.links.by_token(hash_of(token))
        if link is None or not link.is_good(self.clock()):
            raise NotFound("lnk", "")
        if link.kind is LinkKind.FIRST and not await self.needs_first():
            # Somebody else became the first, by the settings.
            raise NotFound("lnk", "")
        return link

    async def join(self, token: str, email: str, password: str, visitor: Visitor) -> Known:
        """Become a user by the link of the first one, or by an invitation, which says for which e-mail it is."""
        link = await self.open_link(token)
        if link.kind not in (LinkKind.FIRST, LinkKind.INVITATION) or link.role is None:
            raise NotFound("lnk", "")
        return await self._add(link.account, link.role, link.email or email, password, (hash_of(token), visitor))

    async def set_password(self, token: str, password: str, visitor: Visitor) -> Known:
        """By a link for it; all sessions end."""
        link = await self.open_link(token)
        if link.kind is not LinkKind.PASSWORD or link.user_id is None:
            raise NotFound("lnk", "")
        user = (await self.users.find(link.user_id)).user
        if user.is_disabled:
            raise NotFound("lnk", "")
        await self.passwords.judge(password, user.email)
        hashed = await self.passwords.hash(password)
        await self.users.set_password(user.id, hashed, link=hash_of(token), by=actor_of_user(user, visitor))
        return Known(user, hashed)

    async def list(self, session: Session, query: Query) -> Page[User]:
        """Those of the account that is shown."""
        _demand(session)
        return await self.users.list(session.acts_for, query)

    async def list_of_the_platform(self, session: Session, query: Query) -> Page[User]:
        _demand(session)
        if not session.is_of_the_platform:
            raise Forbidden("only users of the platform see its users")
        return await self.users.list(None, query)

    async def invite(
        self, session: Session, email: str, role: str, visitor: Visitor, *, to_platform: bool = False
    ) -> str:
        """The token of a link for somebody to become a user of the account that is shown, or of the platform."""
        _demand(session)
        if to_platform and not session.is_of_the_platform:
            raise Forbidden("only users of the platform invite to it")
        account = None if to_platform else session.acts_for
        wanted, address = read_role(role), read_email(email)
        _demand_may_give(session, wanted)
        if await self.users.by_email(address) is not None:
            raise InvalidValue.of("email", "there is a user with this email already")
        link = Link(id="", kind=LinkKind.INVITATION, created_ms=0, account=account, role=wanted, email=address)
        return await self._link(link, LINK_MAX_MS, actor_of(session, visitor))

    async def change(
        self,
        session: Session,
        user_id: str,
        visitor: Visitor,
        *,
        role: str | None = None,
        is_disabled: bool | None = None,
    ) -> User:
        """Another role, or disabled or let in again; NotFound unless the user is one that this session manages."""
        old = await self._managed(session, user_id)
        new = old if role is None else replace(old, role=read_role(role))
        if is_disabled is not None and is_disabled is not old.is_disabled:
            new = replace(new, disabled_ms=self.clock() if is_disabled else None)
        _demand_may_give(session, new.role)
        if user_id == session.user_id and new != old:
            raise Conflict("this is you; ask another owner or admin to change it")
        if new != old:
            await self.users.change(new, by=actor_of(session, visitor))
        return new

    async def password_link(self, session: Session, user_id: str, visitor: Visitor) -> str:
        """The token of a link for somebody to set a new password."""
        user = await self._managed(session, user_id)
        return await self._link_of(user, actor_of(session, visitor))

    async def rescue(self, email: str, by: Actor) -> str:
        """The token of a link to a new password, for whoever runs the server: somebody is locked out."""
        known = await self.users.by_email(normal_email(email))
        if known is None:
            raise NotFound("usr", email)
        return await self._link_of(known.user, by)

    async def list_links(self, session: Session) -> Sequence[Link]:
        """Those of the account that are still good, the newest first; users of the platform see its own after them."""
        _demand(session)
        found = [*await self.links.list(session.acts_for, None, LINKS_LISTED)]
        if session.is_of_the_platform:
            found += await self.links.list(None, None, LINKS_LISTED)
        now_ms = self.clock()
        return [link for link in found if link.is_good(now_ms)]

    async def revoke_link(self, session: Session, link_id: str, visitor: Visitor) -> None:
        """One of those that are listed; NotFound for any other."""
        _demand(session)
        by = actor_of(session, visitor)
        try:
            await self.links.revoke(session.acts_for, link_id, None, by=by)
        except NotFound:
            if not session.is_of_the_platform:
                raise
            await self.links.revoke(None, link_id, None, by=by)

    async def _managed(self, session: Session, user_id: str) -> User:
        _demand(session)
        user = (await self.users.find(user_id)).user
        is_in_reach = user.account == session.acts_for or (user.account is None and session.is_of_the_platform)
        if not is_in_reach:
            raise NotFound("usr", user_id)
        _demand_may_give(session, user.role)
        return user

    async def _add(
        self, account: str | None, role: Role, email: str, password: str, came: tuple[bytes, Visitor] | None
    ) -> Known:
        """`came` are the hash of the link that somebody came by, and where from; None without a link."""
        address = read_email(email)
        await self.passwords.judge(password, address)
        user = User(id="usr_" + encode(self.ids()), account=account, email=address, role=role, created_ms=self.clock())
        hashed = await self.passwords.hash(password)
        link, by = (None, None) if came is None else (came[0], actor_of_user(user, came[1]))
        await self.users.add(user, hashed, link=link, by=by)
        return Known(user, hashed)

    async def _link_of(self, user: User, by: Actor) -> str:
        if user.is_disabled:
            raise Conflict("the user is disabled")
        link = Link(id="", kind=LinkKind.PASSWORD, created_ms=0, account=user.account, user_id=user.id)
        return await self._link(link, LINK_MAX_MS, by)

    async def _link(self, link: Link, lasts_ms: int | None, by: Actor | None) -> str:
        return (await make_link(self.links, link, lasts_ms, self.clock, self.ids, by)).token


def read_email(text: str) -> str:
    """An e-mail as it is kept; InvalidValue where nothing could be sent there."""
    email = normal_email(text)
    name, at, host = email.rpartition("@")
    is_readable = all(unicodedata.category(letter)[0] not in "CZ" for letter in email)
    if not (name and at and host and is_readable and len(email) <= EMAIL_MAX):
        raise InvalidValue.of("email", "expected an email such as ann@example.com")
    return email


def read_role(text: str) -> Role:
    if text not in list(Role):
        raise InvalidValue.of("role", f"expected one of {', '.join(Role)}")
    return Role(text)


def _demand(session: Session) -> None:
    if Permission.MANAGE_USERS not in session.permissions:
        raise Forbidden(f"your role, {session.role}, may not manage users")


def _demand_may_give(session: Session, role: Role) -> None:
    if not may_give(session.role, role):
        raise Forbidden(f"your role, {session.role}, may not do this with the role {role}")
