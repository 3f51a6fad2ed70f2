"""Deliveries by the reason of their last attempt: in lists of the log, and as what a job replays or cancels."""

from typing import Any

import pytest
from sqlalchemy import Connection, Select
from sqlalchemy.dialects import sqlite

from postback.domain.deliveries import State, Verdict
from postback.domain.ids import encode
from postback.domain.jobs import JobKind
from postback.domain.wire import Outcome, Reason, Timings, Unreachable
from postback.ports import LogFilter, Worker
from postback.storage.log import SqlLog
from postback.storage.log_keys import finished_keys
from postback.storage.sqlite import SqliteStore
from tests.build import ACCOUNT, CONFIG_ID, a_settlement, answered
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

pytestmark = pytest.mark.anyio


def tls(detail: str) -> Outcome:
    return Unreachable(Reason.TLS_ERROR, detail, Timings())


OUTCOMES: dict[int, Outcome] = {
    1: answered(503),
    2: answered(500),
    3: answered(503),
    4: Unreachable(Reason.CONNECTION_REFUSED, "", Timings()),
    5: tls("the certificate is not accepted: certificate has expired"),
    6: tls("the certificate is not accepted: Hostname mismatch, certificate is not valid for 'a.example'."),
    7: tls("the receiver does not speak TLS on this port"),
    8: answered(302),
    9: Unreachable(Reason.TLS_ERROR, "100% \\ strange", Timings()),
}
"""Number of an event → what its attempt came to."""

WANTED = [
    ("bad_status", [1, 2, 3]),
    ("bad_status.503", [1, 3]),
    ("bad_status.404", []),
    ("connection_refused", [4]),
    ("tls_error", [5, 6, 7, 9]),
    ("tls_error.certificate_expired", [5]),
    ("tls_error.wrong_name", [6]),
    ("tls_error.not_trusted", []),
    ("tls_error.other", [7, 9]),
    ("redirect_not_followed.302", [8]),
]


@pytest.fixture
async def worker(store: Store) -> Worker:
    return await store.enlist("here")


async def settled(store: Store, worker: Worker, verdict: Verdict, number: int, outcome: Outcome) -> None:
    claims = await given.claims_of(store, worker, 1, first=number)
    await store.settle(worker, [a_settlement(claim, verdict, outcome=outcome) for claim in claims])


async def listed(store: Store, reason: str, **narrowed: Any) -> list[int]:
    """Numbers of events, the oldest first."""
    views = await SqlLog(store).deliveries(ACCOUNT, LogFilter(reason=reason, **narrowed), None, 100)
    first = given.event_number(0).id
    return [view.event.id - first for view in views][::-1]


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.RETRY])
async def test_a_list_is_narrowed_to_a_reason_or_to_a_cause(store: Store, worker: Worker, verdict: Verdict) -> None:
    """Of what has failed for good, and of what is to be tried again."""
    for number, outcome in OUTCOMES.items():
        await settled(store, worker, verdict, number, outcome)
    state = State.FAILED if verdict is Verdict.FAILED else State.PENDING

    for reason, wanted in WANTED:
        assert await listed(store, reason) == wanted, reason
        assert await listed(store, reason, state=state) == wanted, reason
        assert await listed(store, reason, state=state, config_id=CONFIG_ID) == wanted, reason
        assert await listed(store, reason, config_id=CONFIG_ID + 1) == []
        assert await listed(store, reason, event_type="contact.created") == wanted, reason
        assert await listed(store, reason, state=State.DELIVERED) == []


async def test_the_last_attempt_counts(store: Store, worker: Worker, clock: ClockDouble) -> None:
    await settled(store, worker, Verdict.RETRY, 1, answered(503))
    clock.pass_(ms=301_000)
    [claim] = await given.claim(store, worker)
    await store.settle(worker, [a_settlement(claim, Verdict.FAILED, outcome=answered(500))])
    await settled(store, worker, Verdict.RETRY, 2, answered(503))
    clock.pass_(ms=301_000)
    [claim] = await given.claim(store, worker)
    await store.settle(worker, [a_settlement(claim)])

    assert await listed(store, "bad_status.503") == []
    assert await listed(store, "bad_status") == [1]


async def test_what_a_person_ended_is_found_as_cancelled(store: Store, worker: Worker) -> None:
    await settled(store, worker, Verdict.RETRY, 1, answered(503))
    await store.cancel(ACCOUNT, given.event_number(1).id, CONFIG_ID)

    assert await listed(store, "cancelled") == [1]
    assert await listed(store, "bad_status") == []


async def test_a_list_by_reason_goes_on_by_pages(store: Store, worker: Worker) -> None:
    for number in range(1, 8):
        await settled(store, worker, Verdict.FAILED, number, answered(503 if number % 2 else 500))
    log, before, found = SqlLog(store), None, []
    first = given.event_number(0).id

    while views := await log.deliveries(ACCOUNT, LogFilter(reason="bad_status.503"), before, 2):
        found += [view.event.id - first for view in views]
        before = (views[-1].event.id, views[-1].config_id)

    assert found == [7, 5, 3, 1]


async def test_a_job_replays_what_failed_for_its_reason_and_nothing_else(
    store: Store, worker: Worker, clock: ClockDouble
) -> None:
    for number, outcome in OUTCOMES.items():
        await settled(store, worker, Verdict.FAILED, number, outcome)
    clock.pass_(seconds=1)
    narrowed = LogFilter(state=State.FAILED, reason="tls_error.certificate_expired")
    counted = await store.count_for_job(ACCOUNT, JobKind.REPLAY, narrowed)

    job = await store.start_job(ACCOUNT, f"rpl_{encode(1)}", JobKind.REPLAY, narrowed)
    while job.ended_ms is None:
        await store.run_job(job.id, 2)
        job = await store.find_job(ACCOUNT, job.id)

    assert counted == 1
    assert (job.selected, job.done, job.skipped, job.narrowed) == (1, 1, 0, narrowed)
    assert [row.event_id for row in await given.owed_rows(store)] == [given.event_number(5).id]
    await given.conserved(store)


async def test_a_job_cancels_what_is_tried_again_for_its_reason(store: Store, worker: Worker) -> None:
    for number in (1, 2, 3):
        await settled(store, worker, Verdict.RETRY, number, OUTCOMES[number])
    narrowed = LogFilter(reason="bad_status.503")

    job = await store.start_job(ACCOUNT, f"rpl_{encode(1)}", JobKind.CANCEL, narrowed)
    while job.ended_ms is None:
        await store.run_job(job.id, 2)
        job = await store.find_job(ACCOUNT, job.id)

    assert job.done == 2
    assert [row.event_id for row in await given.owed_rows(store)] == [given.event_number(2).id]


@given.on_sqlite
async def test_what_failed_is_found_by_its_index_whatever_the_reason(store: SqliteStore) -> None:
    def plan(query: Select[Any]) -> Any:
        def explain(connection: Connection) -> list[str]:
            compiled = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
            return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")]

        return store.read(explain)

    for narrowed in (LogFilter(reason="tls_error.other"), LogFilter(reason="bad_status.503", state=State.FAILED)):
        steps = await plan(finished_keys(ACCOUNT, narrowed, None))
        assert "USING INDEX attempts_failed" in steps[0]
        assert not any("TEMP B-TREE" in step for step in steps)
