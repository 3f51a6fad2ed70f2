"""Sealing all secrets anew, with the first of the keys that are given; servers may go on meanwhile, if all have these keys."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from postback.storage import sealing
from postback.storage.postgres.connections import Doors
from postback.storage.postgres.keys import begin_rewrap, end_rewrap
from postback.storage.postgres.opening import prepare
from postback.storage.sealing import Resealed
from postback.storage.vault import Vault

BATCH: Final = 500


@asynccontextmanager
async def opened_to_rewrap(dsn: str, secret_keys: Sequence[bytes]) -> AsyncIterator["Rewrapping"]:
    """The store, for nothing else. CannotOpen where the keys do not fit it; Unavailable where nobody answers."""
    vault = await prepare(dsn, secret_keys)
    doors = Doors(dsn)
    try:
        yield Rewrapping(doors, vault)
    finally:
        await doors.close()


class Rewrapping:
    """Whatever ends it, all of the keys still open all of the secrets."""

    def __init__(self, doors: Doors, vault: Vault) -> None:
        self._doors = doors
        self.vault = vault

    async def total(self) -> int:
        """How many secrets there are, one for each version of a config that has any."""
        async with self._doors.reading() as door:
            return await door.run(sealing.secrets_count)

    async def old_ids_in_use(self) -> Sequence[str]:
        """Of the keys that something is sealed with, though they are not the first."""
        async with self._doors.reading() as door:
            return sorted((await door.run(sealing.held)).key_ids - {self.vault.first_id})

    async def reseal(self) -> AsyncIterator[Resealed]:
        """What is not sealed with the first key yet: batch by batch, each a transaction. From then on it is the one that
        processes have to have, with those that something is still sealed with."""
        async with self._doors.one() as door:
            await begin_rewrap(door, self.vault)
        after: tuple[int, int] | None = sealing.START
        while after is not None:
            step = partial(sealing.reseal, vault=self.vault, after=after, limit=BATCH)
            batch = await self._doors.transact(lambda door, step=step: door.run(step))  # type: ignore[misc]
            yield batch
            after = batch.last
        async with self._doors.one() as door:
            await end_rewrap(door, self.vault)
