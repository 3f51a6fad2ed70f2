"""Who is signed in; of their tokens only the hashes are kept."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from postback.domain.accounts import Actor
from postback.domain.errors import Conflict, NotFound
from postback.domain.users import Role, Session
from postback.storage import scope
from postback.storage.accounts import demand_account
from postback.storage.database import Database
from postback.storage.links import use_link
from postback.storage.tables import sessions, sign_in_links, users

_OF_ANYBODY: Final = "a portal link"


class SqlSessions:
    """Keeps the port Sessions."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        def write(connection: Connection) -> None:
            if checked is not None:
                _demand_unchanged(connection, session.user_id, checked)
            connection.execute(sessions.delete().where(sessions.c.ends_ms <= self._database.clock()))
            if instead_of is not None:
                self._end(connection, session.user_id, instead_of, by)
            if link is not None:
                use_link(connection, link, self._database.clock())
            connection.execute(
                sessions.insert().values(
                    id=session.id,
                    hash=token,
                    user_id=session.user_id,
                    link_id=session.link_id,
                    acts_for=session.acts_for,
                    created_ms=session.created_ms,
                    seen_ms=session.seen_ms,
                    ends_ms=session.ends_ms,
                    address=session.address,
                    agent=session.agent,
                )
            )
            self._database.auditor.record(
                connection, session.account, by, "session.create", session.id, after={"agent": session.agent}
            )

        await self._database.write(write)

    async def by_token(self, token: bytes) -> Session | None:
        query = _sessions().where(sessions.c.hash == token)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else _session(row)

    async def touch(self, session_id: str, seen_ms: int) -> None:
        statement = scope.everyones_change(sessions).where(sessions.c.id == session_id).values(seen_ms=seen_ms)
        await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def act_for(self, session_id: str, account: str) -> None:
        def write(connection: Connection) -> None:
            demand_account(connection, account)
            connection.execute(
                scope.everyones_change(sessions).where(sessions.c.id == session_id).values(acts_for=account)
            )

        await self._database.write(write)

    async def list(self, user_id: str) -> Sequence[Session]:
        query = (
            _sessions()
            .where(sessions.c.user_id == user_id, sessions.c.ends_ms > self._database.clock())
            .order_by(sessions.c.seen_ms.desc(), sessions.c.id.desc())
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_session(row) for row in rows]

    async def end(self, user_id: str | None, session_id: str, *, by: Actor | None = None) -> None:
        await self._database.write(lambda connection: self._end(connection, user_id, session_id, by))

    async def refused(self, account: str | None, email: str, why: str, *, by: Actor) -> None:
        await self._database.write(
            lambda connection: self._database.auditor.record(
                connection, account, by, "session.refuse", email, after={"why": why}
            )
        )

    def _end(self, connection: Connection, user_id: str | None, session_id: str, by: Actor | None) -> None:
        here = (sessions.c.id == session_id, sessions.c.user_id == user_id)
        row = connection.execute(_sessions().where(*here)).one_or_none()
        if row is None or connection.execute(sessions.delete().where(*here)).rowcount == 0:
            raise NotFound("ses", session_id)
        self._database.auditor.record(connection, row.account, by, "session.end", session_id)


def _demand_unchanged(connection: Connection, user_id: str | None, checked: str) -> None:
    """Whoever changes it at this moment does so before, and it is another one, or after, and ends the new session."""
    of_user = scope.everyones_rows(users).where(users.c.id == user_id, users.c.password == checked)
    if connection.execute(of_user.with_for_update(read=True)).one_or_none() is None:
        raise Conflict("the password was changed meanwhile; sign in with the new one")


def _sessions() -> Select[Any]:
    """With whose they are as it is now; without those of disabled users."""
    joined = sessions.outerjoin(users, sessions.c.user_id == users.c.id).outerjoin(
        sign_in_links, sessions.c.link_id == sign_in_links.c.id
    )
    return (
        select(
            *sessions.c,
            _either("account"),
            _either("role"),
            func.coalesce(users.c.email, sign_in_links.c.name, _OF_ANYBODY).label("name"),
        )
        .select_from(joined)
        .where(users.c.disabled_ms.is_(None))
    )


def _either(name: str) -> ColumnElement[Any]:
    return func.coalesce(users.c[name], sign_in_links.c[name]).label(name)


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        account=row.account,
        role=Role(row.role),
        name=row.name,
        acts_for=row.acts_for,
        created_ms=row.created_ms,
        seen_ms=row.seen_ms,
        ends_ms=row.ends_ms,
        user_id=row.user_id,
        link_id=row.link_id,
        address=row.address,
        agent=row.agent,
    )
