"""Reads the pages for people as a program can: headings, tables, blocks of code, links."""

import re
import shlex
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
REFERENCE: Final = ROOT / "docs" / "reference"
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE: Final = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^(?P<depth>#+) (?P<title>.+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\[[^]]*\]\((?P<target>[^)\s]+)\)")
_STATUS: Final = re.compile(r"`(?P<status>[1-5]\d\d)`")
_CODE: Final = re.compile(r"`([^`]+)`")


class Block(NamedTuple):
    """A block of code. `status` is the first that stands in code between it and the next block: `201`."""

    language: str
    text: str
    line: int
    status: int | None


def page(name: str) -> str:
    """The text of a page of the reference."""
    return (REFERENCE / f"{name}.md").read_text("utf-8")


def headings(text: str) -> list[str]:
    """All titles, without their marks; what stands in blocks of code is none."""
    return [match["title"].replace("`", "") for match in _HEADING.finditer(_prose(text))]


def anchors(text: str) -> set[str]:
    """What links into a page may name, by the rule of the common viewers."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings(text)}


def section(text: str, title: str) -> str:
    """What stands under a heading, up to the next one that is not deeper."""
    found = [match for match in _HEADING.finditer(text) if match["title"].replace("`", "") == title]
    assert len(found) == 1, f"{len(found)} headings {title!r}; expected one"
    [start] = found
    ends = (
        other.start() for other in _HEADING.finditer(text, start.end()) if len(other["depth"]) <= len(start["depth"])
    )
    return text[start.end() : next(ends, len(text))]


def table(text: str, title: str) -> list[list[str]]:
    """The rows under the head that begins with this cell; code in them without its marks."""
    lines = text.splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith(f"| {title} |")]
    assert len(heads) == 1, f"{len(heads)} tables that begin with {title!r}; expected one"
    rows = takewhile(lambda line: line.startswith("|"), lines[heads[0] + 2 :])
    return [[cell.strip().replace("`", "").replace("\\|", "|") for cell in _cells(row)] for row in rows]


def column(text: str, title: str) -> list[str]:
    """The first cells of such a table."""
    return [row[0] for row in table(text, title)]


def words_in_code(text: str) -> list[str]:
    return _CODE.findall(text)


def links(text: str) -> list[str]:
    return [match["target"] for match in _LINK.finditer(_prose(text))]


def blocks(text: str) -> Sequence[Block]:
    found = list(_FENCE.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)]
    return [
        Block(
            match["language"], match["text"], text.count("\n", 0, match.start()) + 1, _status(text[match.end() : end])
        )
        for match, end in zip(found, ends, strict=False)
    ]


def commands(text: str) -> list[list[str]]:
    """What a reader types, in words: what stands after the prompt in console blocks, over as many lines as it takes."""
    return [words for block in blocks(text) if block.language == "console" for words in typed(block)]


def typed(block: Block) -> list[list[str]]:
    found: list[list[str]] = []
    begun = ""
    for line in block.text.splitlines():
        if not begun and not line.startswith("$ "):
            continue
        begun += line if begun else line.removeprefix("$ ")
        try:
            found.append(shlex.split(begun.removesuffix("\\"), comments=True))
        except ValueError:
            begun += "\n"  # within quotes
            continue
        if begun.endswith("\\"):
            found.pop()
            begun = begun.removesuffix("\\")
        else:
            begun = ""
    return [words for words in found if words]


def _status(text: str) -> int | None:
    found = _STATUS.search(text)
    return int(found["status"]) if found else None


def _prose(text: str) -> str:
    return _FENCE.sub("", text)


def _cells(row: str) -> list[str]:
    return re.split(r"(?<!\\)\|", row.strip().strip("|"))
