"""What people ask of single deliveries, and the end of those of deleted configs: tests, replay, cancel, bury."""

from collections.abc import Sequence
from typing import Final

from postback.domain.deliveries import Settlement, Verdict
from postback.domain.errors import Conflict, NotFound
from postback.domain.ids import delivery_text
from postback.domain.wire import Reason
from postback.storage.accepting import EVENT_COLUMNS, event_row
from postback.storage.journal import OWED_COLUMNS, TEST, Owed, settled_row
from postback.storage.measures import REPLAYED
from postback.storage.postgres.arrays import columns, unnested
from postback.storage.postgres.counting import fold_config
from postback.storage.postgres.journal import LOG_ATTEMPTS, Journal, Raw, attempt_columns, end, go_by_keys

# Verdicts of a row that is no outcome of a POST, though it ended the delivery.
_NO_POST: Final = f"'{Reason.POISON}', '{Reason.EXPIRED}', '{Reason.CANCELLED}', '{Reason.CANNOT_RENDER}'"
_OUTCOMES: Final = f"{Verdict.RETRY:d}, {Verdict.DELIVERED:d}, {Verdict.FAILED:d}"

_INSERT_EVENT: Final = (
    f"INSERT INTO events ({', '.join(EVENT_COLUMNS)}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"  # noqa: S608
)

_OWE_AGAIN: Final = f"""
INSERT INTO owed (
    event_id, config_id, account, order_key, due_at_ms, attempts, forgiven, interruptions, logged, manual
)
SELECT k.event_id, k.config_id, e.account, e.subject, $1, a.made, a.made, 0, a.logged, 1
FROM {unnested(("bigint", "bigint"), 2)} AS k (event_id, config_id)
JOIN events AS e ON e.id = k.event_id
CROSS JOIN LATERAL (
    SELECT
        coalesce(max(counter) FILTER (
            WHERE verdict IN ({_OUTCOMES}) AND (reason IS NULL OR reason NOT IN ({_NO_POST}))
        ), 0) AS made,
        max(n) AS logged
    FROM attempts
    WHERE event_id = k.event_id AND config_id = k.config_id
) AS a
"""  # noqa: S608

_DELETED: Final = """
SELECT account, id, false FROM configs WHERE state = 'deleted'
UNION ALL
SELECT l.account, l.config_id, true
FROM lanes AS l
WHERE NOT EXISTS (SELECT 1 FROM configs AS c WHERE c.id = l.config_id)
"""
"""With those that are gone, and were given a delivery while they went: accepting does not wait for their end."""

RETIRE_VERSIONS: Final = "UPDATE config_versions SET replaced_ms = $1 WHERE config_id = $2 AND replaced_ms IS NULL"


async def keep_test(raw: Raw, now: int, worker: int, settlement: Settlement) -> None:
    """Nobody tries a test again: what was no success has failed."""
    event, claim = settlement.claim.event, settlement.claim
    verdict = Verdict.DELIVERED if settlement.verdict is Verdict.DELIVERED else Verdict.FAILED
    ended = settlement._replace(verdict=verdict, wait_ms=0)
    await raw.execute(_INSERT_EVENT, *event_row(event, 1))
    await raw.execute(LOG_ATTEMPTS, *attempt_columns([settled_row(ended, worker, 1, claim.attempts + 1, TEST, now)]))


async def replay(raw: Raw, journal: Journal, account: str, event_id: int, config_id: int) -> None:
    key = (event_id, config_id)
    if not await raw.fetchval("SELECT 1 FROM events WHERE id = $1 AND account = $2", event_id, account):
        raise NotFound("delivery", delivery_text(*key))
    if await raw.fetchval("SELECT 1 FROM owed WHERE event_id = $1 AND config_id = $2", *key):
        raise Conflict("the delivery is still owed; cancel it first, or let it end")
    if not await raw.fetchval("SELECT 1 FROM attempts WHERE event_id = $1 AND config_id = $2 LIMIT 1", *key):
        raise NotFound("delivery", delivery_text(*key))
    if config_id not in await those_there(raw, account, [config_id]):
        raise Conflict("the delivery's postback config was deleted: there is nowhere to send it")
    await owe_again(raw, journal, account, [key])
    await journal.write(raw)


