"""Connections that wait for their next request."""

from typing import Final

from postback.transport.connection import Connection, HostKey

IDLE_MAX: Final = 2000
IDLE_S: Final = 60.0
HOSTS_MAX: Final = 2 * IDLE_MAX


class Pool:
    """Per host the one used last is taken first, so that what is not needed grows old and is closed."""

    def __init__(self) -> None:
        self._by_host: dict[HostKey, list[Connection]] = {}
        self._oldest_first: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._oldest_first)

    def take(self, key: HostKey) -> Connection | None:
        idle = self._by_host.get(key)
        while idle:
            connection = idle.pop()
            del self._oldest_first[connection]
            if connection.is_usable():
                return connection
        return None

    def put(self, connection: Connection) -> None:
        idle = self._by_host.get(connection.key)
        if idle is None:
            idle = self._by_host[connection.key] = []
        idle.append(connection)
        self._oldest_first[connection] = None
        if len(self._oldest_first) > IDLE_MAX:
            self._close_oldest()

    def remove(self, connection: Connection) -> None:
        """It was lost; nothing happens when it was not waiting."""
        if connection in self._oldest_first:
            del self._oldest_first[connection]
            self._by_host[connection.key].remove(connection)

    def close_unused(self, now: float) -> None:
        """Close what has waited for longer than IDLE_S."""
        while self._oldest_first and next(iter(self._oldest_first)).idle_since < now - IDLE_S:
            self._close_oldest()
        if len(self._by_host) > HOSTS_MAX:
            self._by_host = {key: idle for key, idle in self._by_host.items() if idle}

    def close_all(self) -> None:
        while self._oldest_first:
            self._close_oldest()

    def _close_oldest(self) -> None:
        connection = next(iter(self._oldest_first))
        self.remove(connection)
        connection.close()
