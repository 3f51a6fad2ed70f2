"""Signing in and out, proving again who one is, and whom a session acts as."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from postback.actions.access import Access, Principal
from postback.actions.passwords import Passwords
from postback.actions.secrets import hash_of
from postback.actions.sign_in_limit import SignInLimit
from postback.domain.accounts import Actor
from postback.domain.errors import Conflict, Forbidden, InvalidValue, NotFound, Unavailable
from postback.domain.ids import ACCOUNT_DEFAULT, encode
from postback.domain.users import LINK_MAX_MS, SESSION_MS, LinkKind, Role, Session, User, normal_email, scopes_of
from postback.ports import Clock, Known, Sessions, SignInLinks, Users

TOKEN_BYTES: Final = 32

SEEN_EVERY_MS: Final = 60_000
"""The last use of a session is on record to the minute: not every page is a write."""

AGENT_MAX: Final = 200
EMAIL_SHOWN: Final = 254

PROOF: Final = "proof"
"""The field with the password of whoever is signed in already."""

NOT_RIGHT: Final = "The email or the password is not right."
"""What is said whichever it is: nobody learns here who is a user."""


NOT_YOURS: Final = "is not your password"


class Visitor(NamedTuple):
    """Where a request comes from: the peer's address, and what the browser calls itself."""

    address: str | None = None
    agent: str = ""


class SignedIn(NamedTuple):
    """A new session, and its token, which nobody can read again."""

    session: Session
    token: str


