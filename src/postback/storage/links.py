"""Links that sign somebody in once; of their tokens only the hashes are kept."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row

from postback.domain.accounts import Actor
from postback.domain.errors import NotFound
from postback.domain.times import rfc3339
from postback.domain.users import Link, LinkKind, Role
from postback.storage import scope
from postback.storage.accounts import demand_account
from postback.storage.database import Database
from postback.storage.tables import sessions, sign_in_links, users


class SqlSignInLinks:
    """Keeps the port SignInLinks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, link: Link, token: bytes, *, by: Actor | None = None) -> None:
        def write(connection: Connection) -> None:
            _remove_void(connection, link, self._database.clock())
            if link.account is not None:
                demand_account(connection, link.account)
            connection.execute(
                scope.add(link.account, sign_in_links).values(
                    id=link.id,
                    hash=token,
                    kind=link.kind,
                    role=link.role,
                    email=link.email,
                    name=link.name,
                    user_id=link.user_id,
                    created_ms=link.created_ms,
                    ends_ms=link.ends_ms,
                    used_ms=link.used_ms,
                )
            )
            self._database.auditor.record(connection, link.account, by, "link.create", link.id, after=_facts(link))

        await self._database.write(write)

    async def by_token(self, token: bytes) -> Link | None:
        query = scope.everyones_rows(sign_in_links).where(sign_in_links.c.hash == token)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else _link(row)

    async def list(self, account: str | None, kind: LinkKind | None, limit: int) -> Sequence[Link]:
        query = (
            scope.rows(account, sign_in_links)
            .where(*_of_kind(kind))
            .order_by(sign_in_links.c.created_ms.desc(), sign_in_links.c.id.desc())
            .limit(limit)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_link(row) for row in rows]

    async def revoke(
        self, account: str | None, link_id: str, kind: LinkKind | None, *, by: Actor | None = None
    ) -> None:
        def write(connection: Connection) -> None:
            here = sign_in_links.c.id == link_id
            row = connection.execute(scope.rows(account, sign_in_links).where(here, *_of_kind(kind))).one_or_none()
            if row is None:
                raise NotFound("lnk", link_id)
            # Sessions that came by it go with it.
            connection.execute(scope.remove(account, sign_in_links).where(here))
            self._database.auditor.record(connection, account, by, "link.revoke", link_id, _facts(_link(row)))

        await self._database.write(write)


def use_link(connection: Connection, token: bytes, now_ms: int) -> None:
    """Inside the transaction of what it is used for: of two that come at the same moment one is too late."""
    good = scope.everyones_change(sign_in_links).where(
        sign_in_links.c.hash == token,
        sign_in_links.c.used_ms.is_(None),
        (sign_in_links.c.ends_ms.is_(None)) | (sign_in_links.c.ends_ms > now_ms),
    )
    if connection.execute(good.values(used_ms=now_ms)).rowcount == 0:
        raise NotFound("lnk", "")
    used = scope.everyones_rows(sign_in_links).where(sign_in_links.c.hash == token)
    if connection.execute(used).one().kind == LinkKind.PORTAL:
        # Whoever comes by it is no user, and the first one may still be missing.
        return
    # Each start made one while there was no user; there is only one first user.
    others = sign_in_links.delete().where(sign_in_links.c.kind == LinkKind.FIRST, sign_in_links.c.hash != token)
    connection.execute(others)


def void_links_of(connection: Connection, user_id: str) -> None:
    """Links to a new password, used or not."""
    connection.execute(sign_in_links.delete().where(sign_in_links.c.user_id == user_id))


def void_all(connection: Connection) -> int:
    """Whoever came by one has to be signed out before; how many there were."""
    return connection.execute(sign_in_links.delete()).rowcount


def _of_kind(kind: LinkKind | None) -> Sequence[ColumnElement[bool]]:
    return () if kind is None else (sign_in_links.c.kind == kind,)


def _remove_void(connection: Connection, link: Link, now_ms: int) -> None:
    """What is over and has nobody signed in by it; and what the new link takes the place of."""
    has_session = sessions.select().where(sessions.c.link_id == sign_in_links.c.id).exists()
    connection.execute(sign_in_links.delete().where(sign_in_links.c.ends_ms <= now_ms, ~has_session))
    if link.user_id is not None:
        if connection.execute(scope.everyones_rows(users).where(users.c.id == link.user_id)).first() is None:
            raise NotFound("usr", link.user_id)
        void_links_of(connection, link.user_id)


def _facts(link: Link) -> Mapping[str, object]:
    said = {
        "kind": str(link.kind),
        "role": None if link.role is None else str(link.role),
        "email": link.email,
        "name": link.name,
        "user_id": link.user_id,
        "ends_at": None if link.ends_ms is None else rfc3339(link.ends_ms),
    }
    return {name: value for name, value in said.items() if value is not None}


def _link(row: Row[Any]) -> Link:
    return Link(
        id=row.id,
        kind=LinkKind(row.kind),
        created_ms=row.created_ms,
        ends_ms=row.ends_ms,
        used_ms=row.used_ms,
        account=row.account,
        role=None if row.role is None else Role(row.role),
        email=row.email,
        name=row.name,
        user_id=row.user_id,
    )
