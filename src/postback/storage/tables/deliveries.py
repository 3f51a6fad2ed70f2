"""What happened and what is owed: the hot path, and what is counted and done over all of it.

Between events, owed and attempts there are no foreign keys: what is finished is removed by the day, and what must hold
between them is held by the statements that write them.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    text,
)

from postback.storage.tables.columns import METADATA, ROW_ID, TEXT

_HAS_A_SUBJECT: Final = text("subject IS NOT NULL")
_IS_TRACKED: Final = text("tracking_id IS NOT NULL")
_IS_UNCLAIMED: Final = text("claim IS NULL")
_HAS_FAILED: Final = text("verdict = 2")
_IS_CANCELLED: Final = text("verdict = 3")
_IS_A_CAUSE: Final = text("measure >= 1000")
_IS_RUNNING: Final = text("state = 'running'")

events = Table(
    "events",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=False),
    Column("account", TEXT, nullable=False),
    Column("location_id", TEXT),
    Column("type", TEXT, nullable=False),
    Column("subject", TEXT),
    Column("occurred_at", TEXT),
    Column("accepted_ms", BigInteger, nullable=False),
    Column("deliveries", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("expands", LargeBinary),
    # The trace that the publisher's request belonged to (W3C traceparent).
    Column("trace", TEXT),
    # Of a message, where its data has one: what people find it by.
    Column("tracking_id", TEXT),
    Index("events_of_account", "account", "id"),
    Index(
        "events_of_subject", "account", "subject", "id", sqlite_where=_HAS_A_SUBJECT, postgresql_where=_HAS_A_SUBJECT
    ),
    Index(
        "events_of_tracking_id",
        "account",
        "tracking_id",
        "id",
        sqlite_where=_IS_TRACKED,
        postgresql_where=_IS_TRACKED,
    ),
    # A partition a day (storage/postgres/partitions.py).
    postgresql_partition_by="RANGE (id)",
)

owed = Table(
    "owed",
    METADATA,
    Column("event_id", BigInteger, nullable=False),
    Column("config_id", BigInteger, nullable=False),
    Column("account", TEXT, nullable=False),
    # For ordered delivery, later: what must not overtake each other. The event's subject.
    Column("order_key", TEXT),
    Column("due_at_ms", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    # Of these attempts, those before the last replay: they do not count against the policy.
    Column("forgiven", Integer, nullable=False),
    # Claims in a row that ended without an outcome, because the worker died.
    Column("interruptions", Integer, nullable=False),
    # Rows of this delivery in `attempts`; the next one gets this number plus one.
    Column("logged", Integer, nullable=False),
    Column("manual", SmallInteger, nullable=False),
    # The claim is the durable start of an attempt: these three are its worker, its token and its time.
    Column("worker", BigInteger),
    Column("claim", BigInteger),
    Column("claimed_ms", BigInteger),
    PrimaryKeyConstraint("event_id", "config_id"),
    CheckConstraint("(claim IS NULL) = (worker IS NULL)", name="a_claim_has_a_worker"),
    CheckConstraint("(claim IS NULL) = (claimed_ms IS NULL)", name="a_claim_has_a_time"),
    CheckConstraint("0 <= forgiven AND forgiven <= attempts AND attempts <= logged", name="counts_agree"),
    CheckConstraint("interruptions BETWEEN 0 AND 10", name="poison_ends"),
    Index("owed_due", "config_id", "due_at_ms", "event_id", sqlite_where=_IS_UNCLAIMED, postgresql_where=_IS_UNCLAIMED),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    METADATA,
    Column("event_id", BigInteger, nullable=False),
    Column("config_id", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("account", TEXT, nullable=False),
    # What an api-default body showed as number_of_attempts.
    Column("counter", Integer, nullable=False),
    Column("verdict", SmallInteger, nullable=False),
    Column("manual", SmallInteger, nullable=False),
    Column("config_version", Integer),
    Column("worker", BigInteger),
    Column("started_ms", BigInteger),
    Column("rendered_ms", BigInteger),
    Column("sent_ms", BigInteger),
    Column("ended_ms", BigInteger, nullable=False),
    Column("wait_ms", BigInteger, nullable=False),
    Column("status", SmallInteger),
    Column("reason", TEXT),
    Column("detail", TEXT),
    Column("body_hash", LargeBinary),
    # As received: one "name: value" a line.
    Column("answer_headers", LargeBinary),
    Column("answer_body", LargeBinary),
    Column("truncated", SmallInteger, nullable=False),
    Column("notes", TEXT),
    Column("dns_ms", Integer),
    Column("connect_ms", Integer),
    Column("tls_ms", Integer),
    Column("first_byte_ms", Integer),
    PrimaryKeyConstraint("event_id", "config_id", "n"),
    CheckConstraint("n >= 1", name="attempts_count_from_one"),
    CheckConstraint("verdict BETWEEN 0 AND 5", name="verdicts_are_known"),
    CheckConstraint("status IS NULL OR status BETWEEN 0 AND 999", name="statuses_have_three_digits"),
    Index("attempts_of_config", "config_id", "event_id"),
    Index("attempts_failed", "account", "event_id", sqlite_where=_HAS_FAILED, postgresql_where=_HAS_FAILED),
    Index("attempts_cancelled", "account", "event_id", sqlite_where=_IS_CANCELLED, postgresql_where=_IS_CANCELLED),
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (event_id)",
)

idempotency = Table(
    "idempotency",
    METADATA,
    Column("account", TEXT, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),
    Column("event_id", BigInteger, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "key_hash"),
    Index("idempotency_expiring", "expires_ms"),
    sqlite_with_rowid=False,
)

lanes = Table(
    "lanes",
    METADATA,
    # A row while a config may have unclaimed deliveries; `next_due_ms` is never later than the first of them.
    Column("config_id", ROW_ID, primary_key=True, autoincrement=False),
    Column("account", TEXT, nullable=False),
    Column("next_due_ms", BigInteger, nullable=False),
    Index("lanes_due", "next_due_ms"),
)

counters = Table(
    "counters",
    METADATA,
    Column("account", TEXT, nullable=False),
    Column("config_id", BigInteger, nullable=False),
    # Unix minutes; 0 for totals of minutes that were forgotten, and for what has no minute.
    Column("minute", BigInteger, nullable=False),
    # What is counted: storage/measures.py.
    Column("measure", SmallInteger, nullable=False),
    # Of PostgreSQL's key too: processes add to rows of their own, and do not wait for each other. Whoever reads adds
    # the parts up; of a last time the highest counts. On SQLite always 0.
    Column("part", SmallInteger, nullable=False, server_default="0"),
    Column("count", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "config_id", "minute", "measure"),
    Index("counters_of_minute", "minute"),
    Index("counters_of_causes", "account", "minute", sqlite_where=_IS_A_CAUSE, postgresql_where=_IS_A_CAUSE),
    sqlite_with_rowid=False,
)

replays = Table(
    "replays",
    METADATA,
    # A job over many deliveries: `event_id` and `config_id` are the last one that it has come past.
    Column("id", TEXT, primary_key=True),
    Column("account", TEXT, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("filter", TEXT, nullable=False),
    Column("selected", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("event_id", BigInteger),
    Column("config_id", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    CheckConstraint("kind IN ('replay', 'cancel')", name="kinds_are_known"),
    CheckConstraint("state IN ('running', 'done')", name="jobs_run_or_are_done"),
    Index("replays_running", "id", sqlite_where=_IS_RUNNING, postgresql_where=_IS_RUNNING),
    Index("replays_of_account", "account", "id"),
)
