"""What settings hold: durations, sizes, addresses and the like, from the texts that people write."""

import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Final, NamedTuple
from urllib.parse import urlsplit

from pydantic import BeforeValidator, SecretStr

from postback.domain import databases
from postback.domain.secret_keys import parse_keys

KEY_LENGTH_MIN: Final = 24

Network = IPv4Network | IPv6Network

LOOPBACK: Final[tuple[Network, ...]] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))

_DURATION: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE: Final = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_MEASURE: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([A-Za-z]*)")
_EXPECTED_SIZE: Final = "a size such as 4096 or '4 KiB'"


class Address(NamedTuple):
    """Where the server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return self.host == "localhost" or ip_address(self.host).is_loopback

    @property
    def is_every(self) -> bool:
        """Whether it stands for all addresses of this machine, and so names none of them."""
        return self.host != "localhost" and ip_address(self.host).is_unspecified


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    return timedelta(seconds=_measure(value, _DURATION, "a duration such as 30 or '30 s'"))


def _size(value: object) -> int:
    size = _measure(value, _SIZE, _EXPECTED_SIZE)
    if not size.is_integer():
        raise ValueError(_EXPECTED_SIZE)
    return int(size)


def _measure(value: object, units: Mapping[str, float], expected: str) -> float:
    found = None if isinstance(value, bool) else _MEASURE.fullmatch(str(value).strip())
    if not found or found[2].lower() not in units:
        raise ValueError(expected)
    return float(found[1]) * units[found[2].lower()]


def address(value: object) -> Address:
    """An address and a port, from `127.0.0.1:8080` or `[::1]:8080`."""
    if isinstance(value, Address):
        return value
    expected = "an address and a port, such as 127.0.0.1:8080 or [::1]:8080"
    host, _, port = str(value).strip().rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535) or (
        ":" in host and bare == host
    ):
        raise ValueError(expected)
    if bare != "localhost":
        try:
            ip_address(bare)
        except ValueError:
            raise ValueError(expected) from None
    return Address(bare, int(port))


def address_or_none(value: object) -> Address | None:
    return None if value is None else address(value)


def networks(value: object) -> tuple[Network, ...] | None:
    """None for `auto`, which `Settings.networks` works out; empty for `none`."""
    words = _words(value)
    return None if words == ["auto"] else _networks(words, "auto, none,")


def proxies(value: object) -> tuple[Network, ...]:
    """Empty for `none`."""
    return _networks(_words(value), "none")


def _words(value: object) -> list[str]:
    words = value if isinstance(value, list | tuple) else re.split(r"[,\s]+", str(value).strip())
    return [str(word) for word in words]


def _networks(words: list[str], otherwise: str) -> tuple[Network, ...]:
    if words == ["none"]:
        return ()
    try:
        return tuple(ip_network(word) for word in words if word)
    except ValueError as error:
        raise ValueError(f"{otherwise} or networks such as 10.20.0.0/16, 10.20.1.5/32 ({error})") from None


def database(value: object) -> str:
    """The path of a SQLite file, or the address of a PostgreSQL database."""
    return databases.parse(str(value))


def public_url(value: object) -> str:
    """An http or https address without query, and without a slash at its end."""
    return _http_address(value, "https://postback.example.com")


def collector(value: object) -> str:
    """The same, of a collector of traces."""
    return _http_address(value, "http://127.0.0.1:4318")


def contact(value: object) -> str:
    """An https: or mailto: URI."""
    text = str(value)
    try:
        parts = urlsplit(text)
        right = parts.hostname if parts.scheme == "https" else parts.scheme == "mailto" and "@" in parts.path[1:-1]
    except ValueError:
        right = False
    if not right or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("an https: or mailto: URI, such as mailto:security@example.com")
    return text


def _http_address(value: object, example: str) -> str:
    text = str(value).rstrip("/")
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        right = False
    if not right or parts.query or parts.fragment or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"an http or https address without query, such as {example}")
    return text


def api_key(value: object) -> object:
    """A text long enough never to be guessed."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if len(text) < KEY_LENGTH_MIN or not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError(f"{KEY_LENGTH_MIN} or more letters, digits and signs of ASCII")
    return text


def secret_key(value: object) -> object:
    """Keys that secrets can be encrypted with; they stay as they were written."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    try:
        parse_keys(text)
    except ValueError as error:
        raise ValueError(f"{error}; several of them parted by commas") from None
    return text


def existing_file(value: object) -> Path:
    """The path of a file that is there."""
    path = Path(str(value))
    if not path.is_file():
        raise ValueError("the path of a file that exists")
    return path


def choice(value: object) -> object:
    """One of several words, in any case."""
    return str(value).strip().lower() if isinstance(value, str | int) and not isinstance(value, bool) else value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Size = Annotated[int, BeforeValidator(_size)]


def shown_value(value: object) -> str:
    """A value as the manual writes it."""
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def size_text(size: int) -> str:
    """Bytes in the largest unit that leaves a whole number."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"
