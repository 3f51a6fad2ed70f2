"""What people set up: records, with how they changed, and postback configs with their versions."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)

from postback.storage.tables.columns import METADATA, ROW_ID, TEXT

# The account-wide settings are views on configs: there is one of each purpose.
_HAS_A_PURPOSE: Final = text("purpose IS NOT NULL AND state <> 'deleted'")
_IS_REPLACED: Final = text("replaced_ms IS NOT NULL")
_IS_DELETED: Final = text("state = 'deleted'")

records = Table(
    "records",
    METADATA,
    Column("id", TEXT, primary_key=True),
    Column("account", TEXT, nullable=False),
    Column("resource", TEXT, nullable=False),
    Column("location_id", TEXT),
    # The caller's own id of the record, such as contact_api_id.
    Column("key", TEXT),
    Column("revision", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("body", TEXT, nullable=False),
    UniqueConstraint("account", "id"),
    UniqueConstraint("account", "resource", "location_id", "key"),
    ForeignKeyConstraint(["account"], ["accounts.id"]),
    ForeignKeyConstraint(["account", "location_id"], ["records.account", "records.id"]),
    CheckConstraint("(location_id IS NULL) = (resource = 'location')", name="all_but_locations_have_a_location"),
    CheckConstraint("revision >= 1", name="revisions_count_from_one"),
    Index("records_listed", "account", "resource", "created_ms", "id"),
    Index("records_of_location", "account", "location_id"),
)

changelogs = Table(
    "changelogs",
    METADATA,
    # A change of a record: which fields had which values before, and whose change it was.
    Column("id", ROW_ID, primary_key=True, autoincrement=False),
    Column("account", TEXT, nullable=False),
    Column("resource", TEXT, nullable=False),
    Column("record_id", TEXT, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("action", TEXT, nullable=False),
    Column("key_id", TEXT),
    Column("key_name", TEXT),
    Column("details", TEXT, nullable=False),
    Index("changelogs_of_record", "account", "record_id", "id"),
)

configs = Table(
    "configs",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=False),
    Column("account", TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("location_id", TEXT),
    Column("state", TEXT, nullable=False),
    Column("state_reason", TEXT),
    Column("created_ms", BigInteger, nullable=False),
    Column("modified_ms", BigInteger, nullable=False),
    Column("purpose", TEXT),
    # What the owner is to be warned of, and since when.
    Column("warning", TEXT),
    Column("warned_ms", BigInteger),
    # When others were told that it is failing; nothing while it is well.
    Column("failing_ms", BigInteger),
    ForeignKeyConstraint(["account"], ["accounts.id"]),
    ForeignKeyConstraint(["account", "location_id"], ["records.account", "records.id"]),
    CheckConstraint("state IN ('active', 'paused', 'disabled', 'deleted')", name="states_are_known"),
    CheckConstraint("state <> 'deleted' OR location_id IS NULL", name="deleted_configs_hold_no_location"),
    Index("configs_of_account", "account", "created_ms", "id"),
    Index("configs_of_location", "account", "location_id"),
    # On their way out: looked for every few seconds.
    Index("configs_deleted", "id", sqlite_where=_IS_DELETED, postgresql_where=_IS_DELETED),
    Index(
        "configs_of_purpose",
        "account",
        "purpose",
        unique=True,
        sqlite_where=_HAS_A_PURPOSE,
        postgresql_where=_HAS_A_PURPOSE,
    ),
)

config_versions = Table(
    "config_versions",
    METADATA,
    Column("config_id", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("account", TEXT, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("body", TEXT, nullable=False),
    # What must never be shown, sealed by the vault: passwords, signing secrets, the values of the owner's headers.
    Column("secrets", TEXT, nullable=False),
    # When another version took its place, or its config was deleted: only what was sent before then may refer to it.
    Column("replaced_ms", BigInteger),
    PrimaryKeyConstraint("config_id", "version"),
    Index("config_versions_replaced", "replaced_ms", sqlite_where=_IS_REPLACED, postgresql_where=_IS_REPLACED),
    sqlite_with_rowid=False,
)
