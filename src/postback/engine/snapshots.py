"""The configs of each account as this worker knows them, kept in memory and read again when they change."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final

from postback.domain.configs import Snapshot
from postback.domain.errors import Unavailable
from postback.ports import Configs

ACCOUNTS_KEPT: Final = 20_000
READ_AGAIN_S: Final = 1.0


class Snapshots:
    """`renewed` is called with each snapshot that was read: others may have built upon an older one."""

    def __init__(self, configs: Configs) -> None:
        self._configs = configs
        self._held: OrderedDict[str, Snapshot] = OrderedDict()
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
        self._held.pop(account, None)

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
                snapshot = await self._configs.snapshot(account)
                if before == self._changes.get(account, 0):
                    break
            self._changes.pop(account, None)
            self._held[account] = snapshot
            if len(self._held) > ACCOUNTS_KEPT:
                self._held.popitem(last=False)
            self.renewed(snapshot)
            return snapshot
        finally:
            del self._loading[account]
