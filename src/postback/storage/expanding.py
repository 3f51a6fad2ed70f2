"""Related records of an event, as they are in the transaction that accepts it: what configs ask for with `expands`."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from postback.domain.events import Event, split_type
from postback.domain.records import LOCATION
from postback.storage import changelogs
from postback.storage.records import read_record

Data = Mapping[str, Any]


def related(connection: Connection, event: Event, names: Sequence[str]) -> bytes | None:
    """A JSON object with what there is of these; None where there is nothing. Other names are for the format to say."""
    data = _data(event)
    found = {name: _GATHERED[name](connection, event, data) for name in names if name in _GATHERED}
    kept = {name: one for name, one in found.items() if one}
    return json.dumps(kept, separators=(",", ":"), allow_nan=False).encode() if kept else None


def _data(event: Event) -> Data:
    try:
        data = json.loads(event.data, parse_int=str)
    except (ValueError, RecursionError):
        # What was published may be nested as deeply as its publisher likes: then nothing is known to be related.
        return {}
    return data if isinstance(data, dict) else {}


def _changelogs(connection: Connection, event: Event, data: Data) -> Sequence[Mapping[str, object]]:
    subject, _ = split_type(event.type)
    rows = changelogs.entries(connection, event.account, subject, _own_id(event, data))
    return [changelogs.shown(row) for row in rows]


def _created_user(connection: Connection, event: Event, data: Data) -> Mapping[str, object] | None:
    subject, _ = split_type(event.type)
    row = changelogs.creation(connection, event.account, subject, _own_id(event, data))
    return None if row is None else changelogs.user(row)


def _location(connection: Connection, event: Event, _: Data) -> Mapping[str, object] | None:
    return _record(connection, event, LOCATION, event.location_id)


def _contact(connection: Connection, event: Event, data: Data) -> Mapping[str, object] | None:
    return _record(connection, event, "contact", data.get("contact_id"))


def _account_vault(connection: Connection, event: Event, data: Data) -> Mapping[str, object] | None:
    return _record(connection, event, "accountvault", data.get("account_vault_id"))


def _record(connection: Connection, event: Event, resource: str, record_id: object) -> Mapping[str, object] | None:
    if not isinstance(record_id, str):
        return None
    record = read_record(connection, event.account, resource, record_id)
    return None if record is None else record.said


def _own_id(event: Event, data: Data) -> str:
    own = data.get("id")
    return own if isinstance(own, str) else event.subject or ""


_GATHERED: Final[Mapping[str, Callable[[Connection, Event, Data], object]]] = {
    "account_vault": _account_vault,
    "changelogs": _changelogs,
    "contact": _contact,
    "created_user": _created_user,
    "location": _location,
}
