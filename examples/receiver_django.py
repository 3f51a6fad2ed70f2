"""A receiver in a Django project of one file, at /postbacks; its worker is a process of its own.

    pip install <this repository> django
    python receiver_django.py runserver 9000
    python receiver_django.py work

Everything is kept in inbox.db (INBOX). With WEBHOOK_SECRET only what was signed with it is taken.
"""

import os
import secrets
import signal
import sys
import threading

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from postback.receiver import Entry, Inbox, receive

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    # As long as a postback may become.
    DATA_UPLOAD_MAX_MEMORY_SIZE=4 << 20,
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_hex(),
)

inbox = Inbox.in_file(os.environ.get("INBOX", "inbox.db"))
signing_secrets = os.environ.get("WEBHOOK_SECRET", "").split()


@csrf_exempt
def postbacks(request: HttpRequest) -> HttpResponse:
    """Store it and answer with nothing; a GET only asks whether somebody is here."""
    if request.method != "POST":
        return HttpResponse(status=200 if request.method in ("GET", "HEAD") else 405)
    return HttpResponse(status=receive(inbox, request.body, request.headers, secrets=signing_secrets))


urlpatterns = [path("postbacks", postbacks)]
application = get_wsgi_application()


def handle(entry: Entry) -> None:
    """What an event means to you. It may come twice: `entry.id` is the same then. Raise, and it comes again later."""
    event = entry.event()
    print(f"{event.type}: {event.data}", flush=True)


def work() -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    inbox.run(handle, stop)


if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        work()
    else:
        execute_from_command_line(sys.argv)
