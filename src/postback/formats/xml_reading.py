"""Reading the document of an XML postback: strict about the XML, lenient about what it holds besides the known."""

import re
from typing import Final
from xml.parsers import expat

from postback.domain.errors import Malformed
from postback.formats.xml_layouts import CONTENT, FILE, ROOT, TAG_AS_READ, WRAPPER

Shown = dict[str, list[str]]
"""Tag → its texts: of files several, of others one, unless somebody plays tricks."""

_DEPTH_MAX: Final = 8
_HOLDERS: Final = {(ROOT,), (ROOT, WRAPPER)}
_FILE_HOLDERS: Final = {(*holder, CONTENT) for holder in _HOLDERS}


def fields_of_document(body: bytes, content_type: str) -> Shown:
    """The texts of the known elements, wherever a layout has them; Malformed for what is no such document."""
    reader = _Reader()
    # A document that is given as text is read as such, whatever encoding it names: nothing is looked up for strangers.
    text = _decoded(body, content_type).lstrip("\ufeff \t\r\n")
    try:
        reader.parser.Parse(text, True)
    except (expat.ExpatError, ValueError) as error:
        raise Malformed(f"not XML: {str(error)[:200]}") from None
    return reader.shown


class _Reader:
    """Collects the texts of the known elements as they pass; the others are left out with all that is in them."""

    def __init__(self) -> None:
        self.shown: Shown = {}
        self._path: list[str] = []
        self._texts: list[str] | None = None
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _doctype(self, *_: object) -> None:
        raise Malformed("a DOCTYPE is there; none is read")

    def _start(self, name: str, _attributes: object) -> None:
        tag = name.upper()
        path = tuple(self._path)
        if self._texts is not None:
            raise Malformed(f"{path[-1][:100]} has elements inside; expected text")
        if not path and tag != ROOT:
            raise Malformed(f"the root is {quoted(name)}; expected {ROOT}")
        if len(path) == _DEPTH_MAX:
            raise Malformed(f"elements lie deeper than {_DEPTH_MAX}")
        if (path in _HOLDERS and tag in TAG_AS_READ) or (path in _FILE_HOLDERS and tag == FILE):
            self._texts = []
        self._path.append(tag)

    def _end(self, _name: str) -> None:
        tag = self._path.pop()
        if self._texts is not None:
            self.shown.setdefault(TAG_AS_READ[tag], []).append("".join(self._texts))
            self._texts = None

    def _characters(self, text: str) -> None:
        if self._texts is not None:
            self._texts.append(text)
        elif tuple(self._path) in _HOLDERS and not text.isspace():
            raise Malformed(f"{self._path[-1]} has text between its elements: {quoted(text)}")


_ENCODINGS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-16": "utf-16",
    "us-ascii": "ascii",
    "iso-8859-1": "latin-1",
    "windows-1252": "cp1252",
}
_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_CHARSET: Final = re.compile(r";\s*charset\s*=\s*\"?([^\s\";]+)", re.IGNORECASE)
_DECLARED: Final = re.compile(rb"\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*[\"']([^\"'>]{1,40})[\"']")


def _decoded(body: bytes, content_type: str) -> str:
    """The document's text: its first bytes tell its encoding, else the content type, else its declaration."""
    encoding = next((name for mark, name in _MARKS if body.startswith(mark)), None)
    if encoding is None:
        of_content_type, declared = _CHARSET.search(content_type), _DECLARED.match(body)
        name = "utf-8"
        if of_content_type is not None:
            name = of_content_type[1]
        elif declared is not None:
            name = declared[1].decode("latin-1")
        encoding = _ENCODINGS.get(name.lower())
        if encoding is None:
            raise Malformed(f"the encoding is {quoted(name)}; expected one of {', '.join(_ENCODINGS)}")
    try:
        return body.decode(encoding)
    except ValueError as error:
        raise Malformed(f"not text: {str(error)[:200]}") from None


def quoted(text: str) -> str:
    """A part of a body as it may stand in a message, whatever it holds."""
    return ascii(text[:100])
