"""Who was refused something for want of a role or a scope is on record; who asks again and again, once a minute."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from postback.domain.accounts import Actor
from postback.domain.errors import Forbidden, Unavailable
from postback.ports import Audit

ONCE_IN_S: Final = 60.0
"""Of one who asks for the same again there is one entry in so many seconds, by each process."""

REMEMBERED: Final = 10_000
"""Refusals that are kept in mind; the oldest are forgotten before their time."""

Refused = tuple[str, str]
"""The id of who was refused, and what."""


class Refusals:
    def __init__(self, audit: Audit, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._audit = audit
        self._monotonic = monotonic
        # When each was put on record, the oldest first.
        self._recorded: OrderedDict[Refused, float] = OrderedDict()

    async def record(self, account: str | None, by: Actor, route: str, error: Forbidden) -> None:
        """`account` is that of who was refused, None of an operator; `route` is method and pattern: what is typed into an
        address may be secret."""
        refused = (by.key_id, route)
        if not self._is_due(refused):
            return
        try:
            await self._audit.refuse(account, route, str(error), by=by)
        except Unavailable:
            # It is refused all the same, and the next time is put on record.
            self._recorded.pop(refused, None)

    def _is_due(self, refused: Refused) -> bool:
        """Whether to put it on record, which counts as done: of two at once one is."""
        now = self._monotonic()
        while self._recorded and next(iter(self._recorded.values())) <= now - ONCE_IN_S:
            self._recorded.popitem(last=False)
        if refused in self._recorded:
            return False
        if len(self._recorded) >= REMEMBERED:
            self._recorded.popitem(last=False)
        self._recorded[refused] = now
        return True