@dataclass(frozen=True, slots=True)
class SessionActions:
    sessions: Sessions
    users: Users
    links: SignInLinks
    access: Access
    passwords: Passwords
    limit: SignInLimit
    clock: Clock
    ids: Callable[[], int]

    async def sign_in(self, email: str, password: str, visitor: Visitor) -> SignedIn:
        """InvalidValue where e-mail and password are not somebody's, RateLimited where that was tried too often."""
        # Longer ones are nobody's, and all that were tried are kept in mind for a while.
        email = normal_email(email)[: EMAIL_SHOWN + 1]
        where = visitor.address or ""
        self.limit.begin(where, email)
        known = await self.users.by_email(email)
        enabled = known if known is not None and not known.user.is_disabled else None
        is_right = await self.passwords.is_right(password, enabled.password if enabled else None)
        if enabled is None or not is_right:
            await self._refuse(known.user if known else None, email, visitor)
            raise InvalidValue.of("password", NOT_RIGHT)
        self.limit.succeeded(where, email)
        try:
            return await self.start(enabled, visitor)
        except Conflict:
            # It was right when it was checked.
            await self._refuse(enabled.user, email, visitor)
            raise InvalidValue.of("password", NOT_RIGHT) from None

    async def start(self, known: Known, visitor: Visitor) -> SignedIn:
        """A new session of somebody who has proved to be that user; Conflict where the password is another by now."""
        user = known.user
        session = self._new(user.account or ACCOUNT_DEFAULT, user.account, user.role, user.email, visitor, user.id)
        return await self._keep(session, None, actor_of_user(user, visitor), checked=known.password)

    async def open_portal(self, token: str, visitor: Visitor) -> SignedIn:
        """By a portal link, once; NotFound where it is not good any more."""
        link = await self.links.by_token(hash_of(token))
        if link is None or link.kind is not LinkKind.PORTAL or not link.is_good(self.clock()) or link.account is None:
            raise NotFound("lnk", "")
        role, name = link.role or Role.VIEWER, link.name or link.account
        session = self._new(link.account, link.account, role, name, visitor, None, link.id)
        session = replace(session, ends_ms=min(session.ends_ms, link.created_ms + LINK_MAX_MS))
        return await self._keep(session, hash_of(token), Actor(link.id, name, visitor.address))

    async def prove(self, session: Session, password: str, visitor: Visitor) -> SignedIn:
        """By the password, once more: a new session takes the place of this one, under a token that nobody knew before.

        InvalidValue of `proof` where it is not right, RateLimited as for signing in.
        """
        known = await self._demand_password(session, password, visitor, PROOF)
        fresh = self._new(session.acts_for, session.account, session.role, session.name, visitor, session.user_id)
        by = actor_of(session, visitor)
        try:
            return await self._keep(fresh, None, by, instead_of=session.id, checked=known.password)
        except Conflict:
            raise InvalidValue.of(PROOF, NOT_YOURS) from None

    async def change_password(self, session: Session, old: str, new: str, visitor: Visitor) -> None:
        """One's own; all other sessions end."""
        user, checked = await self._demand_password(session, old, visitor, "old_password")
        await self.passwords.judge(new, user.email, field="new_password")
        hashed = await self.passwords.hash(new)
        by = actor_of(session, visitor)
        try:
            await self.users.set_password(user.id, hashed, keep=session.id, checked=checked, by=by)
        except Conflict:
            raise InvalidValue.of("old_password", NOT_YOURS) from None

    async def resume(self, token: str) -> Session | None:
        """The session of a token, None where it is over. Asked of the store each time: what was ended ends at once."""
        session = await self.sessions.by_token(hash_of(token))
        now_ms = self.clock()
        if session is None or session.is_over(now_ms):
            return None
        if now_ms - session.seen_ms >= SEEN_EVERY_MS:
            try:
                await self.sessions.touch(session.id, now_ms)
            except Unavailable:
                # A store that cannot write now can still be read; the next page tries again.
                return session
        return session

    async def look(self, token: str) -> Session | None:
        """The same, but looking does not keep it from going idle."""
        session = await self.sessions.by_token(hash_of(token))
        return None if session is None or session.is_over(self.clock()) else session

    async def sign_out(self, session: Session, visitor: Visitor) -> None:
        try:
            await self.sessions.end(session.user_id, session.id, by=actor_of(session, visitor))
        except NotFound:
            # Somebody else has ended it already.
            return

    async def list(self, session: Session) -> Sequence[Session]:
        """All that are of the same user and not over; whoever came by a portal link has only this one."""
        if session.user_id is None:
            return [session]
        now_ms = self.clock()
        return [one for one in await self.sessions.list(session.user_id) if not one.is_over(now_ms)]

    async def end(self, session: Session, session_id: str, visitor: Visitor) -> None:
        """End a session of the same user. NotFound for anybody else's."""
        if session.user_id is None:
            raise NotFound("ses", session_id)
        await self.sessions.end(session.user_id, session_id, by=actor_of(session, visitor))

    async def act_for(self, session: Session, account: str) -> None:
        """Show another account's things from now on, which only users of the platform may."""
        if not session.is_of_the_platform:
            raise Forbidden("only users of the platform act for other accounts")
        if not await self.access.knows(account):
            raise NotFound("acc", account)
        await self.sessions.act_for(session.id, account)

    def _new(
        self,
        acts_for: str,
        account: str | None,
        role: Role,
        name: str,
        visitor: Visitor,
        user_id: str | None,
        link_id: str | None = None,
    ) -> Session:
        now_ms = self.clock()
        return Session(
            id="ses_" + encode(self.ids()),
            account=account,
            role=role,
            name=name,
            acts_for=acts_for,
            created_ms=now_ms,
            seen_ms=now_ms,
            ends_ms=now_ms + SESSION_MS,
            user_id=user_id,
            link_id=link_id,
            address=visitor.address,
            agent=visitor.agent[:AGENT_MAX],
        )

    async def _keep(
        self,
        session: Session,
        link: bytes | None,
        by: Actor,
        *,
        instead_of: str | None = None,
        checked: str | None = None,
    ) -> SignedIn:
        token = new_token()
        await self.sessions.add(session, hash_of(token), link=link, instead_of=instead_of, checked=checked, by=by)
        return SignedIn(session, token)

    async def _demand_password(self, session: Session, password: str, visitor: Visitor, field: str) -> Known:
        """The session's user, whose password it is; guessing it here is counted as tries to sign in are."""
        if session.user_id is None:
            raise Forbidden("whoever came by a portal link has no password; open a new link")
        known = await self.users.find(session.user_id)
        where = visitor.address or ""
        self.limit.begin(where, known.user.email)
        if not await self.passwords.is_right(password, known.password):
            await self._refuse(known.user, known.user.email, visitor)
            raise InvalidValue.of(field, NOT_YOURS)
        self.limit.succeeded(where, known.user.email)
        return known

    async def _refuse(self, user: User | None, email: str, visitor: Visitor) -> None:
        shown = email[:EMAIL_SHOWN]
        who = actor_of_user(user, visitor) if user else Actor("nobody", shown, visitor.address)
        why = "disabled" if user is not None and user.is_disabled else "e-mail or password not right"
        try:
            await self.sessions.refused(user.account if user else None, shown, why, by=who)
        except Unavailable:
            # Nobody is let in by it.
            return


def new_token() -> str:
    """256 random bits, safe in a URL."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def actor_of(session: Session, visitor: Visitor) -> Actor:
    """Who is put on record for what is done in a session."""
    who = session.user_id or session.link_id or session.id
    return Actor(who, session.name, visitor.address, is_operator=session.is_of_the_platform)


def actor_of_user(user: User, visitor: Visitor) -> Actor:
    """Who is put on record for what somebody does without a session."""
    return Actor(user.id, user.email, visitor.address, is_operator=user.account is None)


def principal_of(session: Session, visitor: Visitor) -> Principal:
    """Whom it acts as: with this, actions hold the same checks as for a key."""
    return Principal(
        session.acts_for,
        scopes_of(session.permissions),
        is_operator=session.is_of_the_platform,
        actor=actor_of(session, visitor),
    )
