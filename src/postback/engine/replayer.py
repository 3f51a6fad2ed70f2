"""Does the jobs over many deliveries: a small step of each account's oldest job, account after account."""

import asyncio
from collections.abc import Callable
from typing import Final

from postback.domain.errors import Unavailable
from postback.domain.jobs import JobKind
from postback.domain.telemetry import InternalError, StoreFailed
from postback.engine.hold import Hold
from postback.engine.waiting import happens
from postback.ports import Queue, Report

DELIVERIES_A_STEP: Final = 200
"""Few enough that whatever else is to be written never waits long for a step."""

STORE_RETRY_S: Final = 1.0


class Replayer:
    """`owed_again` is called after each step that came to something: there is work in the store.

    While a hold holds, only jobs that cancel are done: what should not go is cancelled before it is released.
    """

    def __init__(self, queue: Queue, owed_again: Callable[[], None], report: Report, hold: Hold | None = None) -> None:
        self._queue = queue
        self._owed_again = owed_again
        self._report = report
        self._hold = hold or Hold()
        self._woken = asyncio.Event()
        # Jobs that raise something else than a store that cannot write: they stay as they are until the next start.
        self._stuck: set[str] = set()

    def wake(self) -> None:
        """There is a new job, or `run` is to notice that it is to stop."""
        self._woken.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Go on with the jobs that an earlier process left, then with those that are made, until `stopping`."""
        while not stopping.is_set():
            self._woken.clear()
            try:
                if not await self._round(stopping):
                    await self._woken.wait()
            except Unavailable as error:
                self._report(StoreFailed("replay", str(error)))
                await happens(stopping, STORE_RETRY_S)

    async def _round(self, stopping: asyncio.Event) -> bool:
        """A step of one job of each account; whether there was any."""
        kind = JobKind.CANCEL if self._hold.holds else None
        jobs = [job_id for job_id in await self._queue.jobs_in_turn(kind) if job_id not in self._stuck]
        for job_id in jobs:
            if stopping.is_set():
                break
            try:
                number = await self._queue.run_job(job_id, DELIVERIES_A_STEP)
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 - a job that cannot be done must not end the engine, nor other jobs
                self._report(InternalError(error))
                self._stuck.add(job_id)
                continue
            if number:
                self._owed_again()
        return bool(jobs)
