"""The recent answers of receivers that were told to answer at once and with nothing, and which of them did otherwise."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from postback.domain.configs import PostbackConfig
from postback.domain.ids import delivery_text
from postback.domain.verdict import misbehaviour
from postback.domain.wire import Answered, Outcome, Reason, Timings, Unreachable
from postback.ports import AttemptView, Log, LogFilter

ANSWERS_SHOWN: Final = 5


class Seen(NamedTuple):
    """The last attempt of a delivery that had an outcome; `broke` says in words how it broke the rule, None where not."""

    delivery_id: str
    event_type: str
    attempt: AttemptView
    broke: str | None


@dataclass(frozen=True, slots=True)
class ReceiverManners:
    log: Log

    async def recent(self, config: PostbackConfig) -> list[Seen]:
        """Of the last deliveries of a config, the newest first."""
        seen = []
        narrowed = LogFilter(config_id=config.id)
        for view in await self.log.deliveries(config.account, narrowed, None, ANSWERS_SHOWN):
            _, attempts = await self.log.delivery(config.account, view.event.id, config.id)
            last = next((one for one in reversed(attempts) if outcome_of(one) is not None), None)
            if last is not None:
                seen.append(
                    Seen(delivery_text(view.event.id, config.id), view.event.type, last, broken_by(config, last))
                )
        return seen


def broken_by(config: PostbackConfig, attempt: AttemptView) -> str | None:
    """How the answer broke the rule of one second and of nothing in it, as the config is that it was sent with."""
    outcome = outcome_of(attempt)
    return None if outcome is None else misbehaviour(attempt.config or config, outcome) or None


def outcome_of(attempt: AttemptView) -> Outcome | None:
    """None for rows of the log in which nobody answered or was asked, such as a cancellation."""
    if attempt.status is not None:
        # Where no answer is kept, that there was one is.
        body = attempt.answer_body or (b"\n" if attempt.truncated else b"")
        return Answered(attempt.status, attempt.answer_headers, body, Timings(), attempt.truncated)
    if attempt.reason is None or attempt.started_ms is None:
        return None
    return Unreachable(Reason(attempt.reason), attempt.detail or "", Timings())
