"""Postback configs: who wants to hear of what, where, and under which policy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from postback.actions.config_fields import DOCUMENTED, FURTHER, READERS, check_together, policy_of
from postback.actions.fields import Errors, Reader, one_of, read, unix_seconds
from postback.actions.locations import KnownLocations
from postback.actions.repeating import until_unpassed
from postback.domain.addresses import AddressRules
from postback.domain.configs import ConfigState, PostbackConfig
from postback.domain.errors import Conflict, InvalidValue
from postback.domain.ids import parse
from postback.domain.masking import MASK, is_secret_header
from postback.domain.urls import judge_url, parse_url
from postback.ports import Clock, Configs, Page, Query

LISTED: Final = {
    name: name
    for name in (
        "location_id", "resource", "on_create", "on_update", "on_delete", "url", "is_active", "format",
        "number_of_attempts", "product_transaction_id", "state", "created_ts", "modified_ts",
    )
}  # fmt: skip
"""What lists may be narrowed and ordered by: the name that callers use → the one in the store."""

FILTERS: Final[Mapping[str, Reader]] = {
    **{name: READERS[name] for name in ("resource", "on_create", "on_update", "on_delete", "is_active")},
    "format": READERS["format"],
    "number_of_attempts": READERS["number_of_attempts"],
    "state": one_of(*(state for state in ConfigState if state is not ConfigState.DELETED)),
    "created_ts": unix_seconds,
    "modified_ts": unix_seconds,
}
"""What a list may be narrowed to, where not any text makes sense."""


@dataclass(frozen=True, slots=True)
class ConfigRules:
    """What the operator's settings say about configs."""

    addresses: AddressRules
    allow_http: bool = True
    retention_days: int = 30


@dataclass(frozen=True, slots=True)
class ConfigActions:
    configs: Configs
    locations: KnownLocations
    rules: ConfigRules
    clock: Clock
    ids: Callable[[], int]
    due_now: Callable[[], None]
    """Called when what was held may go on."""

    async def create(self, account: str, fields: Mapping[str, object]) -> PostbackConfig:
        _refuse_masks(fields)
        now_ms = self.clock()
        config = PostbackConfig(
            id=self.ids(), account=account, version=1, url="", created_ms=now_ms, modified_ms=now_ms
        )
        config = await self._composed(config, fields, sent=fields)
        await self.configs.add(config)
        return config

    async def change(self, account: str, config_id: str, fields: Mapping[str, object]) -> PostbackConfig:
        """What is not sent stays, null removes, and `***` keeps a secret."""
        number = parse("pbc", config_id)

        async def change_once() -> PostbackConfig:
            old = await self.configs.find(account, number)
            _refuse_secrets_for_others(old, fields)
            config = await self._composed(old, _merged(old, fields), sent=fields)
            config = replace(config, modified_ms=self.clock())
            await self.configs.change(config)
            return config

        return await until_unpassed(change_once)

    async def find(self, account: str, config_id: str) -> PostbackConfig:
        return await self.configs.find(account, parse("pbc", config_id))

    async def list(self, account: str, query: Query) -> Page[PostbackConfig]:
        return await self.configs.list(account, query)

    async def delete(self, account: str, config_id: str) -> None:
        await self.configs.delete(account, parse("pbc", config_id))

    async def pause(self, account: str, config_id: str) -> PostbackConfig:
        """What is owed is held until it is resumed."""
        config = await self.find(account, config_id)
        if config.state is ConfigState.DISABLED:
            raise Conflict("the config is disabled, which holds its deliveries already; resume ends both")
        return await self._set_state(config, ConfigState.PAUSED)

    async def resume(self, account: str, config_id: str) -> PostbackConfig:
        """What was held goes out, in order of acceptance."""
        config = await self._set_state(await self.find(account, config_id), ConfigState.ACTIVE)
        self.due_now()
        return config

    async def _set_state(self, config: PostbackConfig, state: ConfigState) -> PostbackConfig:
        if config.state is not state:
            await self.configs.set_state(config.account, config.id, state, None)
        return replace(config, state=state, state_reason=None)

    async def _composed(
        self, config: PostbackConfig, fields: Mapping[str, object], *, sent: Mapping[str, object]
    ) -> PostbackConfig:
        """The config with all of its fields anew, of which `sent` are those that the caller names now."""
        errors = Errors()
        values = read(fields, READERS, errors)
        if "url" in sent and values.get("url"):
            self._check_url(values["url"], errors)
        location_id = values.get("location_id")
        if location_id and not await self.locations.knows(config.account, location_id):
            errors.add("location_id", "location_id provided is not valid")
        check_together(values, errors, sent=sent, retention_days=self.rules.retention_days)
        errors.raise_any()
        as_sent = {
            name: fields[name] for name in (*DOCUMENTED, *FURTHER) if fields.get(name) is not None and name != "headers"
        }
        return replace(config, as_sent=as_sent, **policy_of(values))

    def _check_url(self, url: str, errors: Errors) -> None:
        try:
            judge_url(parse_url(url, allow_http=self.rules.allow_http), self.rules.addresses)
        except InvalidValue as error:
            errors.add_all(error)


