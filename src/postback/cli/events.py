"""`events`: publish an event from the command line."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from postback.cli.client import Account, Json, Key, Url, connect
from postback.cli.output import CommandError, Exit, print_facts, print_json

app = typer.Typer(help="Publish events.", no_args_is_help=True)


@app.command()
def send(
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="Such as contact.created.")],
    data: Annotated[str, typer.Argument(help="A JSON object, @file to read it from, or - for standard input.")] = "{}",
    location: Annotated[str | None, typer.Option(help="The location that the event belongs to.")] = None,
    subject: Annotated[str | None, typer.Option(help="What it is about: a record's id, a phone number.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key again is answered with the same event.")
    ] = None,
    occurred_at: Annotated[str | None, typer.Option(help="When it happened (RFC 3339).")] = None,
    deliver_at: Annotated[str | None, typer.Option(help="When to deliver it (RFC 3339); by default at once.")] = None,
    url: Url = None,
    key: Key = None,
    account: Account = None,
    *,
    as_json: Json = False,
) -> None:
    """Publish one event; it is durable when this command ends well."""
    event = {
        "type": event_type,
        "data": _object(data),
        "location_id": location,
        "subject": subject,
        "idempotency_key": idempotency_key,
        "occurred_at": occurred_at,
        "deliver_at": deliver_at,
    }
    given = {name: value for name, value in event.items() if value is not None}
    accepted = connect(url, key, account).post("/v2/events", {"event": given})["event"]
    if as_json:
        print_json(accepted)
    else:
        print_facts(accepted)


def _object(text: str) -> Any:
    """The JSON that was typed, or what stands in the file that was named."""
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"the data cannot be read: {error}", Exit.USAGE) from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"the data is not JSON: {error}", Exit.USAGE) from error
