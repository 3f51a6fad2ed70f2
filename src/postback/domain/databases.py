"""Addresses of databases: a file's path, or `postgresql://user:password@host:port/name?…` with a password that nobody is shown."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

PORT: Final = 5432
EXAMPLE: Final = "postgresql://user:password@host/name"
EXPECTED: Final = (
    f"the path of a SQLite file, such as postback.db, or the address of a PostgreSQL database: {EXAMPLE} (in a user's "
    "name or a password @ is written %40, : %3A, / %2F, ? %3F, # %23 and % %25)"
)
"""What an address may be, for those who wrote another."""

_SCHEMES: Final = ("postgresql", "postgres")
_HIDDEN: Final = "***"


def is_server(database: str) -> bool:
    """Whether it is the address of a server's database, and no path."""
    return database.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES))


def parse(text: str) -> str:
    """The address as it is, its scheme in lower case; ValueError with what was expected instead."""
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() in _SCHEMES:
        return _server(f"{scheme.lower()}:{rest}")
    if (
        not text
        or "\0" in text
        or text == ":memory:"
        or re.match(r"[\w+]+://|postgres(ql)?(\+\w+)?:", text, re.IGNORECASE)
    ):
        raise ValueError(EXPECTED)
    return text


def shown(database: str) -> str:
    """As it may be shown: without its password."""
    if not is_server(database):
        return database
    parts = urlsplit(database)
    user, at, hosts = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    query = [
        (key, _HIDDEN if "password" in key.lower() else value)
        for key, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    question = "?" if query else ""
    netloc = f"{name}{colon and colon + _HIDDEN}{at}{hosts}"
    return f"{parts.scheme}://{netloc}{parts.path}{question}{urlencode(query, safe='*/:,', quote_via=quote)}"


def told(text: str) -> str:
    """What was written where an address was expected, as far as no password can be in it."""
    return text if not re.search("@|password", text, re.IGNORECASE) else f"{text.partition(':')[0][:12]}:{_HIDDEN}"


def hosts(database: str, environment: Mapping[str, str]) -> Sequence[tuple[str, int]]:
    """The names or addresses of a server, and its ports; sockets in the file system have none."""
    return [(name or "localhost", port) for name, port in servers(database, environment) if not name.startswith("/")]


def named(database: str, environment: Mapping[str, str]) -> str:
    """Of a server's database its name, and where its servers are, for sentences."""
    parts = urlsplit(database)
    query = dict(parse_qsl(parts.query))
    name = unquote(parts.path.removeprefix("/")) or query.get("dbname") or query.get("database") or "(default)"
    return f"the database {name} on {', '.join(_place(*one) for one in servers(database, environment))}"


def _place(name: str, port: int) -> str:
    if not name:
        return "this machine"
    if name.startswith("/"):
        return f"the socket {name}/.s.PGSQL.{port}"
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def servers(database: str, environment: Mapping[str, str]) -> Sequence[tuple[str, int]]:
    """Name, address or folder of a socket of each server of an address, and its port; a name is empty where nothing says
    where it is.

    `environment` says what the address leaves out: PGHOST and PGPORT.
    """
    parts = urlsplit(database)
    query = dict(parse_qsl(parts.query))
    given = unquote(parts.netloc.rpartition("@")[2]) or query.get("host") or environment.get("PGHOST") or ""
    ports = (query.get("port") or environment.get("PGPORT") or str(PORT)).split(",")
    found = []
    for number, host in enumerate(given.split(",")):
        name, port = _host_and_port(host, ports[number] if number < len(ports) else ports[-1])
        found.append((name, port))
    return found


def _server(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_right = _is_right(parts)
        if is_right:
            hosts(text, {})
    except ValueError:
        is_right = False
    if not is_right or not text.isprintable() or " " in text:
        raise ValueError(EXPECTED)
    return text


def _is_right(parts: SplitResult) -> bool:
    query = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
    name = parts.path.removeprefix("/") or dict(query).get("dbname") or dict(query).get("database")
    return bool(name) and "/" not in parts.path[1:] and parts.netloc.count("@") <= 1 and not parts.fragment


def _host_and_port(text: str, port: str) -> tuple[str, int]:
    """ValueError where the port is none."""
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(text)
        return name, _port(rest[1:] or port)
    if text.startswith("/"):
        return text, _port(port)
    name, _, own = text.partition(":")
    return name, _port(own or port)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ValueError(text)
    return int(text)
