"""Which other workers a worker knows of, for others to see: until all know of one it has no part of the lanes."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("workers", sa.Column("goes_by", sa.BigInteger(), nullable=False, server_default="0"))
