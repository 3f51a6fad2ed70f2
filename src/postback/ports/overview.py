"""An account at a glance: what waits, what failed and why, which configs somebody should look at."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from postback.domain.causes import Cause


class Waits(NamedTuple):
    """What an account is owed and nobody has claimed; `has_more` says that there is more than was counted.

    `retrying` of them have had an attempt. `oldest_due_ms` (unix) is when the first was due of what is not held, None
    where nothing of that is due by now.
    """

    deliveries: int
    has_more: bool
    retrying: int
    oldest_due_ms: int | None


class Failures(NamedTuple):
    """Deliveries of one config that failed for one cause; the times (unix ms) are the minutes of the first and the last."""

    cause: Cause
    config_id: int
    deliveries: int
    first_ms: int
    last_ms: int


class Begun(NamedTuple):
    """Whether anything was ever owed to the configs of an account, and whether anything was ever delivered."""

    is_accepted: bool
    is_delivered: bool


class Overview(Protocol):
    async def waits(self, account: str) -> Waits: ...

    async def failures(
        self, account: str, since_ms: int, until_ms: int, step_ms: int
    ) -> Mapping[int, Sequence[Failures]]:
        """Start of a step → what failed in it, also of configs that are gone by now; steps without anything are left out.

        From the one minute up to, not including, the other. Steps begin where a multiple of their length does.
        """

    async def begun(self, account: str) -> Begun: ...

    async def troubled(self, account: str, ends_before_ms: int, limit: int) -> Sequence[int]:
        """Configs that are held, warned, known to fail, without a success since their last error, or whose receiver showed
        a certificate that expires before that time; those that were changed last come first."""
