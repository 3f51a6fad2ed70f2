"""A version of a config as a row: its body, and apart from it, sealed, whatever must never be shown."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from postback.domain.catalog import SAYABLE
from postback.domain.configs import (
    DISABLE_AFTER_S,
    BasicAuth,
    ConfigState,
    FormatOptions,
    PostbackConfig,
    Purpose,
    SigningSecret,
    Warned,
    matches,
)
from postback.domain.masking import MASK
from postback.domain.policy import Deadlines, RetryPolicy, SuccessRule
from postback.storage.vault import KeyMissing, Place, Vault

UNREADABLE: Final = "unreadable"
"""The format of a config whose row cannot be read: no such format exists, so its deliveries fail, visibly."""

T = TypeVar("T")

_SECRET_FIELDS: Final = frozenset({"basic_auth_password", "headers", "signing_secret"})
_NOWHERE: Final = "http://unreadable.invalid/"


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a config wants to hear of."""

    location_id: str | None
    resource: str | None
    on_create: bool
    on_update: bool
    on_delete: bool
    is_active: bool
    format: str
    event_types: tuple[str, ...] = ()


class _Body(_Wanted, frozen=True, kw_only=True):
    url: str
    expands: tuple[str, ...]
    product_transaction_id: str | None
    success: SuccessRule
    retry: RetryPolicy
    deadlines: Deadlines
    max_in_flight: int
    basic_auth_username: str | None
    created_ms: int
    # Holds the place of a secret, so that what was sent is echoed in its order.
    as_sent: dict[str, Any]
    # What follows is not in rows of the first schema.
    options: FormatOptions = FormatOptions()
    rate_limit: float | None = None
    disable_after_s: int | None = DISABLE_AFTER_S
    purpose: Purpose | None = None
    has_secrets: bool = True


class _Secrets(msgspec.Struct, frozen=True, kw_only=True):
    basic_auth_password: str
    headers: dict[str, str]
    as_sent: dict[str, Any]
    signing_secrets: tuple[SigningSecret, ...] = ()


_WANTED: Final = msgspec.json.Decoder(_Wanted)
_BODY: Final = msgspec.json.Decoder(_Body)
_SECRETS: Final = msgspec.json.Decoder(_Secrets)
_NO_HEADERS: Final[Mapping[str, str]] = {}
_NO_SECRETS: Final = _Secrets(basic_auth_password="", headers={}, as_sent={})


def place_of(config_id: int, version: int, account: str) -> Place:
    """Where the secrets of a version stand."""
    return Place("config_versions", config_id, version, account)


def encode(config: PostbackConfig, version: int, vault: Vault) -> tuple[str, str]:
    """(body, secrets) of a version: the body is JSON; the secrets are sealed, and empty where there are none.

    Unavailable for one that is locked: its secrets would be gone.
    """
    config.demand_unlocked()
    secrets = _Secrets(
        basic_auth_password=config.basic_auth.password if config.basic_auth is not None else "",
        headers=dict(config.headers),
        as_sent={name: value for name, value in config.as_sent.items() if name in _SECRET_FIELDS},
        signing_secrets=config.signing_secrets,
    )
    has_secrets = secrets != _NO_SECRETS
    text = msgspec.json.encode(_body(config, has_secrets=has_secrets)).decode()
    if not has_secrets:
        return text, ""
    place = place_of(config.id, version, config.account)
    return text, vault.seal(msgspec.json.encode(secrets).decode(), place)


def facts_of(config: PostbackConfig) -> Mapping[str, object]:
    """What may be told of a version: all of it but its secrets, of which it says that they are set."""
    facts: dict[str, object] = msgspec.to_builtins(_body(config, has_secrets=False))
    # What was sent is here again, as it was understood; but for the name, which is for people only.
    facts = {name: value for name, value in facts.items() if name not in ("as_sent", "has_secrets")}
    facts["name"] = config.as_sent.get("name")
    facts["basic_auth_password"] = MASK if config.basic_auth is not None and config.basic_auth.password else None
    facts["headers"] = dict.fromkeys(config.headers, MASK)
    facts["signing_secret"] = MASK if config.signing_secrets else None
    return facts


