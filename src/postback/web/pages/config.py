"""A postback config: what it is, how it is doing, what it sent last, and what can be done with it."""

from typing import Any, Final

from starlette.responses import Response

from postback.actions.config_options import SIGNED, applying_options
from postback.actions.config_secrets import OVERLAP_S, live_secrets
from postback.actions.log import SentRequest
from postback.actions.overview import WARNED_BEFORE_MS
from postback.actions.receiver_manners import broken_by
from postback.domain.catalog import CATALOG, can_say
from postback.domain.configs import ConfigState, PostbackConfig
from postback.domain.errors import Conflict, InvalidValue
from postback.domain.ids import config_text
from postback.domain.masking import without_secrets
from postback.domain.stats import Health
from postback.ports import AttemptView, LogFilter
from postback.web.config_form import LABELS
from postback.web.forms import Form
from postback.web.pages.named import locations_of
from postback.web.shown import text_of
from postback.web.visit import Visit

DELIVERIES_SHOWN: Final = 10
OVERLAPS: Final = ((OVERLAP_S, "A day"), (3600, "An hour"), (7 * OVERLAP_S, "A week"), (0, "Not at all"))
"""How long (s) the secret before goes on signing."""


async def show(visit: Visit) -> Response:
    return await _page(visit, await _config(visit))


async def test(visit: Visit) -> Response:
    """The answer at once, on the page of the config."""
    config, form = await _config(visit), await visit.form()
    try:
        attempt, sent = await visit.services.config_checks.test(
            visit.account, config_text(config.id), form.text("event_type") or None, by=visit.actor
        )
    except InvalidValue as error:
        return await _page(visit, config, 422, form=form.wrong(error))
    return await _page(visit, config, form=form, tested=tested(config, attempt, sent))


def tested(config: PostbackConfig, attempt: AttemptView, sent: SentRequest | None) -> dict[str, Any]:
    """What the template of a test's answer shows."""
    return {
        "attempt": attempt,
        "sent": sent,
        "is_success": attempt.status is not None and config.success.accepts(attempt.status),
        "took_ms": None if attempt.started_ms is None else attempt.ended_ms - attempt.started_ms,
        "body": text_of(attempt.answer_body),
        "request_body": None if sent is None or sent.body is None else text_of(sent.body),
        "broke": broken_by(config, attempt),
        "limit_s": config.deadlines.total_s,
    }


async def pause(visit: Visit) -> Response:
    config = await _config(visit)
    try:
        await visit.services.configs.pause(visit.account, config_text(config.id), by=visit.actor)
    except Conflict as error:
        return visit.go(_path(config), f"It was not paused: {error}.", "problem")
    health = await _health(visit, config)
    if not health.pending:
        return visit.go(_path(config), "Paused. Nothing is owed now; what comes is held until it is resumed.")
    return visit.go(_path(config), f"Paused. {_owed(health)} held until it is resumed, and so are those that come.")


async def resume(visit: Visit) -> Response:
    config = await _config(visit)
    health = await _health(visit, config)
    await visit.services.configs.resume(visit.account, config_text(config.id), by=visit.actor)
    return visit.go(_path(config), f"Resumed. {_owed(health)} sent now, in order." if health.pending else "Resumed.")


async def rotate_secret(visit: Visit) -> Response:
    config, form = await _config(visit), await visit.form()
    overlaps = {str(seconds): seconds for seconds, _ in OVERLAPS}
    overlap_s = overlaps.get(form.text("overlap"), OVERLAP_S)
    secret = await visit.services.configs.rotate_secret(
        visit.account, config_text(config.id), overlap_s, by=visit.actor
    )
    return await show_secret(visit, config, secret, "The signing secret was replaced.")


async def show_secret(visit: Visit, config: PostbackConfig, secret: str, said: str) -> Response:
    """The only page that ever shows it."""
    return await visit.page("configs/secret.html", config=config, secret=secret, said=said)


async def show_delete(visit: Visit) -> Response:
    config = await _config(visit)
    health = await _health(visit, config)
    return await visit.confirm(
        title="Delete this postback config?",
        sentences=[
            f"Nothing is sent to {without_secrets(config.url)} by it any more, and what it still owes is cancelled.",
            "Its deliveries of the past stay in the log.",
        ],
        facts={"Deliveries that are cancelled": _count(health), "Delivered within the last hour": health.delivered},
        action=f"{_path(config)}/delete",
        button="Delete postback config",
        back=_path(config),
    )


async def delete(visit: Visit) -> Response:
    config = await _config(visit)
    owed = _count(await _health(visit, config))
    await visit.services.configs.delete(visit.account, config_text(config.id), by=visit.actor)
    home = f"/locations/{config.location_id}/postbackconfigs" if config.location_id else "/postbackconfigs"
    return visit.go(home, f"The postback config was deleted; deliveries that it owed: {owed}.")


async def _config(visit: Visit) -> PostbackConfig:
    return await visit.services.configs.find(visit.account, visit.param("config_id"))


async def _health(visit: Visit, config: PostbackConfig) -> Health:
    found = await visit.services.stats.health(visit.account, [config.id])
    return found.get(config.id, Health())


async def _page(visit: Visit, config: PostbackConfig, status: int = 200, **context: Any) -> Response:
    deliveries = await visit.services.log.deliveries(
        visit.account, LogFilter(config_id=config.id), None, DELIVERIES_SHOWN
    )
    health = await _health(visit, config)
    ends_ms = health.certificate_ends_ms
    known = {
        "form": Form(),
        "tested": None,
        "config": config,
        "health": health,
        "certificate_is_near": ends_ms is not None and ends_ms < visit.now_ms + WARNED_BEFORE_MS,
        "location_name": (await locations_of(visit, [config.location_id])).get(config.location_id or ""),
        "deliveries": deliveries.items,
        "options": applying_options(config.format, config.options),
        "event_types": testable(config),
        "secrets": live_secrets(config.signing_secrets, visit.now_ms) if config.format in SIGNED else (),
        "overlaps": OVERLAPS,
        "labels": LABELS,
        "is_held": config.state is not ConfigState.ACTIVE,
    }
    return await visit.page("configs/show.html", status, **{**known, **context})


def testable(config: PostbackConfig) -> list[str]:
    """Types of the catalog that the format can say."""
    return [name for name in CATALOG if can_say(config.format, name)]


def _path(config: PostbackConfig) -> str:
    return f"/postbackconfigs/{config_text(config.id)}"


def _count(health: Health) -> str:
    return f"more than {health.pending:,}" if health.has_more else f"{health.pending:,}"


def _owed(health: Health) -> str:
    if health.pending == 1 and not health.has_more:
        return "1 delivery is"
    return f"{_count(health).capitalize()} deliveries are"
