"""A start after a restore beside a worker that lives: it is refused, whatever lease each of them goes by."""

import asyncio

import pytest

from postback.bootstrap.held import demand_alone
from postback.bootstrap.started import CannotStart
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Opener

pytestmark = [pytest.mark.anyio, given.on_postgres]


async def test_a_worker_whose_heartbeats_are_rare_is_waited_for(opener: Opener, clock: ClockDouble) -> None:
    """The wait followed from the lease of the one that starts, and a second server delivered beside it."""
    rare = await opener(alone=False, lease_ms=2_000)
    worker = await rare.enlist("elsewhere")
    clock.pass_(ms=1_000)
    starting = await opener(alone=False, lease_ms=400)

    async def beats_later() -> None:
        await asyncio.sleep(0.25)
        clock.pass_(ms=250)
        await rare.beat(worker)

    beating = asyncio.create_task(beats_later())
    with pytest.raises(CannotStart, match="elsewhere"):
        await demand_alone(starting)  # type: ignore[arg-type]
    await beating


async def test_one_that_is_registered_in_the_copy_and_is_not_heard_of_again_does_not_keep_it_from_starting(
    opener: Opener,
) -> None:
    store = await opener(alone=False, lease_ms=400)
    await store.enlist("elsewhere")

    await demand_alone(store)  # type: ignore[arg-type]
