"""Counters in parts, so that processes do not wait for each other; and what only PostgreSQL needs or can be told."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

OF_POSTGRESQL = (
    # Processes add to parts of their own. On SQLite there is one process and one part, and the key stays as it is.
    "ALTER TABLE counters DROP CONSTRAINT counters_pkey",
    "ALTER TABLE counters ADD PRIMARY KEY (account, config_id, minute, measure, part)",
    # The rest of ids that the database gives: those of the audit, and of the history of records.
    "CREATE SEQUENCE ids AS bigint MINVALUE 0 MAXVALUE 2097151 START 0 CYCLE",
    # What no day is there for: a clock that is far off must not keep an event from being accepted.
    "CREATE TABLE events_default PARTITION OF events DEFAULT",
    "CREATE TABLE attempts_default PARTITION OF attempts DEFAULT",
    # Small tables whose every row is soon another one: what is dead in them goes at once, or each look costs more.
    """
    ALTER TABLE owed SET (
        fillfactor = 70,
        autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0,
        autovacuum_analyze_threshold = 20000
    )
    """,
    """
    ALTER TABLE lanes SET (
        fillfactor = 50,
        autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0
    )
    """,
    "ALTER TABLE counters SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)",
    "ALTER TABLE workers SET (fillfactor = 50)",
    # Bodies are large where anything is: compressed with little effort, or not at all.
    """
    DO $$
    BEGIN
        ALTER TABLE events ALTER COLUMN data SET COMPRESSION lz4;
        ALTER TABLE events ALTER COLUMN expands SET COMPRESSION lz4;
    EXCEPTION WHEN feature_not_supported THEN
        ALTER TABLE events ALTER COLUMN data SET STORAGE EXTERNAL;
        ALTER TABLE events ALTER COLUMN expands SET STORAGE EXTERNAL;
    END
    $$
    """,
)


def upgrade() -> None:
    op.add_column("counters", sa.Column("part", sa.SmallInteger(), nullable=False, server_default="0"))
    if op.get_bind().dialect.name == "postgresql":
        for statement in OF_POSTGRESQL:
            op.execute(statement)
