"""Text as both databases take it."""

from typing import Any, Final

from sqlalchemy import Dialect, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

_NUL: Final = "\0"
_NOWHERE: Final = "\U0010ffff"
"""No character, and in nothing that is stored."""


class AnyText(TypeDecorator[str]):
    """Whatever a caller looks for: PostgreSQL knows no NUL, so text with one is there what is found nowhere.

    `is_ordered` says of a column that text is ordered by its bytes on both; PostgreSQL's own order is as its database was
    told to.
    """

    impl = Text
    cache_ok = True

    def __init__(self, *, is_ordered: bool = False) -> None:
        super().__init__()
        self.is_ordered = is_ordered

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        is_told = self.is_ordered and dialect.name == "postgresql"
        return dialect.type_descriptor(Text(collation="C") if is_told else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or dialect.name != "postgresql":
            return value
        return value.replace(_NUL, _NOWHERE)
