"""Claiming: lane by lane, in order of due time, starting where the last claim of the lane ended."""

from collections.abc import Mapping, Sequence
from typing import Final

from postback.domain.deliveries import Claim
from postback.domain.events import Event
from postback.ports import Waiting
from postback.storage.postgres.arrays import columns, unnested
from postback.storage.postgres.clock import NOW
from postback.storage.postgres.journal import SET_DUE, Raw
from postback.storage.postgres.tasks import Task

WAITING: Final = f"""
SELECT l.account, l.config_id, l.next_due_ms - t.now
FROM (SELECT {NOW} AS now OFFSET 0) AS t, lanes AS l JOIN configs AS c ON c.id = l.config_id
WHERE l.next_due_ms <= t.now + $2 AND c.state = 'active'
ORDER BY l.next_due_ms
LIMIT $3
"""  # noqa: S608

# The lane comes before its rows: whoever adds to it does so before this, and is seen by the next statement, or after
# the transaction, and then sees what became of the lane.
LOCK_LANES: Final = f"""
WITH t AS MATERIALIZED (SELECT {NOW} AS now)
SELECT t.now, l.config_id, l.next_due_ms
FROM t, workers AS w, lanes AS l JOIN configs AS c ON c.id = l.config_id
WHERE w.id = $2 AND w.beat_ms > 0 AND l.config_id = ANY($3::bigint[]) AND l.next_due_ms <= t.now AND c.state = 'active'
ORDER BY l.config_id
FOR KEY SHARE OF w
FOR UPDATE OF l {{wait}}
"""  # noqa: S608
LOCK_FREE_LANES: Final = LOCK_LANES.format(wait="SKIP LOCKED")
WAIT_FOR_LANES: Final = LOCK_LANES.format(wait="")

# Of each lane one row more than there is room for is looked at: the first that is not taken is when the lane is due next.
# Bodies are read until the bytes have run out.
SEEN: Final = f"""
WITH seen AS MATERIALIZED (
    SELECT r.nth, r.places, o.config_id, o.event_id, o.due_at_ms,
        row_number() OVER (PARTITION BY r.nth ORDER BY o.due_at_ms, o.event_id) AS place
    FROM {unnested(("bigint", "bigint", "int"), 1)} WITH ORDINALITY AS r (config_id, from_ms, places, nth)
    CROSS JOIN LATERAL (
        SELECT config_id, event_id, due_at_ms
        FROM owed
        WHERE config_id = r.config_id AND claim IS NULL AND due_at_ms >= r.from_ms
        ORDER BY due_at_ms, event_id
        LIMIT r.places + 1
    ) AS o
), sized AS MATERIALIZED (
    SELECT s.*, e.bytes, sum(e.bytes) OVER (ORDER BY s.nth, s.place) - e.bytes AS bytes_before
    FROM seen AS s LEFT JOIN LATERAL (
        SELECT octet_length(data) AS bytes
        FROM events
        WHERE id = s.event_id AND s.place <= s.places AND s.due_at_ms <= $4
        OFFSET 0
    ) AS e ON true
)
SELECT s.config_id, s.event_id, s.due_at_ms, e.*
FROM sized AS s LEFT JOIN LATERAL (
    SELECT id, account, location_id, type, subject, occurred_at, accepted_ms, data, expands, trace
    FROM events
    WHERE id = s.event_id AND s.bytes_before < $5
    OFFSET 0
) AS e ON true
ORDER BY s.nth, s.place
"""  # noqa: S608

# A row that somebody is about to end is not waited for. "claim IS NULL" would lead to the index of what is due, which is
# read along the whole lane for a row that is named by its event.
CLAIM: Final = f"""
WITH free AS MATERIALIZED (
    SELECT k.number, o.event_id, o.config_id
    FROM {unnested(("bigint", "bigint"), 1)} WITH ORDINALITY AS k (event_id, config_id, number)
    CROSS JOIN LATERAL (
        SELECT event_id, config_id, claim FROM owed
        WHERE event_id = k.event_id AND config_id = k.config_id
        FOR UPDATE SKIP LOCKED
    ) AS o
    WHERE coalesce(o.claim, -1) = -1
), moved AS (
    UPDATE lanes AS l
    SET next_due_ms = a.due_at_ms
    FROM {unnested(("bigint", "bigint"), 3)} AS a (config_id, due_at_ms)
    WHERE l.config_id = a.config_id AND l.next_due_ms <> a.due_at_ms
), emptied AS (
    DELETE FROM lanes AS l USING unnest($5::bigint[]) AS a (config_id) WHERE l.config_id = a.config_id
)
UPDATE owed AS o
SET worker = $6, claim = $7::bigint + f.number - 1, claimed_ms = $8
FROM free AS f
WHERE o.event_id = f.event_id AND o.config_id = f.config_id
RETURNING f.number, o.attempts, o.forgiven, o.interruptions, o.manual
"""  # noqa: S608

