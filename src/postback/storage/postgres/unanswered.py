"""What a lost connection has left unknown: claims that may be ours without our knowing, and settlements that may stand."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from postback.ports import Clock
from postback.storage.postgres.journal import SET_DUE, Raw

KEPT_MS: Final = 60_000
"""A statement that was under way when its connection broke has ended by then."""

# There is no index on claims, and this is asked only after a connection was lost.
RELEASE: Final = f"""
WITH released AS (
    UPDATE owed AS o
    SET worker = NULL, claim = NULL, claimed_ms = NULL
    FROM unnest($2::bigint[], $3::bigint[]) AS t (first, next)
    WHERE o.worker = $1 AND o.claim >= t.first AND o.claim < t.next
    RETURNING o.config_id, o.account, o.due_at_ms
), due AS (
    INSERT INTO lanes (config_id, account, next_due_ms)
    SELECT config_id, min(account), min(due_at_ms) FROM released GROUP BY config_id ORDER BY config_id
    {SET_DUE}
)
SELECT DISTINCT config_id FROM released
"""  # noqa: S608


class _Range(NamedTuple):
    """Tokens from the first up to, not including, `next`; forgotten after that time."""

    first: int
    next: int
    until_ms: int


class Unanswered:
    """Of one worker's process. Times are unix ms of `clock`, the store's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens: list[_Range] = []
        self._settled: set[int] = set()

    def claims(self, tokens: Iterable[int]) -> None:
        """These and no others may have been given to rows, and nobody here works on them."""
        until_ms = self._clock() + KEPT_MS
        found: list[_Range] = []
        for token in tokens:
            if found and found[-1].next == token:
                found[-1] = found[-1]._replace(next=token + 1)
            else:
                found.append(_Range(token, token + 1, until_ms))
        self._tokens += found

    def settled(self, tokens: Iterable[int]) -> None:
        """They may have been settled."""
        self._settled.update(tokens)

    @property
    def uncertain(self) -> Collection[int]:
        """Tokens of claims that may have been settled."""
        return self._settled

    def certain(self, tokens: Iterable[int]) -> None:
        """The server has answered what became of them."""
        self._settled.difference_update(tokens)

    @property
    def is_empty(self) -> bool:
        return not self._tokens

    async def release(self, raw: Raw, worker: int, now: int) -> Sequence[int]:
        """A statement that is its own transaction: what of these claims there is is nobody's again. Their configs."""
        rows = await raw.fetch(RELEASE, worker, [one.first for one in self._tokens], [one.next for one in self._tokens])
        self._tokens = [one for one in self._tokens if one.until_ms > now]
        return [row[0] for row in rows]
