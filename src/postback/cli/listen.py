"""`listen`: a test receiver that shows what arrives and answers as it is told."""

import json
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer

from postback.cli.output import CommandError, Exit, body_lines, console, headline, printable
from postback.domain.masking import masked_value
from postback.receiver.server import Behaviour, Received, TestReceiver

DULL_HEADERS = frozenset({"host", "content-length", "connection", "accept", "accept-encoding"})


def listen(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")] = 9000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    status: Annotated[int, typer.Option(min=200, max=599, help="The status to answer with.")] = 200,
    count: Annotated[
        int | None, typer.Option("--for", min=1, help="Answer so to the first few only, and 200 to the rest.")
    ] = None,
    delay: Annotated[float, typer.Option(min=0, max=3600, help="Seconds to wait before each answer.")] = 0,
    stop_after: Annotated[int | None, typer.Option(min=1, help="End after so many requests.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON object a request.")] = False,
) -> None:
    """Receive postbacks and show them, to try out configs; Ctrl-C ends it."""
    done = threading.Event()

    def heard(received: Received, answered: int) -> None:
        if stop_after is not None and received.number > stop_after:
            return
        if as_json:
            print(json.dumps(as_object(received, answered)), flush=True)
        else:
            show(received, answered)
        if received.number == stop_after:
            done.set()

    try:
        receiver = TestReceiver(heard, Behaviour(status, count, delay), host, port)
    except OSError as error:
        raise CommandError(f"{host}:{port} cannot be listened on: {error.strerror}", Exit.USAGE) from error
    with receiver:
        if not as_json:
            print(f"listening on {receiver.url} (any path); Ctrl-C ends it", flush=True)
        try:
            done.wait()
        except KeyboardInterrupt:
            print()


def show(received: Received, answered: int) -> None:
    """One request, for people."""
    screen = console()
    screen.print(headline(f"{received.number} · {datetime.now().astimezone():%H:%M:%S}"))
    colour = "green" if 200 <= answered < 300 else "red"
    screen.print(f"{received.method} {printable(received.path)}  → {answered}", style=colour)
    for name, value in shown_headers(received):
        screen.print(f"{name}: {value}", style="bright_black", soft_wrap=True)
    screen.print("\n".join(shown_body(received)), soft_wrap=True)


def shown_headers(received: Received) -> Iterator[tuple[str, str]]:
    """What says something about a postback; what proves who sent it is masked."""
    for name, value in received.headers:
        if name.lower() not in DULL_HEADERS:
            yield printable(name), printable(masked_value(name, value))


def shown_body(received: Received) -> list[str]:
    return body_lines(received.body.decode("utf-8", "backslashreplace"), received.header("content-type"))


def as_object(received: Received, answered: int) -> dict[str, object]:
    return {
        "number": received.number,
        "method": received.method,
        "path": received.path,
        "headers": [[name, masked_value(name, value)] for name, value in received.headers],
        "body": received.body.decode("utf-8", "backslashreplace"),
        "answered": answered,
    }
