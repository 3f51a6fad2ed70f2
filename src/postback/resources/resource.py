"""A kind of record: reading what callers send, making and changing records, and saying them in an event."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Final

from postback.domain.accounts import Actor, told_of
from postback.domain.errors import InvalidValue
from postback.domain.masking import MASK
from postback.domain.records import ListedField, Record
from postback.resources.fields import Field, Kind, Refusal

UPDATE_IF_EXISTS: Final = "update_if_exists"
"""The field with which a caller asks to change the record that has its key already, instead of being refused."""

UNKNOWN_SHOWN: Final = 20
NAME_SHOWN: Final = 64

_WHERE: Final = "location_id"
_UNLISTED: Final = (Kind.AMOUNTS, Kind.JSON)


@dataclass(frozen=True)
class Resource:
    """A kind of record, by its documented name. `fields` stand in the order in which an event shows them.

    `prefix` begins its ids. `key` is the field with the caller's own id of a record, unique in its location, where the
    kind has one.
    `api_view` gives what the API shows of a record, where that differs from what an event says.
    """

    name: str
    plural: str
    prefix: str
    key: str | None
    fields: tuple[Field, ...]
    api_view: Callable[[Record], dict[str, object]] = lambda record: dict(record.body)

    @property
    def one(self) -> str:
        """`a contact`: how messages call one of them."""
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """Each field by its name and by its alias."""
        named = {field.name: field for field in self.fields}
        return named | {field.alias: field for field in self.fields if field.alias is not None}

    @cached_property
    def listed(self) -> Mapping[str, ListedField]:
        """The names that lists may be filtered and sorted by, each with what is stored under it.

        Not by what is sensitive: it would stand in addresses, and who may not see a value could guess it.
        """
        return {
            name: ListedField(field.name, is_amount=field.kind is Kind.AMOUNT)
            for name, field in self.by_name.items()
            if (field.stored or field.name == _WHERE) and not field.sensitive and field.kind not in _UNLISTED
        }

    def masked(self, view: Mapping[str, object]) -> dict[str, object]:
        """What is shown of a record to those who may not change it."""
        hidden = {field.name for field in self.fields if field.sensitive}
        return {name: MASK if name in hidden and value is not None else value for name, value in view.items()}


def check(resource: Resource, incoming: Mapping[str, object], *, creating: bool) -> dict[str, object]:
    """The fields that were sent, as they are stored; InvalidValue with everything that is wrong with any of them."""
    errors: dict[str, list[str]] = {}
    cleaned: dict[str, object] = {}
    unknown = [name for name in incoming if name not in resource.by_name]
    for name in islice(unknown, UNKNOWN_SHOWN):
        errors[name[:NAME_SHOWN]] = [f"{name[:NAME_SHOWN]} is not a field of {resource.one}"]

    for name, field in resource.by_name.items():
        if name not in incoming or (not creating and _keeps(field, incoming[name])):
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
        for field in _needed(resource, cleaned):
            errors.setdefault(field.name, [field.blank])
    if errors:
        raise InvalidValue(errors)
    return cleaned


def new_record(
    resource: Resource, cleaned: Mapping[str, object], *, account: str, id: str, now_ms: int, by: Actor | None = None
) -> Record:
    """A record as its creation makes it. `modified_ts` is null until its first change."""
    body = {field.name: cleaned.get(field.name, field.default) for field in resource.fields if field.stored}
    user = _user_id(by, account)
    _set(body, id=id, created_ts=now_ms // 1000, modified_ts=None, created_user_id=user, modified_user_id=user)
    location_id = cleaned.get(_WHERE)
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


def changed(
    resource: Resource, record: Record, cleaned: Mapping[str, object], *, now_ms: int, by: Actor | None = None
) -> Record:
    """The record with these fields in place of its own. Its `revision` stays the one that it was made from."""
    stored = {name: value for name, value in cleaned.items() if resource.by_name[name].stored}
    # A clock that was set back must not make a record older than it was.
    before = record.body.get("modified_ts")
    last = before if isinstance(before, int) else record.created_ms // 1000
    body = {**record.body, **stored}
    _set(body, modified_ts=max(now_ms // 1000, last), modified_user_id=_user_id(by, record.account))
    return replace(record, body=body, key=_key(resource, body))


def event_data(record: Record) -> bytes:
    """What an event says of a record: all of its fields, compact, everything beyond ASCII escaped."""
    return json.dumps(record.said, separators=(",", ":"), allow_nan=False).encode()


def _set(body: dict[str, object], **ours: object) -> None:
    """What is ours to say of a record, as far as its kind says it at all."""
    body.update((name, value) for name, value in ours.items() if name in body)


def _user_id(by: Actor | None, account: str) -> str | None:
    told = told_of(by, account)
    return None if told is None else told.key_id


def _read(resource: Resource, field: Field, sent: object, *, creating: bool) -> object:
    if field.read_only:
        raise Refusal("is set by the server and cannot be given")
    if field.fixed and not creating:
        raise Refusal(f"can be given only when {resource.one} is made")
    if _keeps(field, sent):
        raise Refusal(f"is {MASK}, which keeps a value, and none is set")
    return field.read(sent)


def _needed(resource: Resource, cleaned: Mapping[str, object]) -> Sequence[Field]:
    """Fields that a new record lacks."""
    needed = [field for field in resource.fields if field.required and field.name not in cleaned]
    key = resource.key
    if key is not None and cleaned.get(UPDATE_IF_EXISTS) and not cleaned.get(key):
        needed.append(resource.by_name[key])
    return needed


def _keeps(field: Field, sent: object) -> bool:
    """Whether it is what was shown of a value that may not be seen: that value stays."""
    return field.sensitive and sent == MASK


def _is_blank(sent: object) -> bool:
    return sent is None or (isinstance(sent, str) and not sent.strip())


def _key(resource: Resource, body: Mapping[str, object]) -> str | None:
    key = None if resource.key is None else body[resource.key]
    return key if isinstance(key, str) and key else None
