"""The history of records: an entry for each change, written in its transaction."""

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row

from postback.domain.accounts import Actor, told_of
from postback.domain.ids import encode
from postback.domain.masking import without_secrets
from postback.storage import scope
from postback.storage.audit import Written
from postback.storage.tables import changelogs

SHOWN_MAX: Final = 100
"""Entries of one record that an event carries, the newest: a record may be changed without end."""

SHOWN_BYTES: Final = 16 << 10
"""What they may hold of old values and names of fields: an event stays small, as many as are in hand at once."""

CREATE: Final = "CREATE"
UPDATE: Final = "UPDATE"
DELETE: Final = "DELETE"

Body = Mapping[str, object]

_OURS: Final = ("modified_ts", "modified_user_id")
"""Every change changes these: the entry itself says when and by whom."""

_MODELS: Final = {
    "contact": "Contact",
    "transaction": "Transaction",
    "transactionbatch": "TransactionBatch",
    "accountvault": "AccountVault",
}


class Changed(NamedTuple):
    """A change of a record: its body before, None where it was made, and after, None where it was deleted."""

    account: str
    resource: str
    record_id: str
    action: str
    by: Actor | None
    before: Body | None
    after: Body | None


def keep(connection: Connection, changed: Changed, written: Written) -> None:
    """The entry, under the id and the time of the audit's row for the same change. Receivers read whom it names."""
    by = told_of(changed.by, changed.account)
    connection.execute(
        scope.add(changed.account, changelogs).values(
            id=written.id,
            resource=changed.resource,
            record_id=changed.record_id,
            created_ms=written.at_ms,
            action=changed.action,
            key_id=None if by is None else by.key_id,
            key_name=None if by is None else by.key_name,
            details=json.dumps(_old_values(changed.before or {}, changed.after or {}), separators=(",", ":")),
        )
    )


def entries(connection: Connection, account: str, resource: str, record_id: str) -> Sequence[Row[Any]]:
    """Of one record, the newest first, as many as an event carries."""
    query = (
        scope.rows(account, changelogs)
        .where(changelogs.c.record_id == record_id, changelogs.c.resource == resource)
        .order_by(changelogs.c.id.desc())
        .limit(SHOWN_MAX)
    )
    rows = connection.execute(query).all()
    sizes = accumulate(len(row.details) for row in rows)
    return rows[: max(1, sum(size <= SHOWN_BYTES for size in sizes))]


def creation(connection: Connection, account: str, resource: str, record_id: str) -> Row[Any] | None:
    """The entry of a record's making, while it is kept."""
    query = (
        scope.rows(account, changelogs)
        .where(changelogs.c.record_id == record_id, changelogs.c.resource == resource, changelogs.c.action == CREATE)
        .limit(1)
    )
    return connection.execute(query).one_or_none()


def shown(row: Row[Any]) -> dict[str, object]:
    """An entry as events carry it."""
    changelog_id = f"chg_{encode(row.id)}"
    return {
        "id": changelog_id,
        "created_ts": row.created_ms // 1000,
        "action": row.action,
        "model": _MODELS.get(row.resource, row.resource),
        "model_id": row.record_id,
        "user_id": row.key_id,
        "changelog_details": [
            {"id": f"{changelog_id}_{number}", "changelog_id": changelog_id, "field": field, "old_value": old}
            for number, (field, old) in enumerate(json.loads(row.details).items(), start=1)
        ],
        "user": user(row),
    }


def user(row: Row[Any]) -> dict[str, object] | None:
    """Whose key made the change; of a key no more is known than its name. None for the server itself."""
    if row.key_id is None:
        return None
    return {"id": row.key_id, "username": row.key_name, "first_name": None, "last_name": None}


def _old_values(before: Body, after: Body) -> dict[str, str | None]:
    return {
        name: _old_value(without_secrets(old, name))
        for name, old in before.items()
        if name not in _OURS and name in after and _text(old) != _text(after[name])
    }


def _old_value(value: object) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return "1" if value else "0"
    return _text(value)


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
