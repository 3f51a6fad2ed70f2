"""What stands between a store and its PostgreSQL server, and breaks their connections when it is told to."""

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit


class Proxy:
    """Between a store and its server. After `cut_after` it passes on what holds these bytes, waits until the server has
    answered, and breaks every connection instead of passing the answer on. While `refuses`, it takes no new ones."""

    def __init__(self, dsn: str) -> None:
        self._to = urlsplit(dsn)
        self._pattern: bytes | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.refuses = False
        self.refuses_once_cut = False

    async def start(self) -> str:
        """The DSN that leads through it."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user = quote(self._to.username or "postgres")
        password = f":{quote(self._to.password)}" if self._to.password else ""
        return urlunsplit(("postgresql", f"{user}{password}@127.0.0.1:{port}", self._to.path, "sslmode=disable", ""))

    async def close(self) -> None:
        self._server.close()
        self.break_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_after(self, pattern: bytes, *, refusing: bool = False) -> None:
        self._pattern = pattern
        self.refuses_once_cut = refusing

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.close()
            return
        folder = parse_qs(self._to.query).get("host")
        if folder:
            server = await asyncio.open_unix_connection(f"{folder[0]}/.s.PGSQL.{self._to.port or 5432}")
        else:
            server = await asyncio.open_connection(self._to.hostname, self._to.port or 5432)
        self._writers |= {writer, server[1]}
        for work in (self._up(reader, *server), self._down(server[0], writer)):
            task = asyncio.create_task(work)
            self._tasks.add(task)

    async def _up(
        self, reader: asyncio.StreamReader, answers: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                is_cut = self._pattern is not None and self._pattern in data
                if is_cut:
                    self._pattern = None
                    self._down_is_shut = True
                writer.write(data)
                await writer.drain()
                if is_cut:
                    # Nothing but this statement is under way, and nobody else writes to this server.
                    await asyncio.sleep(0.3)
                    self.refuses = self.refuses_once_cut
                    self.break_all()
        writer.close()

    _down_is_shut = False

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if not self._down_is_shut:
                    writer.write(data)
                    await writer.drain()
        writer.close()

    def break_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._down_is_shut = False
