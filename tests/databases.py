"""A database as it is made: once for each process of the tests, since making the schema takes longer than most of them."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from postback.storage.sqlite.opening import open_file
from tests import places


@cache
def new_database() -> Path:
    """To be copied: nothing but the schema is in it."""
    path = Path(_folder().name) / "new.db"
    open_file(path, ()).close()
    return path


@cache
def _folder() -> "TemporaryDirectory[str]":
    """Removed with the process."""
    return TemporaryDirectory(prefix="postback-", dir=places.folder(), ignore_cleanup_errors=True)
