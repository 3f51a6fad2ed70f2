"""Postback configs: a row with the state of each, and a row for each of its versions, which never change."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_

from postback.domain.configs import ConfigState, PostbackConfig, Snapshot
from postback.domain.errors import NotFound, RevisionPassed
from postback.domain.ids import config_text
from postback.ports import Page, Query
from postback.storage import lists, scope
from postback.storage.config_rows import decode, encode
from postback.storage.database import Database
from postback.storage.records import demand_location
from postback.storage.tables import accounts, config_versions, configs

_FIELDS: Final[Mapping[str, lists.Listed]] = {
    "location_id": lists.text(configs.c.location_id),
    "state": lists.text(configs.c.state),
    "created_ts": lists.seconds(configs.c.created_ms),
    "modified_ts": lists.seconds(configs.c.modified_ms),
    "number_of_attempts": lists.member(config_versions.c.body, "retry", "attempts"),
    **{
        name: lists.member(config_versions.c.body, name)
        for name in (
            "resource",
            "on_create",
            "on_update",
            "on_delete",
            "url",
            "is_active",
            "format",
            "product_transaction_id",
        )
    },
}


class SqlConfigs:
    """Keeps the port Configs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def snapshot(self, account: str) -> Snapshot:
        def read(connection: Connection) -> Snapshot:
            # First the version: configs newer than it are matched again, older ones would miss a change.
            version = connection.execute(scope.rows(account, accounts, accounts.c.config_version)).scalar_one_or_none()
            if version is None:
                raise NotFound("account", account)
            found = [_config(row) for row in connection.execute(_present(account))]
            return Snapshot(account, version, {config.id: config for config in found})

        return await self._database.read(read)

    def watch(self, changed: Callable[[str], None]) -> None:
        self._database.watch(changed)

    async def add(self, config: PostbackConfig) -> None:
        def write(connection: Connection) -> None:
            self._announce(connection, config.account)
            if config.location_id is not None:
                demand_location(connection, config.account, config.location_id)
            connection.execute(
                scope.add(config.account, configs).values(
                    id=config.id,
                    version=config.version,
                    location_id=config.location_id,
                    state=config.state,
                    state_reason=config.state_reason,
                    created_ms=config.created_ms,
                    modified_ms=config.modified_ms,
                )
            )
            _add_version(connection, config, config.version)

        await self._database.write(write)

    async def find(self, account: str, config_id: int) -> PostbackConfig:
        query = _present(account).where(configs.c.id == config_id)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise _not_found(config_id)
        return _config(row)

    async def change(self, config: PostbackConfig) -> None:
        def write(connection: Connection) -> None:
            if config.location_id is not None:
                demand_location(connection, config.account, config.location_id)
            changed = connection.execute(
                scope.change(config.account, configs)
                .where(
                    configs.c.id == config.id,
                    configs.c.version == config.version,
                    configs.c.state != ConfigState.DELETED,
                )
                .values(version=config.version + 1, location_id=config.location_id, modified_ms=config.modified_ms)
            )
            if changed.rowcount == 0:
                if connection.execute(_present(config.account).where(configs.c.id == config.id)).first() is None:
                    raise _not_found(config.id)
                raise RevisionPassed(f"{config_text(config.id)} was changed by someone else in between")
            _add_version(connection, config, config.version + 1)
            self._announce(connection, config.account)

        await self._database.write(write)

    async def set_state(self, account: str, config_id: int, state: ConfigState, reason: str | None) -> None:
        await self._database.write(
            lambda connection: self._put(connection, account, config_id, state=state, state_reason=reason)
        )

    async def delete(self, account: str, config_id: int) -> None:
        await self._database.write(
            lambda connection: self._put(
                connection, account, config_id, state=ConfigState.DELETED, state_reason=None, location_id=None
            )
        )

    async def list(self, account: str, query: Query) -> Page[PostbackConfig]:
        rows, total = await self._database.read(
            lambda connection: lists.page(connection, _present(account), _FIELDS, query, configs.c.id)
        )
        return Page([_config(row) for row in rows], total)

    def _put(self, connection: Connection, account: str, config_id: int, **values: object) -> None:
        changed = connection.execute(
            scope.change(account, configs)
            .where(configs.c.id == config_id, configs.c.state != ConfigState.DELETED)
            .values(modified_ms=self._database.clock(), **values)
        )
        if changed.rowcount == 0:
            raise _not_found(config_id)
        self._announce(connection, account)

    def _announce(self, connection: Connection, account: str) -> None:
        raised = connection.execute(
            scope.change(account, accounts).values(config_version=accounts.c.config_version + 1)
        )
        if raised.rowcount == 0:
            raise NotFound("account", account)
        self._database.changed(account)


def version_of(connection: Connection, account: str, config_id: int, version: int) -> PostbackConfig | None:
    """A version as it was, also of a config that is deleted; None where there is none."""
    query = scope.rows(account, config_versions).where(
        config_versions.c.config_id == config_id, config_versions.c.version == version
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return decode(
        config_id=config_id,
        account=account,
        version=version,
        body=row.body,
        secrets=row.secrets,
        modified_ms=row.created_ms,
    )


def _present(account: str) -> Select[Any]:
    """Configs that are not deleted, each with its present version."""
    return (
        scope.rows(account, configs, *configs.c, config_versions.c.body, config_versions.c.secrets)
        .join(
            config_versions,
            and_(
                config_versions.c.config_id == configs.c.id,
                config_versions.c.version == configs.c.version,
                scope.of(account, config_versions),
            ),
            isouter=True,
        )
        .where(configs.c.state != ConfigState.DELETED)
    )


def _add_version(connection: Connection, config: PostbackConfig, version: int) -> None:
    body, secrets = encode(config)
    connection.execute(
        scope.add(config.account, config_versions).values(
            config_id=config.id, version=version, created_ms=config.modified_ms, body=body, secrets=secrets
        )
    )


def _config(row: Row[Any]) -> PostbackConfig:
    return decode(
        config_id=row.id,
        account=row.account,
        version=row.version,
        # A version that is missing is one that cannot be read.
        body=row.body or "",
        secrets=row.secrets or "",
        modified_ms=row.modified_ms,
        state=row.state,
        state_reason=row.state_reason,
    )


def _not_found(config_id: int) -> NotFound:
    return NotFound("pbc", config_text(config_id))
