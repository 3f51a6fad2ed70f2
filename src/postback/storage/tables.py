"""The schema, once for every database. Times are unix milliseconds, JSON is text, payloads are bytes.

Between the tables of the hot path (events, owed, attempts) there are no foreign keys: what is finished
is removed by the day, and what must hold between them is held by the statements that write them.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)

from postback.storage.texts import AnyText

METADATA: Final = MetaData()

_TEXT: Final = AnyText(is_ordered=True)

# Only an INTEGER primary key is SQLite's own row id: a BIGINT would be a second tree beside the table.
_ROW_ID: Final = BigInteger().with_variant(Integer(), "sqlite")

# The account-wide settings are views on configs: there is one of each purpose.
_HAS_A_PURPOSE: Final = text("purpose IS NOT NULL AND state <> 'deleted'")

_IS_REPLACED: Final = text("replaced_ms IS NOT NULL")
_HAS_A_SUBJECT: Final = text("subject IS NOT NULL")
_IS_TRACKED: Final = text("tracking_id IS NOT NULL")
_IS_UNCLAIMED: Final = text("claim IS NULL")
_HAS_FAILED: Final = text("verdict = 2")
_IS_CANCELLED: Final = text("verdict = 3")
_IS_A_CAUSE: Final = text("measure >= 1000")
_IS_DELETED: Final = text("state = 'deleted'")
_IS_RUNNING: Final = text("state = 'running'")

accounts = Table(
    "accounts",
    METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("name", _TEXT),
    Column("metadata", _TEXT, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("modified_ms", BigInteger, nullable=False),
    # Raised by every change of a config: accepting compares it, so no event is matched with old configs.
    Column("config_version", BigInteger, nullable=False),
    # What the operator allows it, as JSON; what is not named is not limited.
    Column("limits", _TEXT, nullable=False, server_default="{}"),
    # The origins whose pages may show its portal in a frame, with spaces between.
    Column("portal_origins", _TEXT, nullable=False, server_default=""),
)

removed_accounts = Table(
    "removed_accounts",
    METADATA,
    # While anything of its history is left, nobody else gets the id.
    Column("account", _TEXT, primary_key=True),
    Column("removed_ms", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    METADATA,
    Column("id", _TEXT, primary_key=True),
    # NULL for an operator key, which acts for any account.
    Column("account", _TEXT),
    Column("name", _TEXT, nullable=False),
    Column("scopes", _TEXT, nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("prefix", _TEXT, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("last_used_ms", BigInteger),
    ForeignKeyConstraint(["account"], ["accounts.id"], ondelete="CASCADE"),
)

users = Table(
    "users",
    METADATA,
    Column("id", _TEXT, primary_key=True),
    # NULL for a user of the platform, who may act for any account.
    Column("account", _TEXT),
    Column("email", _TEXT, nullable=False, unique=True),
    Column("role", _TEXT, nullable=False),
    # As argon2id writes it.
    Column("password", _TEXT, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("disabled_ms", BigInteger),
    ForeignKeyConstraint(["account"], ["accounts.id"], ondelete="CASCADE"),
    CheckConstraint("role IN ('owner', 'admin', 'editor', 'viewer')", name="roles_of_users_are_known"),
    Index("users_of_account", "account", "created_ms", "id"),
)

sign_in_links = Table(
    "sign_in_links",
    METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("kind", _TEXT, nullable=False),
    Column("account", _TEXT),
    Column("role", _TEXT),
    Column("email", _TEXT),
    Column("name", _TEXT),
    Column("user_id", _TEXT),
    Column("created_ms", BigInteger, nullable=False),
    # NULL for the first user's, which is good until it was used.
    Column("ends_ms", BigInteger),
    Column("used_ms", BigInteger),
    ForeignKeyConstraint(["account"], ["accounts.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    CheckConstraint("kind IN ('first', 'invitation', 'password', 'portal')", name="kinds_of_links_are_known"),
    CheckConstraint("(kind = 'password') = (user_id IS NOT NULL)", name="a_new_password_is_somebodys"),
    CheckConstraint("kind <> 'portal' OR account IS NOT NULL", name="a_portal_is_an_accounts"),
    CheckConstraint("(ends_ms IS NULL) = (kind = 'first')", name="all_links_but_the_first_end"),
    Index("sign_in_links_of_account", "account", "created_ms", "id"),
)

sessions = Table(
    "sessions",
    METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("user_id", _TEXT),
    Column("link_id", _TEXT),
    # The account whose things are shown.
    Column("acts_for", _TEXT, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("ends_ms", BigInteger, nullable=False),
    Column("address", _TEXT),
    Column("agent", _TEXT, nullable=False),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["link_id"], ["sign_in_links.id"], ondelete="CASCADE"),
    CheckConstraint("(user_id IS NULL) <> (link_id IS NULL)", name="a_session_is_somebodys"),
    Index("sessions_of_user", "user_id", "seen_ms"),
    Index("sessions_of_link", "link_id"),
    Index("sessions_ending", "ends_ms"),
)

records = Table(
    "records",
    METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("account", _TEXT, nullable=False),
    Column("resource", _TEXT, nullable=False),
    Column("location_id", _TEXT),
    # The caller's own id of the record, such as contact_api_id.
    Column("key", _TEXT),
    Column("revision", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("body", _TEXT, nullable=False),
    UniqueConstraint("account", "id"),
    UniqueConstraint("account", "resource", "location_id", "key"),
    ForeignKeyConstraint(["account"], ["accounts.id"]),
    ForeignKeyConstraint(["account", "location_id"], ["records.account", "records.id"]),
    CheckConstraint("(location_id IS NULL) = (resource = 'location')", name="all_but_locations_have_a_location"),
    CheckConstraint("revision >= 1", name="revisions_count_from_one"),
    Index("records_listed", "account", "resource", "created_ms", "id"),
    Index("records_of_location", "account", "location_id"),
)

configs = Table(
    "configs",
    METADATA,
    Column("id", _ROW_ID, primary_key=True, autoincrement=False),
    Column("account", _TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("location_id", _TEXT),
    Column("state", _TEXT, nullable=False),
    Column("state_reason", _TEXT),
    Column("created_ms", BigInteger, nullable=False),
    Column("modified_ms", BigInteger, nullable=False),
    Column("purpose", _TEXT),
    # What the owner is to be warned of, and since when.
    Column("warning", _TEXT),
    Column("warned_ms", BigInteger),
    # When others were told that it is failing; nothing while it is well.
    Column("failing_ms", BigInteger),
    ForeignKeyConstraint(["account"], ["accounts.id"]),
    ForeignKeyConstraint(["account", "location_id"], ["records.account", "records.id"]),
    CheckConstraint("state IN ('active', 'paused', 'disabled', 'deleted')", name="states_are_known"),
    CheckConstraint("state <> 'deleted' OR location_id IS NULL", name="deleted_configs_hold_no_location"),
    Index("configs_of_account", "account", "created_ms", "id"),
    Index("configs_of_location", "account", "location_id"),
    # On their way out: looked for every few seconds.
    Index("configs_deleted", "id", sqlite_where=_IS_DELETED, postgresql_where=_IS_DELETED),
    Index(
        "configs_of_purpose",
        "account",
        "purpose",
        unique=True,
        sqlite_where=_HAS_A_PURPOSE,
        postgresql_where=_HAS_A_PURPOSE,
    ),
)

config_versions = Table(
    "config_versions",
    METADATA,
    Column("config_id", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("account", _TEXT, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("body", _TEXT, nullable=False),
    # What must never be shown, sealed by the vault: passwords, signing secrets, the values of the owner's headers.
    Column("secrets", _TEXT, nullable=False),
    # When another version took its place, or its config was deleted: only what was sent before then may refer to it.
    Column("replaced_ms", BigInteger),
    PrimaryKeyConstraint("config_id", "version"),
    Index("config_versions_replaced", "replaced_ms", sqlite_where=_IS_REPLACED, postgresql_where=_IS_REPLACED),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    METADATA,
    Column("id", _ROW_ID, primary_key=True, autoincrement=False),
    Column("account", _TEXT, nullable=False),
    Column("location_id", _TEXT),
    Column("type", _TEXT, nullable=False),
    Column("subject", _TEXT),
    Column("occurred_at", _TEXT),
    Column("accepted_ms", BigInteger, nullable=False),
    Column("deliveries", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("expands", LargeBinary),
    # The trace that the publisher's request belonged to (W3C traceparent).
    Column("trace", _TEXT),
    # Of a message, where its data has one: what people find it by.
    Column("tracking_id", _TEXT),
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
    Column("account", _TEXT, nullable=False),
    # For ordered delivery, later: what must not overtake each other. The event's subject.
    Column("order_key", _TEXT),
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
    Column("account", _TEXT, nullable=False),
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
    Column("reason", _TEXT),
    Column("detail", _TEXT),
    Column("body_hash", LargeBinary),
    # As received: one "name: value" a line.
    Column("answer_headers", LargeBinary),
    Column("answer_body", LargeBinary),
    Column("truncated", SmallInteger, nullable=False),
    Column("notes", _TEXT),
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
    Column("account", _TEXT, nullable=False),
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
    Column("config_id", _ROW_ID, primary_key=True, autoincrement=False),
    Column("account", _TEXT, nullable=False),
    Column("next_due_ms", BigInteger, nullable=False),
    Index("lanes_due", "next_due_ms"),
)

workers = Table(
    "workers",
    METADATA,
    Column("id", _ROW_ID, primary_key=True, autoincrement=False),
    Column("slot", SmallInteger, nullable=False, unique=True),
    Column("host", _TEXT, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("beat_ms", BigInteger, nullable=False),
    # The crew that it minds, as a mark (domain/crews.py); 0 of none.
    Column("goes_by", BigInteger, nullable=False, server_default="0"),
    # Lanes and hosts of which it still has more than that crew gives it, and whether it takes nothing more.
    Column("keeps", _TEXT, nullable=False, server_default=""),
    Column("leaves", SmallInteger, nullable=False, server_default="0"),
    # For so long it may be silent before it counts as dead.
    Column("lease_ms", BigInteger, nullable=False, server_default="30000"),
    CheckConstraint("slot BETWEEN 0 AND 511", name="slots_fit_into_ids"),
)

secret_keys = Table(
    "secret_keys",
    METADATA,
    # Ids of the keys that some process of a PostgreSQL database encrypts with, from its first start on. A file has one
    # process, and no row here.
    Column("id", _TEXT, primary_key=True),
    Column("since_ms", BigInteger, nullable=False),
)

holds = Table(
    "holds",
    METADATA,
    # A row while nobody may deliver from a PostgreSQL database, and the host that it waits for.
    Column("reason", _TEXT, primary_key=True),
    Column("host", _TEXT, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
)

counters = Table(
    "counters",
    METADATA,
    Column("account", _TEXT, nullable=False),
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

changelogs = Table(
    "changelogs",
    METADATA,
    # A change of a record: which fields had which values before, and whose change it was.
    Column("id", _ROW_ID, primary_key=True, autoincrement=False),
    Column("account", _TEXT, nullable=False),
    Column("resource", _TEXT, nullable=False),
    Column("record_id", _TEXT, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("action", _TEXT, nullable=False),
    Column("key_id", _TEXT),
    Column("key_name", _TEXT),
    Column("details", _TEXT, nullable=False),
    Index("changelogs_of_record", "account", "record_id", "id"),
)

replays = Table(
    "replays",
    METADATA,
    # A job over many deliveries: `event_id` and `config_id` are the last one that it has come past.
    Column("id", _TEXT, primary_key=True),
    Column("account", _TEXT, nullable=False),
    Column("kind", _TEXT, nullable=False),
    Column("state", _TEXT, nullable=False),
    Column("filter", _TEXT, nullable=False),
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

audit = Table(
    "audit",
    METADATA,
    # Who changed what, in the transaction of the change. Secrets are masked before they come here.
    Column("id", _ROW_ID, primary_key=True, autoincrement=False),
    # NULL for what belongs to no account.
    Column("account", _TEXT),
    Column("at_ms", BigInteger, nullable=False),
    # NULL for the server itself.
    Column("key_id", _TEXT),
    Column("key_name", _TEXT),
    Column("address", _TEXT),
    Column("action", _TEXT, nullable=False),
    Column("target", _TEXT, nullable=False),
    Column("before", _TEXT),
    Column("after", _TEXT),
    # Whether it was done by a key or a user of the platform, whom accounts are not told of.
    Column("is_operator", SmallInteger, nullable=False, server_default="0"),
    Index("audit_of_account", "account", "id"),
)
