"""Who there is, who may come in, and who changed what."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
)

from postback.storage.tables.columns import METADATA, ROW_ID, TEXT

accounts = Table(
    "accounts",
    METADATA,
    Column("id", TEXT, primary_key=True),
    Column("name", TEXT),
    Column("metadata", TEXT, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("modified_ms", BigInteger, nullable=False),
    # Raised by every change of a config: accepting compares it, so no event is matched with old configs.
    Column("config_version", BigInteger, nullable=False),
    # What the operator allows it, as JSON; what is not named is not limited.
    Column("limits", TEXT, nullable=False, server_default="{}"),
    # The origins whose pages may show its portal in a frame, with spaces between.
    Column("portal_origins", TEXT, nullable=False, server_default=""),
)

removed_accounts = Table(
    "removed_accounts",
    METADATA,
    # While anything of its history is left, nobody else gets the id.
    Column("account", TEXT, primary_key=True),
    Column("removed_ms", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    METADATA,
    Column("id", TEXT, primary_key=True),
    # NULL for an operator key, which acts for any account.
    Column("account", TEXT),
    Column("name", TEXT, nullable=False),
    Column("scopes", TEXT, nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("prefix", TEXT, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("last_used_ms", BigInteger),
    ForeignKeyConstraint(["account"], ["accounts.id"], ondelete="CASCADE"),
)

users = Table(
    "users",
    METADATA,
    Column("id", TEXT, primary_key=True),
    # NULL for a user of the platform, who may act for any account.
    Column("account", TEXT),
    Column("email", TEXT, nullable=False, unique=True),
    Column("role", TEXT, nullable=False),
    # As argon2id writes it.
    Column("password", TEXT, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("disabled_ms", BigInteger),
    ForeignKeyConstraint(["account"], ["accounts.id"], ondelete="CASCADE"),
    CheckConstraint("role IN ('owner', 'admin', 'editor', 'viewer')", name="roles_of_users_are_known"),
    Index("users_of_account", "account", "created_ms", "id"),
)

sign_in_links = Table(
    "sign_in_links",
    METADATA,
    Column("id", TEXT, primary_key=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("kind", TEXT, nullable=False),
    Column("account", TEXT),
    Column("role", TEXT),
    Column("email", TEXT),
    Column("name", TEXT),
    Column("user_id", TEXT),
    Column("created_ms", BigInteger, nullable=False),
    # NULL for the first user's, which is good until it was used.
    Column("ends_ms", BigInteger),
    Column("used_ms", BigInteger),
    ForeignKeyConstraint(["account"], ["accounts.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    CheckConstraint("kind IN ('first', 'invitation', 'password', 'portal')", name="kinds_of_links_are_known"),
    CheckConstraint("(kind = 'password') = (user_id IS NOT NULL)", name="a_new_password_is_somebodys"),
    CheckConstraint("kind <> 'portal' OR account IS NOT NULL", name="a_portal_is_an_accounts"),
    CheckConstraint("(ends_ms IS NULL) = (kind = 'first')", name="all_links_but_the_first_end"),
    Index("sign_in_links_of_account", "account", "created_ms", "id"),
)

sessions = Table(
    "sessions",
    METADATA,
    Column("id", TEXT, primary_key=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("user_id", TEXT),
    Column("link_id", TEXT),
    # The account whose things are shown.
    Column("acts_for", TEXT, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("ends_ms", BigInteger, nullable=False),
    Column("address", TEXT),
    Column("agent", TEXT, nullable=False),
    ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["link_id"], ["sign_in_links.id"], ondelete="CASCADE"),
    CheckConstraint("(user_id IS NULL) <> (link_id IS NULL)", name="a_session_is_somebodys"),
    Index("sessions_of_user", "user_id", "seen_ms"),
    Index("sessions_of_link", "link_id"),
    Index("sessions_ending", "ends_ms"),
)

audit = Table(
    "audit",
    METADATA,
    # Who changed what, in the transaction of the change. Secrets are masked before they come here.
    Column("id", ROW_ID, primary_key=True, autoincrement=False),
    # NULL for what belongs to no account.
    Column("account", TEXT),
    Column("at_ms", BigInteger, nullable=False),
    # NULL for the server itself.
    Column("key_id", TEXT),
    Column("key_name", TEXT),
    Column("address", TEXT),
    Column("action", TEXT, nullable=False),
    Column("target", TEXT, nullable=False),
    Column("before", TEXT),
    Column("after", TEXT),
    # Whether it was done by a key or a user of the platform, whom accounts are not told of.
    Column("is_operator", SmallInteger, nullable=False, server_default="0"),
    Index("audit_of_account", "account", "id"),
)
