"""What the columns of all tables are made of."""

from typing import Final

from sqlalchemy import BigInteger, Integer, MetaData

from postback.storage.texts import AnyText

METADATA: Final = MetaData()

TEXT: Final = AnyText(is_ordered=True)

# Only an INTEGER primary key is SQLite's own row id: a BIGINT would be a second tree beside the table.
ROW_ID: Final = BigInteger().with_variant(Integer(), "sqlite")
