"""What a config of the account-wide settings is for, and what its owner is warned of."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# By bytes on both: PostgreSQL would order text as its database is told to.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("configs", sa.Column("purpose", TEXT, nullable=True))
    op.add_column("configs", sa.Column("warning", TEXT, nullable=True))
    op.add_column("configs", sa.Column("warned_ms", sa.BigInteger(), nullable=True))
    op.create_index(
        "configs_of_purpose",
        "configs",
        ["account", "purpose"],
        unique=True,
        sqlite_where=sa.text("purpose IS NOT NULL AND state <> 'deleted'"),
        postgresql_where=sa.text("purpose IS NOT NULL AND state <> 'deleted'"),
    )
