"""Users, their sessions, and the links that sign somebody in once. Of passwords and tokens only hashes get here."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from postback.domain.accounts import Actor
from postback.domain.users import Link, LinkKind, Session, User
from postback.ports.basics import Page, Query


class Known(NamedTuple):
    """A user with the argon2id text of the password."""

    user: User
    password: str


class SignedOut(NamedTuple):
    """How many sessions ended, and how many links sign nobody in any more."""

    sessions: int
    links: int


class Users(Protocol):
    """Each change is on record with its actor."""

    async def any(self) -> bool:
        """Whether there is any user at all."""

    async def add(self, user: User, password: str, *, link: bytes | None = None, by: Actor | None = None) -> None:
        """Conflict where the e-mail is a user's already, NotFound where the account is gone.

        With `link` (a hash) it is made by that link, which is used by it: NotFound where that is not good any more.
        """

    async def find(self, user_id: str) -> Known: ...

    async def by_email(self, email: str) -> Known | None: ...

    async def list(self, account: str | None, query: Query) -> Page[User]:
        """Those of the account, of the platform for None."""

    async def everybody(self) -> Sequence[User]:
        """All there are, those of the platform first, then of each account."""

    async def change(self, user: User, *, by: Actor | None = None) -> None:
        """Another role, or disabled, which ends all sessions and links. Conflict where no owner would be left of those that it is of."""

    async def set_password(
        self,
        user_id: str,
        password: str,
        *,
        link: bytes | None = None,
        keep: str | None = None,
        checked: str | None = None,
        by: Actor | None = None,
    ) -> None:
        """All of the user's sessions end, but the one to keep, and all links to a new password; `link` as with `add`.

        With `checked` (argon2id text) Conflict where the password is not that one any more.
        """

    async def sign_everybody_out(self, *, by: Actor | None = None) -> SignedOut:
        """End all sessions there are, of users and of portal links, and void all links that sign somebody in."""


class Sessions(Protocol):
    async def add(
        self,
        session: Session,
        token: bytes,
        *,
        link: bytes | None = None,
        instead_of: str | None = None,
        checked: str | None = None,
        by: Actor | None = None,
    ) -> None:
        """Somebody has signed in; `link` as with `add` of users. What is long over is removed.

        With `instead_of` it takes the place of that session of the same user: NotFound where that is gone. `checked` is
        the argon2id text by which a user proved to be that: Conflict where it is not the user's any more.
        """

    async def by_token(self, token: bytes) -> Session | None:
        """As it is now: with the role of now, and None where its user was disabled or its link revoked."""

    async def touch(self, session_id: str, seen_ms: int) -> None: ...

    async def act_for(self, session_id: str, account: str) -> None:
        """NotFound where there is no such account."""

    async def list(self, user_id: str) -> Sequence[Session]:
        """The user's, the one that was used last first."""

    async def end(self, user_id: str | None, session_id: str, *, by: Actor | None = None) -> None:
        """NotFound unless it is the user's, or for None somebody's who came by a portal link."""

    async def refused(self, account: str | None, email: str, why: str, *, by: Actor) -> None:
        """Put on record that somebody was not let in."""


class SignInLinks(Protocol):
    async def add(self, link: Link, token: bytes, *, by: Actor | None = None) -> None:
        """Of a new password of the same user the one before is void; of the first user all others are once one is used."""

    async def by_token(self, token: bytes) -> Link | None: ...

    async def list(self, account: str | None, kind: LinkKind | None, limit: int) -> Sequence[Link]:
        """The account's (the platform's for None) of this kind, of every kind for None; the newest first."""

    async def revoke(
        self, account: str | None, link_id: str, kind: LinkKind | None, *, by: Actor | None = None
    ) -> None:
        """It signs nobody in any more, and whoever came by it is signed out. NotFound unless it is the account's, and of
        this kind where one is named."""
