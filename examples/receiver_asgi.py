"""The smallest receiver: an ASGI server that stores, and a worker beside it that processes each event exactly once.

    pip install <this repository> uvicorn
    python receiver_asgi.py

It listens on http://127.0.0.1:9000 (PORT) and keeps everything in inbox.db (INBOX). With WEBHOOK_SECRET it takes only
what was signed with it. Try it: curl -i http://127.0.0.1:9000/ -d 'ORIGIN=SMS_MT&CODE=N201&TO=12025550143&TRACKINGID=1'
"""

import os
import sqlite3
import threading

import uvicorn

from postback.receiver import Entry, Inbox, asgi_receiver

INBOX = os.environ.get("INBOX", "inbox.db")
SECRETS = os.environ.get("WEBHOOK_SECRET", "").split()


def handle(entry: Entry, connection: sqlite3.Connection) -> None:
    """What an event means to you. What is written on this connection is there exactly once, whatever is killed when."""
    event = entry.event()
    connection.execute("INSERT INTO happened (type, whom) VALUES (?, ?)", (event.type, event.data.get("to")))
    print(f"{event.type}: {event.data}", flush=True)


def main() -> None:
    inbox = Inbox.in_file(INBOX)
    with sqlite3.connect(INBOX) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS happened (type TEXT, whom TEXT)")

    stop = threading.Event()
    worker = threading.Thread(target=inbox.run, args=(handle, stop), kwargs={"in_transaction": True})
    worker.start()
    try:
        uvicorn.run(asgi_receiver(inbox, secrets=SECRETS), port=int(os.environ.get("PORT", "9000")))
    finally:
        stop.set()
        worker.join()


if __name__ == "__main__":
    main()