def _body(config: PostbackConfig, *, has_secrets: bool) -> _Body:
    return _Body(
        location_id=config.location_id,
        resource=config.resource,
        on_create=config.on_create,
        on_update=config.on_update,
        on_delete=config.on_delete,
        is_active=config.is_active,
        url=config.url,
        format=config.format,
        expands=config.expands,
        product_transaction_id=config.product_transaction_id,
        success=config.success,
        retry=config.retry,
        deadlines=config.deadlines,
        max_in_flight=config.max_in_flight,
        basic_auth_username=config.basic_auth.username if config.basic_auth is not None else None,
        created_ms=config.created_ms,
        as_sent={name: None if name in _SECRET_FIELDS else value for name, value in config.as_sent.items()},
        event_types=config.event_types,
        options=config.options,
        rate_limit=config.rate_limit,
        disable_after_s=config.disable_after_s,
        purpose=config.purpose,
        has_secrets=has_secrets,
    )


def decode(
    *,
    config_id: int,
    account: str,
    version: int,
    body: str,
    secrets: str,
    vault: Vault,
    modified_ms: int,
    state: str = ConfigState.ACTIVE,
    state_reason: str | None = None,
    purpose: str | None = None,
    warned: Warned | None = None,
    failing_ms: int | None = None,
) -> PostbackConfig:
    """The config of a row. One that cannot be read (damaged, or of a newer version) still says what it wants as far
    as it can, in the format `unreadable`: an account must not lose all of its configs to one. One whose key is missing is
    `locked`, and has all but its secrets: its deliveries wait for whoever has the key."""
    config = PostbackConfig(
        id=config_id,
        account=account,
        version=version,
        url=_NOWHERE,
        # A state that nobody knows holds what is owed.
        state=ConfigState(state) if state in list(ConfigState) else ConfigState.DISABLED,
        state_reason=state_reason,
        # Also of one that cannot be read: whoever sets up the purpose anew must find it.
        purpose=Purpose(purpose) if purpose in list(Purpose) else None,
        warned=warned,
        failing_ms=failing_ms,
        created_ms=modified_ms,
        modified_ms=modified_ms,
    )
    try:
        read = _BODY.decode(body)
        place = place_of(config_id, version, account)
        has_any = read.has_secrets or secrets
        try:
            kept = _SECRETS.decode(vault.open(secrets, place)) if has_any else _NO_SECRETS
        except KeyMissing as error:
            locked = _complete(config, read, _NO_SECRETS)
            return replace(locked, locked=str(error), state_reason=state_reason or str(error))
        return _complete(config, read, kept)
    except (ValueError, RecursionError) as error:
        reason = state_reason or f"this config cannot be read: {error}"
        return replace(_wanting(config, body), format=UNREADABLE, state_reason=reason)


def _complete(config: PostbackConfig, body: _Body, secrets: _Secrets) -> PostbackConfig:
    if not body.retry.waits_s:
        raise ValueError("the waits between attempts are missing")
    username = body.basic_auth_username
    return replace(
        config,
        location_id=body.location_id,
        resource=body.resource,
        on_create=body.on_create,
        on_update=body.on_update,
        on_delete=body.on_delete,
        is_active=body.is_active,
        event_types=_one(body.event_types),
        url=body.url,
        format=_one(body.format),
        options=_one(body.options),
        expands=body.expands,
        product_transaction_id=body.product_transaction_id,
        success=body.success,
        retry=_one(body.retry),
        deadlines=_one(body.deadlines),
        max_in_flight=body.max_in_flight,
        rate_limit=body.rate_limit,
        disable_after_s=body.disable_after_s,
        basic_auth=BasicAuth(username, secrets.basic_auth_password) if username is not None else None,
        headers=secrets.headers or _NO_HEADERS,
        signing_secrets=secrets.signing_secrets,
        purpose=body.purpose,
        created_ms=body.created_ms,
        as_sent={**body.as_sent, **secrets.as_sent},
    )


@lru_cache(maxsize=1024)
def _one(value: T) -> T:
    """The same object for equal values: tens of thousands of configs are in memory, and few choose anything of their own."""
    return value


def _wanting(config: PostbackConfig, body: str) -> PostbackConfig:
    """What an unreadable config wants, as far as that can be read: then its new deliveries fail where people look."""
    try:
        wanted = _WANTED.decode(body)
    except (ValueError, RecursionError):
        return config
    fields = msgspec.structs.asdict(wanted)
    sayable = SAYABLE.get(wanted.format)
    if sayable is not None and wanted.event_types:
        # Patterns mean what the format can say, and it will not be there to ask.
        fields["event_types"] = tuple(sorted(one for one in sayable if matches(wanted.event_types, wanted.format, one)))
    return replace(config, **fields)
