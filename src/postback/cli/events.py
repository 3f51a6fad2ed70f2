"""`events`: publish an event, and look up what types of event there are."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from postback.cli.client import FOR_EVENTS, Account, Json, Key, Url, connect
from postback.cli.output import CommandError, Exit, print_facts, print_json, print_table
from postback.domain.catalog import SAYABLE
from postback.domain.described import described_types
from postback.domain.patterns import EXPECTED, is_pattern

app = typer.Typer(help="Events: send one, list their types.", no_args_is_help=True)


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
    published = connect(url, key, account, FOR_EVENTS).publish(event)
    accepted: dict[str, object] = {"id": published.id, "type": published.type, "deliveries": published.deliveries}
    if published.unsayable:
        accepted["unsayable"] = published.unsayable
    if as_json:
        print_json(accepted)
    else:
        print_facts(accepted)


@app.command()
def types(
    pattern: Annotated[str, typer.Argument(help="Such as sms.*, or one type to see all of it.")] = "*",
    format_name: Annotated[str | None, typer.Option("--format", help="Only those that this format can say.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show the event types that the product knows by name; of one its fields and an example. No server is needed."""
    if not is_pattern(pattern):
        raise CommandError(f"PATTERN is {pattern!r}; {EXPECTED}", Exit.USAGE)
    if format_name is not None and format_name not in SAYABLE:
        raise CommandError(f"--format is {format_name!r}; expected one of {', '.join(SAYABLE)}", Exit.USAGE)
    found = described_types((pattern,), format_name)
    if as_json:
        print_json(found)
    elif [one["type"] for one in found] == [pattern]:
        _print_type(found[0])
    else:
        rows = [(one["type"], _codes(one["codes"]), one["origin"], one["description"]) for one in found]
        print_table(["Type", "Code", "Origin", "Meaning"], rows, _nothing(pattern, format_name))


def _nothing(pattern: str, format_name: str | None) -> str:
    if described_types((pattern,)):
        return f"{format_name} can say none of them; without --format they are shown"
    return "no such event types are known by name; any other may be sent, with any object as data"


def _print_type(known: dict[str, Any]) -> None:
    named = {"type": "type", "meaning": "description", "origin": "origin", "formats": "formats"}
    print_facts({**{label: known[name] for label, name in named.items()}, "code": _codes(known["codes"]) or None})
    for way in known["variants"] or [known]:
        print()
        if "told_by" in way:
            print(f"{_told_by(**way['told_by'])}: {_codes(way['codes'])}")
        rows = [(_name(field), _takes(field), field["description"]) for field in way["fields"]]
        print_table(["Field (* required)", "Takes", "Meaning"], rows, "any object is taken as data")
        print(f"Example: {json.dumps(way['example'])}")


def _codes(codes: dict[str, Any]) -> str:
    """The codes of the newest layout, and those of the others where they differ."""
    newest, *others = ((layout, _joined(told)) for layout, told in codes.items())
    return newest[1] + "".join(f" ({layout}: {told})" for layout, told in others if told != newest[1])


def _joined(codes: str | list[str]) -> str:
    return codes if isinstance(codes, str) else ", ".join(codes)


def _told_by(field: str, value: str | None) -> str:
    return f"with {field}" if value is None else f"{field} = {value}"


def _name(field: dict[str, Any]) -> str:
    return f"{field['name']} *" if field["required"] else str(field["name"])


def _takes(field: dict[str, Any]) -> str:
    if "choices" not in field:
        return str(field["type"])
    default = f"; by default {field['default']}" if "default" in field and len(field["choices"]) > 1 else ""
    return ", ".join(field["choices"]) + default


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
