"""Postback configs: a row with the state of each, and a row for each of its versions, which never change."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Insert, Row, Select, Update, and_, func
from sqlalchemy.exc import IntegrityError

from postback.domain.accounts import Actor
from postback.domain.configs import ConfigState, PostbackConfig, Snapshot, Warned
from postback.domain.errors import Conflict, NotFound, RevisionPassed
from postback.domain.ids import config_text
from postback.ports import Page, Query
from postback.storage import lists, scope
from postback.storage.accounts import limits_of
from postback.storage.audit import state_facts
from postback.storage.config_rows import decode, encode, facts_of
from postback.storage.database import Database
from postback.storage.records import demand_location
from postback.storage.tables import accounts, config_versions, configs
from postback.storage.vault import Vault

_FIELDS: Final[Mapping[str, lists.Listed]] = {
    "location_id": lists.text(configs.c.location_id),
    "state": lists.text(configs.c.state),
    "created_ts": lists.seconds(configs.c.created_ms),
    "modified_ts": lists.seconds(configs.c.modified_ms),
    "name": lists.member(config_versions.c.body, "as_sent", "name"),
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


_GONE: Final = {"state": ConfigState.DELETED, "state_reason": None, "location_id": None}

_ACTION_OF_STATE: Final = {
    ConfigState.ACTIVE: "resume",
    ConfigState.PAUSED: "pause",
    ConfigState.DISABLED: "disable",
    ConfigState.DELETED: "delete",
}
_ACTION_OF_SETTINGS: Final = {"callback": "callbacks.change", "postback": "postbacksettings.change"}
"""What the purposes of account-wide settings begin with → the change of these settings."""


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
            found = [self._config(row) for row in connection.execute(_present(account))]
            return Snapshot(account, version, {config.id: config for config in found})

        return await self._database.read(read)

    def watch(self, changed: Callable[[str], None]) -> None:
        self._database.watch(changed)

    def watch_all(self, changed: Callable[[], None]) -> None:
        self._database.watch_all(changed)

    async def add(self, config: PostbackConfig, *, by: Actor | None = None) -> None:
        def write(connection: Connection) -> None:
            self._announce(connection, config.account)
            _insert(connection, config, self._database.vault)
            self._record(connection, by, "create", None, config)

        await self._database.write(write)

    async def find(self, account: str, config_id: int) -> PostbackConfig:
        return await self._database.read(lambda connection: self._find(connection, account, config_id))

    async def change(self, config: PostbackConfig, *, rotates: bool = False, by: Actor | None = None) -> None:
        def write(connection: Connection) -> None:
            old = self._find(connection, config.account, config.id)
            if not _replace(connection, config, self._database.vault):
                raise _passed(config.id)
            self._announce(connection, config.account)
            self._record(connection, by, "rotate_secret" if rotates else "change", old, config)

        await self._database.write(write)

    async def set_state(
        self, account: str, config_id: int, state: ConfigState, reason: str | None, *, by: Actor | None = None
    ) -> None:
        def write(connection: Connection) -> None:
            old = self._find(connection, account, config_id)
            self._put(connection, account, config_id, state=state, state_reason=reason)
            action = f"postbackconfig.{_ACTION_OF_STATE[state]}"
            before, after = state_facts(old.state, old.state_reason), state_facts(state, reason)
            self._database.auditor.record(connection, account, by, action, config_text(config_id), before, after)

        await self._database.write(write)

    async def delete(self, account: str, config_id: int, *, by: Actor | None = None) -> None:
        def write(connection: Connection) -> None:
            old = self._find(connection, account, config_id)
            self._put(connection, account, config_id, **_GONE)
            self._record(connection, by, "delete", old, None)

        await self._database.write(write)

    async def arrange(
        self,
        added: Sequence[PostbackConfig],
        changed: Sequence[PostbackConfig],
        deleted: Sequence[PostbackConfig],
        *,
        by: Actor | None = None,
    ) -> None:
        def write(connection: Connection) -> None:
            # One that is not there any more is refused below.
            before = [self._find_present(connection, config.account, config.id) for config in (*changed, *deleted)]
            for account in {config.account for config in (*added, *changed, *deleted)}:
                self._announce(connection, account)
            # What goes first makes room for what comes with the same purpose.
            for config in deleted:
                if not _remove(connection, config, self._database.clock()):
                    raise _passed(config.id)
            for config in changed:
                if not _replace(connection, config, self._database.vault):
                    raise _passed(config.id)
            for config in added:
                _insert(connection, config, self._database.vault)
            self._record_arranged(connection, by, [one for one in before if one is not None], [*changed, *added])

        await self._database.write(write)

    async def list(self, account: str, query: Query) -> Page[PostbackConfig]:
        rows, total = await self._database.read(
            lambda connection: lists.page(connection, _present(account), _FIELDS, query, configs.c.id)
        )
        return Page([self._config(row) for row in rows], total)

    async def some(self, account: str, config_ids: Sequence[int]) -> Mapping[int, PostbackConfig]:
        query = _present(account).where(configs.c.id.in_(config_ids))
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {row.id: self._config(row) for row in rows}

    def _find_present(self, connection: Connection, account: str, config_id: int) -> PostbackConfig | None:
        row = connection.execute(_present(account).where(configs.c.id == config_id)).one_or_none()
        return None if row is None else self._config(row)

    def _find(self, connection: Connection, account: str, config_id: int) -> PostbackConfig:
        config = self._find_present(connection, account, config_id)
        if config is None:
            raise _not_found(config_id)
        return config

    def _record(
        self,
        connection: Connection,
        by: Actor | None,
        verb: str,
        old: PostbackConfig | None,
        new: PostbackConfig | None,
    ) -> None:
        one = new or old
        if one is not None:
            before, after = (None if config is None else facts_of(config) for config in (old, new))
            action, target = f"postbackconfig.{verb}", config_text(one.id)
            self._database.auditor.record(connection, one.account, by, action, target, before, after)

    def _record_arranged(
        self, connection: Connection, by: Actor | None, old: Sequence[PostbackConfig], new: Sequence[PostbackConfig]
    ) -> None:
        """One row for the settings that were changed, with those of their configs that became others."""
        for account, action in dict.fromkeys((config.account, _action_of(config)) for config in (*new, *old)):
            before, after = (
                {
                    one.purpose or config_text(one.id): facts_of(one)
                    for one in found
                    if (one.account, _action_of(one)) == (account, action)
                }
                for found in (old, new)
            )
            self._database.auditor.record(connection, account, by, action, account, before or None, after or None)

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

    def _config(self, row: Row[Any]) -> PostbackConfig:
        return decode(
            config_id=row.id,
            account=row.account,
            version=row.version,
            # A version that is missing is one that cannot be read.
            body=row.body or "",
            secrets=row.secrets or "",
            vault=self._database.vault,
            modified_ms=row.modified_ms,
            state=row.state,
            state_reason=row.state_reason,
            purpose=row.purpose,
            warned=Warned(row.warning, row.warned_ms) if row.warning is not None else None,
            failing_ms=row.failing_ms,
        )


def version_of(
    connection: Connection, vault: Vault, account: str, config_id: int, version: int
) -> PostbackConfig | None:
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
        vault=vault,
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


def _insert(connection: Connection, config: PostbackConfig, vault: Vault) -> None:
    _demand_room(connection, config.account)
    if config.location_id is not None:
        demand_location(connection, config.account, config.location_id)
    statement = scope.add(config.account, configs).values(
        id=config.id,
        version=config.version,
        location_id=config.location_id,
        state=config.state,
        state_reason=config.state_reason,
        created_ms=config.created_ms,
        modified_ms=config.modified_ms,
        purpose=config.purpose,
    )
    _run(connection, config, statement)
    _add_version(connection, config, config.version, vault)


def _demand_room(connection: Connection, account: str) -> None:
    most = limits_of(connection, account).configs
    if most is None:
        return
    present = scope.rows(account, configs, func.count()).where(configs.c.state != ConfigState.DELETED)
    if connection.execute(present).scalar_one() >= most:
        raise Conflict(f"limits.configs: the account is allowed {most:,} postback configs, and it has as many")


def _replace(connection: Connection, config: PostbackConfig, vault: Vault) -> bool:
    """Put the next version in place of the one that it was made from; False where that is not the present one.

    What was wrong with the last version says nothing of this one: its warning goes.
    """
    if config.location_id is not None:
        demand_location(connection, config.account, config.location_id)
    statement = _version(config).values(
        version=config.version + 1,
        location_id=config.location_id,
        modified_ms=config.modified_ms,
        purpose=config.purpose,
        warning=None,
        warned_ms=None,
    )
    if not _run(connection, config, statement):
        return False
    _retire_versions(connection, config.account, config.id, config.modified_ms)
    _add_version(connection, config, config.version + 1, vault)
    return True


def _remove(connection: Connection, config: PostbackConfig, now_ms: int) -> bool:
    """False where this is not its present version."""
    statement = _version(config).values(modified_ms=now_ms, **_GONE)
    return connection.execute(statement).rowcount > 0


def _version(config: PostbackConfig) -> Update:
    """UPDATE the config while this is its present version."""
    return scope.change(config.account, configs).where(
        configs.c.id == config.id, configs.c.version == config.version, configs.c.state != ConfigState.DELETED
    )


def _run(connection: Connection, config: PostbackConfig, statement: Insert | Update) -> int:
    """How many rows it changed; RevisionPassed where another config has the purpose already."""
    try:
        # What failed is undone by itself, so that there can be a question about it.
        with connection.begin_nested():
            return connection.execute(statement).rowcount
    except IntegrityError as error:
        taken = _present(config.account).where(configs.c.purpose == config.purpose, configs.c.id != config.id)
        if config.purpose is None or connection.execute(taken).first() is None:
            raise
        raise RevisionPassed(f"someone else set up {config.purpose} in between") from error


def _add_version(connection: Connection, config: PostbackConfig, version: int, vault: Vault) -> None:
    body, secrets = encode(config, version, vault)
    connection.execute(
        scope.add(config.account, config_versions).values(
            config_id=config.id, version=version, created_ms=config.modified_ms, body=body, secrets=secrets
        )
    )


def _retire_versions(connection: Connection, account: str, config_id: int, now_ms: int) -> None:
    """Nothing is sent with them any more; they stay as long as the log of what was."""
    connection.execute(
        scope.change(account, config_versions)
        .where(config_versions.c.config_id == config_id, config_versions.c.replaced_ms.is_(None))
        .values(replaced_ms=now_ms)
    )


def _action_of(config: PostbackConfig) -> str:
    """The change that this config is arranged by."""
    settings = (config.purpose or "").partition(".")[0]
    return _ACTION_OF_SETTINGS.get(settings, "postbackconfig.change")


def _passed(config_id: int) -> RevisionPassed:
    return RevisionPassed(f"{config_text(config_id)} was changed by someone else in between")


def _not_found(config_id: int) -> NotFound:
    return NotFound("pbc", config_text(config_id))
