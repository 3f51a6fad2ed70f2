"""Jobs over many deliveries, who changed what, the history of records, limits of accounts, traces of events."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# By bytes on both: PostgreSQL would order text as its database is told to.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("accounts", sa.Column("limits", TEXT, nullable=False, server_default="{}"))
    op.add_column("configs", sa.Column("failing_ms", sa.BigInteger(), nullable=True))
    op.add_column("events", sa.Column("trace", TEXT, nullable=True))
    op.create_table(
        "changelogs",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("resource", TEXT, nullable=False),
        sa.Column("record_id", TEXT, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("key_id", TEXT),
        sa.Column("key_name", TEXT),
        sa.Column("details", TEXT, nullable=False),
    )
    op.create_index("changelogs_of_record", "changelogs", ["account", "record_id", "id"])
    op.create_table(
        "replays",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("filter", TEXT, nullable=False),
        sa.Column("selected", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("skipped", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger()),
        sa.Column("config_id", sa.BigInteger()),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger()),
        sa.CheckConstraint("kind IN ('replay', 'cancel')", name="kinds_are_known"),
        sa.CheckConstraint("state IN ('running', 'done')", name="jobs_run_or_are_done"),
    )
    op.create_index(
        "replays_running",
        "replays",
        ["id"],
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index("replays_of_account", "replays", ["account", "id"])
    op.create_table(
        "audit",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=False),
        sa.Column("account", TEXT),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("key_id", TEXT),
        sa.Column("key_name", TEXT),
        sa.Column("address", TEXT),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("before", TEXT),
        sa.Column("after", TEXT),
    )
    op.create_index("audit_of_account", "audit", ["account", "id"])
