"""Which keys the processes of a database encrypt with, and whether somebody holds it after a restore."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "secret_keys",
        sa.Column("id", TEXT, primary_key=True, nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "holds",
        sa.Column("reason", TEXT, primary_key=True, nullable=False),
        sa.Column("host", TEXT, nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
    )
