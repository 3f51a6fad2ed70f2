"""What a test receiver shows of a request: for people what it is, as it came and what it means; for scripts an object."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

from postback.cli.output import body_lines, console, headline, printable
from postback.domain.masking import masked_value
from postback.receiver import NotAPostback, ReceivedEvent, SignatureRefused, parse, verify
from postback.receiver.server import Received

DULL_HEADERS = frozenset({"host", "content-length", "connection", "accept", "accept-encoding"})
SPEAKS_OUR_NAMES = frozenset({"api-default", "json", "cloudevents"})
"""Formats whose body shows the data as it is; of the others it is shown once more, in our names."""

SIGNED = "signed"


def show(received: Received, answered: int, secret: str | None = None, time_zone: str | None = None) -> None:
    """One request, for people: what it is, as it came, and what it means."""
    screen = console()
    screen.print(headline(f"{received.number} · {datetime.now().astimezone():%H:%M:%S}"))
    colour = "green" if 200 <= answered < 300 else "red"
    screen.print(f"{received.method} {printable(received.path)}  → {answered}", style=colour)
    told = understood(received, time_zone)
    if isinstance(told, ReceivedEvent):
        screen.print(printable(sentence_of(told)), style="bold")
    elif told is not None:
        screen.print(printable(f"not a postback: {told}"), style="yellow", soft_wrap=True)
    signature = signature_of(received, secret)
    if signature is not None:
        screen.print(printable(signature), style="green" if signature == SIGNED else "red", soft_wrap=True)
    for name, value in shown_headers(received):
        screen.print(f"{name}: {value}", style="bright_black", soft_wrap=True)
    screen.print("\n".join(shown_body(received)), soft_wrap=True)
    if isinstance(told, ReceivedEvent) and told.format not in SPEAKS_OUR_NAMES:
        screen.print("\n".join(shown_data(told)), soft_wrap=True)


def understood(received: Received, time_zone: str | None = None) -> ReceivedEvent | str | None:
    """The event that a POST tells of, or why it tells of none; None for other methods, which tell nothing."""
    if received.method != "POST":
        return None
    try:
        return parse(
            received.body,
            received.header("content-type") or "",
            headers=dict(received.headers),
            time_zone=time_zone,
        )
    except NotAPostback as error:
        return str(error)


def signature_of(received: Received, secret: str | None) -> str | None:
    """`signed`, or that it is refused and why; None where there is nothing to check it with."""
    if not secret or received.method != "POST":
        return None
    try:
        verify(received.body, received.headers, secret)
    except SignatureRefused as error:
        return f"refused: {error}"
    return SIGNED


def sentence_of(event: ReceivedEvent) -> str:
    """What it is, in a line."""
    facts = [event.type, f"format {event.format}"]
    if event.number_of_attempts is not None:
        facts.append(f"attempt {event.number_of_attempts}")
    if event.id is not None:
        facts.append(event.id)
    return " · ".join(facts)


def shown_data(event: ReceivedEvent) -> list[str]:
    """What a body says, in the field names that all formats share."""
    width = max(map(len, event.data), default=0)
    return [f"  {printable(name):<{width}}  {_shown(value)}" for name, value in event.data.items()]


def _shown(value: object) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def shown_headers(received: Received) -> Iterator[tuple[str, str]]:
    """What says something about a postback; what proves who sent it is masked."""
    for name, value in received.headers:
        if name.lower() not in DULL_HEADERS:
            yield printable(name), printable(masked_value(name, value))


def shown_body(received: Received) -> list[str]:
    return body_lines(received.body.decode("utf-8", "backslashreplace"), received.header("content-type"))


def as_object(
    received: Received, answered: int, secret: str | None = None, time_zone: str | None = None
) -> dict[str, object]:
    told = understood(received, time_zone)
    return {
        "number": received.number,
        "method": received.method,
        "path": received.path,
        "headers": [[name, masked_value(name, value)] for name, value in received.headers],
        "body": received.body.decode("utf-8", "backslashreplace"),
        "event": asdict(told) if isinstance(told, ReceivedEvent) else None,
        "not_a_postback": told if isinstance(told, str) else None,
        "signature": signature_of(received, secret),
        "answered": answered,
    }
