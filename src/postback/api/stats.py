"""/v2/stats: what happened, step by step."""

from fastapi import APIRouter, Request, Response

from postback.actions.stats import DAY_S, HOURS_SHOWN, STEPS_MAX, STEPS_SHOWN, Step
from postback.api.answers import answer
from postback.api.deliveries import config_id_of
from postback.api.documents import READING, documented, query
from postback.api.keys import Joined, Reader
from postback.api.lists import Parameters
from postback.api.schema_parts import ref
from postback.domain.stats import percentile_ms
from postback.domain.times import rfc3339

router = APIRouter()


@router.get(
    "/v2/stats",
    tags=["deliveries"],
    **documented(
        "Count deliveries over time",
        answer=ref("Stats"),
        parameters=[
            query(
                "since",
                f"From the step that this time is in (RFC 3339); by default {HOURS_SHOWN} hours before until, or "
                f"{STEPS_SHOWN} steps where that is less.",
                format="date-time",
            ),
            query("until", "Up to the step that this time is in; by default now.", format="date-time"),
            query(
                "step",
                f"Seconds, whole minutes; by default what makes about {STEPS_SHOWN} steps at most, or days.",
                type="integer",
                minimum=60,
                maximum=DAY_S,
                multipleOf=60,
            ),
            query("postbackconfig_id", "Only deliveries to this config."),
        ],
        errors=(*READING, 422, 503),
        description=f"Counted as it happens, to the minute. At most {STEPS_MAX} steps, those without anything included; "
        "each begins at a multiple of its length (UTC).",
    ),
)
async def show_stats(request: Request, principal: Reader, services: Joined) -> Response:
    asked = Parameters(request, "since", "until", "step", "postbackconfig_id")
    steps = await services.stats_actions.steps(
        principal.account,
        since_ms=asked.time("since"),
        until_ms=asked.time("until"),
        step_s=None if asked.text("step") is None else asked.number("step", DAY_S, DAY_S),
        config_id=config_id_of(asked.text("postbackconfig_id")),
    )
    return answer(200, {"steps": [_view(step) for step in steps]})


def _view(step: Step) -> dict[str, object]:
    tally = step.tally
    return {
        "at": rfc3339(step.at_ms),
        "accepted": tally.accepted,
        "delivered": tally.delivered,
        "failed": tally.failed,
        "retried": tally.retried,
        "cancelled": tally.cancelled,
        "replayed": tally.replayed,
        "p50_ms": percentile_ms(tally.latencies, 50),
        "p99_ms": percentile_ms(tally.latencies, 99),
    }
