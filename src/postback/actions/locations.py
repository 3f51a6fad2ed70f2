"""Which locations exist: asked for every event, so the answer is kept in memory for a moment."""

import time
from collections.abc import Callable

from postback.actions.remembered import Remembered
from postback.domain.errors import NotFound
from postback.domain.records import LOCATION
from postback.ports import Records


class KnownLocations:
    """A location that is deleted through this process is unknown at once, elsewhere within a second."""

    def __init__(self, records: Records, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._records = records
        self._known: Remembered[tuple[str, str], bool] = Remembered(monotonic)

    def is_known(self, account: str, location_id: str) -> bool:
        """Whether the answer is in memory, and yes."""
        return self._known.get((account, location_id)) is not None

    async def knows(self, account: str, location_id: str) -> bool:
        if not self.is_known(account, location_id):
            try:
                await self._records.find(account, LOCATION, location_id)
            except NotFound:
                return False
            self._known.put((account, location_id), value=True)
        return True

    def forget(self, account: str, location_id: str) -> None:
        self._known.forget((account, location_id))
