"""The settings: a name, a default and a sentence each; the manual, `--help` and every error print that sentence."""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from postback.domain.secret_keys import parse_keys

PREFIX: Final = "POSTBACK_"
FILE: Final = "postback.toml"
KEY_LENGTH_MIN: Final = 24
SIZES: Final = frozenset({"worker_memory", "max_body", "keep_answer"})
SECRETS: Final = frozenset({"api_key", "secret_key"})

Network = IPv4Network | IPv6Network

LOOPBACK: Final[tuple[Network, ...]] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))

_DURATION: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE: Final = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_MEASURE: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([A-Za-z]*)")
_EXPECTED_SIZE: Final = "a size such as 4096 or '4 KiB'"


class SettingsError(Exception):
    """What is wrong with the settings, one line for each; nothing was started."""


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


def _address(value: object) -> Address:
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


def _networks(value: object) -> tuple[Network, ...] | None:
    """None for `auto`, which `Settings.networks` works out."""
    words = value if isinstance(value, list | tuple) else re.split(r"[,\s]+", str(value).strip())
    if [str(word) for word in words] == ["auto"]:
        return None
    try:
        return tuple(ip_network(str(word)) for word in words if str(word))
    except ValueError as error:
        raise ValueError(f"auto, or networks such as 10.20.0.0/16, 10.20.1.5/32 ({error})") from None


def _database(value: object) -> str:
    text = str(value)
    if re.match(r"postgres(ql)?(\+\w+)?:", text, re.IGNORECASE):
        raise ValueError("the path of a SQLite file, since this build does not speak PostgreSQL")
    if not text or "\0" in text or text == ":memory:" or re.match(r"\w+://", text):
        raise ValueError("the path of a SQLite file, such as postback.db")
    return text


def _public_url(value: object) -> str:
    text = str(value).rstrip("/")
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        right = False
    if not right or parts.query or parts.fragment or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("an http or https address without query, such as https://postback.example.com")
    return text


def _api_key(value: object) -> object:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if len(text) < KEY_LENGTH_MIN or not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError(f"{KEY_LENGTH_MIN} or more letters, digits and signs of ASCII")
    return text


def _secret_key(value: object) -> object:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    try:
        parse_keys(text)
    except ValueError as error:
        raise ValueError(f"{error}; several of them parted by commas") from None
    return text


def _file(value: object) -> Path:
    path = Path(str(value))
    if not path.is_file():
        raise ValueError("the path of a file that exists")
    return path


def _choice(value: object) -> object:
    return str(value).strip().lower() if isinstance(value, str | int) and not isinstance(value, bool) else value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Size = Annotated[int, BeforeValidator(_size)]


def _setting(default: object, sentence: str, **limits: Any) -> Any:
    return Field(default, description=sentence, validate_default=True, **limits)


class Settings(BaseSettings):
    """Every setting of the server, checked. Made by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, toml_file=FILE, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    database: Annotated[str, BeforeValidator(_database)] = _setting(
        "postback.db", "The SQLite file that keeps everything; its folder must be on a local disk."
    )
    listen: Annotated[Address, NoDecode, BeforeValidator(_address)] = _setting(
        "127.0.0.1:8080", "The address and port that the API listens on."
    )
    public_url: Annotated[str, BeforeValidator(_public_url)] | None = _setting(
        None,
        "The address that others reach the API at; links are made from it. By default http:// and POSTBACK_LISTEN.",
    )
    api_key: Annotated[SecretStr, BeforeValidator(_api_key)] | None = _setting(
        None,
        "An operator key, made at the start when it does not exist yet; without it the first start makes one and "
        "keeps it in <database>.key.",
    )
    secret_key: Annotated[SecretStr, BeforeValidator(_secret_key)] | None = _setting(
        None,
        "The key that secrets of postback configs are encrypted with: 32 bytes, base64 or hexadecimal. Of several, "
        "separated by commas, the first encrypts and the others still decrypt. Without it the first start makes one "
        "and keeps it in <database>.secret.",
    )
    allow_networks: Annotated[tuple[Network, ...] | None, NoDecode, BeforeValidator(_networks)] = _setting(
        "auto",
        "Private networks (CIDR, separated by commas) that postbacks may be sent to; auto: loopback while "
        "POSTBACK_LISTEN is a loopback address, none otherwise.",
    )
    allow_http: bool = _setting(True, "Whether postbacks may go to http:// addresses; false: https:// only.")
    ca_file: Annotated[Path, BeforeValidator(_file)] | None = _setting(
        None, "A PEM file of certificate authorities that receivers are trusted by, beside those of the system."
    )
    ip: Annotated[Literal["4", "6", "both"], BeforeValidator(_choice)] = _setting(
        "both", "The version of IP that receivers are called by: 4, 6 or both."
    )
    lease: Duration = _setting(
        "30 s",
        "How long after its last sign of life a worker is taken for dead and its deliveries are owed again.",
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
    )
    worker_capacity: int = _setting(
        5000, "Deliveries that this process holds at once; more wait in the database.", ge=1, le=100_000
    )
    worker_memory: Size = _setting(
        "256 MiB", "Bytes of bodies that this process holds at once; more wait in the database.", ge=1 << 20
    )
    max_body: Size = _setting(
        "1 MiB",
        "The longest data that one event may have; a request may be 64 KiB longer, a batch of events 16 MiB long.",
        ge=1 << 10,
        le=16 << 20,
    )
    keep_answer: Size = _setting(
        "4 KiB", "Bytes kept of the body of an answer that was a failure; of a success 256 are kept.", ge=0, le=64 << 10
    )
    retention_days: int = _setting(
        30, "Days after which finished deliveries, their attempts and their events go away.", ge=1, le=3650
    )
    grace: Duration = _setting(
        "20 s",
        "How long attempts under way may take to end after SIGTERM; longer ones are interrupted.",
        ge=timedelta(0),
        le=timedelta(hours=1),
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_choice)] = _setting(
        "info", "What is logged: debug, info (a line for each attempt), warning or error."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - named by the library
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """A flag holds over the environment, the environment over postback.toml, that over the default."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def address_url(self) -> str:
        """What links are made from: never the Host header, which anyone may write."""
        return self.public_url or f"http://{self.listen}"

    @property
    def needs_public_url(self) -> bool:
        """Whether links name an address that other machines cannot use."""
        return self.public_url is None and self.listen.is_every

    @property
    def networks(self) -> tuple[Network, ...]:
        """The private networks that may be called."""
        if self.allow_networks is not None:
            return self.allow_networks
        return LOOPBACK if self.listen.is_loopback else ()

    @property
    def allows_loopback(self) -> bool:
        return any(
            mine.version == loopback.version and mine.overlaps(loopback)
            for mine in self.networks
            for loopback in LOOPBACK
        )

    @property
    def secret_keys(self) -> tuple[bytes, ...]:
        """The keys of the secrets, the one that encrypts first; none where the file beside the database has them."""
        return parse_keys(self.secret_key.get_secret_value()) if self.secret_key is not None else ()

    @property
    def key_file(self) -> Path:
        """Where the operator key of the first start is kept, readable by its owner only."""
        return Path(self.database + ".key")

    @property
    def secret_file(self) -> Path:
        """Where the keys of the secrets are kept, beside the database itself if a link leads there."""
        return Path(os.path.realpath(self.database) + ".secret")


