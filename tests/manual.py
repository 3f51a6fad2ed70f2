"""Reads the pages for people as a program can: headings, tables, blocks of code, links."""

import re
from collections.abc import Sequence
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
    """A block of code. `status` is the one that stands in code between it and the block before: `201`."""

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
    ends = (other.start() for other in _HEADING.finditer(text, start.end()) if len(other["depth"]) <= len(start["depth"]))
    return text[start.end() : next(ends, len(text))]


def table(text: str) -> list[list[str]]:
    """The cells of the rows of the first table, its head left out; code in them without its marks."""
    rows: list[str] = []
    for line in text.splitlines():
        if line.startswith("|"):
            rows.append(line)
        elif rows:
            break
    return [[cell.strip().replace("`", "").replace("\\|", "|") for cell in _cells(row)] for row in rows[2:]]


def column(text: str, number: int = 0) -> list[str]:
    return [row[number] for row in table(text)]


def words_in_code(text: str) -> list[str]:
    return _CODE.findall(text)


def links(text: str) -> list[str]:
    return [match["target"] for match in _LINK.finditer(_prose(text))]


def blocks(text: str) -> Sequence[Block]:
    found, end = [], 0
    for match in _FENCE.finditer(text):
        statuses = [int(said["status"]) for said in _STATUS.finditer(text, end, match.start())]
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(match["language"], match["text"], line, statuses[-1] if statuses else None))
        end = match.end()
    return found


def commands(text: str) -> list[str]:
    """What a reader types: lines of console blocks after the prompt, with the lines that they go on in."""
    typed: list[str] = []
    for block in blocks(text):
        if block.language != "console":
            continue
        lines = block.text.replace("\\\n", " ").splitlines()
        typed += [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return typed


def _prose(text: str) -> str:
    return _FENCE.sub("", text)


def _cells(row: str) -> list[str]:
    return re.split(r"(?<!\\)\|", row.strip().strip("|"))
