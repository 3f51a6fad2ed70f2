"""The log on each database: deliveries as a view of what is owed and of the attempts."""

import pytest

from postback.domain.configs import ConfigState
from postback.domain.deliveries import State, Verdict
from postback.domain.wire import Note, Reason, Timings, Unreachable
from postback.ports import DeliveryView, LogFilter
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_claim, a_config, a_settlement, answered
from tests.storage.days import ALL, Day, a_numbered

pytestmark = pytest.mark.anyio

# --- states ---


async def test_an_unclaimed_delivery_is_pending(day: Day) -> None:
    await day.accepted(1, claimed=False)

    view = await day.one()

    assert view == DeliveryView(
        event=a_numbered(1),
        config_id=CONFIG_ID,
        state=State.PENDING,
        attempts_made=0,
        due_ms=NOON,
        finished_ms=None,
        last_status=None,
        last_reason=None,
        test=False,
    )


async def test_a_claimed_delivery_is_claimed(day: Day) -> None:
    await day.accepted(1)

    assert (await day.one()).state is State.CLAIMED


@pytest.mark.parametrize("state", [ConfigState.PAUSED, ConfigState.DISABLED])
async def test_a_pending_delivery_is_held_while_its_config_is_paused_or_disabled(day: Day, state: ConfigState) -> None:
    await day.accepted(1, claimed=False)
    await day.accepted(2)

    await day.configs.set_state(ACCOUNT, CONFIG_ID, state, None)

    assert await day.listed() == [(2, 0, State.CLAIMED), (1, 0, State.HELD)]
    await day.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.ACTIVE, None)
    assert (await day.one()).state is State.PENDING


async def test_a_delivery_that_waits_for_its_retry_is_pending_with_its_last_answer(day: Day) -> None:
    await day.settled(await day.accepted(1), Verdict.RETRY, outcome=answered(503), wait_ms=60_000)

    view = await day.one()

    assert (view.state, view.attempts_made, view.due_ms) == (State.PENDING, 1, NOON + 60_005)
    assert (view.last_status, view.last_reason, view.finished_ms) == (503, "bad_status", None)


@pytest.mark.parametrize(
    ("verdict", "state", "status", "reason"),
    [(Verdict.DELIVERED, State.DELIVERED, 200, None), (Verdict.FAILED, State.FAILED, 500, "bad_status")],
)
async def test_the_last_attempt_decides_what_became_of_a_delivery(
    day: Day, verdict: Verdict, state: State, status: int, reason: str | None
) -> None:
    await day.settled(await day.accepted(1), Verdict.RETRY, wait_ms=0)
    await day.settled(await day.claimed(), verdict)

    view = await day.one()

    assert (view.state, view.attempts_made, view.due_ms, view.finished_ms) == (state, 2, None, NOON + 5)
    assert (view.last_status, view.last_reason) == (status, reason)


async def test_a_cancelled_delivery_is_cancelled(day: Day) -> None:
    await day.settled(await day.accepted(1), Verdict.RETRY)

    await day.store.cancel(ACCOUNT, a_numbered(1).id, CONFIG_ID)

    view = await day.one()
    assert (view.state, view.attempts_made, view.last_reason) == (State.CANCELLED, 1, "cancelled")


async def test_the_outcome_of_a_claim_that_no_longer_held_decides_nothing(day: Day) -> None:
    """A worker was taken for dead, its delivery was carried out by another, and only then its own answer came."""
    late = await day.accepted(1)
    await day.store.cancel(ACCOUNT, a_numbered(1).id, CONFIG_ID)

    await day.settled(late, Verdict.DELIVERED)

    view, attempts = await day.log.delivery(ACCOUNT, a_numbered(1).id, CONFIG_ID)
    assert [attempt.verdict for attempt in attempts] == [Verdict.CANCELLED, Verdict.LATE]
    assert (view.state, view.attempts_made, view.last_reason) == (State.CANCELLED, 0, "cancelled")
    assert await day.listed() == await day.listed(LogFilter(state=State.CANCELLED)) == [(1, 0, State.CANCELLED)]
    assert await day.listed(LogFilter(state=State.DELIVERED)) == []


async def test_what_cannot_be_rendered_is_no_attempt(day: Day) -> None:
    outcome = Unreachable(Reason.CANNOT_RENDER, "no such format", Timings())

    await day.settled(await day.accepted(1), Verdict.FAILED, outcome=outcome)

    view = await day.one()
    assert (view.state, view.attempts_made, view.last_reason) == (State.FAILED, 0, "cannot_render")


