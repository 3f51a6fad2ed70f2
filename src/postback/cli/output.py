"""What commands print, and how they fail: one clear line on stderr and an exit code that scripts can use."""

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from rich.console import Console
from rich.table import Table
from rich.text import Text

import postback

WIDTH_ELSEWHERE: Final = 200
"""Columns where no terminal says how many there are: nothing that a script reads is cut."""


HEADLINE_WIDTH: Final = 78


class Exit(IntEnum):
    """The exit codes of the command line."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_REACHABLE = 3
    NOT_ALLOWED = 4

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES: Final = {
    Exit.OK: "done",
    Exit.FAILED: "it was refused, or something was found wrong; the message says what",
    Exit.USAGE: "the command line or a setting is wrong; nothing was done",
    Exit.NOT_REACHABLE: "the server cannot be reached",
    Exit.NOT_ALLOWED: "no key, an unknown one, or one that may not do this",
}


class CommandError(Exception):
    """What a person reads instead of a traceback."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


def program() -> str:
    """How the reader starts this program, for lines that are to be pasted."""
    if Path(sys.argv[0]).name == "postback":
        return "postback"
    script = Path(postback.__file__).absolute().parents[2] / "run.py"
    if not script.exists():
        return "python3 -m postback"
    return f"python3 {shlex.quote(min(os.path.relpath(script), str(script), key=len))}"


def console() -> Console:
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_ELSEWHERE
    return Console(width=width, highlight=False, markup=False, soft_wrap=False)


def complain(message: str) -> None:
    for line in message.splitlines() or [""]:
        print(f"error: {printable(line)}", file=sys.stderr)


def print_json(value: object) -> None:
    """One JSON document; in ASCII, so it survives any locale and any terminal."""
    print(json.dumps(value, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], nothing: str) -> None:
    """Rows for people; `nothing` is said where there are none."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(_cell(cell)) for cell in row))
    screen = console()
    if not table.row_count:
        screen.print(nothing)
    elif screen.is_terminal:
        screen.print(table)
    else:
        # What reads a pipe has no use for the spaces that fill the last column.
        with screen.capture() as drawn:
            screen.print(table)
        print("\n".join(map(str.rstrip, drawn.get().splitlines())))


def print_facts(facts: Mapping[str, object]) -> None:
    """Name and value, one a line, those without a value left out."""
    width = max(map(len, facts))
    for name, value in facts.items():
        if value is not None:
            print(f"{name:<{width}}  {_cell(value)}")


def headline(title: str) -> Text:
    """A line that parts what comes from what was."""
    return Text(f"── {printable(title)} ".ljust(HEADLINE_WIDTH, "─"), style="cyan")


def state_text(state: str) -> Text:
    """A state in its colour."""
    colours = {"delivered": "green", "failed": "red", "cancelled": "bright_black", "held": "yellow", "claimed": "cyan"}
    return Text(printable(state), style=colours.get(state, ""))


def printable(text: str) -> str:
    """Text from elsewhere without what would move a cursor, ring a bell or forge a line of ours."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def pretty_json(text: str) -> str:
    """JSON spread over lines; anything else as it is, made printable line by line."""
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return "\n".join(map(printable, text.splitlines()))


def body_lines(text: str, content_type: str | None) -> list[str]:
    """A body as a person reads it best: a form by its parameters, JSON spread over lines."""
    if not (content_type or "").startswith("application/x-www-form-urlencoded"):
        return pretty_json(text).split("\n")
    lines = []
    for name, value in parse_qsl(text, keep_blank_values=True):
        first, *rest = pretty_json(value).split("\n")
        lines += [f"{printable(name)} = {first}", *(" " * (len(name) + 3) + line for line in rest)]
    return lines


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return printable(str(value))