def _fields_of(config: PostbackConfig) -> dict[str, object]:
    """The fields as their owner last sent them, secrets included."""
    fields = dict(config.as_sent)
    if config.basic_auth is not None:
        fields["basic_auth_username"] = config.basic_auth.username
        fields["basic_auth_password"] = config.basic_auth.password
    if config.headers:
        fields["headers"] = dict(config.headers)
    return fields


def _merged(old: PostbackConfig, sent: Mapping[str, object]) -> Mapping[str, object]:
    """What was sent, over what is kept of the old; each `***` is replaced by the secret that it keeps."""
    merged = {**_fields_of(old), **sent}
    if merged.get("basic_auth_username") is None:
        # Without its user a kept password is of no use. One that was sent is refused for that, whichever it is:
        # an answer that depends on the kept one would tell it to whoever asks often enough.
        if "basic_auth_password" not in sent:
            merged.pop("basic_auth_password", None)
    elif merged.get("basic_auth_password") == MASK and old.basic_auth is not None:
        merged["basic_auth_password"] = old.basic_auth.password
    headers = merged.get("headers")
    if isinstance(headers, dict):
        kept = {name.lower(): value for name, value in old.headers.items()}
        merged["headers"] = {
            name: kept.get(name.lower(), value) if value == MASK else value for name, value in headers.items()
        }
    _refuse_masks(merged)
    return merged


def _refuse_masks(fields: Mapping[str, object]) -> None:
    message = f"{MASK} keeps a value, and none is set"
    if fields.get("basic_auth_password") == MASK:
        raise InvalidValue.of("basic_auth_password", message)
    headers = fields.get("headers")
    if isinstance(headers, dict):
        for name, value in headers.items():
            if value == MASK:
                raise InvalidValue.of("headers", f"{name}: {message}")


def _refuse_secrets_for_others(old: PostbackConfig, fields: Mapping[str, object]) -> None:
    """Whoever may change a config must not get at its secrets by pointing it at a server of their own."""
    url = fields.get("url")
    if not isinstance(url, str) or not _goes_elsewhere(old.url, url):
        return
    errors = Errors()
    message = "must be sent again, because url goes to another scheme, host or port"
    keeps_user = fields.get("basic_auth_username", MASK) is not None
    keeps_password = fields.get("basic_auth_password", MASK) == MASK
    if old.basic_auth is not None and old.basic_auth.password and keeps_user and keeps_password:
        errors.add("basic_auth_password", f"basic_auth_password {message}")
    headers = fields.get("headers", dict.fromkeys(old.headers, MASK))
    if isinstance(headers, dict):
        for name, value in headers.items():
            if value == MASK and is_secret_header(name):
                errors.add("headers", f"{name} {message}")
    errors.raise_any()


def _goes_elsewhere(old: str, new: str) -> bool:
    try:
        will_be = parse_url(new, allow_http=True)
    except InvalidValue:
        # What cannot be read is refused for itself, by name.
        return False
    try:
        was = parse_url(old, allow_http=True)
    except InvalidValue:
        return True
    return (was.scheme, was.host, was.port) != (will_be.scheme, will_be.host, will_be.port)
