"""What an entry of the audit changed, field by field, for people."""

import json
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from postback.ports import AuditEntry

NOTHING: Final = "–"
"""Stands where a field was not set."""


class Changed(NamedTuple):
    """A field, by its path where it is inside of others, and what it was and is."""

    name: str
    before: str
    after: str


def changes(entry: AuditEntry) -> list[Changed]:
    """Of what was changed the fields that are others now; of what was made or removed all that are set."""
    before, after = dict(_flat(entry.before or {})), dict(_flat(entry.after or {}))
    return [
        Changed(name, _text(before.get(name)), _text(after.get(name)))
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    ]


def _flat(value: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{path}{name}.")
        else:
            yield path + name, inner


def _text(value: object) -> str:
    if value is None:
        return NOTHING
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
