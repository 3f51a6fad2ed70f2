"""Settings of a whole account that are a view on postback configs, each with a purpose of its own."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from postback.actions.config_options import OPTIONS
from postback.actions.configs import ConfigActions
from postback.actions.fields import Errors, Reader, read, text
from postback.actions.repeating import until_unpassed
from postback.domain.accounts import Actor
from postback.domain.configs import PostbackConfig, Purpose
from postback.domain.errors import InvalidValue
from postback.domain.ids import config_text
from postback.ports import Clock, Configs

Fields = Mapping[str, object]
"""Fields of a postback config by their names in the API, with their values."""

ByPurpose = Mapping[Purpose, PostbackConfig]

URL: Final[Reader] = text(1 << 30)
"""The grammar of URLs has its own messages; it is asked where the rules about addresses are known."""

_FLAGS: Final = ("is_active", "xml_strict_historic")


class Settings(Protocol):
    """Such settings, complete. They are read off the configs, and they say what the configs have to be."""

    READERS: ClassVar[Mapping[str, Reader]]
    URLS: ClassVar[Mapping[Purpose, str]]
    """Purpose → the setting with its URL. A purpose without a URL has no config."""

    HOMES: ClassVar[Mapping[str, tuple[str, ...]]]
    """Every other setting → the URLs of which one must be set, for a config to remember it."""

    FORMAT: ClassVar[str]

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @classmethod
    @abstractmethod
    def seen(cls: type["S"], configs: ByPurpose) -> "S":
        """What the configs come to; defaults where none of them can tell."""

    @abstractmethod
    def wanted(self, purpose: Purpose) -> Fields:
        """What the config of a purpose has to be beside its URL and format; of flags only those that these settings rule."""


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Shown(Generic[S]):
    """Settings, and the configs that they were read off."""

    settings: S
    configs: ByPurpose


@dataclass(frozen=True, slots=True)
class AccountWideActions:
    configs: Configs
    config_actions: ConfigActions
    clock: Clock
    ids: Callable[[], int]

    async def show(self, account: str, kind: type[S]) -> Shown[S]:
        snapshot = await self.configs.snapshot(account)
        found = {config.purpose: config for config in snapshot.configs.values() if config.purpose is not None}
        # In the order of the settings, whichever was made first.
        configs = {purpose: found[purpose] for purpose in kind.URLS if purpose in found}
        return Shown(kind.seen(configs), configs)

    async def change(
        self, account: str, kind: type[S], fields: Mapping[str, object], *, by: Actor | None = None
    ) -> Shown[S]:
        """What is not sent stays, null is the default again; a URL that is null or empty removes its config."""
        await until_unpassed(lambda: self._arrange(account, kind, fields, by))
        # Two changes at the same time may each make a config that the other's should have heard of.
        await until_unpassed(lambda: self._arrange(account, kind, {}, by))
        return await self.show(account, kind)

    async def _arrange(self, account: str, kind: type[S], fields: Mapping[str, object], by: Actor | None) -> None:
        """All configs as the settings say, in one transaction; where nothing is to be done, nothing is written."""
        shown = await self.show(account, kind)
        settings = changed(shown.settings, fields)
        added: list[PostbackConfig] = []
        revised: list[PostbackConfig] = []
        deleted: list[PostbackConfig] = []
        errors = Errors()
        for purpose, name in kind.URLS.items():
            old = shown.configs.get(purpose)
            if getattr(settings, name) is None:
                deleted += [old] if old is not None else []
                continue
            try:
                if old is None:
                    added.append(await self._added(account, settings, purpose))
                elif to_send := difference(old, purpose, settings):
                    revised.append(await self.config_actions.revised(old, to_send))
            except InvalidValue as error:
                _explain(error, name, old, errors)
        errors.raise_any()
        if added or revised or deleted:
            await self.configs.arrange(added, revised, deleted, by=by)

    async def _added(self, account: str, settings: Settings, purpose: Purpose) -> PostbackConfig:
        now_ms = self.clock()
        blank = PostbackConfig(
            id=self.ids(), account=account, version=1, url="", purpose=purpose, created_ms=now_ms, modified_ms=now_ms
        )
        fields = difference(blank, purpose, settings)
        return await self.config_actions.compose(blank, fields, sent=fields)


def changed(old: S, fields: Mapping[str, object]) -> S:
    """The settings after a change, or InvalidValue for fields that cannot be taken."""
    errors = Errors()
    values = read(fields, old.READERS, errors)
    errors.raise_any()
    defaults = type(old)()
    values = {name: values.get(name, getattr(defaults, name)) for name in fields}
    urls = {name: values[name] or None for name in old.URLS.values() if name in values}
    new = replace(old, **{**values, **urls})
    for name in fields:
        is_lost = name in old.HOMES and not any(getattr(new, url) for url in old.HOMES[name])
        # Whoever sends back all that was shown, with the last URL removed, asks for nothing that is not done.
        if is_lost and getattr(new, name) not in (getattr(old, name), getattr(defaults, name)):
            homes = " or ".join(old.HOMES[name])
            errors.add(name, f"{name} says how postbacks go to a URL, and there is none; send {homes} with it")
    errors.raise_any()
    return new


def difference(config: PostbackConfig, purpose: Purpose, settings: Settings) -> Fields:
    """The fields that a config needs to be sent, to be what the settings say; empty when it is that already."""
    wanted = {
        "location_id": None,
        "resource": None,
        "format": settings.FORMAT,
        "url": getattr(settings, settings.URLS[purpose]),
        **settings.wanted(purpose),
    }
    return {name: _as_sent(name, value) for name, value in wanted.items() if _present(config, name) != value}


def option_of(configs: ByPurpose, name: str, default: Any) -> Any:
    """An option that the configs share, as the first of them has it."""
    return next((getattr(config.options, name) for config in configs.values()), default)


def _present(config: PostbackConfig, name: str) -> object:
    value = getattr(config.options if name in OPTIONS else config, name)
    return list(value) if isinstance(value, tuple) else value


def _as_sent(name: str, value: object) -> object:
    """In the form of the documents, in which the config will show it."""
    return str(int(bool(value))) if name in _FLAGS else value


def _explain(error: InvalidValue, name: str, old: PostbackConfig | None, errors: Errors) -> None:
    """What is wrong with a config, said of the setting that its owner knows."""
    for field, messages in error.errors.items():
        for message in messages:
            if field == "url" and message.startswith("url "):
                errors.add(name, name + message.removeprefix("url"))
            elif old is None:
                errors.add(name, message)
            else:
                errors.add(
                    name, f"{message}; send it together with the url to /v2/postbackconfigs/{config_text(old.id)}"
                )
