"""Statements for many rows at once: one step of SQLite for 128 rows costs a quarter less than 128 steps."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final

CHUNKS: Final = (128, 64, 32, 16, 8, 4, 2, 1)
"""Each statement is prepared once for each of these sizes, and any number of rows is done in a few of them."""


class Insert:
    """Rows into a table, each a tuple of the values of `columns`; those of `always` are the same for all rows there are.

    `usual` is what most rows have in two or more of the columns: a chunk whose rows all have it is written by a statement
    that says it, since a NULL costs more to bind than to store.
    """

    def __init__(
        self,
        table: str,
        columns: Sequence[str],
        *,
        usual: Mapping[str, int | None],
        always: Mapping[str, int | None] | None = None,
    ) -> None:
        fixed = always or {}
        into = f"INSERT INTO {table} ({', '.join([*columns, *fixed])}) VALUES"
        ends = [_literal(value) for value in fixed.values()]
        whole = ["?"] * len(columns) + ends
        short = [_literal(usual[name]) if name in usual else "?" for name in columns] + ends
        self._whole = _of_sizes(into, whole)
        self._short = _of_sizes(into, short)
        self._usual = tuple(usual[name] for name in columns if name in usual)
        self._where_usual = itemgetter(*[at for at, name in enumerate(columns) if name in usual])
        self._elsewhere = itemgetter(*[at for at, name in enumerate(columns) if name not in usual])

    def run(self, raw: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        is_usual = self._usual.__eq__
        for chunk in _chunks(rows):
            if all(map(is_usual, map(self._where_usual, chunk))):
                raw.execute(self._short[len(chunk)], list(chain.from_iterable(map(self._elsewhere, chunk))))
            else:
                raw.execute(self._whole[len(chunk)], list(chain.from_iterable(chunk)))


class Lookup:
    """A query over keys of `width` numbers each; `query` names their list {keys}."""

    def __init__(self, query: str, width: int) -> None:
        row = f"({', '.join('?' * width)})"
        self._of_size = {size: query.format(keys=f"VALUES {', '.join([row] * size)}") for size in CHUNKS}

    def run(self, raw: sqlite3.Connection, keys: Sequence[tuple[int, ...]]) -> Iterator[tuple[Any, ...]]:
        for chunk in _chunks(keys):
            yield from raw.execute(self._of_size[len(chunk)], list(chain.from_iterable(chunk)))

    def of(self, size: int) -> str:
        """The statement for so many keys, one of CHUNKS."""
        return self._of_size[size]


def _chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    at = 0
    for size in CHUNKS:
        while len(rows) - at >= size:
            yield rows[at : at + size]
            at += size


def _of_sizes(into: str, values: Sequence[str]) -> Mapping[int, str]:
    row = f"({', '.join(values)})"
    return {size: f"{into}\n{', '.join([row] * size)}" for size in CHUNKS}


def _literal(value: int | None) -> str:
    return "NULL" if value is None else str(value)
