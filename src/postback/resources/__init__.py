"""Kinds of records: their fields and limits, and how a record is shown. Each kind has a file."""

from collections.abc import Mapping
from typing import Final

from postback.resources import contact, location
from postback.resources.fields import Field, Kind
from postback.resources.resource import UPDATE_IF_EXISTS, Resource, changed, check, event_data, new_record

__all__ = [
    "RESOURCES",
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
    resource.name: resource for resource in (location.LOCATION, contact.CONTACT)
}
