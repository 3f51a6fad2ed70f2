"""Notices: what an account should know of its own postbacks, as events that its other configs may subscribe to.

A config never hears of itself, and what becomes of a notice is no notice again: nothing goes round in circles.
"""

import json
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import Settlement
from postback.domain.ids import config_text, delivery_text, event_text
from postback.domain.times import rfc3339
from postback.domain.verdict import reason_of
from postback.domain.wire import Answered, Reason

DELIVERY_FAILED: Final = "delivery.failed"
CONFIG_FAILING: Final = "postbackconfig.failing"
CONFIG_DISABLED: Final = "postbackconfig.disabled"
CONFIG_RECOVERED: Final = "postbackconfig.recovered"
NOTICES: Final = frozenset({DELIVERY_FAILED, CONFIG_FAILING, CONFIG_DISABLED, CONFIG_RECOVERED})

FAILURES_LEAST: Final = 20
"""Failed attempts without a success between, before anything is said or done about a config."""

FAILING_AFTER_MS: Final = 3_600_000
"""How long a config has to fail before others are told, unless half of the time until it is disabled is shorter."""


NO_POST: Final = frozenset({Reason.CANNOT_RENDER, Reason.POISON})
"""A delivery that ended so has had no attempt of this: nothing was sent, or nobody knows what came of it."""


class Trouble(NamedTuple):
    """How a config has fared since its last success: failed attempts, and when the first of them was (unix ms)."""

    failures: int
    first_failure_ms: int | None
    last_success_ms: int | None


class Notice(NamedTuple):
    """An event to be: of `account`, about the config `about`, which does not get it."""

    type: str
    account: str
    about: int
    location_id: str | None
    subject: str
    data: bytes


def judge(config: PostbackConfig, trouble: Trouble, now_ms: int) -> str | None:
    """The notice that the config's trouble calls for now, None where there is nothing new to say.

    Disabled: no success for `disable_after_s` and at least FAILURES_LEAST failed attempts since.
    """
    if config.failing_ms is not None and (trouble.last_success_ms or 0) >= config.failing_ms:
        # Whatever has failed since then is a new trouble.
        return CONFIG_RECOVERED
    if trouble.failures == 0 or trouble.first_failure_ms is None:
        return None
    if config.disable_after_s is None or trouble.failures < FAILURES_LEAST:
        return None
    disable_after_ms = config.disable_after_s * 1000
    lasts_ms = now_ms - trouble.first_failure_ms
    if lasts_ms >= disable_after_ms:
        return CONFIG_DISABLED
    if config.failing_ms is None and lasts_ms >= min(FAILING_AFTER_MS, disable_after_ms // 2):
        return CONFIG_FAILING
    return None


def lasting(config: PostbackConfig, trouble: Trouble) -> Trouble:
    """The trouble, which lasts at least since others were told of it: the minutes of its beginning may be forgotten.

    Not where the config was changed or resumed since: then what is counted says it.
    """
    told_ms, first_ms = config.failing_ms, trouble.first_failure_ms
    if (
        told_ms is None
        or first_ms is None
        or told_ms <= config.modified_ms
        or (trouble.last_success_ms or 0) >= told_ms
    ):
        return trouble
    return trouble._replace(first_failure_ms=min(first_ms, told_ms))


def why_disabled(trouble: Trouble) -> str:
    since = rfc3339(trouble.first_failure_ms) if trouble.first_failure_ms is not None else "the beginning"
    return f"no success since {since}, and {trouble.failures:,} failed attempts"


def of_delivery(settlement: Settlement, config: PostbackConfig) -> Notice | None:
    """That a delivery has failed for good; None for what is a notice itself."""
    event, outcome = settlement.claim.event, settlement.outcome
    if event.type in NOTICES:
        return None
    delivery, reason = delivery_text(event.id, config.id), reason_of(outcome)
    return _notice(
        DELIVERY_FAILED,
        config,
        event.location_id,
        delivery,
        {
            "delivery_id": delivery,
            "event_id": event_text(event.id),
            "event_type": event.type,
            "subject": event.subject,
            "postbackconfig_id": config_text(config.id),
            "attempts_made": settlement.claim.attempts + (reason not in NO_POST),
            "last_status": outcome.status if isinstance(outcome, Answered) else None,
            "last_reason": reason.value,
        },
    )


def of_config(event_type: str, config: PostbackConfig, reason: str | None, trouble: Trouble | None = None) -> Notice:
    """That a config is failing, was disabled, or has recovered. Its URL may be a secret: only its origin is told."""
    config_id = config_text(config.id)
    parts = urlsplit(config.url)
    data: dict[str, object] = {
        "postbackconfig_id": config_id,
        "name": config.as_sent.get("name"),
        "receiver": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        "reason": reason,
    }
    if trouble is not None:
        data["failed_attempts"] = trouble.failures
        data["failing_since"] = _time(trouble.first_failure_ms)
        data["last_success"] = _time(trouble.last_success_ms)
    return _notice(event_type, config, config.location_id, config_id, data)


def _notice(
    event_type: str, config: PostbackConfig, location_id: str | None, subject: str, data: dict[str, object]
) -> Notice:
    text = json.dumps(data, separators=(",", ":")).encode()
    return Notice(event_type, config.account, config.id, location_id, subject, text)


def _time(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)
