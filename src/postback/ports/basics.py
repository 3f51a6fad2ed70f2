"""What ports are told: the time, chance, where facts go; and what every list is asked by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from postback.domain.telemetry import Fact

T = TypeVar("T")

Clock = Callable[[], int]
"""Unix time in milliseconds."""

Dice = Callable[[], float]
"""A number from 0 up to, not including, 1."""

Report = Callable[[Fact], None]
"""Where facts go to be logged and counted. Never raises."""

NewSpan = Callable[[str | None], str]
"""A span (its traceparent) in the trace that a request came with, or in a trace of its own where it came with none."""


class Search(NamedTuple):
    """A text that any of these fields holds, in capital or small letters."""

    fields: Sequence[str]
    text: str


@dataclass(frozen=True, slots=True)
class Query:
    """A page of a list. `filters` is field → any of these texts; `sort` is field or -field; `page` counts from 1."""

    page: int = 1
    page_size: int = 20
    sort: str = "-created_ts"
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    search: Search | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    total: int
