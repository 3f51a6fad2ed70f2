"""The schema, once for every database. Times are unix milliseconds, JSON is text, payloads are bytes."""

from postback.storage.tables.columns import METADATA
from postback.storage.tables.deliveries import attempts, counters, events, idempotency, lanes, owed, replays
from postback.storage.tables.people import accounts, api_keys, audit, removed_accounts, sessions, sign_in_links, users
from postback.storage.tables.processes import holds, secret_keys, workers
from postback.storage.tables.setup import changelogs, config_versions, configs, records

__all__ = [
    "METADATA",
    "accounts",
    "api_keys",
    "attempts",
    "audit",
    "changelogs",
    "config_versions",
    "configs",
    "counters",
    "events",
    "holds",
    "idempotency",
    "lanes",
    "owed",
    "records",
    "removed_accounts",
    "replays",
    "secret_keys",
    "sessions",
    "sign_in_links",
    "users",
    "workers",
]