@dataclass(frozen=True, slots=True)
class Described:
    """One setting as the manual and `postback settings` show it."""

    field: str
    default: str
    sentence: str

    @property
    def name(self) -> str:
        return PREFIX + self.field.upper()


def described() -> list[Described]:
    """Every setting, in the order of the manual."""
    return [
        Described(field, "–" if info.default is None else _shown(info.default), info.description or "")
        for field, info in Settings.model_fields.items()
    ]


def shown(settings: Settings, field: str) -> str:
    """A setting's value for people; secrets are masked."""
    value = getattr(settings, field)
    if field == "public_url":
        return settings.address_url
    if field == "allow_networks":
        networks = ", ".join(map(str, settings.networks)) or "none"
        return f"auto ({networks})" if value is None else networks
    if field in SIZES:
        return _size_text(value)
    return "–" if value is None else _shown(value)


def source_of(field: str, flags: Mapping[str, object] | None = None) -> str:
    """Where the value of a setting comes from, in the words a person would look for it by."""
    return _given(field, flags or {})[0]


def load_settings(**flags: Any) -> Settings:
    """The settings as they hold here: flags that are not None, the environment, postback.toml, the defaults."""
    given = {field: value for field, value in flags.items() if value is not None}
    problems = _unknown_variables()
    try:
        settings = Settings(**given)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{FILE} cannot be read: {error}") from error
    except ValidationError as error:
        problems += [_problem(found, given) for found in error.errors()]
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _given(field: str, flags: Mapping[str, object]) -> tuple[str, object]:
    """(source, value as it stands there)"""
    if flags.get(field) is not None:
        return "--" + field.replace("_", "-"), flags[field]
    for name, text in os.environ.items():
        # In any case, as pydantic-settings reads them.
        if text and name.upper() == PREFIX + field.upper():
            return name, text
    written = tomllib.loads(Path(FILE).read_text("utf-8")) if Path(FILE).is_file() else {}
    return (f"{field} in {FILE}", written[field]) if field in written else ("default", None)


def _unknown_variables() -> list[str]:
    known = [PREFIX + field.upper() for field in Settings.model_fields]
    unknown = [name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known]
    return [f"{name} is no setting{_nearest(name.upper().removeprefix(PREFIX), PREFIX)}" for name in sorted(unknown)]


def _nearest(name: str, prefix: str = "") -> str:
    """Compared without the prefix, which all of them share and which says nothing about what was meant."""
    near = difflib.get_close_matches(name.lower(), Settings.model_fields, n=1)
    if not near:
        return "; `postback settings` lists those that exist"
    return f"; did you mean {prefix + near[0].upper() if prefix else near[0]}?"


def _problem(found: ErrorDetails, flags: Mapping[str, object]) -> str:
    field = str(found["loc"][0])
    if found["type"] == "extra_forbidden":
        return f"{field} in {FILE} is no setting{_nearest(field)}"
    source, value = _given(field, flags)
    text = "***" if field in SECRETS else re.sub(r"//.*@", "//***@", repr(value))
    return f"{source} is {text}; expected {_expected(field, found)}: {Settings.model_fields[field].description}"


def _expected(field: str, found: ErrorDetails) -> str:
    context = found.get("ctx", {})
    match found["type"]:
        case "value_error":
            return str(context["error"])
        case "greater_than_equal":
            return f"{_limit(field, context['ge'])} or more"
        case "less_than_equal":
            return f"{_limit(field, context['le'])} or less"
        case "literal_error":
            return f"one of {context['expected']}"
        case kind if kind.startswith("int_"):
            return "a whole number"
        case kind if kind.startswith("bool_"):
            return "true or false"
        case _:
            return found["msg"]


def _limit(field: str, limit: object) -> str:
    return _size_text(limit) if field in SIZES and isinstance(limit, int) else str(limit)


def _shown(value: object) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _size_text(size: int) -> str:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"
