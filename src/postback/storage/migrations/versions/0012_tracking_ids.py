"""Messages are found by their tracking id; those that are there already as they were before."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("events", sa.Column("tracking_id", TEXT))
    condition = sa.text("tracking_id IS NOT NULL")
    op.create_index(
        "events_of_tracking_id",
        "events",
        ["account", "tracking_id", "id"],
        sqlite_where=condition,
        postgresql_where=condition,
    )
