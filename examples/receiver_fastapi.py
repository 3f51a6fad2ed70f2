"""A receiver in a FastAPI application, at /postbacks; its worker lives as long as the application.

    pip install <this repository> fastapi uvicorn
    uvicorn receiver_fastapi:app --port 9000

Everything is kept in inbox.db (INBOX). With WEBHOOK_SECRET only what was signed with it is taken.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.routing import Route

from postback.receiver import Entry, Inbox, asgi_receiver

inbox = Inbox.in_file(os.environ.get("INBOX", "inbox.db"))
secrets = os.environ.get("WEBHOOK_SECRET", "").split()


def handle(entry: Entry) -> None:
    """What an event means to you. It may come twice: `entry.id` is the same then. Raise, and it comes again later."""
    event = entry.event()
    print(f"{event.type}: {event.data}", flush=True)


@asynccontextmanager
async def working(_: FastAPI) -> AsyncIterator[None]:
    stop = threading.Event()
    worker = threading.Thread(target=inbox.run, args=(handle, stop))
    worker.start()
    yield
    stop.set()
    await asyncio.to_thread(worker.join)


app = FastAPI(lifespan=working)
# A route and not a mount, which would redirect /postbacks to /postbacks/: no sender of postbacks follows that.
app.router.routes.append(Route("/postbacks", asgi_receiver(inbox, secrets=secrets)))


@app.get("/counts")
def counts() -> dict[str, int]:
    """How many postbacks are waiting, processed, parked."""
    return dict(inbox.counts())
