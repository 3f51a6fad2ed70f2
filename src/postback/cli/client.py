"""Speaks to the running server for a person: where its address and key come from, and what is said when it refuses."""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from postback import client as library
from postback.cli.output import CommandError, Exit
from postback.client import Answer, Published, Retrying, segment
from postback.client.steps import PAGE_SIZE
from postback.settings import Settings, load_settings

__all__ = ["PAGE_SIZE", "Answer", "Client", "NotReachable", "Refused", "connect", "known_key", "segment"]

_NO_KEY: Final = "there is no API key: give --key, set POSTBACK_API_KEY, or"
NO_KEY: Final = f"{_NO_KEY} run this in the folder of postback.db.key"
NO_KEY_ON_A_SERVER: Final = (
    f"{_NO_KEY} make one with `postback keys create NAME --operator`, where POSTBACK_DATABASE is set"
)

AT_ONCE: Final = Retrying(times=0)
"""A person would rather be told than wait; a script looks at the exit code."""

FOR_EVENTS: Final = Retrying(times=3)
"""An event is worth two seconds of patience, and its key makes it safe."""

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


class NotReachable(CommandError):
    """Nobody answered, or nobody who speaks HTTP."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.NOT_REACHABLE)


class Refused(CommandError):
    """The server answered with an error; the message is the server's own."""

    def __init__(self, status: int | None, message: str, errors: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(message, Exit.NOT_ALLOWED if status in (401, 403) else Exit.FAILED)
        self.status = status
        self.errors = errors or {}
        """Field → messages, where the server names fields."""


class Client:
    """One server, one key, one account: the client of `postback.client`, whose errors become lines and exit codes."""

    def __init__(
        self,
        url: str,
        key: str | None,
        account: str | None = None,
        ca_file: Path | None = None,
        retrying: Retrying = AT_ONCE,
        no_key: str = NO_KEY,
    ) -> None:
        """`no_key` is said where there is none and one is needed."""
        self.key = key
        self._no_key = no_key
        tls = _trusting(ca_file) if ca_file else None
        try:
            self._client = library.Client(url, key, account, tls=tls, retrying=retrying)
        except ValueError as error:
            raise CommandError(f"--{error}", Exit.USAGE) from error
        self.url = url.rstrip("/")

    def get(self, path: str, **query: object) -> Any:
        with self._told(path):
            return self._client.get(path, **query)

    def post(self, path: str, body: object) -> Any:
        return self.send("POST", path, body).body

    def send(self, method: str, path: str, body: object = None) -> Answer:
        """The answer of a success; Refused or NotReachable otherwise."""
        with self._told(path):
            return self._client.send(method, path, body)

    def publish(self, event: Mapping[str, Any]) -> Published:
        with self._told("/v2/events"):
            return self._client.publish(event)

    def list(self, path: str, limit: int | None = None, **query: object) -> Iterator[Any]:
        """The items of a list, up to `limit` of them."""
        with self._told(path):
            yield from self._client.list(path, limit=limit, **query)

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """Errors in the words of the command line."""
        try:
            yield
        except library.Refused as error:
            errors = error.errors if isinstance(error, library.InvalidValue) else None
            raise Refused(error.status, self._words(error, path), errors) from None
        except library.NotReachable as error:
            raise NotReachable(str(error)) from None
        except library.BadAnswer as error:
            raise NotReachable(f"the server at {self.url} cannot be reached: {error}") from None

    def _words(self, error: library.Refused, path: str) -> str:
        match error:
            case library.Unauthorized() if self.key is None:
                return self._no_key
            case library.NotFound():
                # The server's own words name nothing, so that nobody learns what exists elsewhere.
                return f"{path.partition('?')[0]}: {error}"
            case library.InvalidValue():
                return "\n".join(error.messages)
        return str(error)


def connect(url: str | None, key: str | None, account: str | None = None, retrying: Retrying = AT_ONCE) -> Client:
    """A client for the server that the flags or the settings name."""
    settings = load_settings()
    no_key = NO_KEY_ON_A_SERVER if settings.is_on_a_server else NO_KEY
    return Client(url or settings.address_url, key or known_key(settings), account, settings.ca_file, retrying, no_key)


def known_key(settings: Settings) -> str | None:
    """The operator key that this machine knows: the setting, or what the first start wrote down."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    if settings.key_file is None:
        return None
    try:
        return settings.key_file.read_text("ascii").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{settings.key_file} cannot be read: {error}", Exit.NOT_ALLOWED) from error


def _trusting(ca_file: Path) -> ssl.SSLContext:
    """The system's authorities and this one."""
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file)
    return context
