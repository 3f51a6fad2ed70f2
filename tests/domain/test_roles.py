"""What roles may do, and how long links and sessions are good."""

from itertools import pairwise

import pytest

from postback.domain.accounts import Scope
from postback.domain.users import (
    IDLE_MS,
    SESSION_MS,
    Link,
    LinkKind,
    Permission,
    Role,
    Session,
    may_give,
    normal_email,
    permissions_of,
    scopes_of,
)
from tests.build import NOON

ROLES = list(Role)


def a_session(**changes: object) -> Session:
    known = {"account": None, "role": Role.OWNER, "name": "ann@example.com", "acts_for": "default", "user_id": "usr_1"}
    times = {"created_ms": NOON, "seen_ms": NOON, "ends_ms": NOON + SESSION_MS}
    return Session(**{"id": "ses_1", **known, **times, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("is_of_the_platform", [True, False])
def test_each_role_may_all_that_the_next_one_may(is_of_the_platform: bool) -> None:
    allowed = [permissions_of(role, is_of_the_platform=is_of_the_platform) for role in ROLES]

    assert all(more >= less for more, less in pairwise(allowed))
    assert allowed[-1] == {Permission.SEE}


def test_accounts_are_managed_by_the_platform_alone() -> None:
    managing = [
        (role, of) for role in ROLES for of in (True, False)
        if Permission.MANAGE_ACCOUNTS in permissions_of(role, is_of_the_platform=of)
    ]  # fmt: skip

    assert managing == [(Role.OWNER, True), (Role.ADMIN, True)]


def test_in_the_words_of_the_api_a_viewer_reads_and_an_editor_writes_and_publishes() -> None:
    scopes = {role: scopes_of(permissions_of(role, is_of_the_platform=False)) for role in ROLES}

    assert scopes == {
        Role.OWNER: set(Scope),
        Role.ADMIN: set(Scope),
        Role.EDITOR: {Scope.READ, Scope.WRITE, Scope.PUBLISH},
        Role.VIEWER: {Scope.READ},
    }


def test_a_portal_link_makes_nobody_a_manager_of_users_or_keys() -> None:
    allowed = a_session(user_id=None, link_id="lnk_1", account="default").permissions

    assert not {Permission.MANAGE_USERS, Permission.MANAGE_KEYS, Permission.MANAGE_ACCOUNTS} & allowed
    assert not a_session(user_id=None, link_id="lnk_1").is_of_the_platform


def test_only_owners_make_owners() -> None:
    giving = {giver: {role for role in ROLES if may_give(giver, role)} for giver in ROLES}

    assert giving == {
        Role.OWNER: set(Role),
        Role.ADMIN: {Role.ADMIN, Role.EDITOR, Role.VIEWER},
        Role.EDITOR: set(),
        Role.VIEWER: set(),
    }


@pytest.mark.parametrize(
    ("after_ms", "seen_ms", "is_over"),
    [
        (IDLE_MS - 1, 0, False),
        (IDLE_MS, 0, True),
        (SESSION_MS - 1, SESSION_MS - 2, False),
        (SESSION_MS, SESSION_MS - 1, True),
    ],
)
def test_a_session_is_over_when_it_was_not_used_and_in_any_case_one_day(
    after_ms: int, seen_ms: int, is_over: bool
) -> None:
    assert a_session(seen_ms=NOON + seen_ms).is_over(NOON + after_ms) is is_over


def test_a_link_is_good_until_it_was_used_or_its_time_is_over() -> None:
    def link(**changes: int) -> Link:
        return Link(id="lnk_1", kind=LinkKind.FIRST, created_ms=NOON, **changes)

    assert link().is_good(NOON * 2)
    assert not link(used_ms=NOON).is_good(NOON)
    assert link(ends_ms=NOON + 1).is_good(NOON)
    assert not link(ends_ms=NOON).is_good(NOON)


def test_an_email_is_one_however_it_is_typed() -> None:
    assert normal_email(" Ann@Example.COM ") == "ann@example.com"
