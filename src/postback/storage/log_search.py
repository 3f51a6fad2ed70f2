"""What a text stands for that somebody searches the log for: the beginning of an id, the host of a URL, the name of a
config, a tracking id, or a subject."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, func, or_

from postback.domain.errors import InvalidValue
from postback.domain.ids import decode, numbers_of
from postback.domain.urls import Url, parse_url
from postback.ports import Sought
from postback.storage import documents, lists, scope
from postback.storage.tables import config_versions, configs, events

CONFIGS_MAX: Final = 500
"""Configs that one search may stand for."""

_LETTERS: Final = 13


def sought(connection: Connection, account: str, text: str) -> Sought:
    for look in (_by_id, _by_receiver, _by_tracking_id):
        found = look(connection, account, text)
        if found is not None:
            return found
    return Sought(text, subject=text)


def _by_id(connection: Connection, account: str, text: str) -> Sought | None:
    """None for a text that no id begins with."""
    prefix, _, letters = text.partition("_")
    numbers = numbers_of(letters[:_LETTERS])
    if numbers is None:
        return None
    if prefix == "evt" and len(letters) <= _LETTERS:
        return Sought(text, events=numbers)
    if prefix == "dlv" and len(letters) <= 2 * _LETTERS:
        config_id = decode(letters[_LETTERS:])
        # Of what is not whole yet the event says enough.
        return Sought(text, events=numbers, config_ids=None if config_id is None else (config_id,))
    if prefix == "pbc" and len(letters) <= _LETTERS:
        return Sought(text, config_ids=_configs_from(connection, account, text, numbers))
    return None


def _configs_from(connection: Connection, account: str, text: str, numbers: tuple[int, int]) -> tuple[int, ...]:
    first, last = numbers
    if first == last:
        # Its log outlives a config.
        return (first,)
    query = scope.rows(account, configs, configs.c.id).where(configs.c.id >= first, configs.c.id <= last)
    rows = connection.execute(query.order_by(configs.c.id).limit(CONFIGS_MAX + 1)).all()
    return _bounded(text, rows)


def _by_receiver(connection: Connection, account: str, text: str) -> Sought | None:
    """By the URLs and names that configs have now; None where none has this host, and none is called so."""
    host = _host(text)
    if not host or "\0" in text:
        return None
    url, name = (documents.Words(config_versions.c.body, *member) for member in (("url",), ("as_sent", "name")))
    query = (
        scope.rows(account, configs, configs.c.id, url, name)
        .join(
            config_versions,
            (config_versions.c.config_id == configs.c.id) & (config_versions.c.version == configs.c.version),
        )
        .where(
            scope.of(account, config_versions),
            or_(func.lower(url).contains(host, autoescape=True), func.lower(name).in_(lists.lowered(text))),
        )
    )
    rows = [row for row in connection.execute(query) if _is_at(row[1], host) or _is_called(row[2], text)]
    return Sought(text, config_ids=_bounded(text, rows)) if rows else None


def _by_tracking_id(connection: Connection, account: str, text: str) -> Sought | None:
    query = scope.rows(account, events, events.c.id).where(events.c.tracking_id == text).limit(1)
    return None if connection.execute(query).first() is None else Sought(text, tracking_id=text)


def _host(text: str) -> str:
    """The host of a whole URL, or the text itself."""
    parsed = _parsed(text) if "://" in text else None
    return text.lower() if parsed is None else parsed.host


def _is_at(url: str, host: str) -> bool:
    """Also where the port stands with it, or the brackets of an address."""
    parsed = _parsed(url)
    return parsed is not None and host in (parsed.host, parsed.authority, f"[{parsed.host}]")


def _is_called(name: str | None, text: str) -> bool:
    return name is not None and name.lower() == text.lower()


def _parsed(url: str) -> Url | None:
    try:
        return parse_url(url, allow_http=True)
    except InvalidValue:
        return None


def _bounded(text: str, rows: Sequence[Row[Any]]) -> tuple[int, ...]:
    if len(rows) > CONFIGS_MAX:
        expected = "expected more of the id, or one of them as the config"
        raise InvalidValue.of(
            "search", f"search is {text[:64]!a}, which more than {CONFIGS_MAX} configs fit; {expected}"
        )
    return tuple(row[0] for row in rows)
