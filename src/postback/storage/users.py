"""Users: the same statements on both databases. Passwords come here as argon2id text, tokens as hashes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, func

from postback.domain.accounts import Actor
from postback.domain.errors import Conflict, NotFound
from postback.domain.users import Role, User
from postback.ports import Known, Page, Query, SignedOut
from postback.storage import lists, scope
from postback.storage.accounts import demand_account
from postback.storage.database import Database
from postback.storage.links import use_link, void_all, void_links_of
from postback.storage.tables import sessions, users

_FIELDS: Final[Mapping[str, lists.Listed]] = {
    "id": lists.text(users.c.id),
    "email": lists.text(users.c.email),
    "role": lists.text(users.c.role),
    "created_ts": lists.seconds(users.c.created_ms),
}


class SqlUsers:
    """Keeps the port Users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def any(self) -> bool:
        query = scope.everyones_rows(users).limit(1)
        return await self._database.read(lambda connection: connection.execute(query).first() is not None)

    async def add(self, user: User, password: str, *, link: bytes | None = None, by: Actor | None = None) -> None:
        def write(connection: Connection) -> None:
            if link is not None:
                use_link(connection, link, self._database.clock())
            if _by_email(connection, user.email) is not None:
                raise Conflict("there is a user with this e-mail already")
            if user.account is not None:
                demand_account(connection, user.account)
            connection.execute(
                scope.add(user.account, users).values(
                    id=user.id,
                    email=user.email,
                    role=user.role,
                    password=password,
                    created_ms=user.created_ms,
                    disabled_ms=user.disabled_ms,
                )
            )
            self._database.auditor.record(connection, user.account, by, "user.create", user.id, after=_facts(user))

        await self._database.write(write)

    async def find(self, user_id: str) -> Known:
        row = await self._database.read(lambda connection: _row(connection, user_id))
        return Known(_user(row), row.password)

    async def by_email(self, email: str) -> Known | None:
        row = await self._database.read(lambda connection: _by_email(connection, email))
        return None if row is None else Known(_user(row), row.password)

    async def list(self, account: str | None, query: Query) -> Page[User]:
        found = scope.rows(account, users)
        rows, total = await self._database.read(
            lambda connection: lists.page(connection, found, _FIELDS, query, users.c.id)
        )
        return Page([_user(row) for row in rows], total)

    async def everybody(self) -> Sequence[User]:
        query = scope.everyones_rows(users).order_by(func.coalesce(users.c.account, ""), users.c.created_ms, users.c.id)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_user(row) for row in rows]

    async def change(self, user: User, *, by: Actor | None = None) -> None:
        def write(connection: Connection) -> None:
            old = _user(_row(connection, user.id))
            # One after the other, where two owners would each remove the other at the same moment.
            connection.execute(scope.rows(old.account, users, users.c.id).with_for_update())
            connection.execute(
                scope.change(old.account, users)
                .where(users.c.id == user.id)
                .values(role=user.role, disabled_ms=user.disabled_ms)
            )
            if old.role is Role.OWNER and not old.is_disabled and not _has_owner(connection, old.account):
                raise Conflict("this is the last owner; make another user an owner first")
            if user.is_disabled:
                connection.execute(sessions.delete().where(sessions.c.user_id == user.id))
                void_links_of(connection, user.id)
            self._database.auditor.record(
                connection, old.account, by, "user.change", user.id, _facts(old), _facts(user)
            )

        await self._database.write(write)

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
        def write(connection: Connection) -> None:
            if link is not None:
                use_link(connection, link, self._database.clock())
            user = _user(_row(connection, user_id))
            changed = scope.change(user.account, users).where(users.c.id == user_id)
            if checked is not None:
                changed = changed.where(users.c.password == checked)
            if connection.execute(changed.values(password=password)).rowcount == 0:
                raise Conflict("the password was changed meanwhile; sign in with the new one")
            ended = sessions.delete().where(sessions.c.user_id == user_id)
            connection.execute(ended if keep is None else ended.where(sessions.c.id != keep))
            void_links_of(connection, user_id)
            self._database.auditor.record(connection, user.account, by, "user.password", user_id)

        await self._database.write(write)

    async def sign_everybody_out(self, *, by: Actor | None = None) -> SignedOut:
        def write(connection: Connection) -> SignedOut:
            ended = SignedOut(connection.execute(sessions.delete()).rowcount, void_all(connection))
            if any(ended):
                self._database.auditor.record(connection, None, by, "session.end", "everybody", after=ended._asdict())
            return ended

        return await self._database.write(write)


def _row(connection: Connection, user_id: str) -> Row[Any]:
    row = connection.execute(scope.everyones_rows(users).where(users.c.id == user_id)).one_or_none()
    if row is None:
        raise NotFound("usr", user_id)
    return row


def _by_email(connection: Connection, email: str) -> Row[Any] | None:
    return connection.execute(scope.everyones_rows(users).where(users.c.email == email)).one_or_none()


def _has_owner(connection: Connection, account: str | None) -> bool:
    query = scope.rows(account, users, users.c.id).where(users.c.role == Role.OWNER, users.c.disabled_ms.is_(None))
    return connection.execute(query.limit(1)).first() is not None


def _facts(user: User) -> Mapping[str, object]:
    return {"email": user.email, "role": str(user.role), "disabled": user.is_disabled}


def _user(row: Row[Any]) -> User:
    return User(
        id=row.id,
        account=row.account,
        email=row.email,
        role=Role(row.role),
        created_ms=row.created_ms,
        disabled_ms=row.disabled_ms,
    )
