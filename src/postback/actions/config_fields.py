"""The fields of a postback config: what each takes, and what holds between them.

Documented in Postbackconfigs Endpoint; `retry_schedule`, the timeouts, `success_status`, `max_in_flight`,
`headers` and `name` are this product's own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from postback.actions.fields import Errors, Reader, flag, number, one_of, require, text, whole
from postback.domain.configs import MAX_IN_FLIGHT, OF_A_PRODUCT, RESOURCES, BasicAuth
from postback.domain.destinations import check_headers
from postback.domain.errors import InvalidValue
from postback.domain.policy import (
    ATTEMPTS_MAX,
    INTERVAL_MAX_S,
    SCHEDULE_MAX_WAITS,
    SCHEDULE_SUM_MAX_S,
    WAIT_MAX_S,
    Deadlines,
    RetryPolicy,
    SuccessRule,
)
from postback.formats import FORMATS
from postback.resources.fields import Refusal, shown

DOCUMENTED: Final = (
    "location_id", "resource", "on_create", "on_update", "on_delete", "url", "is_active",
    "format", "number_of_attempts", "attempt_interval", "expands",
)  # fmt: skip
"""Shown in every answer, in this order."""

FURTHER: Final = (
    "product_transaction_id", "name", "success_status", "retry_schedule",
    "connect_timeout", "response_timeout", "total_timeout", "max_in_flight", "headers",
)  # fmt: skip
"""Shown after them, in this order, where the owner set them."""

CREDENTIALS: Final = ("basic_auth_username", "basic_auth_password")
DEFAULTS: Final[Mapping[str, object]] = {
    "on_create": "0",
    "on_update": "0",
    "on_delete": "0",
    "is_active": "1",
    "format": "api-default",
    "number_of_attempts": 1,
    "attempt_interval": 300,
    "expands": "",
}

CREDENTIAL_MAX: Final = 512
ID_MAX: Final = 128
TIMEOUT_MIN_S: Final = 0.1
TIMEOUT_MAX_S: Final = 60
IN_FLIGHT_MAX: Final = 1_000

EXPANDS: Final[Mapping[str, Sequence[str]]] = {
    "contact": ("created_user", "notes", "location", "user"),
    "transaction": (
        "account_vault", "changelogs", "contact", "created_user", "entrymode", "is_completable", "is_refundable",
        "is_reversible", "is_settled", "is_voidable", "location", "product_transaction", "quick_invoice",
        "reason_code", "recurring", "signature", "status", "surcharge", "surcharge_transaction", "tags",
        "transaction_histories", "type",
    ),
    "transactionbatch": ("changelogs",),
    "accountvault": (
        "location", "contact", "signature", "created_user", "product_transaction",
        "account_vault_cau_product_transaction", "account_vault_cau_logs",
    ),
}  # fmt: skip

_NO_PRODUCT: Final = "contact"
"""Records of this kind belong to no product transaction; an account vault may, and its configs are not narrowed by it."""

_DAY_S: Final = 86_400


def policy_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a PostbackConfig that the values (of fields that hold together) come to."""
    schedule: Sequence[int] | None = values.get("retry_schedule")
    deadlines = Deadlines()
    connect_s = values.get("connect_timeout", deadlines.connect_s)
    response_s = values.get("response_timeout", deadlines.response_s)
    username: str | None = values.get("basic_auth_username")
    return {
        "location_id": values["location_id"],
        "resource": values["resource"],
        "url": values["url"],
        "on_create": values.get("on_create", False),
        "on_update": values.get("on_update", False),
        "on_delete": values.get("on_delete", False),
        "is_active": values.get("is_active", True),
        "format": values.get("format", DEFAULTS["format"]),
        "expands": values.get("expands", ()),
        "product_transaction_id": values.get("product_transaction_id"),
        "success": SuccessRule(values.get("success_status", SuccessRule.ANY_2XX)),
        "retry": retry_policy(values.get("number_of_attempts"), values.get("attempt_interval"), schedule),
        "deadlines": Deadlines(connect_s, response_s, values.get("total_timeout", connect_s + response_s)),
        "max_in_flight": values.get("max_in_flight", MAX_IN_FLIGHT),
        "basic_auth": BasicAuth(username, values.get("basic_auth_password", "")) if username else None,
        "headers": values.get("headers", {}),
    }


