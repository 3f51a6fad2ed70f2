"""Failures from before they were counted by cause are counted by the migration, as they would have been."""

from importlib import import_module

import pytest
from sqlalchemy import delete, insert, select, text

from postback.domain.causes import TLS_DETAILS, cause_of
from postback.domain.deliveries import Verdict
from postback.domain.stats import MINUTE_MS
from postback.domain.wire import Outcome, Reason, Timings, Unreachable
from postback.storage.causes import cause_of_measure, measure_of
from postback.storage.measures import CAUSE
from postback.storage.tables import attempts, counters
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_settlement, answered
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

BY_CAUSE = import_module("postback.storage.migrations.versions.0011_causes_of_failures").BY_CAUSE

OUTCOMES: list[Outcome] = [
    *(answered(status) for status in (0, 201, 302, 404, 503, 999)),
    *(
        Unreachable(reason, "", Timings())
        for reason in Reason
        if reason not in (Reason.BAD_STATUS, Reason.REDIRECT_NOT_FOLLOWED)
    ),
    *(Unreachable(Reason.TLS_ERROR, f"Not {one}.", Timings()) for found in TLS_DETAILS.values() for one in found),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: str(cause_of(outcome)))
def test_every_cause_has_a_number_of_its_own(outcome: Outcome) -> None:
    cause = cause_of(outcome)

    assert cause_of_measure(measure_of(cause)) == cause
    assert CAUSE <= measure_of(cause) < 1 << 15


async def test_the_log_from_before_is_counted_by_cause(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    for n, outcome in enumerate(OUTCOMES):
        [claim] = await given.claims_of(store, worker, 1, first=n)
        # An attempt that takes no time ends in the minute in which it is settled.
        await store.settle(worker, [a_settlement(claim, Verdict.FAILED, outcome=outcome._replace(timings=Timings()))])
        if n % 7 == 0:
            clock.pass_(ms=MINUTE_MS)
    [claim] = await given.claims_of(store, worker, 1, first=900)
    await store.settle(worker, [a_settlement(claim, Verdict.RETRY)])
    test = claim._replace(event=claim.event._replace(id=claim.event.id + 1))
    await store.keep_test(worker, a_settlement(test, Verdict.FAILED))
    query = select(counters).where(counters.c.measure >= CAUSE)
    counted = {row[:-2]: row[-1] for row in await store.read(lambda c: c.execute(query).all())}

    await store.write(lambda c: c.execute(delete(counters).where(counters.c.measure >= CAUSE)))
    await store.write(lambda c: c.execute(text(BY_CAUSE)))

    assert {row[:-2]: row[-1] for row in await store.read(lambda c: c.execute(query).all())} == counted
    assert len(counted) > 20


async def test_a_log_with_rows_that_nobody_knows_is_migrated_all_the_same(store: Store) -> None:
    row = {"event_id": NOON << 21, "config_id": CONFIG_ID, "account": ACCOUNT, "counter": 1, "verdict": 2, "manual": 0}
    row |= {"ended_ms": NOON, "wait_ms": 0, "truncated": 0}
    odd = [
        {**row, "n": 1, "reason": None},
        {**row, "n": 2, "reason": "of_the_future"},
        {**row, "n": 3, "reason": "bad_status"},
    ]
    await store.write(lambda c: c.execute(insert(attempts), odd))

    await store.write(lambda c: c.execute(text(BY_CAUSE)))

    assert await given.rows(store, counters) == []
