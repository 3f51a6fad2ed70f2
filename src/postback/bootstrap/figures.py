"""What /metrics shows: the figures of this process, of the database, and of the processes beside it."""

from collections.abc import Callable

from postback.bootstrap.seat import Seat
from postback.bootstrap.siblings import Siblings
from postback.domain.errors import Unavailable
from postback.domain.telemetry import Backlog, Standing
from postback.engine.engine import Engine
from postback.observability import Observing
from postback.storage.backlog import backlog
from postback.storage.database import Sizes
from postback.storage.stores import Store


class Figures:
    """Gathered anew each time that somebody asks. `is_ready` says whether this process takes and delivers events now;
    `siblings` are the processes beside it, where there are any."""

    def __init__(
        self, observing: Observing, engine: Engine, store: Store, seat: Seat | None, is_ready: Callable[[], bool]
    ) -> None:
        self._observing = observing
        self._engine = engine
        self._store = store
        self._is_ready = is_ready
        self.siblings = None if seat is None else Siblings(seat, self._own)

    async def all(self) -> bytes:
        """Of all processes behind the port, in the format of Prometheus; those of the database once."""
        sizes = await self._sizes()
        figures = self._with(await self._backlog(), sizes)
        return figures if self.siblings is None else await self.siblings.merged(figures)

    def _own(self) -> bytes:
        """Without those of the database, which whoever is asked for all finds out once."""
        return self._with(None, Sizes(None, None))

    def _with(self, backlog: Backlog | None, sizes: Sizes) -> bytes:
        return self._observing.figures(
            Standing(
                ready=self._is_ready(),
                in_hand=self._engine.figures(),
                backlog=backlog,
                database_bytes=sizes.database,
                log_bytes=sizes.log,
            )
        )

    async def _backlog(self) -> Backlog | None:
        try:
            return await backlog(self._store)
        except Unavailable:
            # A store that cannot be read is when figures are looked at: the others are answered all the same.
            return None

    async def _sizes(self) -> Sizes:
        try:
            return await self._store.sizes()
        except Unavailable:
            return Sizes(None, None)
