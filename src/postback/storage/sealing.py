"""The secrets of a whole store: which keys they were sealed with, and sealing them with another one."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, Select, func, tuple_

from postback.domain.ids import config_text
from postback.storage import scope
from postback.storage.config_rows import place_of
from postback.storage.tables import config_versions
from postback.storage.vault import PREFIX_LENGTH, CannotOpenSecret, Vault, is_clear, key_id_of

_KEY: Final = (config_versions.c.config_id, config_versions.c.version)
_BEGINNING: Final = func.substr(config_versions.c.secrets, 1, PREFIX_LENGTH)

START: Final = (-1, -1)


class Held(NamedTuple):
    """What a store holds: the ids of the keys that it was sealed with, and whether some of it is in clear."""

    key_ids: frozenset[str]
    has_clear: bool


class Resealed(NamedTuple):
    """One batch. `last` is the key of its last row, None when there is no more; `unreadable` stays as it was."""

    last: tuple[int, int] | None
    seen: int
    changed: int
    unreadable: Sequence[str]


def held(connection: Connection) -> Held:
    query = scope.everyones_rows(config_versions).with_only_columns(_BEGINNING).distinct()
    beginnings = connection.execute(query).scalars().all()
    ids = [key_id_of(beginning) for beginning in beginnings]
    return Held(frozenset(found for found in ids if found is not None), any(map(is_clear, beginnings)))


def secrets_count(connection: Connection) -> int:
    query = scope.everyones_rows(config_versions).where(config_versions.c.secrets != "")
    count: int = connection.execute(query.with_only_columns(func.count())).scalar_one()
    return count


def reseal(connection: Connection, vault: Vault, after: tuple[int, int], limit: int) -> Resealed:
    """Seal with the first key what is in clear, or was sealed with another key, among so many rows after this one."""
    rows = connection.execute(_after(after).limit(limit)).all()
    changed = 0
    unreadable = []
    for row in rows:
        if key_id_of(row.secrets) == vault.first_id:
            continue
        try:
            _reseal(connection, vault, row)
            changed += 1
        except CannotOpenSecret as error:
            unreadable.append(f"version {row.version} of {config_text(row.config_id)}: {error}")
    last = (rows[-1].config_id, rows[-1].version) if len(rows) == limit else None
    return Resealed(last, len(rows), changed, unreadable)


def _after(key: tuple[int, int]) -> Select[Any]:
    """Secrets there are, in the order of their keys."""
    return (
        scope.everyones_rows(config_versions)
        .where(tuple_(*_KEY) > tuple_(*key), config_versions.c.secrets != "")
        .order_by(*_KEY)
    )


def _reseal(connection: Connection, vault: Vault, row: Row[Any]) -> None:
    place = place_of(row.config_id, row.version, row.account)
    sealed = vault.seal(vault.open(row.secrets, place), place)
    connection.execute(
        scope.change(row.account, config_versions)
        .where(config_versions.c.config_id == row.config_id, config_versions.c.version == row.version)
        .values(secrets=sealed)
    )
