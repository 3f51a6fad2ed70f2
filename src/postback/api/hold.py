"""/v2/hold: a server that was started after a restore delivers nothing until an operator releases it."""

from fastapi import APIRouter, Response

from postback.actions.hold import Standing
from postback.api.answers import answer
from postback.api.documents import documented, wrapped
from postback.api.keys import Admin, Joined
from postback.api.views import View
from postback.domain.ids import config_text
from postback.domain.restored import OwedTo
from postback.domain.times import rfc3339

router = APIRouter(tags=["operations"])

_HOLD = wrapped("hold", "Hold")


@router.get(
    "/v2/hold",
    **documented(
        "Show whether this server is held after a restore",
        answer=_HOLD,
        errors=(401, 403, 404, 503),
        description="Operator keys only. What would be sent is counted while it is held.",
    ),
)
async def show_hold(principal: Admin, services: Joined) -> Response:
    return _answer(await services.hold_actions.show(principal))


@router.post(
    "/v2/hold/release",
    **documented(
        "Let a held server deliver",
        answer=_HOLD,
        errors=(401, 403, 404, 503),
        description="Operator keys only. What is owed is sent from now on. A server that is not held stays as it is.",
    ),
)
async def release_hold(principal: Admin, services: Joined) -> Response:
    return _answer(await services.hold_actions.release(principal))


def _answer(standing: Standing) -> Response:
    copy, owing = standing
    view: View = {
        "is_held": owing is not None,
        "known_until": None if copy is None or copy.known_until_ms is None else rfc3339(copy.known_until_ms),
        "owed": None,
        "owed_in_copy": None,
        "replays": None,
        "most_owed": [],
    }
    if owing is not None:
        view |= {
            "owed": owing.owed,
            "owed_in_copy": owing.in_copy,
            "replays": owing.replays,
            "most_owed": [_owed_to(one) for one in owing.most],
        }
    return answer(200, {"hold": view})


def _owed_to(one: OwedTo) -> View:
    return {
        "account": one.account,
        "postbackconfig_id": config_text(one.config_id),
        "state": one.state,
        "url": one.url,
        "owed": one.owed,
    }
