"""What a config does with an event: explained for one that happened, tried with one that is made up."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from postback.actions.config_wants import FLAGS
from postback.actions.log import SentRequest, sent_request
from postback.actions.publish import subject_of
from postback.domain.accounts import Actor
from postback.domain.catalog import CATALOG, SAYABLE, can_say
from postback.domain.configs import PostbackConfig, matches
from postback.domain.errors import InvalidValue
from postback.domain.events import TYPE_EXPECTED, Event, is_event_type
from postback.domain.ids import parse
from postback.formats import is_sayable
from postback.ports import AttemptView, Configs, Courier, Log, NewEvent
from postback.resources.fields import shown

_OF_A_PATTERN: Final = "example"
"""The rest of a type of the account's own, of which only a pattern is known."""


class Explained(NamedTuple):
    """Whether a config wants an event, as both are now, and why."""

    wants: bool
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class ConfigChecks:
    configs: Configs
    log: Log
    courier: Courier

    async def explain(self, account: str, config_id: str, event_id: str) -> Explained:
        config = await self.configs.find(account, parse("pbc", config_id))
        event, _ = await self.log.event(account, parse("evt", event_id))
        return explained(config, event)

    async def test(
        self, account: str, config_id: str, event_type: str | None, *, by: Actor | None = None
    ) -> tuple[AttemptView, SentRequest | None]:
        """The one attempt of an example event that is sent now, as it went on record."""
        config = await self.configs.find(account, parse("pbc", config_id))
        event = example_for(config, event_type)
        event_id = await self.courier.test(config, event, by=by)
        view, attempts = await self.log.delivery(account, event_id, config.id)
        return attempts[-1], sent_request(view.event, attempts[-1], view.event)


def explained(config: PostbackConfig, event: Event) -> Explained:
    if config.wants(event):
        return Explained(True, _reasons_for(config, event))
    return Explained(False, config.explain(event))


def example_for(config: PostbackConfig, event_type: str | None) -> NewEvent:
    """An event of the type, else of the first type that the config wants and its format can say."""
    chosen = event_type if event_type is not None else _first_wanted(config)
    if chosen is None:
        raise InvalidValue.of(
            "event_type",
            "event_type cannot be left out: the config wants no type that an example can be made of; name one",
        )
    if not is_event_type(chosen):
        raise InvalidValue.of("event_type", f"event_type is {shown(chosen)}; {TYPE_EXPECTED}")
    if not can_say(config.format, chosen):
        able = ", ".join(sorted(SAYABLE[config.format] or ()))
        raise InvalidValue.of(
            "event_type", f"event_type is {chosen}, which the format {config.format} cannot say; expected one of {able}"
        )
    known = CATALOG.get(chosen)
    data = json.dumps(known.example if known is not None else {"example": True}, separators=(",", ":")).encode()
    return NewEvent(
        account=config.account,
        type=chosen,
        data=data,
        location_id=config.location_id,
        subject=subject_of(chosen, data),
    )


def _first_wanted(config: PostbackConfig) -> str | None:
    if config.resource is not None:
        verbs = [verb for flag, verb in FLAGS.items() if getattr(config, flag)] or [*FLAGS.values()]
        return f"{config.resource}.{verbs[0]}"
    for pattern in config.event_types:
        known = (one for one in CATALOG if matches((pattern,), config.format, one))
        first = next(known, pattern if is_event_type(pattern) else None)
        if first is not None:
            return first
    made_up = (pattern.replace("*", _OF_A_PATTERN) for pattern in config.event_types)
    return next((one for one in made_up if is_event_type(one)), None)


def _reasons_for(config: PostbackConfig, event: Event) -> Sequence[str]:
    """Why it is wanted, and what would become of the delivery all the same."""
    if config.event_types:
        pattern = next(one for one in config.event_types if matches((one,), config.format, event.type))
        reasons = [f"event_types names {pattern}; the event is {event.type}"]
    else:
        flag = next(flag for flag, verb in FLAGS.items() if event.type.endswith(f".{verb}"))
        reasons = [f"the config wants changes of {config.resource}, and {flag} is on; the event is {event.type}"]
    if config.location_id is not None:
        reasons.append(f"the event is of the config's location {config.location_id}")
    if config.locked is not None:
        reasons.append(f"{config.locked}: its deliveries are made, and wait for a process that has it")
    elif config.holds:
        reasons.append(f"the config is {config.state}: its deliveries are made, and held until it is resumed")
    if not is_sayable(event, config):
        reasons.append(f"the format {config.format} cannot say this event's data: its delivery fails without a POST")
    return reasons
