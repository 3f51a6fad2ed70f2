"""Users, sessions and sign-in links on each database."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import text

from postback.domain.accounts import Account, Actor
from postback.domain.errors import Conflict, NotFound
from postback.domain.ids import ACCOUNT_DEFAULT
from postback.domain.users import LinkKind, Role, Session, User
from postback.ports import AuditFilter, Query
from postback.storage.accounts import SqlAccounts
from postback.storage.audit import SqlAudit
from postback.storage.database import Database
from postback.storage.links import SqlSignInLinks
from postback.storage.sessions import SqlSessions
from postback.storage.users import SqlUsers
from tests.build import ACCOUNT, NOON
from tests.doubles import ClockDouble
from tests.storage import watched
from tests.storage.people import HOUR_MS, a_link, a_session, a_user, token

pytestmark = pytest.mark.anyio

SOMEBODY = Actor("usr_boss", "boss@example.com", "192.0.2.1")


@dataclass
class People:
    users: SqlUsers
    sessions: SqlSessions
    links: SqlSignInLinks
    accounts: SqlAccounts
    audit: SqlAudit

    async def user(self, number: int = 1, **changes: Any) -> User:
        user = a_user(number, **changes)
        await self.users.add(user, "hash")
        return user

    async def signed_in(self, user: User, number: int = 1, **changes: Any) -> Session:
        session = a_session(user, number, **changes)
        await self.sessions.add(session, token(number))
        return session

    async def changes(self, account: str | None = ACCOUNT) -> list[tuple[str, str]]:
        entries = await self.audit.entries(account, AuditFilter(), None, 100)
        return [(entry.action, entry.target) for entry in reversed(entries)]


@pytest.fixture
async def people(empty_store: Database) -> People:
    accounts = SqlAccounts(empty_store)
    await accounts.save(Account(id=ACCOUNT))
    return People(
        SqlUsers(empty_store), SqlSessions(empty_store), SqlSignInLinks(empty_store), accounts, SqlAudit(empty_store)
    )


async def test_a_user_is_found_as_it_was_added(people: People) -> None:
    assert not await people.users.any()
    user = await people.user()

    assert await people.users.any()
    assert await people.users.find(user.id) == (user, "hash")
    assert await people.users.by_email(user.email) == (user, "hash")
    assert await people.users.by_email("1@example.co") is None
    with pytest.raises(NotFound):
        await people.users.find("usr_9")


async def test_an_email_is_one_users_whatever_the_account(people: People) -> None:
    await people.user()

    with pytest.raises(Conflict, match="e-mail"):
        await people.user(2, email="1@example.com", account=None)
    with pytest.raises(NotFound):
        await people.user(3, account="nobody")


async def test_users_of_an_account_and_of_the_platform_are_listed_apart(people: People) -> None:
    mine, platform = [await people.user(1), await people.user(2)], await people.user(3, account=None)

    assert (await people.users.list(ACCOUNT, Query(sort="created_ts"))).items == mine
    assert (await people.users.list(None, Query())).items == [platform]
    assert (await people.users.list("other", Query())).items == []


async def test_everybody_is_listed_in_one_question_the_platform_first(people: People) -> None:
    """It once took a question for each account, also of those without any user."""
    for account in ("a", "b", "c"):
        await people.accounts.save(Account(id=account))
    whose = ("c", None, "a", ACCOUNT, None, "a")
    added = [await people.user(number, account=account) for number, account in enumerate(whose)]

    with watched.statements() as seen:
        found = await people.users.everybody()

    assert found == [added[n] for n in (1, 4, *sorted((0, 2, 3, 5), key=lambda n: (whose[n] or "", n)))]
    assert len(seen) == 1


async def test_the_last_owner_stays_one_and_can_sign_in(people: People) -> None:
    owner = await people.user(1)
    await people.user(2, role=Role.ADMIN)
    await people.user(3, account=None)

    for changed in (replace(owner, role=Role.VIEWER), replace(owner, disabled_ms=NOON)):
        with pytest.raises(Conflict, match="last owner"):
            await people.users.change(changed)
    await people.users.change(a_user(2))
    await people.users.change(replace(owner, role=Role.VIEWER))

    assert (await people.users.find(owner.id)).user.role is Role.VIEWER


async def test_of_two_owners_that_remove_each_other_at_once_one_stays(people: People) -> None:
    owners = [await people.user(1), await people.user(2)]

    answers = await asyncio.gather(
        *(people.users.change(replace(owner, role=Role.VIEWER)) for owner in owners), return_exceptions=True
    )

    assert [type(answer) for answer in answers if answer is not None] == [Conflict]


async def test_a_disabled_user_is_signed_out_at_once(people: People) -> None:
    await people.user(2)
    user = await people.user(1)
    await people.signed_in(user)

    await people.users.change(replace(user, disabled_ms=NOON))

    assert await people.sessions.by_token(token()) is None
    assert await people.sessions.list(user.id) == []


async def test_a_session_is_found_by_its_token_only(people: People) -> None:
    session = await people.signed_in(await people.user())

    assert await people.sessions.by_token(token()) == session
    for other in (b"", token()[:-1], token() + b"\0"):
        assert await people.sessions.by_token(other) is None


async def test_a_session_has_the_role_that_its_user_has_now(people: People) -> None:
    await people.user(2)
    user = await people.user(1)
    await people.signed_in(user)

    await people.users.change(replace(user, role=Role.EDITOR))

    found = await people.sessions.by_token(token())
    assert found is not None
    assert found.role is Role.EDITOR


async def test_a_new_password_ends_the_other_sessions(people: People) -> None:
    user, other = await people.user(1), await people.user(2)
    for number in (1, 2, 3):
        await people.signed_in(user, number)
    await people.signed_in(other, 4)

    await people.users.set_password(user.id, "other hash", keep="ses_2")

    assert (await people.users.find(user.id)).password == "other hash"
    assert [session.id for session in await people.sessions.list(user.id)] == ["ses_2"]
    assert [session.id for session in await people.sessions.list(other.id)] == ["ses_4"]


async def test_nobody_is_signed_in_by_a_password_that_was_changed_meanwhile(people: People) -> None:
    user = await people.user()
    await people.sessions.add(a_session(user), token(1), checked="hash")
    await people.users.set_password(user.id, "other hash")

    for instead_of in (None, "ses_1"):
        with pytest.raises(Conflict, match="changed meanwhile"):
            await people.sessions.add(a_session(user, 2), token(2), checked="hash", instead_of=instead_of)
    with pytest.raises(Conflict, match="changed meanwhile"):
        await people.users.set_password(user.id, "a third hash", checked="hash")

    assert await people.sessions.list(user.id) == []
    assert (await people.users.find(user.id)).password == "other hash"
    await people.users.set_password(user.id, "a third hash", checked="other hash")
    await people.sessions.add(a_session(user, 2), token(2), checked="a third hash")
    assert [session.id for session in await people.sessions.list(user.id)] == ["ses_2"]


async def test_a_sign_in_amid_a_change_of_the_password_leaves_no_session(people: People) -> None:
    user = await people.user()

    for number in range(1, 21):
        signing_in = people.sessions.add(a_session(user, number), token(number), checked=f"hash{number - 1 or ''}")
        changing = people.users.set_password(user.id, f"hash{number}")
        both = (signing_in, changing) if number % 2 else (changing, signing_in)
        answers = await asyncio.gather(*both, return_exceptions=True)

        assert {type(answer) for answer in answers} <= {type(None), Conflict}
        assert await people.sessions.list(user.id) == []


async def test_everybody_is_signed_out_at_once_with_every_link(people: People) -> None:
    users = [await people.user(1), await people.user(2, account=None)]
    for number, user in enumerate(users, start=1):
        await people.signed_in(user, number)
    portal = a_link(3, kind=LinkKind.PORTAL, role=Role.VIEWER, email=None, name="Shop")
    await people.links.add(portal, token(3))
    guest = a_session(users[0], 4, user_id=None, link_id=portal.id)
    await people.sessions.add(guest, token(4), link=token(3))
    for number, link in enumerate((a_link(5), a_link(6, kind=LinkKind.PASSWORD, user_id="usr_1")), start=5):
        await people.links.add(link, token(number))
    before = len(await people.changes(None))

    assert await people.users.sign_everybody_out(by=SOMEBODY) == (3, 3)
    assert await people.users.sign_everybody_out(by=SOMEBODY) == (0, 0)

    for number in range(1, 7):
        assert await people.sessions.by_token(token(number)) is None
        assert await people.links.by_token(token(number)) is None
    assert (await people.users.find("usr_1")).password == "hash"
    assert (await people.changes(None))[before:] == [("session.end", "everybody")]
    [entry] = await people.audit.entries(None, AuditFilter(target="everybody"), None, 9)
    assert entry.after == {"sessions": 3, "links": 3}


async def test_sessions_are_ended_by_whose_they_are(people: People) -> None:
    user, other = await people.user(1), await people.user(2)
    await people.signed_in(user)

    for user_id, session_id in ((other.id, "ses_1"), (None, "ses_1"), (user.id, "ses_9")):
        with pytest.raises(NotFound):
            await people.sessions.end(user_id, session_id)
    await people.sessions.end(user.id, "ses_1")

    assert await people.sessions.by_token(token()) is None


async def test_what_a_session_is_used_for_is_kept(people: People) -> None:
    await people.signed_in(await people.user(account=None))
    await people.accounts.save(Account(id="other"))

    await people.sessions.touch("ses_1", NOON + 99)
    await people.sessions.act_for("ses_1", "other")
    with pytest.raises(NotFound):
        await people.sessions.act_for("ses_1", "nobody")

    found = await people.sessions.by_token(token())
    assert found is not None
    assert (found.seen_ms, found.acts_for, found.account) == (NOON + 99, "other", None)


async def test_what_is_long_over_is_removed_when_somebody_signs_in(people: People, clock: ClockDouble) -> None:
    user = await people.user()
    await people.signed_in(user, 1)
    clock.pass_(seconds=12 * 3600)

    await people.signed_in(user, 2, ends_ms=clock() + HOUR_MS)

    assert await people.sessions.by_token(token(1)) is None
    assert [session.id for session in await people.sessions.list(user.id)] == ["ses_2"]


async def test_a_link_makes_one_user_and_no_other(people: People) -> None:
    await people.links.add(a_link(), token())

    await people.users.add(a_user(1), "hash", link=token())

    for number, used in ((2, token()), (3, token(9))):
        with pytest.raises(NotFound):
            await people.users.add(a_user(number), "hash", link=used)
    assert (await people.users.list(ACCOUNT, Query())).total == 1
    link = await people.links.by_token(token())
    assert link is not None
    assert not link.is_good(NOON)


async def test_of_two_that_use_a_link_at_once_one_is_too_late(people: People) -> None:
    await people.links.add(a_link(), token())

    answers = await asyncio.gather(
        *(people.users.add(a_user(number), "hash", link=token()) for number in (1, 2)), return_exceptions=True
    )

    assert [type(answer) for answer in answers if answer is not None] == [NotFound]


async def test_a_link_that_has_ended_is_good_for_nothing(people: People, clock: ClockDouble) -> None:
    await people.links.add(a_link(), token())
    clock.pass_(seconds=3600)

    with pytest.raises(NotFound):
        await people.users.add(a_user(), "hash", link=token())


async def test_what_fails_leaves_the_link_good(people: People) -> None:
    await people.user(1)
    await people.links.add(a_link(), token())

    with pytest.raises(Conflict):
        await people.users.add(a_user(2, email="1@example.com"), "hash", link=token())
    await people.users.add(a_user(2), "hash", link=token())


async def test_of_the_links_to_become_the_first_user_one_is_used(people: People) -> None:
    first = a_link(1, kind=LinkKind.FIRST, ends_ms=None, account=None, email=None)
    await people.links.add(first, token(1))
    await people.links.add(replace(first, id="lnk_2"), token(2))

    await people.users.add(a_user(1), "hash", link=token(1))

    with pytest.raises(NotFound):
        await people.users.add(a_user(2), "hash", link=token(2))


async def test_a_new_link_to_a_new_password_voids_the_one_before(people: People) -> None:
    user = await people.user()
    of_user = a_link(3, kind=LinkKind.PASSWORD, user_id=user.id)
    await people.links.add(of_user, token(3))
    await people.links.add(replace(of_user, id="lnk_4"), token(4))

    found = [await people.links.by_token(token(number)) for number in (3, 4)]
    assert [link and link.id for link in found] == [None, "lnk_4"]
    with pytest.raises(NotFound):
        await people.links.add(replace(of_user, id="lnk_5", user_id="usr_9"), token(5))


async def test_who_came_by_a_portal_link_goes_with_it(people: People) -> None:
    link = a_link(kind=LinkKind.PORTAL, role=Role.VIEWER, email=None, name="Shop of Ann")
    await people.links.add(link, token(1))
    session = a_session(a_user(), name="Shop of Ann", user_id=None, link_id=link.id, role=Role.VIEWER)
    await people.sessions.add(session, token(2), link=token(1))
    with pytest.raises(NotFound):
        await people.sessions.add(replace(session, id="ses_2"), token(3), link=token(1))

    assert await people.sessions.by_token(token(2)) == session
    with pytest.raises(NotFound):
        await people.links.revoke("other", link.id, None)
    await people.links.revoke(ACCOUNT, link.id, LinkKind.PORTAL)

    assert await people.sessions.by_token(token(2)) is None
    assert await people.links.list(ACCOUNT, None, 10) == []


async def test_a_session_takes_the_place_of_another_of_the_same_user_only(people: People) -> None:
    user, other = await people.user(1), await people.user(2)
    await people.sessions.add(a_session(user), token(1))
    await people.sessions.add(a_session(other, id="ses_of_other"), token(2))
    fresh = a_session(user, id="ses_fresh")

    with pytest.raises(NotFound):
        await people.sessions.add(fresh, token(3), instead_of="ses_of_other")
    await people.sessions.add(fresh, token(3), instead_of="ses_1", by=SOMEBODY)

    found = [await people.sessions.by_token(token(number)) for number in (1, 2, 3)]
    assert [session and session.id for session in found] == [None, "ses_of_other", "ses_fresh"]
    entries = await people.audit.entries(ACCOUNT, AuditFilter(key_id=SOMEBODY.key_id), None, 10)
    assert [(entry.action, entry.target) for entry in entries] == [
        ("session.create", "ses_fresh"),
        ("session.end", "ses_1"),
    ]


async def test_links_are_listed_by_kind_the_newest_first_and_no_more_than_asked_for(people: People) -> None:
    for number in (1, 2, 3):
        await people.links.add(a_link(number, kind=LinkKind.PORTAL, email=None, name="Shop"), token(number))
    await people.links.add(a_link(4), token(4))

    async def listed(kind: LinkKind | None, limit: int) -> list[str]:
        return [link.id for link in await people.links.list(ACCOUNT, kind, limit)]

    assert await listed(LinkKind.PORTAL, 2) == ["lnk_3", "lnk_2"]
    assert await listed(LinkKind.INVITATION, 2) == ["lnk_4"]
    assert len(await listed(None, 10)) == 4
    with pytest.raises(NotFound):
        await people.links.revoke(ACCOUNT, "lnk_4", LinkKind.PORTAL)


async def test_a_link_of_an_account_that_is_gone_is_refused(people: People) -> None:
    with pytest.raises(NotFound):
        await people.links.add(a_link(account="gone"), token(1))


async def test_an_account_goes_with_its_users_and_all_that_is_theirs(empty_store: Database, people: People) -> None:
    await people.accounts.save(Account(id="other"))
    user = await people.user(1, account="other")
    await people.signed_in(user)
    await people.links.add(a_link(account="other"), token(2))

    await people.accounts.delete("other")

    for table in ("users", "sessions", "sign_in_links"):
        query = text(f"SELECT count(*) FROM {table}")
        assert await empty_store.read(lambda connection, query=query: connection.execute(query).scalar()) == 0, table


async def test_the_origins_that_may_frame_a_portal_are_kept(people: People) -> None:
    account = Account(id="acme", portal_origins=("https://crm.example", "https://shop.example:8443"))

    await people.accounts.save(account)

    assert await people.accounts.find("acme") == account


async def test_every_change_is_on_record_without_hash_or_password(people: People) -> None:
    user = a_user()
    await people.users.add(user, "argon-text", by=SOMEBODY)
    await people.sessions.add(a_session(user), token(), by=SOMEBODY)
    await people.users.change(replace(user, role=Role.OWNER), by=SOMEBODY)
    await people.users.set_password(user.id, "argon-text", by=SOMEBODY)
    await people.links.add(a_link(), token(2), by=SOMEBODY)
    await people.links.revoke(ACCOUNT, "lnk_1", None, by=SOMEBODY)
    await people.sessions.refused(ACCOUNT, user.email, "wrong password", by=SOMEBODY)

    entries = await people.audit.entries(ACCOUNT, AuditFilter(key_id=SOMEBODY.key_id), None, 100)
    assert [(entry.action, entry.target) for entry in reversed(entries)] == [
        ("user.create", user.id),
        ("session.create", "ses_1"),
        ("user.change", user.id),
        ("user.password", user.id),
        ("link.create", "lnk_1"),
        ("link.revoke", "lnk_1"),
        ("session.refuse", user.email),
    ]
    assert {entry.by for entry in entries} == {SOMEBODY}
    assert "argon-text" not in str(entries)


async def test_28_hostile_names_of_users_are_stored_literally(people: People) -> None:
    hostile = "'; DROP TABLE users;-- %_\\ $1 :name {{7*7}} \u202e"

    user = await people.user(email=hostile)
    await people.signed_in(user, agent=hostile, address=hostile)

    known, session = await people.users.by_email(hostile), await people.sessions.by_token(token())
    assert known is not None
    assert session is not None
    assert (known.user.email, session.name, session.agent) == (hostile, hostile, hostile)


async def test_who_looks_at_an_account_that_is_deleted_sees_the_servers_own(people: People) -> None:
    """What was added for the account that was gone was a mistake of ours, on record as one."""
    await people.accounts.save(Account(id="other"))
    boss = await people.user(account=None)
    await people.signed_in(boss, 1, account=None, acts_for="other")
    await people.signed_in(boss, 2, account=None, acts_for=ACCOUNT)

    await people.accounts.delete("other")

    looking = [await people.sessions.by_token(token(number)) for number in (1, 2)]
    assert [session and session.acts_for for session in looking] == [ACCOUNT_DEFAULT, ACCOUNT]


async def test_links_to_a_new_password_end_with_the_password_and_with_their_user(people: People) -> None:
    user, other = await people.user(), await people.user(2)
    for number, of in ((1, user), (2, other)):
        link = a_link(number, kind=LinkKind.PASSWORD, email=None, role=None, user_id=of.id)
        await people.links.add(link, token(number))

    await people.users.set_password(user.id, "other hash")
    left = [await people.links.by_token(token(number)) for number in (1, 2)]
    await people.users.change(replace(other, disabled_ms=NOON))

    assert [link and link.user_id for link in left] == [None, other.id]
    assert await people.links.by_token(token(2)) is None


async def test_a_portal_link_that_is_used_leaves_that_of_the_first_user(people: People) -> None:
    first = a_link(1, kind=LinkKind.FIRST, account=None, email=None, ends_ms=None)
    await people.links.add(first, token(1))
    await people.links.add(a_link(2, kind=LinkKind.PORTAL, email=None, name="Shop"), token(2))
    guest = replace(a_session(a_user()), user_id=None, link_id="lnk_2")

    await people.sessions.add(guest, token(3), link=token(2))

    assert await people.links.by_token(token(1)) == first
