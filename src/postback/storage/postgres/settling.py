"""Settling: every attempt is journaled; only deliveries whose claim still holds move on."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from postback.domain.configs import ConfigState
from postback.domain.deliveries import CLOCKS_DIFFER_MS, Settled, Settlement, Verdict
from postback.domain.ids import config_text
from postback.storage.audit import Auditor, state_facts
from postback.storage.journal import SENT_MS, ended_ms
from postback.storage.postgres.arrays import columns, unnested
from postback.storage.postgres.clock import NOW
from postback.storage.postgres.journal import Journal, Raw, log_attempts
from postback.storage.postgres.tasks import Task
from postback.storage.settling import Counts, Decided, Key, decide, key_of, late_row

_KEY_TYPES: Final = ("bigint", "bigint", "bigint")

TAKE_OUT: Final = f"""
WITH t AS MATERIALIZED (SELECT {NOW} AS now),
ended AS (
    DELETE FROM owed AS o
    USING {unnested(_KEY_TYPES, 2)} AS s (event_id, config_id, token)
    WHERE o.event_id = s.event_id AND o.config_id = s.config_id AND o.claim = s.token
    RETURNING o.event_id, o.config_id, s.token, o.attempts, o.interruptions, o.logged, o.manual
), moved AS (
    UPDATE owed AS o
    SET
        attempts = o.attempts + 1, interruptions = 0, logged = o.logged + 1,
        due_at_ms = t.now + s.wait_ms
            + CASE WHEN s.ended_ms - t.now BETWEEN 1 AND {CLOCKS_DIFFER_MS} THEN s.ended_ms - t.now ELSE 0 END,
        worker = NULL, claim = NULL, claimed_ms = NULL
    FROM t, {unnested((*_KEY_TYPES, "bigint", "bigint"), 5)} AS s (event_id, config_id, token, wait_ms, ended_ms)
    WHERE o.event_id = s.event_id AND o.config_id = s.config_id AND o.claim = s.token
    RETURNING o.event_id, o.config_id, s.token, o.attempts - 1, 0, o.logged - 1, o.manual
)
SELECT now, NULL::bigint, NULL::bigint, NULL::int, NULL::int, NULL::int, NULL::smallint FROM t
UNION ALL
SELECT * FROM ended
UNION ALL
SELECT * FROM moved
"""  # noqa: S608
"""The first row is the time; the others are what `owed` said of those whose claim held, before this. When those that
are tried again are due is what domain.deliveries.again_at_ms says."""

HELD: Final = f"""
SELECT o.event_id, o.config_id, s.token, o.attempts, o.interruptions, o.logged, o.manual
FROM {unnested(_KEY_TYPES, 1)} AS s (event_id, config_id, token), owed AS o
WHERE o.event_id = s.event_id AND o.config_id = s.config_id AND o.claim = s.token
FOR UPDATE OF o
"""  # noqa: S608

END: Final = f"""
DELETE FROM owed AS o
USING {unnested(_KEY_TYPES, 1)} AS s (event_id, config_id, token)
WHERE o.event_id = s.event_id AND o.config_id = s.config_id AND o.claim = s.token
"""  # noqa: S608

MOVE_ON: Final = f"""
UPDATE owed AS o
SET
    attempts = s.attempts, interruptions = s.interruptions, due_at_ms = s.due_at_ms, logged = o.logged + 1,
    worker = NULL, claim = NULL, claimed_ms = NULL
FROM {unnested(("int", "int", "bigint", *_KEY_TYPES), 1)}
    AS s (attempts, interruptions, due_at_ms, event_id, config_id, token)
