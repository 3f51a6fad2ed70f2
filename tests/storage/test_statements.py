"""Statements for many rows: what is in the table is what was given, whatever most rows have."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from postback.storage.sqlite.statements import CHUNKS, Insert

INSERT = Insert(
    "things",
    ("id", "note", "count", "data"),
    usual={"note": None, "count": 0},
    always={"version": 7},
)


@pytest.fixture
def raw() -> Iterator["Listening"]:
    raw = Listening(":memory:")
    raw.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, note TEXT, count INTEGER, data BLOB, version INTEGER)")
    yield raw
    raw.close()


@pytest.mark.parametrize("size", [0, *CHUNKS, 3, 127, 300])
def test_any_number_of_usual_rows_is_written_as_it_is(raw: sqlite3.Connection, size: int) -> None:
    rows = [(n, None, 0, b"%d" % n) for n in range(size)]

    INSERT.run(raw, rows)

    assert stored(raw) == [(*row, 7) for row in rows]


@pytest.mark.parametrize("unlike", [(None, 1), ("late", 0), ("late", 1), (None, None), ("", 0)])
def test_one_row_that_is_not_as_usual_keeps_what_it_has(
    raw: sqlite3.Connection, unlike: tuple[str | None, int | None]
) -> None:
    rows = [(n, *(unlike if n == 5 else (None, 0)), b"") for n in range(200)]

    INSERT.run(raw, rows)

    assert stored(raw) == [(*row, 7) for row in rows]


def test_usual_rows_bind_nothing_but_what_is_their_own(raw: "Listening") -> None:
    INSERT.run(raw, [(1, None, 0, b"a"), (2, None, 0, b"b")])
    INSERT.run(raw, [(3, "odd", 0, b"c")])

    assert raw.bound == [[1, b"a", 2, b"b"], [3, "odd", 0, b"c"]]


class Listening(sqlite3.Connection):
    """Keeps what was bound to statements."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.bound: list[object] = []

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if parameters:
            self.bound.append(parameters)
        return super().execute(sql, parameters)


def stored(raw: sqlite3.Connection) -> list[tuple[object, ...]]:
    return raw.execute("SELECT id, note, count, data, version FROM things ORDER BY id").fetchall()