async def owe_again(raw: Raw, journal: Journal, account: str, keys: Sequence[tuple[int, int]]) -> None:
    """Owe finished deliveries (event, config) again: their numbers go on, their policy begins anew."""
    await go_by_keys(raw)
    await raw.execute(_OWE_AGAIN, journal.now, *columns(keys, 2))
    for _, config_id in keys:
        journal.count(account, config_id, REPLAYED)
        journal.due(account, config_id, journal.now)


async def those_there(raw: Raw, account: str, config_ids: Sequence[int]) -> frozenset[int]:
    """Which of the configs are the account's and not deleted; nobody deletes them before this transaction ends."""
    rows = await raw.fetch(
        """
        SELECT id FROM configs
        WHERE id = ANY($1::bigint[]) AND account = $2 AND state <> 'deleted'
        ORDER BY id
        FOR SHARE
        """,
        list(config_ids),
        account,
    )
    return frozenset(row[0] for row in rows)


async def cancel(raw: Raw, journal: Journal, account: str, event_id: int, config_id: int) -> None:
    key = (event_id, config_id, account)
    row = await raw.fetchrow(
        f"""
        SELECT {OWED_COLUMNS} FROM owed WHERE event_id = $1 AND config_id = $2 AND account = $3 FOR UPDATE
        """,  # noqa: S608
        *key,
    )
    if row is None:
        if not await raw.fetchval(
            "SELECT 1 FROM attempts WHERE event_id = $1 AND config_id = $2 AND account = $3 LIMIT 1", *key
        ):
            raise NotFound("delivery", delivery_text(event_id, config_id))
        raise Conflict("the delivery is finished; only an open one can be cancelled")
    await end(raw, journal, [Owed(*row)], Verdict.CANCELLED, Reason.CANCELLED)
    await journal.write(raw)


async def bury(raw: Raw, journal: Journal, limit: int) -> int:
    """One process at a time: whoever comes second finds nothing to do."""
    if not await raw.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
        return 0
    done = 0
    gone: list[tuple[str, int, bool]] = []
    open_ones: list[Owed] = []
    for account, config_id, is_gone in await raw.fetch(_DELETED):
        # The index knows the unclaimed ones; for the few that are claimed the table is read, once for a config.
        for which in ("claim IS NULL", "claim IS NOT NULL"):
            rows = await raw.fetch(
                f"""
                SELECT {OWED_COLUMNS} FROM owed WHERE config_id = $1 AND {which}
                ORDER BY due_at_ms, event_id LIMIT $2 FOR UPDATE
                """,  # noqa: S608
                config_id,
                limit - done,
            )
            open_ones += [Owed(*row) for row in rows]
            done += len(rows)
            if done >= limit:
                break
        else:
            gone.append((account, config_id, is_gone))
            done += 1
        if done >= limit:
            break
    await end(raw, journal, open_ones, Verdict.CANCELLED, Reason.CANCELLED)
    gone_ids = sorted(config_id for _, config_id, _ in gone)
    if gone_ids:
        await raw.execute(LOCK_LANES, gone_ids)
    for config_id in gone_ids:
        await raw.execute(_END_LANE, config_id)
    for account, config_id, is_gone in gone:
        if not is_gone:
            await raw.execute("DELETE FROM configs WHERE id = $1", config_id)
            await raw.execute(RETIRE_VERSIONS, journal.now, config_id)
            journal.rows += await fold_config(raw, account, config_id)
    await journal.write(raw)
    return done


_LOCK: Final = 0x70_6F_73_74_0005

# Whoever is adding to one has it locked: what that was is durable once this has it, and the next statement sees it.
LOCK_LANES: Final = "SELECT 1 FROM lanes WHERE config_id = ANY($1::bigint[]) ORDER BY config_id FOR UPDATE"

# One that somebody has added to since its rows were read stays, and is found again.
_END_LANE: Final = """
DELETE FROM lanes
WHERE config_id = $1 AND NOT EXISTS (SELECT 1 FROM owed WHERE owed.config_id = $1 AND claim IS NULL)
"""
