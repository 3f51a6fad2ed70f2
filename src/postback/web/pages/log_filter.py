"""What a list of the log is narrowed to: it stands in the address, so it can be shared, and is kept from page to page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from postback.actions.fields import Errors
from postback.actions.log import Part
from postback.domain.causes import parse_cause
from postback.domain.deliveries import State
from postback.domain.errors import InvalidValue, NotFound
from postback.domain.ids import parse
from postback.domain.times import rfc3339
from postback.ports import LogFilter, Sought
from postback.web.forms import Form, time_ms
from postback.web.visit import Visit

T = TypeVar("T")

OF_DELIVERIES: Final = ("state", "reason", "type", "config", "location", "from", "to", "search")
OF_EVENTS: Final = ("type", "location", "from", "to", "search")

PAGE_SIZE: Final = 50
LOOKED_AT: Final = 20_000
"""Rows that a page looks at: what is rarer is found further back, page by page."""

CURSOR: Final = "cursor"
_TIMES: Final = ("from", "to")
_TEXT_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Asked:
    """`values` are the filters that are not empty, as they stand in the address; `narrowed` is None where one is wrong."""

    values: Mapping[str, str]
    form: Form
    narrowed: LogFilter | None

    @property
    def query(self) -> str:
        """The filters as a query, without its question mark."""
        return urlencode(self.values)


async def asked_of(visit: Visit, names: Sequence[str]) -> Asked:
    values = {name: text for name in names if (text := visit.asked(name)[:_TEXT_MAX])}
    errors = Errors()
    narrowed = LogFilter(
        state=_read(errors, _state, values.get("state")),
        config_id=_read(errors, _config_id, values.get("config")),
        reason=_read(errors, _reason, values.get("reason")),
        event_type=values.get("type"),
        location_id=values.get("location"),
        since_ms=_read(errors, partial(_time, "from"), values.get("from")),
        until_ms=_read(errors, partial(_time, "to"), values.get("to")),
        sought=await _sought(visit, errors, values.get("search")),
    )
    form = Form.of({name: _in_a_field(text) if name in _TIMES else text for name, text in values.items()})
    try:
        errors.raise_any()
    except InvalidValue as error:
        return Asked(values, form.wrong(error), None)
    return Asked(values, form, narrowed)


def shown_of(visit: Visit, asked: Asked, part: Part[Any] | None) -> dict[str, Any]:
    """What every list of the log shows; `part` is None where a filter is wrong. `address` is the query of this very page,
    `first` leads to the newest and `older` further back, each None where there is no such page."""
    if part is None:
        return {"asked": asked, "part": None, "address": ""}
    cursor, next_cursor = visit.asked(CURSOR), part.next_cursor
    return {
        "asked": asked,
        "part": part,
        "address": urlencode({**asked.values, **({CURSOR: cursor} if cursor else {})}),
        "first": f"?{asked.query}" if cursor else None,
        "older": None if next_cursor is None else "?" + urlencode({**asked.values, CURSOR: next_cursor}),
    }


def _read(errors: Errors, reader: Callable[[str], T], text: str | None) -> T | None:
    try:
        return None if text is None else reader(text)
    except InvalidValue as error:
        errors.add_all(error)
        return None


def _state(text: str) -> State:
    if text not in list(State):
        raise InvalidValue.of("state", f"state is none of {', '.join(State)}")
    return State(text)


def _reason(text: str) -> str:
    return str(parse_cause(text))


def _config_id(text: str) -> int:
    try:
        return parse("pbc", text)
    except NotFound:
        raise InvalidValue.of("config", "config is not the id of a postback config") from None


def _time(name: str, text: str) -> int:
    ms = time_ms(text)
    if ms is None:
        raise InvalidValue.of(name, f"{name} is no time; expected one of UTC, such as 2026-09-21T12:00")
    return ms


async def _sought(visit: Visit, errors: Errors, text: str | None) -> Sought | None:
    try:
        return None if text is None else await visit.services.log.sought(visit.account, text)
    except InvalidValue as error:
        errors.add_all(error)
        return None


def _in_a_field(text: str) -> str:
    """As a field for times takes it: to the second, without an offset."""
    ms = time_ms(text)
    return text if ms is None else rfc3339(ms)[:19]
