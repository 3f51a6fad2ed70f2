"""Lists: filters, order and pages, the same for everything that is listed by pages."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    UnaryExpression,
    and_,
    cast,
    false,
    func,
    or_,
    select,
)

from postback.domain.errors import InvalidValue
from postback.ports import Query, Search
from postback.storage import documents
from postback.storage.texts import AnyText

_FLAG_TEXTS: Final = {"1": "true", "0": "false", "true": "true", "false": "false"}


class Listed(NamedTuple):
    """A field that lists may be narrowed by (exactly, to any of some texts) and ordered by."""

    matches: Callable[[Sequence[str]], ColumnElement[bool]]
    order: ColumnElement[Any]
    words: ColumnElement[Any] | None = None
    """What is searched, where it is text."""


def text(column: ColumnElement[Any]) -> Listed:
    return Listed(column.in_, column, column)


def seconds(milliseconds: ColumnElement[Any]) -> Listed:
    """A time, shown as unix seconds and kept as milliseconds."""
    shown = cast(milliseconds // 1000, AnyText())
    return Listed(shown.in_, milliseconds)


def member(document: ColumnElement[Any], *names: str) -> Listed:
    """A member of a JSON document, named from the outside in."""
    kind, words = documents.Kind(document, *names), documents.Words(document, *names)

    def matches(texts: Sequence[str]) -> ColumnElement[bool]:
        flags = [_FLAG_TEXTS[text] for text in texts if text in _FLAG_TEXTS]
        is_flag = kind.in_(["true", "false"])
        return or_(kind.in_(flags), and_(~is_flag, words.in_(texts)))

    return Listed(matches, documents.Order(document, *names), words)


def amount(document: ColumnElement[Any], *names: str) -> Listed:
    """Money as text ("24.50"), ordered by its worth."""
    return member(document, *names)._replace(order=documents.Worth(document, *names))


def page(
    connection: Connection,
    found: Select[Any],
    fields: Mapping[str, Listed],
    query: Query,
    last: ColumnElement[Any],
) -> tuple[Sequence[Row[Any]], int]:
    """The rows of one page, and how many there are on all; `last` orders rows that are alike in the field sorted by.

    InvalidValue for a field that is not one of these.
    """
    for name, texts in query.filters.items():
        if name not in fields:
            raise InvalidValue.of(name, f"{name} is not a field that lists are filtered by")
        found = found.where(fields[name].matches(texts))
    if query.search is not None:
        found = found.where(_holding(fields, query.search))
    order = _order(fields, query.sort, last)

    total = count(connection, found)
    offset = (query.page - 1) * query.page_size
    if offset >= total:
        return [], total
    return connection.execute(found.order_by(*order).limit(query.page_size).offset(offset)).all(), total


def count(connection: Connection, found: Select[Any]) -> int:
    """How many rows it would give."""
    total: int = connection.execute(select(func.count()).select_from(found.subquery())).scalar_one()
    return total


def lowered(text: str) -> Sequence[str]:
    """What `lower` may make of a text: of letters beyond a to z not every database knows the small ones."""
    return list(dict.fromkeys((text.lower(), "".join(one.lower() if one.isascii() else one for one in text))))


def _holding(fields: Mapping[str, Listed], search: Search) -> ColumnElement[bool]:
    if "\0" in search.text:
        # Neither database takes it in a pattern, and no text that is stored has one.
        return false()
    columns = [words for name in search.fields if (words := fields[name].words) is not None]
    texts = lowered(search.text)
    return or_(*(func.lower(column).contains(text, autoescape=True) for column in columns for text in texts))


def _order(fields: Mapping[str, Listed], sort: str, last: ColumnElement[Any]) -> Sequence[ColumnElement[Any]]:
    name = sort.removeprefix("-")
    if name not in fields:
        expected = f"expected one of {', '.join(fields)}, or one of them with - in front"
        raise InvalidValue.of("sort", f"sort is {sort[:40]!a}; {expected}")
    by = (fields[name].order, last)
    return [_directed(column, is_down=sort.startswith("-")) for column in by]


def _directed(column: ColumnElement[Any], *, is_down: bool) -> UnaryExpression[Any]:
    """What is not there comes before all else, on both databases; of a column that is always there an index says it."""
    directed = column.desc() if is_down else column.asc()
    if isinstance(column, Column) and column.nullable:
        return directed.nulls_last() if is_down else directed.nulls_first()
    return directed
