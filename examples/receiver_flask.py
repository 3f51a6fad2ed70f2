"""A receiver in a Flask application, at /postbacks; its worker is a command of the application.

    pip install <this repository> flask
    flask --app receiver_flask run --port 9000
    flask --app receiver_flask work

Everything is kept in inbox.db (INBOX). With WEBHOOK_SECRET only what was signed with it is taken.
"""

import os
import signal
import threading

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from postback.receiver import Entry, Inbox, wsgi_receiver

inbox = Inbox.in_file(os.environ.get("INBOX", "inbox.db"))
secrets = os.environ.get("WEBHOOK_SECRET", "").split()

app = Flask(__name__)
app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/postbacks": wsgi_receiver(inbox, secrets=secrets)})


@app.get("/parked")
def parked() -> list[dict[str, object]]:
    """What failed for good, and why."""
    return [{"id": entry.id, "error": entry.error} for entry in inbox.parked()]


@app.post("/parked/<id>/release")
def release(id: str) -> tuple[str, int]:
    return ("", 204) if inbox.release(id) else ("", 404)


@app.cli.command("work")
def work() -> None:
    """Process what arrived, until it is told to stop: as many of these as you like, wherever the file is."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    inbox.run(handle, stop)


def handle(entry: Entry) -> None:
    """What an event means to you. It may come twice: `entry.id` is the same then. Raise, and it comes again later."""
    event = entry.event()
    print(f"{event.type}: {event.data}", flush=True)
