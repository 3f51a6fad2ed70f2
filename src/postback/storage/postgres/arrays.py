"""Many rows in one statement: each column is an array, so any number of rows is one statement, prepared once."""

from collections.abc import Sequence
from typing import Any


def unnested(types: Sequence[str], first: int) -> str:
    """A FROM item with a column for each type, whose arrays are the parameters from `first` on."""
    return f"unnest({', '.join(f'${first + at}::{name}[]' for at, name in enumerate(types))})"


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    """The arrays of these rows, also where there are none."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
