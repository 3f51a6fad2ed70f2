"""A service with asyncio that publishes from many tasks at once, in few requests.

    pip install --no-deps <this repository>
    POSTBACK_API_KEY=… python publish_async.py 2500

Each task is one customer's, and waits until its own event is durable. The server is at http://127.0.0.1:8080
(POSTBACK_PUBLIC_URL).
"""

import asyncio
import os
import sys

from postback.client import AsyncClient, AsyncPublisher, ClientError, Event

URL = os.environ.get("POSTBACK_PUBLIC_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("POSTBACK_API_KEY")


async def serve_customer(number: int, publisher: AsyncPublisher) -> bool:
    """What happened is told to the customer only when it is sure that it will be told to everybody else."""
    event = Event("order.created", {"id": number}, subject=str(number))
    try:
        await publisher.publish(event)
    except ClientError as error:
        print(f"order {number} is not accepted: {error}")
        return False
    return True


async def main() -> None:
    customers = range(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
    async with AsyncClient(URL, KEY) as client:
        async with client.publisher() as publisher:
            served = await asyncio.gather(*(serve_customer(number, publisher) for number in customers))
        print(f"{sum(served)} of {len(served)} customers were served")
        async for event in client.list("/v2/events", type="order.created", limit=3):
            print(f"{event['id']} {event['subject']}")


if __name__ == "__main__":
    asyncio.run(main())