WHERE o.event_id = s.event_id AND o.config_id = s.config_id AND o.claim = s.token
"""  # noqa: S608

IS_ON_RECORD: Final = """
SELECT EXISTS (
    SELECT 1 FROM attempts
    WHERE
        event_id = $1 AND config_id = $2 AND worker = $3 AND started_ms = $4 AND sent_ms IS NOT DISTINCT FROM $5
        AND verdict = $6
)
"""

_TAKEN_OUT: Final = (Verdict.DELIVERED, Verdict.FAILED, Verdict.CANCELLED)


class Settling:
    """One call of `settle`, in a transaction. `uncertain` are tokens of claims that were settled before without
    an answer of the server: what of them does not hold may be on record already, and then it was this that counted."""

    def __init__(
        self,
        task: Task,
        worker: int,
        auditor: Auditor,
        changed: Callable[[str], None],
        uncertain: Collection[int],
    ) -> None:
        self._task = task
        self._raw: Raw = task.raw
        self._moment = task.moment
        self._worker = worker
        self._auditor = auditor
        self._changed = changed
        self._uncertain = uncertain

    async def settle(self, settlements: Sequence[Settlement]) -> Settled:
        await self._task.go_by_keys()
        held = await self._take_out(settlements)
        journal = self._task.journal()
        decided = decide(journal, self._worker, settlements, held)
        await self._move_broken_off(decided, settlements)
        await journal.write(self._raw)
        disabled: dict[int, str] = {}
        for settlement in decided.telling:
            if settlement.disables is not None and await self._disable(settlement, settlement.disables):
                disabled[settlement.claim.config_id] = settlement.disables
            if settlement.warns is not None:
                await self._warn(settlement)
        journal.rows += decided.number
        before = [one for one in decided.late if await self._is_on_record(one)]
        for settlement in decided.late:
            if settlement not in before:
                await self._journal_late(settlement, journal)
        failed = [*decided.failed, *(one for one in before if one.verdict is Verdict.FAILED)]
        disabled.update((one.claim.config_id, one.disables) for one in before if one.disables is not None)
        return Settled(decided.number + len(before), failed, disabled)

    async def _take_out(self, settlements: Sequence[Settlement]) -> dict[Key, Counts]:
        ends, retries, broken_off = set[Key](), dict[Key, tuple[int, int]](), set[Key]()
        for settlement in settlements:
            key, verdict = key_of(settlement), settlement.verdict
            # The first of the same key decides.
            if key in ends or key in retries or key in broken_off:
                continue
            if verdict in _TAKEN_OUT:
                ends.add(key)
            elif verdict is Verdict.RETRY:
                retries[key] = (settlement.wait_ms, ended_ms(settlement) or 0)
            elif verdict is Verdict.INTERRUPTED:
                broken_off.add(key)
        # In the order of their keys, as whoever else locks many of them.
        moved = sorted((*key, *times) for key, times in retries.items())
        now, *rows = await self._raw.fetch(TAKE_OUT, self._moment.given, *columns(sorted(ends), 3), *columns(moved, 5))
        self._moment.is_at(now[0])
        if broken_off:
            rows += await self._raw.fetch(HELD, *columns(sorted(broken_off), 3))
        return {(row[0], row[1], row[2]): (row[3], row[4], row[5], row[6]) for row in rows}

    async def _move_broken_off(self, decided: Decided, settlements: Sequence[Settlement]) -> None:
        """What the first statement has left: how these go on depends on what it has read."""
        broken_off = {key_of(one) for one in settlements if one.verdict is Verdict.INTERRUPTED}
        if not broken_off:
            return
        ended = sorted(key for key in decided.ended if key in broken_off)
        moved = [row for row in decided.moved if row[3:] in broken_off]
        if ended:
            await self._raw.execute(END, *columns(ended, 3))
        if moved:
            await self._raw.execute(MOVE_ON, *columns(moved, 6))

    async def _disable(self, settlement: Settlement, why: str) -> bool:
        """Whether it was not disabled before."""
        account, config_id, now = settlement.claim.event.account, settlement.claim.config_id, self._moment.ms
        before = await self._raw.fetchval(
            """
            WITH was AS (SELECT id, state FROM configs WHERE id = $1 FOR NO KEY UPDATE)
            UPDATE configs AS c
            SET state = 'disabled', state_reason = $2, modified_ms = $3, failing_ms = coalesce(failing_ms, $3)
            FROM was
            WHERE c.id = was.id AND was.state IN ('active', 'paused')
            RETURNING was.state
            """,
            config_id,
            why,
            now,
        )
        if before is not None:
            await self._announce(account)
            facts = state_facts(before), state_facts(ConfigState.DISABLED, why)
            await self._task.door.run(
                lambda connection: self._auditor.record(
                    connection, account, None, "postbackconfig.disable", config_text(config_id), *facts
                )
            )
        return before is not None

    async def _warn(self, settlement: Settlement) -> None:
        """What a receiver does is said of the version it was sent with: a later one is not warned of it."""
        claim, warning = settlement.claim, settlement.warns or None
        warned = await self._raw.fetchval(
            """
            UPDATE configs
            SET warning = $1, warned_ms = $2
            WHERE id = $3 AND version = $4 AND state <> 'deleted' AND warning IS DISTINCT FROM $1
            RETURNING id
            """,
            warning,
            None if warning is None else self._moment.ms,
            claim.config_id,
            settlement.config_version,
        )
        if warned is not None:
            await self._announce(claim.event.account)

    async def _announce(self, account: str) -> None:
        await self._raw.execute("UPDATE accounts SET config_version = config_version + 1 WHERE id = $1", account)
        self._changed(account)

    async def _is_on_record(self, settlement: Settlement) -> bool:
        """Whether it was settled before, by a commit whose answer was lost."""
        claim = settlement.claim
        if claim.token not in self._uncertain:
            return False
        row = late_row(settlement, self._worker, 0, self._moment.ms)
        found: bool = await self._raw.fetchval(
            IS_ON_RECORD,
            claim.event.id,
            claim.config_id,
            self._worker,
            claim.claimed_ms,
            row[SENT_MS],
            settlement.verdict.value,
        )
        return found

    async def _journal_late(self, settlement: Settlement, journal: Journal) -> None:
        key = (settlement.claim.event.id, settlement.claim.config_id)
        # Whoever has the delivery now waits for this, or has taken its number already.
        await self._raw.execute("SELECT 1 FROM owed WHERE event_id = $1 AND config_id = $2 FOR UPDATE", *key)
        n = await self._raw.fetchval(
            "SELECT coalesce(max(n), 0) + 1 FROM attempts WHERE event_id = $1 AND config_id = $2", *key
        )
        await log_attempts(self._raw, journal, [late_row(settlement, self._worker, n, self._moment.ms)])
        await self._raw.execute("UPDATE owed SET logged = $3 WHERE event_id = $1 AND config_id = $2", *key, n)
