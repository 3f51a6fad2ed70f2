"""`<database>.secret`: the keys that secrets are sealed with, where no setting gives any; the first one seals."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from postback.domain.secret_keys import KEY_BYTES, key_text, parse_keys
from postback.storage.database import CannotOpen

_ENDING: Final = ".secret"


class SecretFile:
    """One key a line, readable by the owner only."""

    def __init__(self, database: Path) -> None:
        # Beside the file itself, wherever a link to it stands.
        database = Path(os.path.realpath(database))
        self.path = database.with_name(database.name + _ENDING)

    def read(self) -> Sequence[bytes]:
        """No keys where there is no file."""
        try:
            text = self.path.read_text("ascii")
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise CannotOpen(
                f"{self.path} cannot be read: {error.strerror}; it keeps the key of all secrets"
            ) from error
        except UnicodeDecodeError as error:
            raise CannotOpen(f"{self.path} is damaged; restore it from a copy") from error
        try:
            return parse_keys(text)
        except ValueError as error:
            raise CannotOpen(
                f"{self.path} is damaged: expected on each line {error}; restore it from a copy"
            ) from error

    def write(self, keys: Sequence[bytes]) -> None:
        """On the disk before anything is sealed with them."""
        keep_private(self.path, "\n".join(map(key_text, keys)))


def new_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def keep_private(path: Path, text: str) -> None:
    """Write it where only the owner can read it; what stood there before is replaced as a whole, durably."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
