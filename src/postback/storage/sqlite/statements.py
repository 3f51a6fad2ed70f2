"""Statements for many rows at once: one step of SQLite for 128 rows costs a quarter less than 128 steps."""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

CHUNKS: Final = (128, 32, 8, 1)
"""Each statement is prepared once for each of these sizes, and any number of rows is done in a few of them."""


class Insert:
    """`into` up to and with VALUES; `row` is the bracket with a placeholder for each value."""

    def __init__(self, into: str, row: str) -> None:
        self._of_size = {size: f"{into}\n{', '.join([row] * size)}" for size in CHUNKS}

    def run(self, raw: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        for chunk in _chunks(rows):
            raw.execute(self._of_size[len(chunk)], list(chain.from_iterable(chunk)))


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
