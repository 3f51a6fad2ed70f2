"""A version of a config as a row: its body, and apart from it whatever must never be shown."""

from dataclasses import replace
from typing import Any, Final

import msgspec

from postback.domain.configs import BasicAuth, ConfigState, PostbackConfig
from postback.domain.policy import Deadlines, RetryPolicy, SuccessRule

UNREADABLE: Final = "unreadable"
"""The format of a config whose row cannot be read: no such format exists, so its deliveries fail, visibly."""

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


class _Body(_Wanted, frozen=True, kw_only=True):
    url: str
    format: str
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


class _Secrets(msgspec.Struct, frozen=True, kw_only=True):
    basic_auth_password: str
    headers: dict[str, str]
    as_sent: dict[str, Any]


_WANTED: Final = msgspec.json.Decoder(_Wanted)
_BODY: Final = msgspec.json.Decoder(_Body)
_SECRETS: Final = msgspec.json.Decoder(_Secrets)


def encode(config: PostbackConfig) -> tuple[str, str]:
    """(body, secrets), both JSON."""
    body = _Body(
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
    )
    secrets = _Secrets(
        basic_auth_password=config.basic_auth.password if config.basic_auth is not None else "",
        headers=dict(config.headers),
        as_sent={name: value for name, value in config.as_sent.items() if name in _SECRET_FIELDS},
    )
    return msgspec.json.encode(body).decode(), msgspec.json.encode(secrets).decode()


def decode(
    *,
    config_id: int,
    account: str,
    version: int,
    body: str,
    secrets: str,
    modified_ms: int,
    state: str = ConfigState.ACTIVE,
    state_reason: str | None = None,
) -> PostbackConfig:
    """The config of a row. One that cannot be read (damaged, or of a newer version) still says what it wants as far
    as it can, in the format `unreadable`: an account must not lose all of its configs to one."""
    config = PostbackConfig(
        id=config_id,
        account=account,
        version=version,
        url=_NOWHERE,
        # A state that nobody knows holds what is owed.
        state=ConfigState(state) if state in list(ConfigState) else ConfigState.DISABLED,
        state_reason=state_reason,
        created_ms=modified_ms,
        modified_ms=modified_ms,
    )
    try:
        return _complete(config, _BODY.decode(body), _SECRETS.decode(secrets))
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
        url=body.url,
        format=body.format,
        expands=body.expands,
        product_transaction_id=body.product_transaction_id,
        success=body.success,
        retry=body.retry,
        deadlines=body.deadlines,
        max_in_flight=body.max_in_flight,
        basic_auth=BasicAuth(username, secrets.basic_auth_password) if username is not None else None,
        headers=secrets.headers,
        created_ms=body.created_ms,
        as_sent={**body.as_sent, **secrets.as_sent},
    )


def _wanting(config: PostbackConfig, body: str) -> PostbackConfig:
    """What an unreadable config wants, as far as that can be read: then its new deliveries fail where people look."""
    try:
        return replace(config, **msgspec.structs.asdict(_WANTED.decode(body)))
    except (ValueError, RecursionError):
        return config
