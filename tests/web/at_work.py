"""Deliveries of the portal's account, and what its tables say of them."""

import re

from postback.domain.deliveries import Claim, Verdict
from postback.domain.ids import parse
from postback.domain.wire import Outcome
from tests.build import a_settlement
from tests.web.pages import Page, Portal


async def claims_of(portal: Portal, config_id: str, n: int = 1) -> list[Claim]:
    """Of events that are published now; other configs are owed theirs as well."""
    data = {"from": "12025550166", "to": "24687", "text": "INFO", "received": "2026-03-02T08:44:57-05:00"}
    for _ in range(n):
        event = {"event": {"type": "sms.received", "data": data}}
        assert (await portal.api.client.post("/v2/events", event)).status == 202
    return list(await portal.api.store.claim(portal.api.worker, {parse("pbc", config_id): n}, 1 << 20))


async def settled(
    portal: Portal, config_id: str, verdict: Verdict, n: int = 1, *, outcome: Outcome | None = None
) -> None:
    changes = {} if outcome is None else {"outcome": outcome}
    claims = await claims_of(portal, config_id, n)
    await portal.api.store.settle(portal.api.worker, [a_settlement(claim, verdict, **changes) for claim in claims])


async def later(portal: Portal, path: str) -> Page:
    """For whoever signs in now: sessions that nobody used for long are over."""
    return await (await portal.signed_in()).get(path)


def rows(page: Page, label: str) -> list[list[str]]:
    """The body of a table, as texts."""
    [table] = re.findall(rf'aria-label="{label}".*?<tbody>(.*?)</tbody>', page.html, re.DOTALL)
    return [
        [
            re.sub(r" ([:;,])", r"\1", " ".join(re.sub(r"<[^>]*>", " ", cell).split()))
            for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.DOTALL)
    ]
