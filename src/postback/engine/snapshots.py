"""The configs of each account as this worker knows them, kept in memory and read again when they change."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from postback.domain.configs import Snapshot
from postback.domain.errors import Unavailable
from postback.ports import Configs

CONFIGS_KEPT: Final = 50_000
"""About a kilobyte each; an account without any counts as one."""

READ_AGAIN_S: Final = 1.0


class Snapshots:
    """`renewed` is called with each snapshot that was read: others may have built upon an older one."""

    def __init__(self, configs: Configs) -> None:
        self._configs = configs
        self._held: OrderedDict[str, Snapshot] = OrderedDict()
        self._configs_held = 0
        self._loading: dict[str, asyncio.Task[Snapshot]] = {}
        self._changes: dict[str, int] = {}
        self._renewing: set[asyncio.Task[Snapshot]] = set()
        self.renewed: Callable[[Snapshot], None] = lambda _: None
        configs.watch(self._changed)

    def held(self, account: str) -> Snapshot | None:
        """What is in memory already; None means `of` has to be asked."""
        return self._held.get(account)

    async def of(self, account: str) -> Snapshot:
        snapshot = self._held.get(account)
        if snapshot is not None:
            return snapshot
        loading = self._loading.get(account)
        if loading is None:
            loading = self._loading[account] = asyncio.create_task(self._load(account))
        # One caller that gives up must not take the answer from the others.
        return await asyncio.shield(loading)

    def forget(self, account: str) -> None:
        """What is held has been overtaken: the next one to ask reads it anew."""
        self._changes[account] = self._changes.get(account, 0) + 1
        self._drop(account)

    def _changed(self, account: str) -> None:
        self.forget(account)
        task = asyncio.ensure_future(self.of(account))
        self._renewing.add(task)
        task.add_done_callback(partial(self._read, account))

    def _read(self, account: str, task: asyncio.Task[Snapshot]) -> None:
        """Whoever hears of a change must hear what it was: a reading that failed is repeated."""
        self._renewing.discard(task)
        if not task.cancelled() and isinstance(task.exception(), Unavailable):
            asyncio.get_running_loop().call_later(READ_AGAIN_S, self._changed, account)

    async def _load(self, account: str) -> Snapshot:
        try:
            while True:
                before = self._changes.get(account, 0)
                snapshot = _lean(await self._configs.snapshot(account))
                if before == self._changes.get(account, 0):
                    break
            self._changes.pop(account, None)
            self._hold(account, snapshot)
            self.renewed(snapshot)
            return snapshot
        finally:
            del self._loading[account]

    def _hold(self, account: str, snapshot: Snapshot) -> None:
        self._drop(account)
        self._held[account] = snapshot
        self._configs_held += _size(snapshot)
        # The one that is asked for is held in any case.
        while self._configs_held > CONFIGS_KEPT and len(self._held) > 1:
            self._drop(next(iter(self._held)))

    def _drop(self, account: str) -> None:
        dropped = self._held.pop(account, None)
        if dropped is not None:
            self._configs_held -= _size(dropped)


def _size(snapshot: Snapshot) -> int:
    return max(1, len(snapshot.configs))


def _lean(snapshot: Snapshot) -> Snapshot:
    """Without what the API echoes: of that the engine tells the name only."""
    return replace(snapshot, configs={key: config.without_echo() for key, config in snapshot.configs.items()})
