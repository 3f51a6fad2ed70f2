"""Every setting: a name, a default and a sentence; the manual, `--help` and every error print that sentence."""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from postback.domain import databases
from postback.domain.secret_keys import parse_keys
from postback.settings import values
from postback.settings.values import LOOPBACK, Address, Duration, Network, Size, shown_value, size_text

PREFIX: Final = "POSTBACK_"
FILE: Final = "postback.toml"
SIZES: Final = frozenset({"worker_memory", "max_body", "keep_answer"})
OPTIONS: Final = {"worker_listen": "--listen"}
"""What an option is called where it has not the setting's name."""
SECRETS: Final = frozenset({"api_key", "secret_key", "owner_password"})


def _setting(default: object, sentence: str, **limits: Any) -> Any:
    return Field(default, description=sentence, validate_default=True, **limits)


class Settings(BaseSettings):
    """Every setting of the server, checked. Made by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, toml_file=FILE, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    database: Annotated[str, BeforeValidator(values.database)] = _setting(
        "postback.db",
        "The SQLite file that keeps everything, in a folder on a local disk; or the address of a PostgreSQL database: "
        "postgresql://user:password@host/name (needs the extra postgres).",
        repr=False,
    )
    listen: Annotated[Address, NoDecode, BeforeValidator(values.address)] = _setting(
        "127.0.0.1:8080", "The address and port that the API listens on."
    )
    processes: int = _setting(
        1,
        "How many processes the commands serve and worker start; more than one needs PostgreSQL.",
        ge=1,
        le=128,
    )
    worker_listen: Annotated[Address | None, NoDecode, BeforeValidator(values.address_or_none)] = _setting(
        None, "The address and port that the command worker answers /health, /ready and /metrics on; by default none."
    )
    public_url: Annotated[str, BeforeValidator(values.public_url)] | None = _setting(
        None,
        "The address that others reach the API at; links are made from it. By default http:// and POSTBACK_LISTEN.",
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(values.proxies)] = _setting(
        "none",
        "Networks (CIDR, separated by commas) of the proxies before it: of them X-Forwarded-For and X-Forwarded-Proto are "
        "believed, of nobody else; none: of nobody.",
    )
    security_contact: Annotated[str, BeforeValidator(values.contact)] | None = _setting(
        None,
        "Where a weakness of this server is to be told, an https: or mailto: URI; then /.well-known/security.txt says so. "
        "By default there is no such page.",
    )
    api_key: Annotated[SecretStr, BeforeValidator(values.api_key)] | None = _setting(
        None,
        "An operator key, made at the start when it does not exist yet; without it the first start makes one and "
        "keeps it in <database>.key, with PostgreSQL nowhere.",
    )
    owner_email: str | None = _setting(
        None,
        "The e-mail of the first user of the portal, who is made at the start where there is none, with "
        "POSTBACK_OWNER_PASSWORD; without it the first start prints a link to become the first user.",
        max_length=254,
    )
    owner_password: SecretStr | None = _setting(
        None,
        "The password of the first user; it has to be as good as anybody's, and may be taken away after the start.",
    )
    secret_key: Annotated[SecretStr, BeforeValidator(values.secret_key)] | None = _setting(
        None,
        "The key that secrets of postback configs are encrypted with: 32 bytes, base64 or hexadecimal. Of several, "
        "separated by commas, the first encrypts and the others still decrypt. Without it the first start makes one "
        "and keeps it in <database>.secret; PostgreSQL needs it.",
    )
    allow_networks: Annotated[tuple[Network, ...] | None, NoDecode, BeforeValidator(values.networks)] = _setting(
        "auto",
        "Private networks (CIDR, separated by commas) that postbacks may be sent to; none: no such network; auto: "
        "loopback while POSTBACK_LISTEN is a loopback address, none otherwise.",
    )
    allow_http: bool = _setting(True, "Whether postbacks may go to http:// addresses; false: https:// only.")
    ca_file: Annotated[Path, BeforeValidator(values.existing_file)] | None = _setting(
        None, "A PEM file of certificate authorities that receivers are trusted by, beside those of the system."
    )
    ip: Annotated[Literal["4", "6", "both"], BeforeValidator(values.choice)] = _setting(
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
    otel_endpoint: Annotated[str, BeforeValidator(values.collector)] | None = _setting(
        None,
        "The OpenTelemetry collector (OTLP over HTTP) that spans are sent to; needs the extra otel. By default the one "
        "that OTEL_EXPORTER_OTLP_ENDPOINT names; without either there are no spans.",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(values.choice)] = _setting(
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
    def is_on_a_server(self) -> bool:
        """Whether the database is one of PostgreSQL, and no file."""
        return databases.is_server(self.database)

    @property
    def shown_database(self) -> str:
        """Its path, or its address without a password."""
        return databases.shown(self.database)

    @property
    def key_file(self) -> Path | None:
        """Where the operator key of the first start is kept, readable by its owner only; None where there is no file beside which
        it could be."""
        return None if self.is_on_a_server else Path(self.database + ".key")

    @property
    def secret_file(self) -> Path | None:
        """Where the keys of the secrets are kept, beside the database itself if a link leads there; None where there is
        no such file."""
        return None if self.is_on_a_server else Path(os.path.realpath(self.database) + ".secret")


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
        Described(field, "–" if info.default is None else shown_value(info.default), info.description or "")
        for field, info in Settings.model_fields.items()
    ]


def shown(settings: Settings, field: str) -> str:
    """A setting's value for people; secrets are masked."""
    value = getattr(settings, field)
    if field == "database":
        return settings.shown_database
    if field == "public_url":
        return settings.address_url
    if field == "allow_networks":
        networks = ", ".join(map(str, settings.networks)) or "none"
        return f"auto ({networks})" if value is None else networks
    if field == "trusted_proxies":
        return ", ".join(map(str, value)) or "none"
    if field in SIZES:
        return size_text(value)
    return "–" if value is None else shown_value(value)
