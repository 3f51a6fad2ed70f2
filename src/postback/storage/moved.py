"""`<database>.moved`: says that what was in a file goes on in another database, so that no server delivers it from here too."""

import os
from pathlib import Path
from typing import Final

from postback.storage.database import CannotOpen
from postback.storage.secret_file import keep_private

_ENDING: Final = ".moved"


class MovedMark:
    """Beside the file itself, and on the disk before the move stands: who is killed in between leaves it there."""

    def __init__(self, database: Path) -> None:
        self._database = Path(os.path.realpath(database))
        self.path = self._database.with_name(self._database.name + _ENDING)

    def set(self, name: str) -> None:
        """`name` of the other database, as it may be shown."""
        keep_private(self.path, name.encode("ascii", "backslashreplace").decode("ascii"))

    def read(self) -> str | None:
        """The name of the other database; None where the file is there for itself."""
        try:
            return self.path.read_text("utf-8", "replace").strip() or "another database"
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CannotOpen(
                f"{self.path} cannot be read: {error.strerror}; it says where the database went"
            ) from error

    def demand_none(self) -> None:
        """CannotOpen where the file was moved."""
        name = self.read()
        if name is not None and self._database.exists():
            raise CannotOpen(
                f"{self._database} was moved to {name}, as {self.path} says: a server here would deliver what is owed a second "
                "time; set POSTBACK_DATABASE to where it is. If that move was cut short, give `postback migrate` again; if this "
                f"is another file, or is to be used in place of the other, remove {self.path.name}"
            )
