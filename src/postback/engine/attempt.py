"""One attempt, a straight line: render, send, decide. It reads nothing and writes nothing."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import Claim, Settlement
from postback.domain.destinations import destination
from postback.domain.errors import CannotRender, InvalidValue
from postback.domain.making import made
from postback.domain.telemetry import InternalError
from postback.domain.urls import parse_url
from postback.domain.verdict import decide, warning
from postback.domain.wire import Destination, Outcome, Reason, Request, Timings, Unreachable
from postback.engine.echoes import secrets_of, without_secrets
from postback.formats import render
from postback.ports import Clock, Dice, Report, Sender

Settled = Callable[[Settlement], None]


class Attempter:
    """Carries out claims. It calls back instead of being awaited: an attempt on an open connection needs no task."""

    def __init__(self, sender: Sender, clock: Clock, dice: Dice, report: Report) -> None:
        self._sender = sender
        self._clock = clock
        self._dice = dice
        self._report = report

    def start(self, claim: Claim, config: PostbackConfig, destination: Destination | None, settled: Settled) -> None:
        """Make the POST and call `settled` once with what it came to; whatever goes wrong becomes an outcome."""
        now_ms = self._clock()
        try:
            if destination is None:
                raise CannotRender(f"the url of the config cannot be used: {config.url!r}")
            rendered = render(claim.event, config, claim.attempts + 1, now_ms)
            request = made(Request, (destination, *rendered))
        except CannotRender as error:
            self._end(claim, config, now_ms, None, settled, _unsent(Reason.CANNOT_RENDER, str(error)))
        except Exception as error:  # noqa: BLE001 - one row that cannot be handled must not end the worker
            self._report(InternalError(error))
            self._end(claim, config, now_ms, None, settled, _unsent(Reason.INTERNAL_ERROR, type(error).__name__))
        else:
            self._sender.send(request, partial(self._end, claim, config, now_ms, request, settled))

    def _end(
        self,
        claim: Claim,
        config: PostbackConfig,
        rendered_ms: int,
        request: Request | None,
        settled: Settled,
        outcome: Outcome,
    ) -> None:
        now_ms = self._clock()
        try:
            decision = decide(claim, config, outcome, now_ms, self._dice)
        except Exception as error:  # noqa: BLE001 - whatever came back, the delivery must come to a settlement
            self._report(InternalError(error))
            outcome = Unreachable(Reason.INTERNAL_ERROR, type(error).__name__, outcome.timings)
            decision = decide(claim, config, outcome, now_ms, self._dice)
        settlement = made(
            Settlement,
            (
                claim,
                decision.verdict,
                outcome if request is None else without_secrets(outcome, request),
                config.version,
                decision.wait_ms,
                hashlib.sha256(request.body).digest() if request is not None else None,
                rendered_ms,
                decision.disables,
                warning(config, outcome, now_ms),
            ),
        )
        settled(settlement)


def _unsent(reason: Reason, detail: str) -> Unreachable:
    return Unreachable(reason, detail, Timings())


def destination_of(config: PostbackConfig) -> Destination | None:
    """Where a config's POSTs go, or None when its row says something that cannot be used."""
    try:
        url = parse_url(config.url, allow_http=True)
        made = destination(
            url,
            headers=config.headers,
            basic_auth=config.basic_auth,
            deadlines=config.deadlines,
            asker=config.account,
        )
        return replace(made, secrets=secrets_of(config))
    except InvalidValue:
        return None
