"""Reads HTML as a browser does, as far as tests ask: elements with attributes and text, and what is not closed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

_EMPTY = frozenset({"meta", "wbr", "br", "link", "img", "input", "hr"})


@dataclass
class Element:
    tag: str
    attributes: Mapping[str, str]
    children: list["Element | str"] = field(default_factory=list)

    def all(self, tag: str | None = None) -> Iterator["Element"]:
        """The elements inside, at any depth."""
        for child in self.children:
            if isinstance(child, Element):
                if tag in (None, child.tag):
                    yield child
                yield from child.all(tag)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _EMPTY:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> stands where </{self._open[-1].tag}> should"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def read(html: str) -> Element:
    """The root of a page; fails where an element is not closed in its order."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader._open == [reader.root], f"<{reader._open[-1].tag}> is not closed"
    return reader.root
