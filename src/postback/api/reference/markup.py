"""HTML from plain values: text is escaped where it meets the page, so nobody can forget to."""

import re
from collections.abc import Iterable
from html import escape
from typing import Final

_CODE: Final = re.compile(r"`([^`]+)`")
_JSON: Final = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*")(?P<names>:)?')


class Html(str):
    """Text that is HTML already. Every other text is escaped before it becomes part of a page."""

    __slots__ = ()


NOTHING: Final = Html("")


def element(tag: str, *content: str, **attributes: str) -> Html:
    """`<tag name="value">content</tag>`; `class_` and `aria_label` are written as `class` and `aria-label`."""
    written = "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"' for name, value in attributes.items())
    return Html(f"<{tag}{written}>{together(*content)}</{tag}>")


def together(*content: str) -> Html:
    return joined(content, "")


def joined(parts: Iterable[str], between: str) -> Html:
    return Html(_escaped(between).join(_escaped(part) for part in parts))


def code(text: str) -> Html:
    return element("code", text)


def link(target: str, *content: str, **attributes: str) -> Html:
    return element("a", *content, href=target, **attributes)


def prose(text: str) -> Html:
    """A text whose `code` stands in backticks."""
    # Every second piece is what the group of the pattern caught.
    return together(*(code(piece) if place % 2 else piece for place, piece in enumerate(_CODE.split(text))))


def paragraphs(text: str) -> Html:
    """Prose with blank lines between its paragraphs."""
    return together(*(element("p", prose(part)) for part in text.split("\n\n") if part.strip()))


def coloured(json: str) -> Html:
    """JSON whose names and texts a stylesheet can tell apart."""
    parts: list[str] = []
    end = 0
    for found in _JSON.finditer(json):
        kind = "name" if found["names"] else "text"
        parts += [json[end : found.start()], element("span", found["text"], class_=kind), found["names"] or ""]
        end = found.end()
    return together(*parts, json[end:])


def _escaped(text: str) -> str:
    return text if isinstance(text, Html) else escape(text)
