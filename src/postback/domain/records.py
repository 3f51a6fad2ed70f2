"""Records (locations, contacts …) and how they change: in the same transaction as the event of the change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from postback.domain.accounts import Actor

LOCATION: Final = "location"

KEYS: Final[Mapping[str, str]] = {
    LOCATION: "location_api_id",
    "contact": "contact_api_id",
    "transaction": "transaction_api_id",
    "accountvault": "account_vault_api_id",
}
"""Resource → the field with the caller's own id of a record; a batch of transactions has none."""


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

    @property
    def said(self) -> dict[str, object]:
        """All of it, as events say it: what was never changed was last changed when it was made."""
        body = dict(self.body)
        if body.get("modified_ts", 0) is None:
            body["modified_ts"] = body["created_ts"]
        return body


class ListedField(NamedTuple):
    """A field that lists are narrowed and ordered by, by its name in the body; amounts are ordered by their worth."""

    name: str
    is_amount: bool = False


@dataclass(frozen=True, slots=True)
class Insert:
    """InvalidValue when its key is taken, or its location is not the account's."""

    record: Record
    by: Actor | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """`record.revision` is the revision it was made from; RevisionPassed when another change came between."""

    record: Record
    by: Actor | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """NotFound when it is gone already; Conflict for a location that still has records or configs."""

    account: str
    resource: str
    id: str
    by: Actor | None = None


Change = Insert | Update | Delete
