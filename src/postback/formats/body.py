"""What goes into a POST and what a body shows: what every format gives and takes."""

from collections.abc import Sequence
from typing import NamedTuple

from postback.domain.events import split_type


class Rendered(NamedTuple):
    """A body with its content type, and the headers that change with each attempt (names in lower case)."""

    content_type: str
    body: bytes
    headers: Sequence[tuple[str, str]] = ()


class Parsed(NamedTuple):
    """The facts that a body shows; what its format does not carry is None.

    `type` is the event type, `data` the JSON object: as it stood in the body, or in our field names where the body
    names the facts otherwise. `occurred_at` is RFC 3339.
    """

    type: str
    data: bytes
    number_of_attempts: int | None = None
    id: str | None = None
    occurred_at: str | None = None
    location_id: str | None = None

    @property
    def resource(self) -> str:
        return split_type(self.type)[0]
