"""What a worker says with its heartbeat, for others to see: whom it knows of, what it still has, and how long to wait."""

import sqlalchemy as sa
from alembic import op

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "0007"
down_revision = "0006"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("workers", sa.Column("goes_by", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("workers", sa.Column("keeps", TEXT, nullable=False, server_default=""))
    op.add_column("workers", sa.Column("leaves", sa.SmallInteger(), nullable=False, server_default="0"))
    op.add_column("workers", sa.Column("lease_ms", sa.BigInteger(), nullable=False, server_default="30000"))
