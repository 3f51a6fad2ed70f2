"""The fields of a postback config: what each takes, what holds between them, and the config that they come to.

Documented in Postbackconfigs Endpoint; what stands in `FURTHER` is this product's own.
"""

from collections.abc import Mapping
from typing import Any, Final

from postback.actions.config_options import FORMAT, OPTIONS, check_options, format_of, options_of
from postback.actions.config_policy import check_retries, policy_of, read_schedule
from postback.actions.config_wants import check_wants, read_patterns
from postback.actions.fields import Errors, Reader, flag, number, one_of, require, text, whole
from postback.domain.configs import RESOURCES, BasicAuth
from postback.domain.destinations import check_headers
from postback.domain.errors import InvalidValue
from postback.domain.masking import MASK
from postback.domain.policy import ATTEMPTS_MAX, INTERVAL_MAX_S, POLICIES, SCHEDULE_SUM_MAX_S, SuccessRule
from postback.formats.signing import key_of
from postback.resources.fields import Refusal, shown

DOCUMENTED: Final = (
    "location_id", "resource", "on_create", "on_update", "on_delete", "url", "is_active",
    "format", "number_of_attempts", "attempt_interval", "expands",
)  # fmt: skip
"""Shown in every answer, in this order; `resource` and its flags only where there is one."""

OF_A_RESOURCE: Final = ("resource", "on_create", "on_update", "on_delete")

FURTHER: Final = (
    "event_types", "product_transaction_id", "name", *OPTIONS, "success_status", "retry_schedule",
    "connect_timeout", "response_timeout", "total_timeout", "max_in_flight", "rate_limit", "disable_after", "headers", "signing_secret",
)  # fmt: skip
"""Shown after them, in this order, where the owner set them."""

APART: Final = ("headers", "signing_secret")
"""Of these the config itself keeps what was sent."""

NULL_IS_NEVER: Final = ("disable_after",)
"""Where null does not stand for the default."""

READ_ONLY: Final = ("purpose",)
CREDENTIALS: Final = ("basic_auth_username", "basic_auth_password")

DEFAULTS: Final[Mapping[str, object]] = {
    "on_create": "0",
    "on_update": "0",
    "on_delete": "0",
    "is_active": "1",
    "format": FORMAT,
    "expands": "",
}
"""Shown where nothing was sent; for retries and times it depends on the format."""

CREDENTIAL_MAX: Final = 512
ID_MAX: Final = 128
TIMEOUT_MIN_S: Final = 0.1
TIMEOUT_MAX_S: Final = 60
IN_FLIGHT_MAX: Final = 1_000
RATE_MIN: Final = 0.1
RATE_MAX: Final = 10_000
DISABLE_AFTER_MIN_S: Final = 60


def attributes_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a PostbackConfig that the values (of fields that hold together) come to."""
    username: str | None = values.get("basic_auth_username")
    return {
        "location_id": values.get("location_id"),
        "resource": values.get("resource"),
        "url": values["url"],
        "on_create": values.get("on_create", False),
        "on_update": values.get("on_update", False),
        "on_delete": values.get("on_delete", False),
        "event_types": values.get("event_types", ()),
        "is_active": values.get("is_active", True),
        "format": format_of(values),
        "options": options_of(values),
        "expands": values.get("expands", ()),
        "product_transaction_id": values.get("product_transaction_id"),
        "basic_auth": BasicAuth(username, values.get("basic_auth_password", "")) if username else None,
        "headers": values.get("headers", {}),
        **policy_of(values),
    }


def check_together(
    values: Mapping[str, Any], errors: Errors, *, sent: Mapping[str, object], retention_days: int
) -> None:
    """What no field can tell alone; `sent` are those that the caller names now, the others were kept."""
    require(("url",), values, errors)
    check_wants(values, errors, sent)
    check_options(values, errors)
    check_retries(values, errors, sent, retention_days)
    _check_credentials(values, errors)


def _check_credentials(values: Mapping[str, Any], errors: Errors) -> None:
    username = values.get("basic_auth_username")
    if values.get("basic_auth_password") and not username:
        require(("basic_auth_username",), values, errors)
    if username and any(name.lower() == "authorization" for name in values.get("headers", {})):
        errors.add(
            "headers",
            "Authorization is already made from basic_auth_username and basic_auth_password; use one of them",
        )


def _expands(sent: object) -> tuple[str, ...]:
    names = text(CREDENTIAL_MAX)(sent)
    return tuple(name.strip() for name in names.split(",")) if names.strip() else ()


def _credential(sent: object) -> str:
    value: str = text(CREDENTIAL_MAX)(sent)
    if any(character < " " or character == "\x7f" for character in value):
        raise Refusal("contains a control character, which Basic auth cannot carry")
    return value


def _username(sent: object) -> str:
    value = _credential(sent)
    if ":" in value:
        raise Refusal("contains a colon, which Basic auth cannot carry in a user name")
    return value


def _headers(sent: object) -> Mapping[str, str]:
    if not isinstance(sent, dict) or not all(isinstance(value, str) for value in sent.values()):
        raise Refusal('is not what it should be; expected an object of strings, such as {"X-Customer": "17"}')
    try:
        check_headers(sent)
    except InvalidValue as error:
        raise Refusal("; ".join(error.errors["headers"])) from None
    return sent


def _signing_secret(sent: object) -> str:
    if not isinstance(sent, str):
        raise Refusal(f"is {shown(sent)}; expected a string that begins with whsec_")
    if sent != MASK:
        try:
            key_of(sent)
        except ValueError as error:
            # Never the text itself: it may be a secret with one letter wrong.
            raise Refusal(f"cannot be used: {error}") from None
    return sent


READERS: Final[Mapping[str, Reader]] = {
    "location_id": text(ID_MAX),
    "resource": one_of(*RESOURCES),
    "on_create": flag,
    "on_update": flag,
    "on_delete": flag,
    # The grammar of URLs has its own messages; it is asked where the rules about addresses are known.
    "url": text(1 << 30),
    "is_active": flag,
    "format": one_of(*POLICIES),
    "number_of_attempts": whole(1, ATTEMPTS_MAX),
    "attempt_interval": whole(1, INTERVAL_MAX_S),
    "expands": _expands,
    "event_types": read_patterns,
    "product_transaction_id": text(ID_MAX),
    "name": text(),
    **{name: option.read for name, option in OPTIONS.items()},
    "success_status": one_of(*SuccessRule),
    "retry_schedule": read_schedule,
    "connect_timeout": number(TIMEOUT_MIN_S, TIMEOUT_MAX_S),
    "response_timeout": number(TIMEOUT_MIN_S, TIMEOUT_MAX_S),
    "total_timeout": number(TIMEOUT_MIN_S, 2 * TIMEOUT_MAX_S),
    "max_in_flight": whole(1, IN_FLIGHT_MAX),
    "rate_limit": number(RATE_MIN, RATE_MAX),
    "disable_after": whole(DISABLE_AFTER_MIN_S, SCHEDULE_SUM_MAX_S),
    "headers": _headers,
    "signing_secret": _signing_secret,
    "basic_auth_username": _username,
    "basic_auth_password": _credential,
}
