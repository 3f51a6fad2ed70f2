"""HTTP/1.1 without a socket: addresses, requests as bytes, and answers from bytes, bounded in every direction."""

import json
import re
import ssl
from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from postback import __version__
from postback.client.errors import BadAnswer, NotReachable, NotTrusted, TimedOut

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
ANSWER_MAX: Final = 64 << 20
HEAD_MAX: Final = 64 << 10
TRAILERS_MAX: Final = 100
PIECE: Final = 64 << 10
CONNECTIONS: Final = 16
"""How many are kept open for the next request."""

IDLE_S: Final = 20.0
"""Kept for no longer than this: servers and what stands before them close what is idle, most after a minute or more."""

_PATH_SAFE: Final = "/%:@!$&'()*+,;=~-._?"
_HEADER_TEXT: Final = re.compile(r"[!-~]+")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?")
_HEADER: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")


class Address(NamedTuple):
    """Where the server is. `prefix` stands before every path."""

    url: str
    is_tls: bool
    host: str
    port: int
    authority: str
    prefix: str


class Request(NamedTuple):
    """`may_repeat`: asked twice, it does no more than asked once."""

    method: str
    target: str
    body: bytes | None = None
    content_type: str = JSON
    may_repeat: bool = False


class Answer(NamedTuple):
    """Header names are in lower case. `body` is the parsed JSON, text for anything else, None where there was none."""

    status: int
    headers: Mapping[str, str]
    body: Any


