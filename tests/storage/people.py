"""Valid people: a test names only what it is about."""

from dataclasses import replace
from typing import Any, Final

from postback.domain.users import Link, LinkKind, Role, Session, User
from tests.build import ACCOUNT, NOON

HOUR_MS: Final = 3_600_000


def a_user(number: int = 1, **changes: Any) -> User:
    user = User(
        id=f"usr_{number}", account=ACCOUNT, email=f"{number}@example.com", role=Role.OWNER, created_ms=NOON + number
    )
    return replace(user, **changes)


def a_session(user: User, number: int = 1, **changes: Any) -> Session:
    session = Session(
        id=f"ses_{number}",
        account=user.account,
        role=user.role,
        name=user.email,
        acts_for=ACCOUNT,
        created_ms=NOON,
        seen_ms=NOON + number,
        ends_ms=NOON + 12 * HOUR_MS,
        user_id=user.id,
        address="192.0.2.7",
        agent="Firefox",
    )
    return replace(session, **changes)


def a_link(number: int = 1, **changes: Any) -> Link:
    link = Link(
        id=f"lnk_{number}",
        kind=LinkKind.INVITATION,
        created_ms=NOON + number,
        ends_ms=NOON + HOUR_MS,
        account=ACCOUNT,
        role=Role.EDITOR,
        email="new@example.com",
    )
    return replace(link, **changes)


def token(number: int = 1) -> bytes:
    return bytes([number]) * 32
