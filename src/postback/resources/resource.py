"""A kind of record: reading what callers send, making and changing records, and saying them in an event."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Final

from postback.domain.errors import InvalidValue
from postback.domain.records import Record
from postback.resources.fields import Field, Refusal

UPDATE_IF_EXISTS: Final = "update_if_exists"
"""The field with which a caller asks to change the record that has its key already, instead of being refused."""

UNKNOWN_SHOWN: Final = 20
NAME_SHOWN: Final = 64


@dataclass(frozen=True)
class Resource:
    """A kind of record, by its documented name. `fields` stand in the order in which an event shows them.

    `prefix` begins its ids. `key` is the field with the caller's own id of a record, unique in its location.
    `api_view` gives what the API shows of a record, where that differs from what an event says.
    """

    name: str
    plural: str
    prefix: str
    key: str
    fields: tuple[Field, ...]
    api_view: Callable[[Record], dict[str, object]] = lambda record: dict(record.body)

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """Each field by its name and by its alias."""
        named = {field.name: field for field in self.fields}
        return named | {field.alias: field for field in self.fields if field.alias is not None}

    @cached_property
    def listed(self) -> Mapping[str, str]:
        """The names that lists may be filtered and sorted by, each with the name under which it is stored."""
        return {name: field.name for name, field in self.by_name.items() if field.stored}


def check(resource: Resource, incoming: Mapping[str, object], *, creating: bool) -> dict[str, object]:
    """The fields that were sent, as they are stored; InvalidValue with everything that is wrong with any of them."""
    errors: dict[str, list[str]] = {}
    cleaned: dict[str, object] = {}
    unknown = [name for name in incoming if name not in resource.by_name]
    for name in islice(unknown, UNKNOWN_SHOWN):
        errors[name[:NAME_SHOWN]] = [f"{name[:NAME_SHOWN]} is not a field of a {resource.name}"]

    for name, field in resource.by_name.items():
        if name not in incoming:
            continue
        if field.required and _is_blank(incoming[name]):
            errors[name] = [field.blank]
            continue
        try:
            value = _read(resource, field, incoming[name], creating=creating)
        except Refusal as refusal:
            errors[name] = [f"{name} {refusal}"]
            continue
        if cleaned.setdefault(field.name, value) != value:
            errors[name] = [f"{name} and {field.name} are the same field, and differ"]

    if creating:
        for field in resource.fields:
            if field.required and field.name not in cleaned and field.name not in errors:
                errors[field.name] = [field.blank]
        if cleaned.get(UPDATE_IF_EXISTS) and not cleaned.get(resource.key):
            errors.setdefault(resource.key, [resource.by_name[resource.key].blank])
    if errors:
        raise InvalidValue(errors)
    return cleaned


def new_record(resource: Resource, cleaned: Mapping[str, object], *, account: str, id: str, now_ms: int) -> Record:
    """A record as its creation makes it. `modified_ts` is null until its first change."""
    body = {field.name: cleaned.get(field.name, field.default) for field in resource.fields if field.stored}
    body |= {"id": id, "created_ts": now_ms // 1000, "modified_ts": None}
    location_id = body.get("location_id")
    return Record(
        account=account,
        resource=resource.name,
        id=id,
        location_id=location_id if isinstance(location_id, str) else None,
        key=_key(resource, body),
        revision=1,
        created_ms=now_ms,
        body=body,
    )


def changed(resource: Resource, record: Record, cleaned: Mapping[str, object], *, now_ms: int) -> Record:
    """The record with these fields in place of its own. Its `revision` stays the one that it was made from."""
    stored = {name: value for name, value in cleaned.items() if resource.by_name[name].stored}
    # A clock that was set back must not make a record older than it was.
    before = record.body.get("modified_ts")
    last = before if isinstance(before, int) else record.created_ms // 1000
    body = {**record.body, **stored, "modified_ts": max(now_ms // 1000, last)}
    return replace(record, body=body, key=_key(resource, body))


def event_data(record: Record) -> bytes:
    """What an event says of a record: all of its fields, compact, everything beyond ASCII escaped."""
    body = dict(record.body)
    if body["modified_ts"] is None:
        body["modified_ts"] = body["created_ts"]
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def _read(resource: Resource, field: Field, sent: object, *, creating: bool) -> object:
    if field.read_only:
        raise Refusal("is set by the server and cannot be given")
    if field.fixed and not creating:
        raise Refusal(f"can be given only when a {resource.name} is made")
    return field.read(sent)


def _is_blank(sent: object) -> bool:
    return sent is None or (isinstance(sent, str) and not sent.strip())


def _key(resource: Resource, body: Mapping[str, object]) -> str | None:
    key = body[resource.key]
    return key if isinstance(key, str) and key else None
