"""What the audit tells of: each kind of thing, and what is done with it or was refused. An action is `thing.verb`."""

from collections.abc import Mapping, Sequence
from typing import Final

from postback.domain.configs import RESOURCES
from postback.domain.records import LOCATION

_OF_RECORDS: Final = ("create", "change", "delete")

_VERBS: Final[Mapping[str, Sequence[str]]] = {
    "postbackconfig": (
        *("create", "change", "rotate_secret", "delete"),
        *("pause", "resume", "disable", "test"),
    ),
    "callbacks": ("change",),
    "postbacksettings": ("change",),
    LOCATION: _OF_RECORDS,
    **dict.fromkeys(RESOURCES, _OF_RECORDS),
    "delivery": ("replay", "cancel"),
    "deliveries": ("replay", "cancel"),
    "account": ("save", "delete"),
    "key": ("create", "revoke"),
    "user": ("create", "change", "password"),
    "session": ("create", "end", "refuse"),
    "link": ("create", "revoke"),
    "hold": ("release",),
    "access": ("refuse",),
}

AUDITED: Final = tuple(f"{thing}.{verb}" for thing, verbs in _VERBS.items() for verb in verbs)
"""Every action that is put on record."""
