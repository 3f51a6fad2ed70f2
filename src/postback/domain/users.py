"""People: who may sign in, what their role lets them do, and for how long they stay signed in."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from postback.domain.accounts import Scope

IDLE_MS: Final = 30 * 60_000
"""A session that nobody used for so long is over."""

SESSION_MS: Final = 12 * 3_600_000
"""However much it is used."""

PROVED_MS: Final = 10 * 60_000
"""For so long after signing in nobody is asked for the password again before secrets are shown or changed."""

LINK_MAX_MS: Final = 24 * 3_600_000
"""How long a link to sign in with may be good for; that of the first user is until it was used. Whoever came by a portal
link is signed out by then, too."""


class Role(StrEnum):
    """What somebody is, from the one who may most to the one who may least."""

    OWNER = "owner"
    ADMIN = "admin"
    EDITOR = "editor"
    VIEWER = "viewer"


class Permission(StrEnum):
    """What a page or a button needs."""

    SEE = "see"
    CHANGE_CONFIGS = "change configs"
    CHANGE_RECORDS = "change records"
    PUBLISH = "publish"
    REPLAY = "replay and cancel"
    SEE_AUDIT = "see the audit"
    MANAGE_KEYS = "manage keys"
    MANAGE_USERS = "manage users"
    MANAGE_ACCOUNTS = "manage accounts"


class LinkKind(StrEnum):
    """What a link to sign in with is for: to become the first user, or a user; to set a new password; to see one account's
    portal without being a user."""

    FIRST = "first"
    INVITATION = "invitation"
    PASSWORD = "password"  # noqa: S105
    PORTAL = "portal"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who signs in with an e-mail and a password. Times are unix ms.

    `account` is None for a user of the platform, who may act for any account. A disabled one cannot sign in.
    """

    id: str
    account: str | None
    email: str
    role: Role
    created_ms: int
    disabled_ms: int | None = None

    @property
    def is_disabled(self) -> bool:
        return self.disabled_ms is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link that signs somebody in once. Times are unix ms; without `ends_ms` it is good until it was used.

    Of an invitation `email`, `account` (None: the platform) and `role` are those of the user to be, of a portal link
    `account` and `role` are what it opens and `name` is what its session is called, and that of a new password has `user_id`.
    """

    id: str
    kind: LinkKind
    created_ms: int
    ends_ms: int | None = None
    used_ms: int | None = None
    account: str | None = None
    role: Role | None = None
    email: str | None = None
    name: str | None = None
    user_id: str | None = None

    def is_good(self, now_ms: int) -> bool:
        return self.used_ms is None and (self.ends_ms is None or now_ms < self.ends_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who is signed in: a user, or whoever came by a portal link. Times are unix ms.

    `account` and `role` are the user's or the link's as they are now; `acts_for` is the account whose things are shown,
    which users of the platform choose. `name` is the e-mail, or what the portal link says.
    """

    id: str
    account: str | None
    role: Role
    name: str
    acts_for: str
    created_ms: int
    seen_ms: int
    ends_ms: int
    user_id: str | None = None
    link_id: str | None = None
    address: str | None = None
    agent: str = ""

    def is_over(self, now_ms: int) -> bool:
        return now_ms >= self.ends_ms or now_ms - self.seen_ms >= IDLE_MS

    def is_proved(self, now_ms: int) -> bool:
        """Whether somebody has just signed in: a session that was left open may have somebody else before it."""
        return now_ms - self.created_ms < PROVED_MS

    @property
    def is_of_the_platform(self) -> bool:
        return self.user_id is not None and self.account is None

    @property
    def permissions(self) -> frozenset[Permission]:
        return permissions_of(self.role, is_of_the_platform=self.is_of_the_platform, is_user=self.user_id is not None)


_EDITS: Final = frozenset({Permission.CHANGE_CONFIGS, Permission.CHANGE_RECORDS, Permission.PUBLISH, Permission.REPLAY})
_ADMINISTERS: Final = frozenset({Permission.SEE_AUDIT, Permission.MANAGE_KEYS, Permission.MANAGE_USERS})

_OF_ROLES: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.VIEWER: frozenset({Permission.SEE}),
    Role.EDITOR: _EDITS | {Permission.SEE},
    Role.ADMIN: _EDITS | _ADMINISTERS | {Permission.SEE},
    Role.OWNER: _EDITS | _ADMINISTERS | {Permission.SEE},
}

_OPENS: Final[Mapping[Permission, Scope]] = {
    Permission.SEE: Scope.READ,
    Permission.CHANGE_CONFIGS: Scope.WRITE,
    Permission.CHANGE_RECORDS: Scope.WRITE,
    Permission.PUBLISH: Scope.PUBLISH,
    Permission.REPLAY: Scope.WRITE,
    Permission.SEE_AUDIT: Scope.ADMIN,
    Permission.MANAGE_KEYS: Scope.ADMIN,
    Permission.MANAGE_ACCOUNTS: Scope.ADMIN,
}


def permissions_of(role: Role, *, is_of_the_platform: bool, is_user: bool = True) -> frozenset[Permission]:
    """What a role may do: the one place that says it. Accounts are the platform's; a portal link makes nobody anybody."""
    allowed = _OF_ROLES[role]
    if not is_user:
        return allowed - {Permission.MANAGE_USERS, Permission.MANAGE_KEYS}
    if is_of_the_platform and role in (Role.OWNER, Role.ADMIN):
        return allowed | {Permission.MANAGE_ACCOUNTS}
    return allowed


def scopes_of(permissions: frozenset[Permission]) -> frozenset[Scope]:
    """The same in the words of the API, so that what is asked of actions passes the same checks as with a key."""
    return frozenset(_OPENS[permission] for permission in permissions if permission in _OPENS)


def may_give(giver: Role, role: Role) -> bool:
    """Whether somebody of that role may make others of the other role, or change those that are: only owners make owners."""
    return giver is Role.OWNER or (giver is Role.ADMIN and role is not Role.OWNER)


def normal_email(text: str) -> str:
    """An e-mail as it is kept and compared."""
    return text.strip().casefold()
