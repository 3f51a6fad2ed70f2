"""The store in one SQLite file: one writer thread with group commit, readers beside it, the hot path by hand."""

from postback.storage.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