def retry_policy(attempts: int | None, interval: int | None, schedule: Sequence[int] | None) -> RetryPolicy:
    """A schedule alone is tried to its end; more attempts than waits repeat the last one."""
    if schedule is not None:
        return RetryPolicy(attempts if attempts is not None else len(schedule) + 1, tuple(schedule))
    default = RetryPolicy()
    return RetryPolicy(
        attempts if attempts is not None else default.attempts, (interval,) if interval is not None else default.waits_s
    )


def check_together(
    values: Mapping[str, Any], errors: Errors, *, sent: Mapping[str, object], retention_days: int
) -> None:
    """What no field can tell alone; `sent` are those that the caller names now, the others were kept."""
    require(("location_id", "resource", "url"), values, errors)
    resource = values.get("resource")
    if resource in OF_A_PRODUCT:
        require(("product_transaction_id",), values, errors)
    elif resource == _NO_PRODUCT and values.get("product_transaction_id"):
        errors.add("product_transaction_id", f"product_transaction_id means nothing for {resource}; leave it out")
    _check_expands(resource, values.get("expands", ()), errors)
    _check_retries(values, errors, sent, retention_days)
    _check_credentials(values, errors)


def _check_expands(resource: str | None, names: Sequence[str], errors: Errors) -> None:
    if resource is None:
        return
    for name in dict.fromkeys(names):
        if name not in EXPANDS[resource]:
            errors.add(
                "expands",
                f"expands names {shown(name)}; expected some of {', '.join(EXPANDS[resource])} for {resource}",
            )


def _check_retries(values: Mapping[str, Any], errors: Errors, sent: Mapping[str, object], retention_days: int) -> None:
    attempts, interval, schedule = (
        values.get(name) for name in ("number_of_attempts", "attempt_interval", "retry_schedule")
    )
    if interval is not None and schedule is not None:
        named, other = ("retry_schedule", "attempt_interval")
        if named not in sent:
            named, other = other, named
        advice = "send one of them" if other in sent else f"send {other}: null with it"
        errors.add(named, f"{named} and {other} exclude each other; {advice}")
        return
    policy = retry_policy(attempts, interval, schedule)
    waits = [policy.waits_s[min(place, len(policy.waits_s) - 1)] for place in range(policy.attempts - 1)]
    if sum(waits) > retention_days * _DAY_S:
        errors.add(
            "retry_schedule" if schedule is not None else "attempt_interval",
            f"all waits together are {sum(waits):,} seconds; deliveries are kept for {retention_days} days only",
        )


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


def _schedule(sent: object) -> tuple[int, ...]:
    if not isinstance(sent, list) or not 1 <= len(sent) <= SCHEDULE_MAX_WAITS:
        raise Refusal(f"is {shown(sent)}; expected a list of 1 to {SCHEDULE_MAX_WAITS} waits in seconds")
    wait = whole(1, WAIT_MAX_S)
    waits = tuple(wait(seconds) for seconds in sent)
    if sum(waits) > SCHEDULE_SUM_MAX_S:
        raise Refusal(f"is {sum(waits):,} seconds in all; expected at most {SCHEDULE_SUM_MAX_S:,}")
    return waits


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


READERS: Final[Mapping[str, Reader]] = {
    "location_id": text(ID_MAX),
    "resource": one_of(*RESOURCES),
    "on_create": flag,
    "on_update": flag,
    "on_delete": flag,
    # The grammar of URLs has its own messages; it is asked where the rules about addresses are known.
    "url": text(1 << 30),
    "is_active": flag,
    "format": one_of(*FORMATS),
    "number_of_attempts": whole(1, ATTEMPTS_MAX),
    "attempt_interval": whole(1, INTERVAL_MAX_S),
    "expands": _expands,
    "product_transaction_id": text(ID_MAX),
    "name": text(),
    "success_status": one_of(*SuccessRule),
    "retry_schedule": _schedule,
    "connect_timeout": number(TIMEOUT_MIN_S, TIMEOUT_MAX_S),
    "response_timeout": number(TIMEOUT_MIN_S, TIMEOUT_MAX_S),
    "total_timeout": number(TIMEOUT_MIN_S, 2 * TIMEOUT_MAX_S),
    "max_in_flight": whole(1, IN_FLIGHT_MAX),
    "headers": _headers,
    "basic_auth_username": _username,
    "basic_auth_password": _credential,
}
