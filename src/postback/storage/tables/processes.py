"""The processes that work on one database, and what they have to agree about."""

from sqlalchemy import BigInteger, CheckConstraint, Column, SmallInteger, Table

from postback.storage.tables.columns import METADATA, ROW_ID, TEXT

workers = Table(
    "workers",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=False),
    Column("slot", SmallInteger, nullable=False, unique=True),
    Column("host", TEXT, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("beat_ms", BigInteger, nullable=False),
    # The crew that it minds, as a mark (domain/crews.py); 0 of none.
    Column("goes_by", BigInteger, nullable=False, server_default="0"),
    # Lanes and hosts of which it still has more than that crew gives it, and whether it takes nothing more.
    Column("keeps", TEXT, nullable=False, server_default=""),
    Column("leaves", SmallInteger, nullable=False, server_default="0"),
    # For so long it may be silent before it counts as dead.
    Column("lease_ms", BigInteger, nullable=False, server_default="30000"),
    CheckConstraint("slot BETWEEN 0 AND 511", name="slots_fit_into_ids"),
)

secret_keys = Table(
    "secret_keys",
    METADATA,
    # Ids of the keys that some process of a PostgreSQL database encrypts with, from its first start on. A file has one
    # process, and no row here.
    Column("id", TEXT, primary_key=True),
    Column("since_ms", BigInteger, nullable=False),
)

holds = Table(
    "holds",
    METADATA,
    # A row while nobody may deliver from a PostgreSQL database, and the host that it waits for.
    Column("reason", TEXT, primary_key=True),
    Column("host", TEXT, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
)
