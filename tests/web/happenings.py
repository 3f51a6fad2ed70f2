"""What happened, for pages that show it: events that were published, and attempts as the engine carries them out."""

import hashlib
import json
from typing import Any, Final

from postback.actions.access import Principal
from postback.actions.publish import Published
from postback.domain.accounts import Actor, Scope
from postback.domain.deliveries import Claim, Settlement, Verdict
from postback.domain.ids import ACCOUNT_DEFAULT, delivery_text, event_text, parse
from postback.domain.wire import Answered, Outcome, Timings
from postback.formats import render
from tests.web.pages import Portal

RECEIVED: Final = {"from": "12025550166", "to": "24687", "text": "INFO", "received": "2026-03-02T08:44:57-05:00"}
TIMINGS: Final = Timings(dns_ms=1, connect_ms=2, tls_ms=None, first_byte_ms=3, total_ms=9, sent_after_ms=4)
OK: Final = Answered(200, [], b"", TIMINGS)


async def publish(
    portal: Portal,
    event_type: str = "sms.received",
    data: object = None,
    *,
    account: str = ACCOUNT_DEFAULT,
    **fields: object,
) -> str:
    """The id of a new event."""
    by = Principal(account, frozenset(Scope), is_operator=False, actor=Actor("key_1", "of a test", None))
    event = {"type": event_type, "data": RECEIVED if data is None else data, **fields}
    [answer] = await portal.services.publishing.publish(by, [json.dumps(event).encode()])
    assert isinstance(answer, Published), answer
    return event_text(answer.id)


async def attempt(
    portal: Portal,
    config_id: str,
    outcome: Outcome = OK,
    verdict: Verdict = Verdict.DELIVERED,
    **changes: Any,
) -> Claim:
    """Carry the next delivery of a config out."""
    number = parse("pbc", config_id)
    [claim] = await portal.api.store.claim(portal.api.worker, {number: 1}, 1 << 20)
    config = await portal.api.services.configs.find(claim.event.account, number)
    body = render(claim.event, config, claim.attempts + 1, portal.clock()).body
    settlement = Settlement(
        claim,
        verdict,
        outcome,
        config.version,
        body_hash=hashlib.sha256(body).digest(),
        rendered_ms=portal.clock(),
    )
    assert (await portal.api.store.settle(portal.api.worker, [settlement._replace(**changes)])).moved == 1
    return claim


async def delivered(portal: Portal, config_id: str, **changes: Any) -> str:
    """The id of a new delivery that has ended so, a second ago."""
    await publish(portal)
    claim = await attempt(portal, config_id, **changes)
    portal.clock.pass_(seconds=1)
    return delivery_text(claim.event.id, claim.config_id)


async def failed(portal: Portal, config_id: str, outcome: Outcome | None = None) -> str:
    answer = Answered(500, [], b"oops", TIMINGS) if outcome is None else outcome
    return await delivered(portal, config_id, outcome=answer, verdict=Verdict.FAILED)
