"""The configs of each account as this worker knows them, kept in memory and read again when they change."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from postback.domain.configs import Snapshot
from postback.domain.errors import Unavailable
from postback.engine.waiting import happens
from postback.ports import Configs

CONFIGS_KEPT: Final = 50_000
"""About a kilobyte each; an account without any counts as one."""

READ_AGAIN_S: Final = 1.0

READ_AT_ONCE: Final = 2
"""Of what has changed: the store reads a few more at once, and these are left to those who wait for an answer."""


class Snapshots:
    """`renewed` is called with each snapshot that was read: others may have built upon an older one. `in_use` is asked for
    the accounts of which that is so, the most urgent first.
    """

    def __init__(self, configs: Configs) -> None:
        self._configs = configs
        self._held: OrderedDict[str, Snapshot] = OrderedDict()
        self._configs_held = 0
        self._loading: dict[str, asyncio.Task[Snapshot]] = {}
        # Of those being read: what changed meanwhile.
        self._overtaken: set[str] = set()
        # To be read again, the first first.
        self._behind: OrderedDict[str, None] = OrderedDict()
        self._readers: list[asyncio.Task[None]] = []
        self.renewed: Callable[[Snapshot], None] = lambda _: None
        self.in_use: Callable[[], Sequence[str]] = lambda: ()
        configs.watch(self._changed)
        configs.watch_all(self._all_changed)

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

    def is_behind(self, account: str) -> bool:
        """Whether it may have changed, and is still to be read."""
        return account in self._behind or account in self._loading

    def forget(self, account: str) -> None:
        """What is held has been overtaken: the next one to ask reads it anew."""
        if account in self._loading:
            self._overtaken.add(account)
        self._drop(account)

    def _changed(self, account: str) -> None:
        self.forget(account)
        self._behind[account] = None
        self._behind.move_to_end(account, last=False)
        self._begin_to_read()

    def _all_changed(self) -> None:
        """Whatever is held may be old. There may be a hundred thousand accounts: what is not in use is read when it is
        asked for."""
        self._held.clear()
        self._configs_held = 0
        self._overtaken.update(self._loading)
        self._behind.update(dict.fromkeys(self.in_use()))
        self._begin_to_read()

    def _begin_to_read(self) -> None:
        self._readers = [reader for reader in self._readers if not reader.done()]
        for _ in range(min(READ_AT_ONCE - len(self._readers), len(self._behind))):
            self._readers.append(asyncio.create_task(self._read()))

    async def _read(self) -> None:
        """Whoever hears of a change must hear what it was: a reading that failed is repeated."""
        while self._behind:
            account, _ = self._behind.popitem(last=False)
            [found] = await asyncio.gather(self.of(account), return_exceptions=True)
            if isinstance(found, Unavailable):
                self._behind[account] = None
                await happens(asyncio.Event(), READ_AGAIN_S)

    async def _load(self, account: str) -> Snapshot:
        try:
            while True:
                self._overtaken.discard(account)
                snapshot = _lean(await self._configs.snapshot(account))
                if account not in self._overtaken:
                    break
            self._hold(account, snapshot)
            self.renewed(snapshot)
            return snapshot
        finally:
            del self._loading[account]
            self._overtaken.discard(account)

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
