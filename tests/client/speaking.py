"""Both clients behind one face, so that every test holds for both."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Protocol

from postback.client import Answer, AsyncClient, Client, Published, Retrying
from postback.client.events import AnEvent, Result

QUICKLY = Retrying(times=3, first_wait_s=0.002)


class Speaker(Protocol):
    """What a client can do, as one waits for it."""

    def publish(self, event: AnEvent) -> Published: ...
    def publish_many(self, events: Iterable[AnEvent]) -> list[Result]: ...
    def publish_through_publisher(self, events: Iterable[AnEvent]) -> list[Result]: ...
    def get(self, path: str, **query: object) -> Any: ...
    def post(self, path: str, body: object = None) -> Any: ...
    def put(self, path: str, body: object) -> Any: ...
    def delete(self, path: str) -> Any: ...
    def send(self, method: str, path: str, body: object = None) -> Answer: ...
    def items(self, path: str, limit: int | None = None, **query: object) -> list[Any]: ...
    def close(self) -> None: ...


class Threads:
    """`Client`."""

    def __init__(self, *words: Any, **options: Any) -> None:
        self.client = Client(*words, **{"retrying": QUICKLY, **options})

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def items(self, path: str, limit: int | None = None, **query: object) -> list[Any]:
        return list(self.client.list(path, limit=limit, **query))

    def publish_through_publisher(self, events: Iterable[AnEvent]) -> list[Result]:
        with self.client.publisher() as publisher:
            futures = [publisher.publish(event) for event in events]
        return [future.exception() or future.result() for future in futures]  # type: ignore[misc]


class Tasks:
    """`AsyncClient`, in an event loop that runs while one waits."""

    def __init__(self, *words: Any, **options: Any) -> None:
        self.runner = asyncio.Runner()
        self.client = AsyncClient(*words, **{"retrying": QUICKLY, **options})

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)
        return lambda *words, **options: self.runner.run(_awaited(method(*words, **options)))

    def items(self, path: str, limit: int | None = None, **query: object) -> list[Any]:
        return self.runner.run(_all(self.client.list(path, limit=limit, **query)))

    def publish_through_publisher(self, events: Iterable[AnEvent]) -> list[Result]:
        async def publish() -> list[Any]:
            async with self.client.publisher() as publisher:
                return await asyncio.gather(*map(publisher.publish, events), return_exceptions=True)

        return self.runner.run(publish())

    def close(self) -> None:
        self.runner.run(self.client.close())
        self.runner.close()


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _all(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]
