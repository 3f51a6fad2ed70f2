"""The schema's history: revisions are run at start, all in one transaction, so that one cut short never happened."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from postback.storage.database import CannotOpen

HEAD: Final = "0014"
"""The newest revision there is."""

_FOLDER: Final = Path(__file__).parent


def upgrade(connection: Connection, database: str) -> None:
    """Bring the schema to HEAD inside the caller's transaction; a newer schema than ours is refused."""
    found = version(connection)
    if found is not None and found > HEAD:
        raise CannotOpen(
            f"{database} has schema {found}, and this program knows schemas up to {HEAD}: "
            "it was written by a newer postback; use that, or a copy of the database from before"
        )
    if found == HEAD:
        return
    # Alembic takes half a second to import: a start that has nothing to migrate does without.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    command.upgrade(config, HEAD)


def version(connection: Connection) -> str | None:
    """The revision that the schema is at, None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
