"""The tracking id of a message: the name that its sender knows it by, kept beside its event so that it is found."""

from typing import Final

import msgspec

from postback.domain.catalog import CATALOG

TRACKING_ID: Final = "tracking_id"
TRACKING_ID_MAX: Final = 256
"""What is longer is nobody's to type."""

_TRACKED: Final = frozenset(
    name for name, known in CATALOG.items() if any(row.field(TRACKING_ID) is not None for row in known.rows)
)


class _Tracked(msgspec.Struct, gc=False):
    tracking_id: str | None = None


_READ: Final = msgspec.json.Decoder(_Tracked)


def tracking_id_of(event_type: str, data: bytes) -> str | None:
    """None for types that have none, and for what cannot be one."""
    if event_type not in _TRACKED:
        return None
    try:
        found = _READ.decode(data).tracking_id
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found if found and len(found) <= TRACKING_ID_MAX and "\0" not in found else None
