"""Deleted configs are found without a look at all others."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    is_deleted = sa.text("state = 'deleted'")
    op.create_index("configs_deleted", "configs", ["id"], sqlite_where=is_deleted, postgresql_where=is_deleted)
