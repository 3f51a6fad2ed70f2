"""Records: locations, contacts and whatever else people set up, each a row with its body as JSON."""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row

from postback.domain.errors import Conflict, InvalidValue, NotFound, RevisionPassed
from postback.domain.records import LOCATION, Change, Delete, Insert, Record, Update
from postback.ports import Page, Query
from postback.storage import lists, scope
from postback.storage.database import Database
from postback.storage.tables import configs, records


class SqlRecords:
    """Keeps the port Records. `listed` says by which fields lists of each resource may be narrowed and ordered:
    resource → the name that callers use → the name in the record's body."""

    def __init__(self, database: Database, listed: Mapping[str, Mapping[str, str]]) -> None:
        self._database = database
        self._listed = {resource: _listed_fields(names) for resource, names in listed.items()}

    async def find(self, account: str, resource: str, record_id: str) -> Record:
        query = scope.rows(account, records).where(records.c.resource == resource, records.c.id == record_id)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise NotFound(resource, record_id)
        return _record(row)

    async def find_by_key(self, account: str, resource: str, location_id: str, key: str) -> Record | None:
        query = scope.rows(account, records).where(
            records.c.resource == resource, records.c.location_id == location_id, records.c.key == _unique_form(key)
        )
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else _record(row)

    async def list(self, account: str, resource: str, query: Query) -> Page[Record]:
        found = scope.rows(account, records).where(records.c.resource == resource)
        fields = self._listed[resource]
        rows, total = await self._database.read(
            lambda connection: lists.page(connection, found, fields, query, records.c.id)
        )
        return Page([_record(row) for row in rows], total)

    async def apply(self, changes: Sequence[Change]) -> None:
        await self._database.write(lambda connection: apply_changes(connection, changes))


def apply_changes(connection: Connection, changes: Sequence[Change]) -> None:
    """Make the changes, in order, inside the caller's transaction; what is raised leaves it to be rolled back."""
    for change in changes:
        match change:
            case Insert(record):
                _insert(connection, record)
            case Update(record):
                _update(connection, record)
            case Delete(account, resource, record_id):
                _delete(connection, account, resource, record_id)


def demand_location(connection: Connection, account: str, location_id: str) -> None:
    """InvalidValue unless the location is the account's."""
    query = scope.rows(account, records, records.c.id).where(
        records.c.id == location_id, records.c.resource == LOCATION
    )
    if connection.execute(query).first() is None:
        raise InvalidValue.of("location_id", "location_id provided is not valid")


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
        field = f"{record.resource}_api_id"
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


def _listed_fields(names: Mapping[str, str]) -> Mapping[str, lists.Listed]:
    columns = {
        "id": lists.text(records.c.id),
        "location_id": lists.text(records.c.location_id),
        "created_ts": lists.seconds(records.c.created_ms),
    }
    return {name: columns.get(stored) or lists.member(records.c.body, stored) for name, stored in names.items()}