STAYS: Final = f"""
INSERT INTO lanes (config_id, account, next_due_ms)
SELECT * FROM {unnested(("bigint", "text", "bigint"), 1)}
{SET_DUE}
"""  # noqa: S608

RELEASE: Final = f"""
WITH released AS (
    UPDATE owed AS o
    SET worker = NULL, claim = NULL, claimed_ms = NULL
    FROM {unnested(("bigint", "bigint", "bigint"), 1)} AS k (event_id, config_id, token)
    WHERE o.event_id = k.event_id AND o.config_id = k.config_id AND o.claim = k.token
    RETURNING o.config_id, o.account, o.due_at_ms
), due AS (
    INSERT INTO lanes (config_id, account, next_due_ms)
    SELECT config_id, min(account), min(due_at_ms) FROM released GROUP BY config_id ORDER BY config_id
    {SET_DUE}
)
SELECT DISTINCT config_id FROM released
"""  # noqa: S608


async def waiting(raw: Raw, given: int | None, within_ms: int, limit: int) -> Sequence[Waiting]:
    return [Waiting(*row) for row in await raw.fetch(WAITING, given, within_ms, limit)]


async def claim(task: Task, worker: int, first_token: int, room: Mapping[int, int], max_bytes: int) -> Sequence[Claim]:
    """In a transaction. A worker that was declared dead gets nothing: nobody would free what it holds. Of a lane that another is at work
    on it gets nothing either, unless all are: then it waits for them.

    Tokens are those from `first_token` on, as many as there is room.
    """
    wanted = [config_id for config_id, places in room.items() if places > 0]
    if not wanted or max_bytes <= 0:
        return []
    raw, moment = task.raw, task.moment
    lanes = await raw.fetch(LOCK_FREE_LANES, moment.given, worker, wanted)
    if not lanes:
        lanes = await raw.fetch(WAIT_FOR_LANES, moment.given, worker, wanted)
    if not lanes:
        return []
    now = moment.is_at(lanes[-1][0])
    from_ms = {row[1]: row[2] for row in lanes}
    config_ids = [config_id for config_id in wanted if config_id in from_ms]
    seen = await raw.fetch(
        SEEN,
        config_ids,
        [from_ms[config_id] for config_id in config_ids],
        [room[config_id] for config_id in config_ids],
        now,
        max_bytes,
    )
    rows = [row for row in seen if row[3] is not None]
    next_ms: dict[int, int] = {}
    for row in seen:
        if row[3] is None:
            next_ms.setdefault(row[0], row[2])
    await task.go_by_keys()
    taken = await raw.fetch(
        CLAIM,
        [row[1] for row in rows],
        [row[0] for row in rows],
        *columns(sorted(next_ms.items()), 2),
        sorted(set(config_ids) - set(next_ms)),
        worker,
        first_token,
        now,
    )
    task.wrote(len(taken) + len(config_ids))
    taken_as = {row[0]: row for row in taken}
    if len(taken) < len(rows):
        # Somebody is about to end these, or has; where it comes to nothing, their lanes must know of them.
        left = [row for number, row in enumerate(rows, 1) if number not in taken_as]
        earliest: dict[int, tuple[str, int]] = {}
        for row in left:
            earliest.setdefault(row[0], (row[4], row[2]))
        await raw.execute(STAYS, *columns(sorted((config, *known) for config, known in earliest.items()), 3))
    claims = []
    for number, row in enumerate(rows, 1):
        owed = taken_as.get(number)
        if owed is not None:
            token = first_token + number - 1
            claims.append(Claim(Event(*row[3:]), row[0], token, owed[1], owed[2], owed[3], bool(owed[4]), now))
    return claims


async def release(raw: Raw, claims: Sequence[Claim]) -> Sequence[int]:
    """In a transaction. The configs whose lanes have them again."""
    keys = sorted((claim.event.id, claim.config_id, claim.token) for claim in claims)
    columns = [[key[at] for key in keys] for at in range(3)]
    return [row[0] for row in await raw.fetch(RELEASE, *columns)]
