"""`listen`: a test receiver that shows what arrives and answers as it is told."""

import json
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from postback.cli.output import CommandError, Exit

if TYPE_CHECKING:
    from postback.receiver.server import Received


def listen(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")] = 9000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    status: Annotated[int, typer.Option(min=200, max=599, help="The status to answer with.")] = 200,
    count: Annotated[
        int | None, typer.Option("--for", min=1, help="Answer so to the first few only, and 200 to the rest.")
    ] = None,
    delay: Annotated[float, typer.Option(min=0, max=3600, help="Seconds to wait before each answer.")] = 0,
    stop_after: Annotated[int | None, typer.Option(min=1, help="End after so many requests.")] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            envvar="WEBHOOK_SECRET", show_envvar=False, help="Check signatures with this signing secret (whsec_…)."
        ),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="The zone of local dates in callbacks, such as Europe/Paris.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON object a request.")] = False,
) -> None:
    """Receive postbacks and show them, to try out configs; Ctrl-C ends it."""
    # What a receiver needs takes a tenth of a second to load, which no other command should wait for.
    from postback.cli.arrivals import as_object, show
    from postback.receiver.answering import checked
    from postback.receiver.server import Behaviour, TestReceiver

    done = threading.Event()
    try:
        checked(secret or (), time_zone)
    except ValueError as error:
        raise CommandError(str(error), Exit.USAGE) from error

    def heard(received: "Received", answered: int) -> None:
        if stop_after is not None and received.number > stop_after:
            return
        if as_json:
            print(json.dumps(as_object(received, answered, secret, time_zone), default=str), flush=True)
        else:
            show(received, answered, secret, time_zone)
        if received.number == stop_after:
            done.set()

    try:
        receiver = TestReceiver(heard, Behaviour(status, count, delay), host, port)
    except OSError as error:
        raise CommandError(f"{host}:{port} cannot be listened on: {error.strerror}", Exit.USAGE) from error
    if not as_json:
        # Before anything can be heard, for that would stand above it.
        print(f"listening on {receiver.url} (any path); Ctrl-C ends it", flush=True)
    with receiver:
        try:
            done.wait()
        except KeyboardInterrupt:
            print()
