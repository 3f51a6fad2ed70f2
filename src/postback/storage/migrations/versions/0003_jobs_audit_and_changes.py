"""Jobs over many deliveries, who changed what, the history of records, limits of accounts, traces of events."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("accounts", sa.Column("limits", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("configs", sa.Column("failing_ms", sa.BigInteger(), nullable=True))
    op.add_column("events", sa.Column("trace", sa.Text(), nullable=True))
    op.create_table(
        "changelogs",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text()),
        sa.Column("key_name", sa.Text()),
        sa.Column("details", sa.Text(), nullable=False),
    )
    op.create_index("changelogs_of_record", "changelogs", ["account", "record_id", "id"])
    op.create_table(
        "replays",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
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
    op.create_index("replays_running", "replays", ["id"], sqlite_where=sa.text("state = 'running'"))
    op.create_index("replays_of_account", "replays", ["account", "id"])
    op.create_table(
        "audit",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=False),
        sa.Column("account", sa.Text()),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Text()),
        sa.Column("key_name", sa.Text()),
        sa.Column("address", sa.Text()),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text()),
    )
    op.create_index("audit_of_account", "audit", ["account", "id"])