def address_of(url: str) -> Address:
    """ValueError for what is no address of a server."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = host if host.isascii() else host.encode("idna").decode("ascii")
        is_possible = bool(host) and bool(_HEADER_TEXT.fullmatch(host)) and max(map(len, host.split("."))) < 64
    except ValueError:
        # No number as port, an unclosed bracket, a label that is too long.
        is_possible = False
    if not is_possible or parts.scheme not in ("http", "https") or "@" in parts.netloc or parts.query or parts.fragment:
        expected = "an http or https address, with nothing before the host and nothing behind the path"
        raise ValueError(f"url is {url!r}; expected {expected}")
    shown = f"[{host}]" if ":" in host else host
    return Address(
        url=url.rstrip("/"),
        is_tls=parts.scheme == "https",
        host=host,
        port=port or (443 if parts.scheme == "https" else 80),
        authority=shown if port is None else f"{shown}:{port}",
        prefix=parts.path.rstrip("/"),
    )


def common_headers(address: Address, key: str | None, account: str | None) -> bytes:
    """What every request says. ValueError for a key or an account that would be no header, or more than one."""
    headers = {"Host": address.authority, "User-Agent": f"postback-client/{__version__}", "Accept": JSON}
    for what, text in (("key", key), ("account", account)):
        if text is not None and not _HEADER_TEXT.fullmatch(text):
            raise ValueError(f"{what} is not what one looks like; expected letters, digits and signs of ASCII only")
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    if account is not None:
        headers["Postback-Account"] = account
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("ascii")


def request_of(method: str, path: str, body: object, query: Mapping[str, object]) -> Request:
    """A request with JSON as its body, or with none. Asking again for what only reads does no harm."""
    content = None if body is None else json.dumps(body).encode("ascii")
    return Request(method, target_of(path, query), content, may_repeat=method in ("GET", "HEAD"))


def target_of(path: str, query: Mapping[str, object]) -> str:
    """What stands in a request line. Nothing that is in a path can end that line; None in a query is left out."""
    if not path.startswith("/"):
        raise ValueError(f"path is {path!r}; expected one that begins with /")
    given = urlencode({name: _query_text(value) for name, value in query.items() if value is not None})
    joint = "&" if "?" in path else "?"
    return quote(path, safe=_PATH_SAFE) + (joint + given if given else "")


def segment(text: str) -> str:
    """An id as a part of a path, whatever it contains."""
    return quote(text, safe="")


def request_bytes(address: Address, common: bytes, request: Request) -> bytes:
    line = f"{request.method} {quote(address.prefix, safe=_PATH_SAFE)}{request.target} HTTP/1.1\r\n".encode("ascii")
    if request.body is None:
        # Said also where nothing is sent: some proxies insist on it.
        length = b"" if request.method in ("GET", "HEAD") else b"Content-Length: 0\r\n"
        return line + common + length + b"\r\n"
    framing = f"Content-Type: {request.content_type}\r\nContent-Length: {len(request.body)}\r\n\r\n".encode("ascii")
    return line + common + framing + request.body


def default_tls() -> ssl.SSLContext:
    """Certificates are checked, by the authorities that the system trusts."""
    return ssl.create_default_context()


def not_reachable(address: Address, error: BaseException, timeout_s: float, *, sent: bool) -> NotReachable:
    """What an error of the network means to the caller."""
    if isinstance(error, TimeoutError):
        why = f"no answer within {timeout_s:g} s" if sent else "no connection in time"
        return TimedOut(address.url, why, may_have_arrived=sent)
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    kind = NotTrusted if isinstance(error, ssl.SSLCertVerificationError) else NotReachable
    return kind(address.url, why, may_have_arrived=sent)


class Reading:
    """Takes the bytes of one answer as they come."""

    def __init__(self, method: str, answer_max: int) -> None:
        self._method = method
        self._most = answer_max
        self._buffer = bytearray()
        self._has_ended = False
        self._steps = self._read()
        next(self._steps)
        self.keeps = False
        """Whether the connection can be used again, once the answer is there."""

    def feed(self, data: bytes) -> Answer | None:
        """The answer when it is complete. No data is the end of the connection; ConnectionError where that is too early."""
        self._buffer += data
        self._has_ended = not data
        try:
            next(self._steps)
        except StopIteration as end:
            # What nobody asked for is not the beginning of the next answer.
            self.keeps = self.keeps and not self._buffer and not self._has_ended
            answer: Answer = end.value
            return answer
        if self._has_ended:
            raise ConnectionResetError("the connection ended before the answer did")
        return None

    def _read(self) -> Generator[None, None, Answer]:
        status, headers = 100, dict[str, str]()
        yield
        while status < 200:
            # Those below 200 only announce the answer.
            status, headers = yield from self._head()
        body = yield from self._body(status, headers)
        return Answer(status, headers, _parsed(bytes(body)))

    def _head(self) -> Generator[None, None, tuple[int, dict[str, str]]]:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not self._buffer.startswith(b"HTTP/1."[: len(self._buffer)]) or len(self._buffer) > HEAD_MAX:
                raise BadAnswer("what came is not an answer of HTTP/1.1")
            yield
        first, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        status_line = _STATUS_LINE.fullmatch(first)
        pairs = [_HEADER.fullmatch(line) for line in lines]
        if status_line is None or not all(pairs) or end > HEAD_MAX:
            raise BadAnswer("what came is not an answer of HTTP/1.1")
        headers: dict[str, str] = {}
        for name, value in (pair.groups() for pair in pairs if pair):
            text, key = value.decode("latin-1"), name.decode("ascii").lower()
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        self.keeps = status_line[1] == b"1" and "close" not in headers.get("connection", "").lower()
        return int(status_line[2]), headers

    def _body(self, status: int, headers: Mapping[str, str]) -> Generator[None, None, bytearray]:
        if status in (204, 304) or self._method == "HEAD":
            return bytearray()
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is not None:
            if coding.strip().lower() != "chunked":
                raise BadAnswer(f"the answer has a Transfer-Encoding that is not known: {coding[:64]}")
            return (yield from self._chunks())
        if length is None:
            return (yield from self._rest())
        # The same number may be said twice.
        numbers = {number.strip() for number in length.split(",")}
        if len(numbers) > 1 or not re.fullmatch(r"[0-9]{1,18}", length := numbers.pop()):
            raise BadAnswer(f"the answer has a Content-Length that is no number: {length[:64]}")
        self._check(int(length))
        return (yield from self._exactly(int(length)))

    def _chunks(self) -> Generator[None, None, bytearray]:
        body = bytearray()
        while True:
            size = _CHUNK_SIZE.fullmatch((yield from self._line()))
            if size is None:
                raise BadAnswer("the answer has a chunk without a length")
            length = int(size[1], 16)
            self._check(len(body) + length)
            if length == 0:
                break
            body += yield from self._exactly(length)
            if (yield from self._line()):
                raise BadAnswer("the answer has a chunk that is longer than it says")
        for _ in range(TRAILERS_MAX):
            if not (yield from self._line()):
                return body
        raise BadAnswer("the answer does not end")

    def _rest(self) -> Generator[None, None, bytearray]:
        self.keeps = False
        while not self._has_ended:
            self._check(len(self._buffer))
            yield
        body, self._buffer = self._buffer, bytearray()
        return body

    def _exactly(self, length: int) -> Generator[None, None, bytearray]:
        while len(self._buffer) < length:
            yield
        part = self._buffer[:length]
        del self._buffer[:length]
        return part

    def _line(self) -> Generator[None, None, bytes]:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > HEAD_MAX:
                raise BadAnswer("the answer has a line without an end")
            yield
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _check(self, length: int) -> None:
        if length > self._most:
            raise BadAnswer(f"the answer is longer than {self._most:,} bytes; ask for less at once")


def _parsed(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _query_text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat()
        case list() | tuple():
            return ",".join(map(_query_text, value))
        case _:
            return str(value)
