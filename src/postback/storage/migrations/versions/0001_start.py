"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# By bytes on both: PostgreSQL would order text as its database is told to.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("metadata", TEXT, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("modified_ms", sa.BigInteger(), nullable=False),
        sa.Column("config_version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "attempts",
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("config_id", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("counter", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.SmallInteger(), nullable=False),
        sa.Column("manual", sa.SmallInteger(), nullable=False),
        sa.Column("config_version", sa.Integer(), nullable=True),
        sa.Column("worker", sa.BigInteger(), nullable=True),
        sa.Column("started_ms", sa.BigInteger(), nullable=True),
        sa.Column("rendered_ms", sa.BigInteger(), nullable=True),
        sa.Column("sent_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=False),
        sa.Column("wait_ms", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("reason", TEXT, nullable=True),
        sa.Column("detail", TEXT, nullable=True),
        sa.Column("body_hash", sa.LargeBinary(), nullable=True),
        sa.Column("answer_headers", sa.LargeBinary(), nullable=True),
        sa.Column("answer_body", sa.LargeBinary(), nullable=True),
        sa.Column("truncated", sa.SmallInteger(), nullable=False),
        sa.Column("notes", TEXT, nullable=True),
        sa.Column("dns_ms", sa.Integer(), nullable=True),
        sa.Column("connect_ms", sa.Integer(), nullable=True),
        sa.Column("tls_ms", sa.Integer(), nullable=True),
        sa.Column("first_byte_ms", sa.Integer(), nullable=True),
        sa.CheckConstraint("n >= 1", name="attempts_count_from_one"),
        sa.CheckConstraint("status IS NULL OR status BETWEEN 0 AND 999", name="statuses_have_three_digits"),
        sa.CheckConstraint("verdict BETWEEN 0 AND 5", name="verdicts_are_known"),
        sa.PrimaryKeyConstraint("event_id", "config_id", "n"),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (event_id)",
    )
    op.create_index(
        "attempts_cancelled",
        "attempts",
        ["account", "event_id"],
        unique=False,
        sqlite_where=sa.text("verdict = 3"),
        postgresql_where=sa.text("verdict = 3"),
    )
    op.create_index(
        "attempts_failed",
        "attempts",
        ["account", "event_id"],
        unique=False,
        sqlite_where=sa.text("verdict = 2"),
        postgresql_where=sa.text("verdict = 2"),
    )
    op.create_index("attempts_of_config", "attempts", ["config_id", "event_id"], unique=False)
    op.create_table(
        "config_versions",
        sa.Column("config_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("secrets", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("config_id", "version"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "counters",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("config_id", sa.BigInteger(), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("measure", sa.SmallInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "config_id", "minute", "measure"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("location_id", TEXT, nullable=True),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=True),
        sa.Column("occurred_at", TEXT, nullable=True),
        sa.Column("accepted_ms", sa.BigInteger(), nullable=False),
        sa.Column("deliveries", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("expands", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index("events_of_account", "events", ["account", "id"], unique=False)
    op.create_index(
        "events_of_subject",
        "events",
        ["account", "subject", "id"],
        unique=False,
        sqlite_where=sa.text("subject IS NOT NULL"),
        postgresql_where=sa.text("subject IS NOT NULL"),
    )
    op.create_table(
        "idempotency",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "key_hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("idempotency_expiring", "idempotency", ["expires_ms"], unique=False)
    op.create_table(
        "lanes",
        sa.Column(
            "config_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("next_due_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("config_id"),
    )
    op.create_index("lanes_due", "lanes", ["next_due_ms"], unique=False)
    op.create_table(
        "owed",
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("config_id", sa.BigInteger(), nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("order_key", TEXT, nullable=True),
        sa.Column("due_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("forgiven", sa.Integer(), nullable=False),
        sa.Column("interruptions", sa.Integer(), nullable=False),
        sa.Column("logged", sa.Integer(), nullable=False),
        sa.Column("manual", sa.SmallInteger(), nullable=False),
        sa.Column("worker", sa.BigInteger(), nullable=True),
        sa.Column("claim", sa.BigInteger(), nullable=True),
        sa.Column("claimed_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(claim IS NULL) = (claimed_ms IS NULL)", name="a_claim_has_a_time"),
        sa.CheckConstraint("(claim IS NULL) = (worker IS NULL)", name="a_claim_has_a_worker"),
        sa.CheckConstraint("0 <= forgiven AND forgiven <= attempts AND attempts <= logged", name="counts_agree"),
        sa.CheckConstraint("interruptions BETWEEN 0 AND 10", name="poison_ends"),
        sa.PrimaryKeyConstraint("event_id", "config_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "owed_due",
        "owed",
        ["config_id", "due_at_ms", "event_id"],
        unique=False,
        sqlite_where=sa.text("claim IS NULL"),
        postgresql_where=sa.text("claim IS NULL"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("host", TEXT, nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("beat_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("slot BETWEEN 0 AND 511", name="slots_fit_into_ids"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("slot"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("account", TEXT, nullable=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("scopes", TEXT, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("prefix", TEXT, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_used_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "records",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("resource", TEXT, nullable=False),
        sa.Column("location_id", TEXT, nullable=True),
        sa.Column("key", TEXT, nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.CheckConstraint("(location_id IS NULL) = (resource = 'location')", name="all_but_locations_have_a_location"),
        sa.CheckConstraint("revision >= 1", name="revisions_count_from_one"),
        sa.ForeignKeyConstraint(
            ["account", "location_id"],
            ["records.account", "records.id"],
        ),
        sa.ForeignKeyConstraint(
            ["account"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("account", "id"),
        sa.UniqueConstraint("account", "resource", "location_id", "key"),
    )
    op.create_index("records_listed", "records", ["account", "resource", "created_ms", "id"], unique=False)
    op.create_index("records_of_location", "records", ["account", "location_id"], unique=False)
    op.create_table(
        "configs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("location_id", TEXT, nullable=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("state_reason", TEXT, nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("modified_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state <> 'deleted' OR location_id IS NULL", name="deleted_configs_hold_no_location"),
        sa.CheckConstraint("state IN ('active', 'paused', 'disabled', 'deleted')", name="states_are_known"),
        sa.ForeignKeyConstraint(
            ["account", "location_id"],
            ["records.account", "records.id"],
        ),
        sa.ForeignKeyConstraint(
            ["account"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("configs_of_account", "configs", ["account", "created_ms", "id"], unique=False)
    op.create_index("configs_of_location", "configs", ["account", "location_id"], unique=False)
