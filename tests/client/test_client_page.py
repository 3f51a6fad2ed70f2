"""What the pages on the client say is so, and what they show is run against a real server."""

import doctest
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields

import pytest

from postback import client as exported
from postback.cli.client import Client as Known
from postback.client import AsyncClient, Client, ClientError, Event, Retrying
from postback.client.answers import KINDS
from tests import manual

PAGE = manual.page("client")
GUIDE = manual.ROOT / "docs" / "guide" / "publishing.md"
SHOWN = manual.section(GUIDE.read_text("utf-8"), "In Python")
PLACE = "http://127.0.0.1:8080"


def test_what_is_typed_into_python_answers_as_shown(served: Known) -> None:
    typed = "\n".join(block.text for block in manual.blocks(SHOWN) if block.language == "pycon")
    given = {"key": served.key}
    test = doctest.DocTestParser().get_doctest(typed.replace(PLACE, served.url), given, GUIDE.name, str(GUIDE), 0)
    told: list[str] = []

    ended = doctest.DocTestRunner().run(test, out=told.append)

    assert ended.failed == 0, "".join(told)
    assert ended.attempted > 10


def test_the_python_that_is_shown_runs(served: Known) -> None:
    [block] = [block for block in manual.blocks(SHOWN) if block.language == "python"]

    exec(compile(block.text.replace(PLACE, served.url), GUIDE.name, "exec"), {"key": served.key})


def test_every_name_is_on_the_page_and_no_other() -> None:
    named = {name for names in manual.column(PAGE, "name") for name in names.split(", ")}
    named |= set(manual.column(PAGE, "error"))

    assert named == set(exported.__all__)


def test_every_error_stands_under_its_own_kind_with_its_status() -> None:
    rows = manual.table(PAGE, "error")
    statuses = {kind.__name__: str(status) for status, kind in KINDS.items()}

    assert {name: parent for name, parent, _ in rows} == {
        kind.__name__: kind.__base__.__name__ for kind in _kinds(ClientError) if kind.__base__ is not None
    }
    assert {name: when for name, _, when in rows if name in statuses} == statuses


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_every_argument_is_on_the_page_with_its_default(kind: type[object]) -> None:
    rows = {name: default for name, default, _ in manual.table(PAGE, "argument")}

    parameters = list(inspect.signature(kind).parameters.values())
    assert list(rows) == [one.name for one in parameters]
    for one in parameters:
        shown = "" if one.default is one.empty else str(one.default)
        assert rows[one.name] == ("Retrying()" if isinstance(one.default, Retrying) else shown)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_every_method_is_on_the_page(kind: type[object]) -> None:
    named = set(re.findall(r"(\w+)\(", " ".join(manual.column(manual.section(PAGE, "Clients"), "method"))))

    assert named == {name for name in vars(kind) if not name.startswith("_")}


def test_every_field_is_on_the_page() -> None:
    named = {name for names in manual.column(PAGE, "field") for name in names.split(", ")}
    rows = {name: default for name, default, _ in manual.table(PAGE, "field of Retrying")}

    assert named == {one.name for one in fields(Event)} - {"_"}
    assert list(rows) == [one.name for one in fields(Retrying)]
    assert {name: rows[name] for name in ("times", "first_wait_s", "longest_wait_s")} == {
        name: str(getattr(Retrying(), name)) for name in ("times", "first_wait_s", "longest_wait_s")
    }


def _kinds(kind: type[ClientError]) -> Iterator[type[ClientError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _kinds(child)
