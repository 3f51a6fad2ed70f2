"""What a config wants to hear of: the changes of a resource, or the events of its patterns."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from postback.actions.config_options import format_of
from postback.actions.fields import Errors, blank, require
from postback.domain.catalog import SAYABLE, can_say
from postback.domain.configs import OF_A_PRODUCT, matches
from postback.domain.events import TYPE_MAX
from postback.domain.patterns import is_pattern
from postback.resources.fields import Refusal, shown

PATTERNS_MAX: Final = 100

FLAGS: Final[Mapping[str, str]] = {"on_create": "created", "on_update": "updated", "on_delete": "deleted"}
"""Flag → the verb of the events that it is for."""

OF_A_RESOURCE: Final = (*FLAGS, "product_transaction_id", "expands")
"""Fields that mean nothing without `resource`."""

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

_EXPECTED: Final = f"types such as sms.received, or patterns such as sms.* or *, of at most {TYPE_MAX} characters"
_TWO_WAYS: Final = "There are two ways: resource with on_create, on_update, on_delete, or event_types instead"


def read_patterns(sent: object) -> tuple[str, ...]:
    if not isinstance(sent, list) or not 1 <= len(sent) <= PATTERNS_MAX:
        raise Refusal(f"is {shown(sent)}; expected a list of 1 to {PATTERNS_MAX} {_EXPECTED}")
    for pattern in sent:
        if not isinstance(pattern, str) or not is_pattern(pattern):
            raise Refusal(f"has {shown(pattern)}; expected {_EXPECTED}")
    return tuple(sent)


def check_wants(values: Mapping[str, Any], errors: Errors, sent: Mapping[str, object]) -> None:
    """One of the two ways, whole, and only what the format can say at all; `sent` is what the caller names now."""
    if "event_types" in values:
        _check_no_resource(values, errors, sent)
    elif "event_types" not in errors:
        _check_resource(values, errors)
    if "format" not in errors:
        _check_sayable(values, errors, sent)


def _check_no_resource(values: Mapping[str, Any], errors: Errors, sent: Mapping[str, object]) -> None:
    named = ["resource"] if "resource" in values else [name for name in OF_A_RESOURCE if values.get(name, ()) != ()]
    if not named:
        return
    named.append("event_types")
    kept = [name for name in named if name not in sent]
    advice = f"send {' and '.join(kept)}: null with it" if kept else "use one of the two ways"
    for name in named:
        errors.add(name, f"{' and '.join(named)} exclude each other; {advice}")


def _check_resource(values: Mapping[str, Any], errors: Errors) -> None:
    require(("location_id",), values, errors)
    resource = values.get("resource")
    if resource is None:
        if "resource" not in errors:
            errors.add("resource", f"{blank('resource')} {_TWO_WAYS}")
        return
    if resource in OF_A_PRODUCT:
        require(("product_transaction_id",), values, errors)
    elif resource == _NO_PRODUCT and values.get("product_transaction_id"):
        errors.add("product_transaction_id", f"product_transaction_id means nothing for {resource}; leave it out")
    for name in dict.fromkeys(values.get("expands", ())):
        if name not in EXPANDS[resource]:
            errors.add(
                "expands",
                f"expands names {shown(name)}; expected some of {', '.join(EXPANDS[resource])} for {resource}",
            )


def _check_sayable(values: Mapping[str, Any], errors: Errors, sent: Mapping[str, object]) -> None:
    """A subscription that can never come to a delivery is a mistake, and nobody would notice."""
    chosen = format_of(values)
    name = "event_types" if "event_types" in values else "resource"
    unsayable = _unsayable(values, chosen)
    if unsayable and name not in errors:
        able = [other for other in SAYABLE if not _unsayable(values, other)]
        advice = f"expected the format {' or '.join(able)}" if able else "no format can say all of them"
        errors.add(
            name if name in sent else "format",
            f"{name} names {', '.join(unsayable)}, which the format {chosen} cannot say; {advice}",
        )


def _unsayable(values: Mapping[str, Any], chosen: str) -> Sequence[str]:
    """Types that the format cannot say, and patterns that name no type that it can."""
    sayable = SAYABLE.get(chosen)
    if sayable is None:
        return []
    if "event_types" in values:
        return [
            pattern
            for pattern in dict.fromkeys(values["event_types"])
            if not any(matches((pattern,), chosen, known) for known in sayable)
        ]
    resource = values.get("resource")
    wanted = [verb for flag, verb in FLAGS.items() if values.get(flag)] or FLAGS.values()
    types = [f"{resource}.{verb}" for verb in wanted] if resource is not None else []
    return [one for one in types if not can_say(chosen, one)]
