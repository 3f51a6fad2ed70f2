"""How things are shown: the documented keys in the documented order."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from postback.actions.config_fields import DEFAULTS, DOCUMENTED, FURTHER, OF_A_RESOURCE
from postback.actions.config_options import applying_options
from postback.actions.log import SentRequest
from postback.actions.sign_in_links import MadeLink
from postback.domain.accounts import Account, AccountLimits, ApiKey
from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import Verdict
from postback.domain.events import Event
from postback.domain.ids import config_text, delivery_text, encode, event_text
from postback.domain.jobs import JobState
from postback.domain.masking import MASK, masked
from postback.domain.records import Record
from postback.domain.stats import Health
from postback.domain.times import rfc3339
from postback.ports import AttemptView, DeliveryView, Job
from postback.resources import Resource

View = dict[str, Any]


def config_view(
    config: PostbackConfig,
    public_url: str,
    expand: Sequence[str] = (),
    *,
    health: Health | None = None,
    shows_secret: bool = False,
) -> View:
    """The documented fields, then the further ones that the owner set, each as it was sent; credentials never."""
    # A row that cannot be read has kept nothing of what was sent, and is shown all the same.
    known = {"location_id": config.location_id, "resource": config.resource, "url": config.url, "format": config.format}
    sent = {**DEFAULTS, **known, **config.as_sent, **_retries(config)}
    view: View = {"id": config_text(config.id)}
    view |= {name: sent[name] for name in DOCUMENTED if config.resource is not None or name not in OF_A_RESOURCE}
    view |= {"created_ts": config.created_ms // 1000, "modified_ts": config.modified_ms // 1000}
    further = {**config.as_sent, **_apart(config, shows_secret=shows_secret)}
    view |= {name: further[name] for name in FURTHER if name in further}
    if config.purpose is not None:
        view["purpose"] = config.purpose
    view["_links"] = _links(public_url, "postbackconfigs", config_text(config.id))
    for name in expand:
        view |= _health(config, health or Health()) if name == HEALTH else _EXPANDED[name](config)
    return view


def _retries(config: PostbackConfig) -> View:
    """As they hold: a schedule, the owner's or the format's, is no fixed interval."""
    waits = config.retry.waits_s
    is_fixed = len(waits) == 1 and "retry_schedule" not in config.as_sent
    return {"number_of_attempts": config.retry.attempts, "attempt_interval": waits[0] if is_fixed else None}


def _apart(config: PostbackConfig, *, shows_secret: bool) -> View:
    view: View = {"headers": masked(config.headers)} if config.headers else {}
    if config.signing_secrets:
        view["signing_secret"] = config.signing_secrets[0].text if shows_secret else MASK
    return view


def state_view(config: PostbackConfig) -> View:
    """Whether its deliveries go out, and what its receiver does that it was told not to do."""
    warned = config.warned
    return {
        "state": config.state,
        "state_reason": config.state_reason,
        "warning": None if warned is None else {"text": warned.text, "since": rfc3339(warned.since_ms)},
    }


def _policy(config: PostbackConfig) -> View:
    return {
        "policy": {
            "number_of_attempts": config.retry.attempts,
            "waits": config.retry.waits_s,
            "jitter": config.retry.jitter,
            "success_status": config.success,
            "connect_timeout": config.deadlines.connect_s,
            "response_timeout": config.deadlines.response_s,
            "total_timeout": config.deadlines.total_s,
            "max_in_flight": config.max_in_flight,
            "rate_limit": config.rate_limit,
            "disable_after": config.disable_after_s,
            **applying_options(config.format, config.options),
        }
    }


def _health(config: PostbackConfig, health: Health) -> View:
    last = health.last_error
    return {
        "health": {
            "delivered": health.delivered,
            "failed": health.failed,
            "retried": health.retried,
            "pending": health.pending,
            "pending_is_more": health.has_more,
            "last_success_at": _time(health.last_success_ms),
            "certificate_expires_at": _time(health.certificate_ends_ms),
            "last_error": None
            if last is None
            else {
                "at": rfc3339(last.at_ms),
                "delivery_id": delivery_text(last.event_id, config.id),
                "status": last.status,
                "reason": last.reason,
            },
        }
    }


HEALTH: Final = "health"
CONFIG_EXPANDS: Final = ("state", HEALTH, "policy")
"""What a config may be shown with."""

_EXPANDED: Final[Mapping[str, Callable[[PostbackConfig], View]]] = {"state": state_view, "policy": _policy}


def record_view(resource: Resource, record: Record, public_url: str, *, sees_all: bool) -> View:
    """Sensitive fields are shown to those who may write, `***` to all others."""
    view = resource.api_view(record)
    shown = view if sees_all else resource.masked(view)
    return {**shown, "_links": _links(public_url, resource.plural, record.id)}


def event_view(event: Event, deliveries: int) -> View:
    """An event in a list: what happened, without its data, which may be long."""
    return {
        "id": event_text(event.id),
        "type": event.type,
        "location_id": event.location_id,
        "subject": event.subject,
        "occurred_at": event.occurred_at,
        "accepted_at": rfc3339(event.accepted_ms),
        "deliveries": deliveries,
    }


def event_with_deliveries_view(event: Event, deliveries: Sequence[DeliveryView]) -> View:
    view = event_view(event, len(deliveries))
    view["data"] = msgspec.Raw(event.data)
    view["deliveries"] = [delivery_view(delivery) for delivery in deliveries]
    return view


def delivery_view(delivery: DeliveryView) -> View:
    event = delivery.event
    return {
        "id": delivery_text(event.id, delivery.config_id),
        "event_id": event_text(event.id),
        "event_type": event.type,
        "location_id": event.location_id,
        "postbackconfig_id": config_text(delivery.config_id),
        "state": delivery.state,
        "attempts_made": delivery.attempts_made,
        "due_at": _time(delivery.due_ms),
        "created_at": rfc3339(event.accepted_ms),
        "finished_at": _time(delivery.finished_ms),
        "last_status": delivery.last_status,
        "last_reason": delivery.last_reason,
    }


def attempt_view(attempt: AttemptView, request: SentRequest | None) -> View:
    return {
        "number": attempt.number,
        "started_at": _time(attempt.started_ms),
        "sent_at": _time(attempt.sent_ms),
        "finished_at": rfc3339(attempt.ended_ms),
        "worker": None if attempt.worker is None else encode(attempt.worker),
        "manual": attempt.manual,
        "test": attempt.test,
        "request": None if request is None else _request(request),
        "status": attempt.status,
        "reason": attempt.reason,
        "detail": attempt.detail,
        "notes": attempt.notes,
        "answer": None if attempt.status is None else _answer(attempt),
        "timings": {
            "dns_ms": attempt.dns_ms,
            "connect_ms": attempt.connect_ms,
            "tls_ms": attempt.tls_ms,
            "first_byte_ms": attempt.first_byte_ms,
            "total_ms": None if attempt.started_ms is None else attempt.ended_ms - attempt.started_ms,
        },
        "decision": Verdict(attempt.verdict).name.lower(),
        "next_at": rfc3339(attempt.ended_ms + attempt.wait_ms) if attempt.verdict == Verdict.RETRY else None,
    }


def job_view(job: Job) -> View:
    return {
        "id": job.id,
        "kind": job.kind,
        "state": JobState.RUNNING if job.ended_ms is None else JobState.DONE,
        "filter": job.narrowed.as_asked(),
        "selected": job.selected,
        "done": job.done,
        "skipped": job.skipped,
        "created_at": rfc3339(job.created_ms),
        "finished_at": _time(job.ended_ms),
    }


def account_view(account: Account) -> View:
    return {
        "id": account.id,
        "name": account.name,
        "metadata": account.metadata,
        "limits": _limits(account.limits),
        "portal_origins": list(account.portal_origins),
        "created_at": rfc3339(account.created_ms),
        "modified_at": rfc3339(account.modified_ms),
    }


def portal_link_view(made: MadeLink, base_url: str) -> View:
    link = made.link
    return {
        "id": link.id,
        "url": f"{base_url}/portal/{made.token}",
        "account": link.account,
        "role": link.role,
        "name": link.name,
        "created_at": rfc3339(link.created_ms),
        "ends_at": _time(link.ends_ms),
    }


def _limits(limits: AccountLimits) -> View:
    rate = limits.events_per_second
    shown = int(rate) if rate is not None and rate.is_integer() else rate
    return {"events_per_second": shown, "configs": limits.configs, "max_body": limits.max_body}


def key_view(key: ApiKey) -> View:
    return {
        "id": key.id,
        "account": key.account,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "created_at": rfc3339(key.created_ms),
        "expires_at": _time(key.expires_ms),
        "last_used_at": _time(key.last_used_ms),
    }


def _request(request: SentRequest) -> View:
    return {
        "url": request.url,
        "headers": request.headers,
        "body": None if request.body is None else _text(request.body),
    }


def _answer(attempt: AttemptView) -> View:
    headers: dict[str, str] = {}
    for name, value in attempt.answer_headers:
        shown, more = _text(name), _text(value)
        headers[shown] = f"{headers[shown]}, {more}" if shown in headers else more
    return {"headers": headers, "body": _text(attempt.answer_body), "truncated": attempt.truncated}


def _text(data: bytes) -> str:
    """Bytes of others as text: what is not UTF-8 is shown as escapes."""
    return data.decode("utf-8", "backslashreplace")


def _time(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)


def _links(public_url: str, plural: str, name: str) -> View:
    return {"self": {"href": f"{public_url}/v2/{plural}/{name}"}}