async def test_a_replayed_delivery_is_open_again_and_its_numbers_go_on(day: Day) -> None:
    await day.ended(1, Verdict.FAILED)

    await day.store.replay(ACCOUNT, a_numbered(1).id, CONFIG_ID)

    assert await day.listed() == await day.listed(LogFilter(state=State.PENDING)) == [(1, 0, State.PENDING)]
    assert await day.listed(LogFilter(state=State.FAILED)) == []
    assert (await day.one()).attempts_made == 1
    await day.settled(await day.claimed(), Verdict.DELIVERED)
    assert await day.listed() == await day.listed(LogFilter(state=State.DELIVERED)) == [(1, 0, State.DELIVERED)]
    assert (await day.one()).attempts_made == 2


# --- attempts ---


async def test_every_attempt_is_shown_complete(day: Day) -> None:
    [claim] = await day.accepted(1)
    outcome = answered(
        500,
        headers=[(b"Content-Type", b"text/html"), (b"X-Odd", b"a: b"), (b"X-Empty", b"")],
        body=b"<b>\xff\x00</b>",
        truncated=True,
        notes=[Note.BODY_INCOMPLETE, Note.SENT_AGAIN],
        timings=Timings(1, 2, 3, 4, 10, 6),
    )
    await day.settled([claim], Verdict.RETRY, outcome=outcome, wait_ms=7_000, body_hash=b"h" * 32)

    _, [attempt] = await day.log.delivery(ACCOUNT, claim.event.id, CONFIG_ID)

    assert attempt.config == a_config()
    assert (attempt.number, attempt.counter, attempt.verdict, attempt.manual) == (1, 1, Verdict.RETRY, False)
    assert (attempt.worker, attempt.status, attempt.reason) == (day.worker.id, 500, "bad_status")
    assert (attempt.started_ms, attempt.rendered_ms, attempt.sent_ms) == (NOON, NOON, NOON + 6)
    assert (attempt.ended_ms, attempt.wait_ms, attempt.body_hash) == (NOON + 10, 7_000, b"h" * 32)
    assert (attempt.answer_headers, attempt.answer_body) == (outcome.headers, outcome.body)
    assert attempt.truncated
    assert attempt.notes == ["body_incomplete", "sent_again_on_a_fresh_connection"]
    assert (attempt.dns_ms, attempt.connect_ms, attempt.tls_ms, attempt.first_byte_ms) == (1, 2, 3, 4)


@pytest.mark.parametrize(("verdict", "state"), [(Verdict.DELIVERED, State.DELIVERED), (Verdict.FAILED, State.FAILED)])
async def test_a_test_is_shown_as_a_delivery_that_has_ended_and_marked_as_one(
    day: Day, verdict: Verdict, state: State
) -> None:
    await day.ended(1)
    await day.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, None)
    event = a_numbered(2)

    await day.store.keep_test(day.worker, a_settlement(a_claim(event=event), verdict))

    view, [attempt] = await day.log.delivery(ACCOUNT, event.id, CONFIG_ID)
    assert (view.event, view.state, view.attempts_made, view.due_ms) == (event, state, 1, None)
    assert (view.test, attempt.test, attempt.manual, attempt.verdict) == (True, True, False, verdict)
    assert await day.listed() == [(2, 0, state), (1, 0, State.DELIVERED)]
    assert (2, 0, state) in await day.listed(LogFilter(state=state, config_id=CONFIG_ID))
    assert await day.log.events(ACCOUNT, ALL, None, 1) == [(event, 1)]


async def test_an_attempt_without_an_answer_is_shown_with_its_reason(day: Day) -> None:
    outcome = Unreachable(Reason.CONNECTION_REFUSED, "nobody listens at 127.0.0.1:9", Timings(total_ms=3))
    await day.settled(await day.accepted(1), Verdict.FAILED, outcome=outcome)

    _, [attempt] = await day.log.delivery(ACCOUNT, a_numbered(1).id, CONFIG_ID)

    assert (attempt.status, attempt.reason, attempt.detail) == (None, "connection_refused", outcome.detail)
    assert (attempt.sent_ms, attempt.answer_headers, attempt.answer_body, attempt.notes) == (None, [], b"", [])


async def test_each_attempt_is_shown_with_the_version_it_was_made_with(day: Day) -> None:
    await day.settled(await day.accepted(1), Verdict.RETRY, wait_ms=0, config_version=1)
    await day.configs.change(a_config(url="http://127.0.0.1:9000/second"))
    await day.settled(await day.claimed(), Verdict.RETRY, wait_ms=0, config_version=2)
    await day.configs.delete(ACCOUNT, CONFIG_ID)
    await day.store.bury(1000)

    view, attempts = await day.log.delivery(ACCOUNT, a_numbered(1).id, CONFIG_ID)

    assert [attempt.config and attempt.config.url for attempt in attempts] == [
        "http://127.0.0.1:9000/receiver",
        "http://127.0.0.1:9000/second",
        None,
    ]
    assert view.state is State.CANCELLED
