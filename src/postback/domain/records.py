"""Records (locations, contacts …) and how they change: in the same transaction as the event of the change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LOCATION: Final = "location"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record. `body` holds every field in its documented order (JSON values), ids and times included.

    `key` is the caller's own id of it (`contact_api_id`), unique within resource and location.
    `revision` goes up with each change: a change names the revision that it was made from.
    """

    account: str
    resource: str
    id: str
    location_id: str | None
    key: str | None
    revision: int
    created_ms: int
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Insert:
    """InvalidValue when its key is taken, or its location is not the account's."""

    record: Record


@dataclass(frozen=True, slots=True)
class Update:
    """`record.revision` is the revision it was made from; RevisionPassed when another change came between."""

    record: Record


@dataclass(frozen=True, slots=True)
class Delete:
    """NotFound when it is gone already; Conflict for a location that still has records or configs."""

    account: str
    resource: str
    id: str


Change = Insert | Update | Delete
