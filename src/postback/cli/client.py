"""Speaks to the running server: a small HTTP client on the standard library, and where its address and key come from."""

import json
import ssl
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

import typer

from postback.cli.output import CommandError, Exit
from postback.settings import Settings, load_settings

TIMEOUT_S: Final = 30.0
PAGE_SIZE: Final = 500
NO_KEY: Final = "there is no API key: give --key, set POSTBACK_API_KEY, or run this in the folder of postback.db.key"

Url = Annotated[
    str | None, typer.Option("--url", help="Where the server is; by default POSTBACK_PUBLIC_URL of the settings.")
]
Key = Annotated[
    str | None,
    typer.Option("--key", help="The API key; by default POSTBACK_API_KEY of the settings or <database>.key."),
]
Account = Annotated[
    str | None, typer.Option("--account", help="The account to act for, with an operator key; by default: default.")
]
Json = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for scripts.")]


class Answer(NamedTuple):
    """`body` is the parsed JSON, None where there was none."""

    status: int
    body: Any


class NotReachable(CommandError):
    """Nobody answered."""

    def __init__(self, url: str, why: object) -> None:
        super().__init__(f"the server at {url} cannot be reached: {why}", Exit.NOT_REACHABLE)


class Refused(CommandError):
    """The server answered with an error; the message is the server's own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, Exit.NOT_ALLOWED if status in (401, 403) else Exit.FAILED)
        self.status = status


class Client:
    """One server, one key, one account."""

    def __init__(self, url: str, key: str | None, account: str | None = None, ca_file: Path | None = None) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise CommandError(f"--url is {url!r}; expected an http or https address", Exit.USAGE)
        self.url = url.rstrip("/")
        self.key = key
        self._account = account
        self._opener = _opener(ca_file)

    def get(self, path: str, **query: object) -> Any:
        given = {name: value for name, value in query.items() if value is not None}
        return self.send("GET", path + ("?" + urlencode(given) if given else "")).body

    def post(self, path: str, body: object) -> Any:
        return self.send("POST", path, body).body

    def send(self, method: str, path: str, body: object = None) -> Answer:
        """The answer of a success; Refused or NotReachable otherwise."""
        headers = {"Accept": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        if self._account is not None:
            headers["Postback-Account"] = self._account
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        request = Request(self.url + path, data, headers, method=method)  # noqa: S310 - the scheme was checked
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return Answer(answer.status, _parsed(answer.read()))
        except HTTPError as error:
            with error:
                message = _message(error.code, _parsed(error.read()))
                if error.code == 401 and self.key is None:
                    message = NO_KEY
                # Its own words name nothing, so that nobody learns what exists elsewhere.
                raise Refused(error.code, f"{path}: {message}" if error.code == 404 else message) from None
        except URLError as error:
            raise NotReachable(self.url, getattr(error.reason, "strerror", None) or error.reason) from None
        except (OSError, HTTPException) as error:
            raise NotReachable(self.url, error or type(error).__name__) from None

    def listed(self, path: str, plural: str) -> Iterator[Any]:
        """All items of a list that goes by pages."""
        number, count = 1, 1
        while number <= count:
            page = self.get(path, page=number, page_size=PAGE_SIZE)
            yield from page[plural]
            number, count = number + 1, page["meta"]["pagination"]["pageCount"]

    def pages(self, path: str, plural: str, limit: int, **query: object) -> Iterator[Any]:
        """The items of a long log, newest first, up to `limit` of them."""
        cursor: str | None = None
        while limit > 0:
            page = self.get(path, page_size=min(limit, PAGE_SIZE), cursor=cursor, **query)
            yield from page[plural][:limit]
            limit -= len(page[plural])
            cursor = page.get("next_cursor")
            if cursor is None or not page[plural]:
                return


def connect(url: str | None, key: str | None, account: str | None = None) -> Client:
    """A client for the server that the flags or the settings name."""
    settings = load_settings()
    return Client(url or settings.address_url, key or known_key(settings), account, settings.ca_file)


def known_key(settings: Settings) -> str | None:
    """The operator key that this machine knows: the setting, or what the first start wrote down."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    try:
        return settings.key_file.read_text("ascii").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{settings.key_file} cannot be read: {error}", Exit.NOT_ALLOWED) from error


def segment(text: str) -> str:
    """An id as a part of a path, whatever was typed for it."""
    return quote(text, safe="")


class _NoRedirects(HTTPRedirectHandler):
    """A key is for the address that was named, and for no other."""

    def redirect_request(self, *_: object) -> None:
        return None


def _opener(ca_file: Path | None) -> OpenerDirector:
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    # No proxy of the environment either: the key would pass through it.
    return build_opener(ProxyHandler({}), HTTPSHandler(context=context), _NoRedirects)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def _message(status: int, body: Any) -> str:
    match body:
        case {"error": {"message": str(message)}}:
            return message
        case {"errors": dict() as errors}:
            return "\n".join(_named(field, str(text)) for field, texts in _fields(errors) for text in texts)
        case _:
            return f"the server answered {status}"


def _named(field: str, text: str) -> str:
    """Most texts begin with the name of their field."""
    return text if text.startswith(f"{field} ") else f"{field}: {text}"


def _fields(errors: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    for field, texts in errors.items():
        yield field, texts if isinstance(texts, list) else [texts]
