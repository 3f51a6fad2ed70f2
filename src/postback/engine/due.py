"""Finds the lanes that have something due in the store, and opens those that nobody has opened yet, a few at a time."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice, starmap
from typing import Final

from postback.domain.configs import PostbackConfig
from postback.domain.errors import NotFound
from postback.engine.attempt import destination_of
from postback.engine.lanes import Lane, Lanes
from postback.engine.snapshots import Snapshots
from postback.ports import Queue, Worker

LANES_A_LOOK: Final = 100_000

OPENED_AT_ONCE: Final = 100
"""Lanes whose configs are read before something is claimed: there may be tens of thousands after a start."""


class Due:
    """`next_in_ms` is when the first is due of those that were not yet, the last time it was looked; None of none."""

    def __init__(self, queue: Queue, snapshots: Snapshots, lanes: Lanes) -> None:
        self.next_in_ms: int | None = None
        self._queue = queue
        self._snapshots = snapshots
        self._lanes = lanes
        # Configs that have no lane, or one that may go by old configs, each with its account.
        self._unopened: dict[int, str] = {}

    @property
    def is_left(self) -> bool:
        """Whether there are lanes to open."""
        return bool(self._unopened)

    async def find(self, worker: Worker, within_ms: int) -> Sequence[Lane]:
        """Open ones with something due now; the others are to be opened."""
        self._unopened.clear()
        self.next_in_ms = None
        due = []
        for waiting in await self._queue.waiting(worker, within_ms, LANES_A_LOOK):
            if waiting.due_in_ms > 0:
                self.next_in_ms = min(waiting.due_in_ms, self.next_in_ms or waiting.due_in_ms)
                continue
            lane = self._lanes.lanes.get(waiting.config_id)
            if lane is None or self._snapshots.is_behind(waiting.account):
                self._unopened[waiting.config_id] = waiting.account
            else:
                due.append(lane)
        return due

    async def open_some(self) -> Sequence[Lane]:
        some = dict(islice(self._unopened.items(), OPENED_AT_ONCE))
        if not some:
            return ()
        configs_of: dict[str, list[int]] = {}
        for config_id, account in some.items():
            configs_of.setdefault(account, []).append(config_id)
        # Together: each waits for the store, which reads several at a time.
        found = await asyncio.gather(*starmap(self._open, configs_of.items()), return_exceptions=True)
        opened: list[Lane] = []
        for lanes in found:
            if isinstance(lanes, BaseException):
                raise lanes
            opened += lanes
        return opened

    async def _open(self, account: str, config_ids: Sequence[int]) -> Sequence[Lane]:
        configs: Mapping[int, PostbackConfig] = {}
        with suppress(NotFound):
            snapshot = await self._snapshots.of(account)
            if self._snapshots.held(account) is not snapshot:
                # It changed just now: whoever told so did not find these lanes. They are opened with the next ones.
                return ()
            configs = snapshot.configs
        opened = []
        for config_id in config_ids:
            self._unopened.pop(config_id, None)
            config = configs.get(config_id)
            # One that was deleted since: `bury` ends what it is owed.
            if config is not None:
                opened.append(self._lanes.lanes.get(config_id) or self._lanes.open(config, destination_of(config)))
        return opened
