"""Whether somebody uses a database already."""

from sqlalchemy import select

from postback.storage.database import Database
from postback.storage.tables import configs


async def has_configs(database: Database) -> bool:
    """Whether any account has a postback config, or had one of which something is left."""
    found = await database.read(lambda connection: connection.execute(select(configs.c.id).limit(1)).first())
    return found is not None
