"""What retention goes by: when a version of a config was replaced, and accounts of which only the history is left."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

# By bytes on both: PostgreSQL would order text as its database is told to.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("config_versions", sa.Column("replaced_ms", sa.BigInteger(), nullable=True))
    op.create_index(
        "config_versions_replaced",
        "config_versions",
        ["replaced_ms"],
        sqlite_where=sa.text("replaced_ms IS NOT NULL"),
        postgresql_where=sa.text("replaced_ms IS NOT NULL"),
    )
    # Until now nobody noted it: by the next version, or, of a config that is gone, after its last attempt.
    op.execute(
        """
        UPDATE config_versions
        SET replaced_ms = coalesce(
            (
                SELECT min(later.created_ms) FROM config_versions AS later
                WHERE later.config_id = config_versions.config_id AND later.version > config_versions.version
            ),
            (SELECT max(ended_ms) FROM attempts WHERE attempts.config_id = config_versions.config_id),
            created_ms
        )
        WHERE NOT EXISTS (
            SELECT 1 FROM configs
            WHERE configs.id = config_versions.config_id AND configs.version = config_versions.version
        )
        """
    )
    op.create_table(
        "removed_accounts",
        sa.Column("account", TEXT, primary_key=True),
        sa.Column("removed_ms", sa.BigInteger(), nullable=False),
    )
