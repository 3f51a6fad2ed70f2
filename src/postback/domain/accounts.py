"""Accounts, who may act for them, and what a key may do."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from postback.domain.ids import ACCOUNT_DEFAULT


class Scope(StrEnum):
    """What a key may do: GET, POST /v2/events, every other change, keys and accounts."""

    READ = "read"
    PUBLISH = "publish"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """What an account is allowed; None is not limited. `max_body` is bytes of one event's data."""

    events_per_second: float | None = None
    configs: int | None = None
    max_body: int | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for a change, a key or a user, and where they are. The server itself is None instead.

    An operator is of the platform and of no account: accounts learn that it was one, and not who.
    """

    key_id: str
    key_name: str
    address: str | None = None
    is_operator: bool = False


PLATFORM: Final = Actor("platform", "the platform", is_operator=True)
"""Who accounts are told of in the place of an operator; whoever is asked for by this id or name is any operator."""


def is_reserved(name: str) -> bool:
    """Whether people would read it as the platform's: no key and no portal link may be called so."""
    seen = "".join(letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf")
    return " ".join(seen.casefold().split()) == PLATFORM.key_name


KEY_PREFIX: Final = "key_"


def told_of(by: Actor | None, account: str) -> Actor | None:
    """Whom the records of an account name, and with them its receivers: for an operator the platform.

    To the server's own account operator keys are its own: where there is no other account they are all the keys it has.
    A user of the platform is named to none.
    """
    if by is None or not by.is_operator or (account == ACCOUNT_DEFAULT and by.key_id.startswith(KEY_PREFIX)):
        return by
    return PLATFORM


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A tenant. Owns everything below it; nothing ever crosses accounts.

    `portal_origins` are those whose pages may show its portal in a frame.
    """

    id: str
    name: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    limits: AccountLimits = AccountLimits()
    portal_origins: tuple[str, ...] = ()
    created_ms: int = 0
    modified_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is stored: the secret itself is known only to whoever holds it.

    `account` is None for an operator key, which may act for any account. Times are unix ms.
    """

    id: str
    account: str | None
    name: str
    scopes: frozenset[Scope]
    hash: bytes
    prefix: str
    created_ms: int
    expires_ms: int | None = None
    last_used_ms: int | None = None

    def allows(self, scope: Scope) -> bool:
        return scope in self.scopes

    def has_expired(self, now_ms: int) -> bool:
        return self.expires_ms is not None and self.expires_ms <= now_ms
