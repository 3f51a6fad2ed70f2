"""Members of JSON documents, which are kept as text: what the two databases say differently.

Each is compiled by the dialect of the connection that it comes to. A member is named from the outside in; the names are
ours, never a caller's.
"""

from typing import Any

from sqlalchemy import ColumnElement, Numeric, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

from postback.storage.texts import AnyText


class _OfMember(FunctionElement[Any]):
    inherit_cache = True

    def __init__(self, document: ColumnElement[Any], *names: str) -> None:
        place = "$" + "".join(f'."{name}"' for name in names)
        # Each dialect takes the one that it knows.
        super().__init__(document, literal(place), literal(",".join(names)))


class Words(_OfMember):
    """A member as text: a string without its quotes, a number as it is written; NULL where it is null or not there."""

    type = AnyText()
    inherit_cache = True


class Kind(_OfMember):
    """'true' or 'false' for a member that is one of the two, something else for others, NULL where it is not there."""

    type = AnyText()
    inherit_cache = True


class Order(_OfMember):
    """What lists are ordered by: first what is null or not there, then flags and numbers, then text by its bytes."""

    type = NullType()
    inherit_cache = True


class Worth(_OfMember):
    """Money as text, as a number: 0 where it is something else, and before all others where it is null or not there."""

    type = Numeric()
    inherit_cache = True


@compiles(Words)
def _words(element: Words, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({_extracted(element, compiler, **options)} AS TEXT)"


@compiles(Kind)
def _kind(element: Kind, compiler: SQLCompiler, **options: Any) -> str:
    document, place, _ = element.clauses
    return f"json_type({compiler.process(document, **options)}, {compiler.process(place, **options)})"


@compiles(Order)
def _extracted(element: _OfMember, compiler: SQLCompiler, **options: Any) -> str:
    document, place, _ = element.clauses
    return f"json_extract({compiler.process(document, **options)}, {compiler.process(place, **options)})"


@compiles(Worth)
def _worth(element: Worth, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({_extracted(element, compiler, **options)} AS NUMERIC)"


@compiles(Words, "postgresql")
def _words_there(element: _OfMember, compiler: SQLCompiler, **options: Any) -> str:
    # What PostgreSQL cannot make text of: a NUL is taken for another character that says nothing.
    as_written = f"replace(CAST({_member_there(element, compiler, **options)} AS text), '\\u0000', '\\ufffd')"
    return f"(CAST({as_written} AS json) #>> '{{}}')"


@compiles(Kind, "postgresql")
def _kind_there(element: Kind, compiler: SQLCompiler, **options: Any) -> str:
    member = _member_there(element, compiler, **options)
    return f"CASE json_typeof({member}) WHEN 'boolean' THEN CAST({member} AS text) ELSE json_typeof({member}) END"


@compiles(Order, "postgresql")
def _order_there(element: Order, compiler: SQLCompiler, **options: Any) -> str:
    member = _member_there(element, compiler, **options)
    written = f"CAST({member} AS text)"
    rank = f"CASE coalesce(json_typeof({member}), 'null') WHEN 'null' THEN 0 WHEN 'boolean' THEN 1 WHEN 'number' THEN 1 ELSE 2 END"
    number = (
        f"CASE json_typeof({member}) WHEN 'number' THEN CAST({written} AS numeric) "
        f"WHEN 'boolean' THEN CASE {written} WHEN 'true' THEN 1 ELSE 0 END END"
    )
    return f'ROW({rank}, {number}, {_words_there(element, compiler, **options)} COLLATE "C")'


@compiles(Worth, "postgresql")
def _worth_there(element: Worth, compiler: SQLCompiler, **options: Any) -> str:
    words = _words_there(element, compiler, **options)
    worth = f"CASE WHEN {words} ~ '^-?[0-9]+([.][0-9]+)?$' THEN CAST({words} AS numeric) ELSE 0 END"
    return f"ROW({words} IS NOT NULL, {worth})"


def _member_there(element: _OfMember, compiler: SQLCompiler, **options: Any) -> str:
    document, _, path = element.clauses
    shown, names = compiler.process(document, **options), compiler.process(path, **options)
    return f"(CAST({shown} AS json) #> string_to_array({names}, ','))"
