"""Lists: what their queries ask for, and what stands beside their items."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from fastapi import Request

from postback.actions.fields import Reader
from postback.domain.errors import InvalidValue
from postback.domain.times import EXPECTED, unix_ms
from postback.ports import Query
from postback.resources.fields import Refusal, shown

PAGE_SIZE: Final = 20
PAGE_SIZE_MAX: Final = 500
PAGE_MAX: Final = 1_000_000_000

_FLAGS: Final = {"true": True, "false": False}
_DIGITS_MAX: Final = 18


class Parameters:
    """The parameters of a query: each once, none unknown, and the words for those that are wrong."""

    def __init__(self, request: Request, *known: str) -> None:
        self._found: dict[str, str] = {}
        query = request.scope["query_string"].decode("utf-8", "replace")
        expected = f"expected {', '.join(known)}" if known else "what is asked for stands in the body"
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in known:
                raise InvalidValue.of(name[:64], f"{name[:64]} is not a known parameter; {expected}")
            if name in self._found:
                raise InvalidValue.of(name, f"{name} stands there twice; several values are joined by commas")
            self._found[name] = value

    def text(self, name: str) -> str | None:
        return self._found.get(name)

    def number(self, name: str, default: int, at_most: int) -> int:
        text = self._found.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= at_most):
            raise InvalidValue.of(name, f"{name} is {shown(text)}; expected a number from 1 to {at_most}")
        return int(text)

    def time(self, name: str) -> int | None:
        text = self._found.get(name)
        if text is None:
            return None
        # The + of an offset that was not percent-encoded arrives as a space.
        ms = unix_ms(text.replace(" ", "+"))
        if ms is None:
            raise InvalidValue.of(name, f"{name} is {shown(text)}; {EXPECTED}")
        return ms

    def choices(self, name: str, reader: Reader | None = None) -> Sequence[str] | None:
        """Some values, each as the store has it as text; `reader` refuses those that can never be there.

        Without one they are texts, and stay as they came: 007 is not 7.
        """
        text = self._found.get(name)
        if text is None or reader is None:
            return None if text is None else text.split(",")
        try:
            return [_as_text(reader(_value_of(choice))) for choice in text.split(",")]
        except Refusal as refusal:
            raise InvalidValue.of(name, f"{name} {refusal}") from None


class Listing(NamedTuple):
    """A query, what its items are to be shown with, and the parameters that links to its pages repeat."""

    query: Query
    repeated: Mapping[str, str]
    expand: Sequence[str] = ()


def listing(
    request: Request,
    fields: Mapping[str, str],
    readers: Mapping[str, Reader] = MappingProxyType({}),
    *,
    default_sort: str = "-created_ts",
    expandable: Sequence[str] = (),
) -> Listing:
    """What a list is asked for. It may be narrowed by these fields and ordered by them: parameter → name in the store.

    `readers` are those of fields that do not take any text; `expandable` is what its items can be shown with.
    """
    # Times are ordered by; nobody asks for an exact millisecond.
    filters = [name for name in fields if not name.endswith("_at")]
    further = ("expand",) if expandable else ()
    parameters = Parameters(request, "page", "page_size", "sort", *further, *filters)
    sort = parameters.text("sort")
    if sort is None:
        sort = default_sort
    field = sort.removeprefix("-")
    if field not in fields:
        expected = f"expected one of {', '.join(fields)}, or one of them with a - before it"
        raise InvalidValue.of("sort", f"sort is {shown(sort)}; {expected}")
    wanted = {name: choices for name in filters if (choices := parameters.choices(name, readers.get(name))) is not None}
    query = Query(
        page=parameters.number("page", 1, PAGE_MAX),
        page_size=parameters.number("page_size", PAGE_SIZE, PAGE_SIZE_MAX),
        sort=f"-{fields[field]}" if sort.startswith("-") else fields[field],
        filters={fields[name]: choices for name, choices in wanted.items()},
    )
    repeated = {name: ",".join(choices) for name, choices in wanted.items()}
    expand = expansions(parameters, expandable)
    if expand:
        repeated["expand"] = ",".join(expand)
    return Listing(query, {**repeated, "sort": sort}, expand)


def expansions(parameters: Parameters, known: Sequence[str]) -> Sequence[str]:
    """What of these things are to be shown with."""
    expand = parameters.choices("expand") or ()
    for name in expand:
        if name not in known:
            raise InvalidValue.of("expand", f"expand names {shown(name)}; expected some of {', '.join(known)}")
    return expand


def _value_of(text: str) -> object:
    """What the text would be in JSON, for the readers of fields; numbers and flags only."""
    if text in _FLAGS:
        return _FLAGS[text]
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else text


def _as_text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def page_of(plural: str, views: Sequence[object], total: int, listed: Listing, address: str) -> dict[str, object]:
    """The list with its pagination, as documented; `address` is the list's own URL."""
    query = listed.query
    count = -(-total // query.page_size)

    def link(number: int) -> dict[str, str]:
        parameters = {**listed.repeated, "page_size": query.page_size, "page": number}
        return {"href": f"{address}?{urlencode(parameters)}"}

    links = {"self": link(query.page)}
    if query.page < count:
        links |= {"next": link(query.page + 1), "last": link(count)}
    field = listed.repeated["sort"].removeprefix("-")
    return {
        plural: views,
        "meta": {
            "pagination": {
                "links": links,
                "totalCount": total,
                "pageCount": count,
                "currentPage": query.page,
                "perPage": query.page_size,
            },
            "sort": {"attributes": {field: "desc" if listed.repeated["sort"].startswith("-") else "asc"}},
        },
    }
