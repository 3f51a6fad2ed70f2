"""Postback configs: who wants to hear of what, where, and under which policy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from postback.actions.config_fields import (
    APART,
    DOCUMENTED,
    FURTHER,
    NULL_IS_NEVER,
    READ_ONLY,
    READERS,
    attributes_of,
    check_together,
)
from postback.actions.config_options import SIGNED
from postback.actions.config_secrets import (
    live_secrets,
    merged,
    refuse_masks,
    refuse_secrets_for_others,
    rotated,
    signing_secrets,
)
from postback.actions.fields import Errors, Reader, one_of, read, unix_seconds
from postback.actions.locations import KnownLocations
from postback.actions.repeating import until_unpassed
from postback.domain.accounts import Actor
from postback.domain.addresses import AddressRules
from postback.domain.configs import ConfigState, PostbackConfig
from postback.domain.errors import Conflict, InvalidValue
from postback.domain.ids import parse
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


class Saved(NamedTuple):
    """A config as it is stored now. Whoever has just set its signing secret is shown it, this once."""

    config: PostbackConfig
    has_new_secret: bool


@dataclass(frozen=True, slots=True)
class ConfigActions:
    configs: Configs
    locations: KnownLocations
    rules: ConfigRules
    clock: Clock
    ids: Callable[[], int]
    due_now: Callable[[], None]
    """Called when what was held may go on."""

    async def create(self, account: str, fields: Mapping[str, object], *, by: Actor | None = None) -> Saved:
        refuse_masks(fields)
        now_ms = self.clock()
        blank = PostbackConfig(id=self.ids(), account=account, version=1, url="", created_ms=now_ms, modified_ms=now_ms)
        config = await self.compose(blank, fields, sent=fields)
        await self.configs.add(config, by=by)
        return _saved(blank, config)

    async def change(
        self, account: str, config_id: str, fields: Mapping[str, object], *, by: Actor | None = None
    ) -> Saved:
        """What is not sent stays, null removes, and `***` keeps a secret."""
        number = parse("pbc", config_id)

        async def change_once() -> Saved:
            old = await self.configs.find(account, number)
            config = await self.revised(old, fields)
            await self.configs.change(config, by=by)
            return _saved(old, config)

        return await until_unpassed(change_once)

    async def rotate_secret(self, account: str, config_id: str, overlap_s: int, *, by: Actor | None = None) -> str:
        """A new signing secret; the one before signs beside it for so many seconds more."""
        number = parse("pbc", config_id)

        async def rotate_once() -> str:
            now_ms = self.clock()
            old = await self.configs.find(account, number)
            old.demand_unlocked()
            if old.format not in SIGNED:
                raise Conflict(f"the format {old.format} has no signing secret; expected {' or '.join(SIGNED)}")
            if not live_secrets(old.signing_secrets, now_ms):
                raise Conflict("the config has no signing secret; set one with PUT")
            secrets = rotated(old.signing_secrets, now_ms, overlap_s)
            new = replace(old, signing_secrets=secrets, modified_ms=now_ms)
            await self.configs.change(new, rotates=True, by=by)
            return secrets[0].text

        return await until_unpassed(rotate_once)

    async def find(self, account: str, config_id: str) -> PostbackConfig:
        return await self.configs.find(account, parse("pbc", config_id))

    async def list(self, account: str, query: Query) -> Page[PostbackConfig]:
        return await self.configs.list(account, query)

    async def some(self, account: str, config_ids: Sequence[int]) -> Mapping[int, PostbackConfig]:
        """Those of them that are not deleted."""
        return await self.configs.some(account, config_ids)

    async def delete(self, account: str, config_id: str, *, by: Actor | None = None) -> None:
        await self.configs.delete(account, parse("pbc", config_id), by=by)

    async def pause(self, account: str, config_id: str, *, by: Actor | None = None) -> PostbackConfig:
        """What is owed is held until it is resumed."""
        config = await self.find(account, config_id)
        if config.state is ConfigState.DISABLED:
            raise Conflict("the config is disabled, which holds its deliveries already; resume ends both")
        return await self._set_state(config, ConfigState.PAUSED, by)

    async def resume(self, account: str, config_id: str, *, by: Actor | None = None) -> PostbackConfig:
        """What was held goes out, in order of acceptance."""
        config = await self._set_state(await self.find(account, config_id), ConfigState.ACTIVE, by)
        self.due_now()
        return config

    async def _set_state(self, config: PostbackConfig, state: ConfigState, by: Actor | None) -> PostbackConfig:
        if config.state is not state:
            await self.configs.set_state(config.account, config.id, state, None, by=by)
        return replace(config, state=state, state_reason=None)

    async def revised(self, old: PostbackConfig, fields: Mapping[str, object]) -> PostbackConfig:
        """What a config becomes by fields that are sent now; nothing is written yet."""
        old.demand_unlocked()
        refuse_secrets_for_others(old, fields)
        config = await self.compose(old, merged(old, fields), sent=fields)
        return replace(config, modified_ms=self.clock())

    async def compose(
        self, config: PostbackConfig, fields: Mapping[str, object], *, sent: Mapping[str, object]
    ) -> PostbackConfig:
        """The config with all of its fields anew, of which `sent` are those that the caller names now."""
        errors = Errors()
        for name in READ_ONLY:
            if name in fields:
                errors.add(name, f"{name} can only be read")
        values = read({name: value for name, value in fields.items() if name not in READ_ONLY}, READERS, errors)
        never = {name: None for name in NULL_IS_NEVER if name in fields and fields[name] is None}
        values |= never
        if "url" in sent and values.get("url"):
            self._check_url(values["url"], errors)
        location_id = values.get("location_id")
        if location_id and not await self.locations.knows(config.account, location_id):
            errors.add("location_id", "location_id provided is not valid")
        check_together(values, errors, sent=sent, retention_days=self.rules.retention_days)
        errors.raise_any()
        as_sent = {
            name: fields[name]
            for name in (*DOCUMENTED, *FURTHER)
            if (fields.get(name) is not None or name in never) and name not in APART
        }
        secrets = signing_secrets(config, values, self.clock())
        return replace(config, as_sent=as_sent, signing_secrets=secrets, **attributes_of(values))

    def _check_url(self, url: str, errors: Errors) -> None:
        try:
            judge_url(parse_url(url, allow_http=self.rules.allow_http), self.rules.addresses)
        except InvalidValue as error:
            errors.add_all(error)


def _saved(old: PostbackConfig, new: PostbackConfig) -> Saved:
    return Saved(new, bool(new.signing_secrets) and new.signing_secrets[:1] != old.signing_secrets[:1])
