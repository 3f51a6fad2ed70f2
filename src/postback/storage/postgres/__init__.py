"""The store on PostgreSQL: many processes on many machines, one database."""

from postback.storage.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
