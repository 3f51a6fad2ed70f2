"""Kinds of records: their fields and limits, and how a record is shown. Each kind has a file."""

from collections.abc import Mapping
from typing import Final

from postback.resources import accountvault, contact, location, transaction, transactionbatch
from postback.resources.fields import Field, Kind
from postback.resources.resource import UPDATE_IF_EXISTS, Resource, changed, check, event_data, new_record

__all__ = [
    "RESOURCES",
    "SENSITIVE",
    "UPDATE_IF_EXISTS",
    "Field",
    "Kind",
    "Resource",
    "changed",
    "check",
    "event_data",
    "new_record",
]

RESOURCES: Final[Mapping[str, Resource]] = {
    resource.name: resource
    for resource in (
        location.LOCATION,
        contact.CONTACT,
        transaction.TRANSACTION,
        transactionbatch.TRANSACTIONBATCH,
        accountvault.ACCOUNTVAULT,
    )
}

SENSITIVE: Final = frozenset(
    field.name for resource in RESOURCES.values() for field in resource.fields if field.sensitive
)
"""Fields whose values only those see who may change them, and no log ever does."""
