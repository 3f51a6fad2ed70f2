"""Records: locations, contacts and whatever else people set up, each a row with its body as JSON."""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Row

from postback.domain.errors import Conflict, InvalidValue, NotFound, RevisionPassed
from postback.domain.records import KEYS, LOCATION, Change, Delete, Insert, ListedField, Record, Update
from postback.ports import Page, Query
from postback.storage import changelogs, lists, scope
from postback.storage.audit import Auditor
from postback.storage.changelogs import Changed
from postback.storage.database import Database
from postback.storage.tables import configs, records

_COLUMNS: Final = {
    "id": lists.text(records.c.id),
    "location_id": lists.text(records.c.location_id),
    "created_ts": lists.seconds(records.c.created_ms),
}
_AUDITED: Final = {changelogs.CREATE: "create", changelogs.UPDATE: "change", changelogs.DELETE: "delete"}


class SqlRecords:
    """Keeps the port Records. `listed` says by which fields lists of each resource may be narrowed and ordered:
    resource → the name that callers use → the field in the record's body."""

    def __init__(self, database: Database, listed: Mapping[str, Mapping[str, ListedField]]) -> None:
        self._database = database
        self._listed = listed

    async def find(self, account: str, resource: str, record_id: str) -> Record:
        record = await self._database.read(lambda connection: read_record(connection, account, resource, record_id))
        if record is None:
            raise NotFound(resource, record_id)
        return record

    async def find_by_key(self, account: str, resource: str, location_id: str, key: str) -> Record | None:
        query = scope.rows(account, records).where(
            records.c.resource == resource, records.c.location_id == location_id, records.c.key == _unique_form(key)
        )
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else _record(row)

    async def list(self, account: str, resource: str, query: Query) -> Page[Record]:
        found = scope.rows(account, records).where(records.c.resource == resource)
        fields = _listed_fields(self._listed[resource])
        rows, total = await self._database.read(
            lambda connection: lists.page(connection, found, fields, query, records.c.id)
        )
        return Page([_record(row) for row in rows], total)

    async def apply(self, changes: Sequence[Change]) -> None:
        await self._database.write(lambda connection: apply_changes(connection, changes, self._database.auditor))


def apply_changes(connection: Connection, changes: Sequence[Change], auditor: Auditor) -> None:
    """Make the changes, in order, inside the caller's transaction; what is raised leaves it to be rolled back."""
    for change in changes:
        changed = _apply(connection, change)
        account, resource, record_id, action, by, before, after = changed
        audited = f"{resource}.{_AUDITED[action]}"
        written = auditor.record(connection, account, by, audited, record_id, before, after)
        if resource != LOCATION:
            changelogs.keep(connection, changed, written)


def read_record(connection: Connection, account: str, resource: str, record_id: str) -> Record | None:
    query = scope.rows(account, records).where(records.c.resource == resource, records.c.id == record_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else _record(row)


def demand_location(connection: Connection, account: str, location_id: str) -> None:
    """InvalidValue unless the location is the account's."""
    query = scope.rows(account, records, records.c.id).where(
        records.c.id == location_id, records.c.resource == LOCATION
    )
    if connection.execute(query).first() is None:
        raise InvalidValue.of("location_id", "location_id provided is not valid")


def _apply(connection: Connection, change: Change) -> Changed:
    match change:
        case Insert(record, by):
            _insert(connection, record)
            return Changed(record.account, record.resource, record.id, changelogs.CREATE, by, None, record.body)
        case Update(record, by):
            before = _body(connection, record.account, record.id)
            _update(connection, record)
            return Changed(record.account, record.resource, record.id, changelogs.UPDATE, by, before, record.body)
        case Delete(account, resource, record_id, by):
            before = _body(connection, account, record_id)
            _delete(connection, account, resource, record_id)
            return Changed(account, resource, record_id, changelogs.DELETE, by, before, None)


def _insert(connection: Connection, record: Record) -> None:
    if record.location_id is not None:
        demand_location(connection, record.account, record.location_id)
    _refuse_taken_key(connection, record)
    connection.execute(
        scope.add(record.account, records).values(
            id=record.id,
            resource=record.resource,
            location_id=record.location_id,
            key=_unique_form(record.key),
            revision=record.revision,
            created_ms=record.created_ms,
            body=_text(record.body),
        )
    )


def _update(connection: Connection, record: Record) -> None:
    _refuse_taken_key(connection, record)
    updated = connection.execute(
        scope.change(record.account, records)
        .where(
            records.c.id == record.id,
            records.c.resource == record.resource,
            records.c.revision == record.revision,
        )
        .values(key=_unique_form(record.key), revision=record.revision + 1, body=_text(record.body))
    )
    if updated.rowcount == 0:
        query = scope.rows(record.account, records, records.c.id).where(
            records.c.id == record.id, records.c.resource == record.resource
        )
        if connection.execute(query).first() is None:
            raise NotFound(record.resource, record.id)
        raise RevisionPassed(f"{record.id} was changed by someone else in between")


def _delete(connection: Connection, account: str, resource: str, record_id: str) -> None:
    if resource == LOCATION:
        for table, what in ((configs, "postback configs"), (records, "records")):
            query = scope.rows(account, table, table.c.id).where(table.c.location_id == record_id).limit(1)
            if connection.execute(query).first() is not None:
                raise Conflict(f"the location still has {what}; delete them first")
    deleted = connection.execute(
        scope.remove(account, records).where(records.c.id == record_id, records.c.resource == resource)
    )
    if deleted.rowcount == 0:
        raise NotFound(resource, record_id)


def _body(connection: Connection, account: str, record_id: str) -> Mapping[str, object] | None:
    """What it is before a change; None where it is not there, which the change itself refuses."""
    text = connection.execute(scope.rows(account, records, records.c.body).where(records.c.id == record_id)).scalar()
    return None if text is None else json.loads(text)


def _refuse_taken_key(connection: Connection, record: Record) -> None:
    if record.key is None:
        return
    query = scope.rows(record.account, records, records.c.id).where(
        records.c.resource == record.resource,
        # Written as IS where it is null: a location's own key counts within the account.
        records.c.location_id == record.location_id,
        records.c.key == _unique_form(record.key),
        records.c.id != record.id,
    )
    if connection.execute(query).first() is not None:
        field = KEYS[record.resource]
        raise InvalidValue.of(field, f"{field} is taken by another {record.resource} already")


def _unique_form(key: str | None) -> str | None:
    """Two keys that look the same are the same; the body keeps each as it was written."""
    return None if key is None else unicodedata.normalize("NFC", key)


def _text(body: Mapping[str, object]) -> str:
    return json.dumps(body, separators=(",", ":"), allow_nan=False)


def _record(row: Row[Any]) -> Record:
    body = json.loads(row.body)
    return Record(
        account=row.account,
        resource=row.resource,
        id=row.id,
        location_id=row.location_id,
        key=row.key,
        revision=row.revision,
        created_ms=row.created_ms,
        body=body,
    )


def _listed_fields(fields: Mapping[str, ListedField]) -> Mapping[str, lists.Listed]:
    return {name: _COLUMNS.get(field.name) or _member(field) for name, field in fields.items()}


@cache
def _member(field: ListedField) -> lists.Listed:
    return (lists.amount if field.is_amount else lists.member)(records.c.body, field.name)
