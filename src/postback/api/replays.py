"""/v2/deliveries/replay, /v2/deliveries/cancel and /v2/replays: many deliveries at once, and how far that is."""

from typing import Any

from fastapi import APIRouter, Request, Response

from postback.actions.access import Principal
from postback.api.answers import answer
from postback.api.documents import (
    ONE,
    PAGE_SIZE_PARAMETER,
    READING,
    WRITING,
    documented,
    query,
    responses,
    wrapped,
)
from postback.api.fields import plain_fields_of
from postback.api.keys import Joined, Reader, Writer
from postback.api.lists import PAGE_SIZE, PAGE_SIZE_MAX, Parameters
from postback.api.schema_parts import ref
from postback.api.services import Services
from postback.api.views import job_view
from postback.domain.jobs import RUNNING_MAX, JobKind

router = APIRouter(tags=["deliveries"])


def _documented(summary: str, body: str, description: str) -> dict[str, Any]:
    said = documented(
        summary,
        status=202,
        answer=wrapped("replay", "Replay"),
        body=ref(body),
        errors=(409, *WRITING),
        description=f"{description} At least one filter besides the state, or all: true. With dry_run they are only "
        f"counted. 409 while {RUNNING_MAX} jobs of the account are running.",
    )
    said["responses"] |= responses([200], ref("Count"), ())
    return said


@router.post(
    "/v2/deliveries/replay",
    **_documented(
        "Deliver many once more",
        "NewReplay",
        "Those that have finished and fit the filter are owed again, in the order of their events.",
    ),
)
async def replay_deliveries(request: Request, principal: Writer, services: Joined) -> Response:
    return await _many(JobKind.REPLAY, request, principal, services)


@router.post(
    "/v2/deliveries/cancel",
    **_documented("Give many deliveries up", "NewCancel", "Those that are open and fit the filter are cancelled."),
)
async def cancel_deliveries(request: Request, principal: Writer, services: Joined) -> Response:
    return await _many(JobKind.CANCEL, request, principal, services)


@router.get(
    "/v2/replays",
    **documented(
        "List the jobs over many deliveries, the newest first",
        answer=ref("Replays"),
        parameters=[PAGE_SIZE_PARAMETER, query("cursor", "The next_cursor of the part before.")],
        errors=(*READING, 422),
    ),
)
async def list_replays(request: Request, principal: Reader, services: Joined) -> Response:
    asked = Parameters(request, "page_size", "cursor")
    size = asked.number("page_size", PAGE_SIZE, PAGE_SIZE_MAX)
    part = await services.replay_actions.list(principal.account, asked.text("cursor"), size)
    return answer(200, {"replays": [job_view(job) for job in part.items], "next_cursor": part.next_cursor})


@router.get(
    "/v2/replays/{replay_id}",
    **documented("Show how far a job is", answer=wrapped("replay", "Replay"), errors=ONE),
)
async def show_replay(replay_id: str, principal: Reader, services: Joined) -> Response:
    return answer(200, {"replay": job_view(await services.replay_actions.find(principal.account, replay_id))})


async def _many(kind: JobKind, request: Request, principal: Principal, services: Services) -> Response:
    # A dry_run that stands in the query would be overlooked, and everything be done.
    Parameters(request)
    asked = await services.replay_actions.asked(principal.account, kind, await plain_fields_of(request, services))
    if asked.is_dry_run:
        return answer(200, {"count": await services.replay_actions.count(principal.account, kind, asked.narrowed)})
    job = await services.replay_actions.start(principal.account, kind, asked.narrowed, by=principal.actor)
    return answer(202, {"replay": job_view(job)})
