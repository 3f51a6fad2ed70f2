"""Who is refused something is on record, as often as the store can bear."""

import asyncio
from dataclasses import dataclass, field

import pytest

from postback.actions import refusals
from postback.actions.refusals import ONCE_IN_S, Refusals
from postback.domain.accounts import Actor
from postback.domain.errors import Forbidden

pytestmark = pytest.mark.anyio

ANN, BOB = Actor("usr_ann", "ann@example.com", "192.0.2.1"), Actor("usr_bob", "bob@example.com")
WHY = Forbidden("your role is viewer")


@dataclass
class AuditDouble:
    """Takes its time, as a store does."""

    refused: list[tuple[str, str]] = field(default_factory=list)

    async def refuse(self, _: str | None, route: str, why: str, *, by: Actor) -> None:
        assert why == str(WHY)
        await asyncio.sleep(0)
        self.refused.append((by.key_id, route))


class Stage:
    def __init__(self) -> None:
        self.audit = AuditDouble()
        self.now = 1000.0
        self.refusals = Refusals(self.audit, lambda: self.now)  # type: ignore[arg-type]

    async def refuse(self, by: Actor, route: str) -> None:
        await self.refusals.record("default", by, route, WHY)


async def test_the_same_of_the_same_is_on_record_once_a_minute() -> None:
    stage = Stage()

    for _ in range(3):
        for by in (ANN, BOB):
            for route in ("GET /a", "POST /a"):
                await stage.refuse(by, route)
        stage.now += ONCE_IN_S / 4

    expected = [(by, route) for by in ("usr_ann", "usr_bob") for route in ("GET /a", "POST /a")]
    assert stage.audit.refused == expected
    stage.now += ONCE_IN_S / 4
    await stage.refuse(ANN, "GET /a")
    assert stage.audit.refused == [*expected, ("usr_ann", "GET /a")]


async def test_of_many_at_the_same_moment_one_is_on_record() -> None:
    stage = Stage()

    await asyncio.gather(*(stage.refuse(ANN, "GET /a") for _ in range(50)))

    assert stage.audit.refused == [("usr_ann", "GET /a")]


async def test_only_so_many_are_kept_in_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "REMEMBERED", 3)
    stage = Stage()

    for number in range(10):
        await stage.refuse(ANN, f"GET /{number}")

    assert len(stage.refusals._recorded) == 3
    await stage.refuse(ANN, "GET /9")
    assert len(stage.audit.refused) == 10
