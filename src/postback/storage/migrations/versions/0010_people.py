"""People: users, their sessions and the links that sign somebody in once; who may show an account's portal in a frame."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

# By bytes on both: PostgreSQL would order text as its database is told to.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("accounts", sa.Column("portal_origins", TEXT, nullable=False, server_default=""))
    op.create_table(
        "users",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("account", TEXT),
        sa.Column("email", TEXT, nullable=False, unique=True),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("password", TEXT, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("disabled_ms", sa.BigInteger()),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], ondelete="CASCADE"),
        sa.CheckConstraint("role IN ('owner', 'admin', 'editor', 'viewer')", name="roles_of_users_are_known"),
    )
    op.create_index("users_of_account", "users", ["account", "created_ms", "id"])
    op.create_table(
        "sign_in_links",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False, unique=True),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("account", TEXT),
        sa.Column("role", TEXT),
        sa.Column("email", TEXT),
        sa.Column("name", TEXT),
        sa.Column("user_id", TEXT),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends_ms", sa.BigInteger()),
        sa.Column("used_ms", sa.BigInteger()),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.CheckConstraint("kind IN ('first', 'invitation', 'password', 'portal')", name="kinds_of_links_are_known"),
        sa.CheckConstraint("(kind = 'password') = (user_id IS NOT NULL)", name="a_new_password_is_somebodys"),
        sa.CheckConstraint("kind <> 'portal' OR account IS NOT NULL", name="a_portal_is_an_accounts"),
        sa.CheckConstraint("(ends_ms IS NULL) = (kind = 'first')", name="all_links_but_the_first_end"),
    )
    op.create_index("sign_in_links_of_account", "sign_in_links", ["account", "created_ms", "id"])
    op.create_table(
        "sessions",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False, unique=True),
        sa.Column("user_id", TEXT),
        sa.Column("link_id", TEXT),
        sa.Column("acts_for", TEXT, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends_ms", sa.BigInteger(), nullable=False),
        sa.Column("address", TEXT),
        sa.Column("agent", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["link_id"], ["sign_in_links.id"], ondelete="CASCADE"),
        sa.CheckConstraint("(user_id IS NULL) <> (link_id IS NULL)", name="a_session_is_somebodys"),
    )
    op.create_index("sessions_of_user", "sessions", ["user_id", "seen_ms"])
    op.create_index("sessions_of_link", "sessions", ["link_id"])
    op.create_index("sessions_ending", "sessions", ["ends_ms"])
