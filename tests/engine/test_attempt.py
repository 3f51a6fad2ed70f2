"""Whatever goes wrong inside an attempt becomes an outcome that can be seen, and stops nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, update

from postback.domain.deliveries import Settlement, State, Verdict
from postback.domain.policy import RetryPolicy
from postback.domain.telemetry import AttemptFinished, InternalError
from postback.domain.wire import Outcome, Reason, Request, Unreachable
from postback.engine import attempt
from postback.engine.attempt import Attempter
from postback.formats import Rendered
from postback.storage.tables import config_versions, events
from tests.build import CONFIG_ID, NOON, a_claim, a_config, a_destination, an_event, answered
from tests.engine.scene import Scene

pytestmark = pytest.mark.anyio

COUNTED = b"type=CREATE&resource=contact&number_of_attempts=3&data=%7B%22id%22%3A%22con_1%22%7D"


def attempted(*, outcome: Outcome | None = None, **claim: object) -> tuple[list[Request], Settlement]:
    """One attempt with a receiver that answers at once: what was sent, and what it came to."""
    sent: list[Request] = []

    class AtOnce:
        def send(self, request: Request, answered_with: Callable[[Outcome], None]) -> None:
            sent.append(request)
            answered_with(outcome or answered(200))

        async def close(self, grace_s: float) -> None:
            raise NotImplementedError

    settlements: list[Settlement] = []
    attempter = Attempter(AtOnce(), lambda: NOON, lambda: 0.0, lambda _: None)
    attempter.start(a_claim(**claim), a_config(version=7), a_destination(), settlements.append)
    [settlement] = settlements
    return sent, settlement


def test_the_body_counts_attempts_and_the_log_knows_what_was_sent() -> None:
    [request], settlement = attempted(attempts=2, event=an_event(data=b'{"id":"con_1"}'))

    assert request.body == COUNTED
    assert settlement.verdict is Verdict.DELIVERED
    assert (settlement.config_version, settlement.rendered_ms) == (7, NOON)
    assert settlement.body_hash is not None
    assert len(settlement.body_hash) == 32


def test_the_same_attempt_has_the_same_body_hash_and_another_has_another() -> None:
    _, first = attempted(attempts=0)
    _, same = attempted(attempts=0)
    _, second = attempted(attempts=1)

    assert first.body_hash == same.body_hash != second.body_hash


async def test_data_that_cannot_be_said_fails_visibly_without_a_post(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start()

    [event] = await scene.publish(data=b"[1, 2]")
    [fine] = await scene.publish()
    await scene.rest()

    view = await scene.delivery(event)
    assert (view.state, view.last_reason, view.attempts_made) == (State.FAILED, "cannot_render", 0)
    [row] = await scene.attempts(event)
    assert row.sent_ms is None
    assert await scene.states([fine]) == [State.DELIVERED]
    assert len(scene.posts()) == 1


async def test_a_url_that_cannot_be_used_fails_visibly(scene: Scene) -> None:
    await scene.add_config(0, url="gopher://r0.example/")
    await scene.add_config(1)
    await scene.start()

    [event] = await scene.publish()
    await scene.rest()

    view = await scene.delivery(event)
    assert (view.state, view.last_reason) == (State.FAILED, "cannot_render")
    [row] = await scene.attempts(event)
    assert row.detail is not None
    assert "gopher://r0.example/" in row.detail
    assert await scene.states([event], 1) == [State.DELIVERED]


@pytest.mark.parametrize("body", ["", "{", "[]", '{"url": 5}'])
async def test_a_damaged_config_fails_visibly_and_its_neighbours_go_on(scene: Scene, body: str) -> None:
    await scene.add_config(0)
    await scene.add_config(1)
    await scene.start()
    scene.receives("r0", 500)
    scene.receives("r1", 500, 200)
    [event] = await scene.publish()
    await scene.pass_(1)

    def damage(connection: Connection) -> None:
        connection.execute(update(config_versions).where(config_versions.c.config_id == CONFIG_ID).values(body=body))

    await scene.store.write(damage)
    scene.store._announce("default")
    await scene.rest()

    view = await scene.delivery(event)
    assert (view.state, view.last_reason) == (State.FAILED, "cannot_render")
    assert await scene.states([event], 1) == [State.DELIVERED]


async def test_fifty_damaged_events_stop_neither_the_lane_nor_the_claim(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start()
    scene.receives("r0", *[500] * 8, 200)
    stored = await scene.publish(108)
    await scene.until(lambda: len(scene.posts()) >= 1)

    def damage(connection: Connection) -> None:
        bad = [event.event_id for event in stored[50:100]]
        connection.execute(update(events).where(events.c.id.in_(bad)).values(data=b'{"number":\xff'))

    await scene.store.write(damage)
    await scene.rest()

    states = await scene.states(stored)
    assert states[50:100] == [State.FAILED] * 50
    assert states[:50] + states[100:] == [State.DELIVERED] * 58


async def test_a_bug_inside_an_attempt_is_an_outcome_is_reported_and_is_tried_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    bugs = iter([ZeroDivisionError("of the format"), None])
    render = attempt.render

    def render_badly(*arguments: Any) -> Rendered:
        bug = next(bugs)
        if bug is not None:
            raise bug
        return render(*arguments)

    monkeypatch.setattr(attempt, "render", render_badly)
    await scene.add_config(0, retry=RetryPolicy(2, (1,)))
    await scene.start()
    [event] = await scene.publish()
    await scene.rest()

    assert [row.reason for row in await scene.attempts(event)] == ["internal_error", None]
    [reported] = scene.reported(InternalError)
    assert isinstance(reported.error, ZeroDivisionError)
    assert await scene.states([event]) == [State.DELIVERED]


async def test_a_bug_in_every_attempt_ends_by_the_policy(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def render_badly(*_: object) -> None:
        raise KeyError("of the format")

    monkeypatch.setattr(attempt, "render", render_badly)
    await scene.add_config(0, retry=RetryPolicy(3, (1,)))
    await scene.start()
    events_ = await scene.publish(100)
    await scene.rest()

    assert await scene.states(events_) == [State.FAILED] * 100
    assert await scene.verdicts(events_[0]) == [Verdict.RETRY, Verdict.RETRY, Verdict.FAILED]


async def test_each_attempt_is_reported_with_the_config_it_was_made_for(scene: Scene) -> None:
    scene.receives("r0", 500, 200)
    await scene.add_config(0, retry=RetryPolicy(2, (1,)))
    await scene.start()

    await scene.publish()
    await scene.rest()

    facts = scene.reported(AttemptFinished)
    assert [fact.settlement.verdict for fact in facts] == [Verdict.RETRY, Verdict.DELIVERED]
    assert {fact.config.id for fact in facts} == {CONFIG_ID}


def test_an_outcome_of_the_world_is_settled_as_it_is() -> None:
    _, settlement = attempted(outcome=Unreachable(Reason.TLS_ERROR, "self-signed", answered().timings))

    assert settlement.verdict is Verdict.FAILED
    assert settlement.outcome == Unreachable(Reason.TLS_ERROR, "self-signed", answered().timings)
