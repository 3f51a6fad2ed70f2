"""`deliveries`: what is owed and what became of it; again, or no more."""

from typing import Annotated, Any

import typer

from postback.cli.client import Account, Json, Key, Url, connect, segment
from postback.cli.output import body_lines, print_facts, print_json, print_table, printable, state_text

app = typer.Typer(help="Deliveries: list, show, replay, cancel.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The delivery, such as dlv_….")]


@app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="pending, claimed, delivered, failed, cancelled or held.")] = None,
    config: Annotated[str | None, typer.Option(help="Of this postback config.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Of this event type.")] = None,
    location: Annotated[str | None, typer.Option(help="Of this location.")] = None,
    since: Annotated[str | None, typer.Option(help="Accepted at or after this time (RFC 3339).")] = None,
    until: Annotated[str | None, typer.Option(help="Accepted before this time (RFC 3339).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most, the newest first.")] = 20,
    url: Url = None,
    key: Key = None,
    account: Account = None,
    *,
    as_json: Json = False,
) -> None:
    """List deliveries, the newest first."""
    found = list(
        connect(url, key, account).pages(
            "/v2/deliveries",
            "deliveries",
            limit,
            state=state,
            postbackconfig_id=config,
            event_type=event_type,
            location_id=location,
            since=since,
            until=until,
        )
    )
    if as_json:
        print_json(found)
        return
    columns = ["Delivery", "Event", "State", "Attempts", "Last answer", "Accepted", "Due or finished"]
    print_table(columns, map(_row, found), "no deliveries")


@app.command()
def show(delivery_id: Id, url: Url = None, key: Key = None, account: Account = None, *, as_json: Json = False) -> None:
    """Show a delivery with all its attempts: what was sent, what was answered, what was decided."""
    delivery = connect(url, key, account).get(f"/v2/deliveries/{segment(delivery_id)}")["delivery"]
    if as_json:
        print_json(delivery)
        return
    print_facts({name: value for name, value in delivery.items() if name != "attempts"})
    for attempt in delivery["attempts"]:
        print()
        _print_attempt(attempt)


@app.command()
def replay(
    delivery_id: Id, url: Url = None, key: Key = None, account: Account = None, *, as_json: Json = False
) -> None:
    """Owe a finished delivery again, now; its policy begins anew."""
    _act("replay", delivery_id, url, key, account, as_json=as_json)


@app.command()
def cancel(
    delivery_id: Id, url: Url = None, key: Key = None, account: Account = None, *, as_json: Json = False
) -> None:
    """End an open delivery: no more attempts."""
    _act("cancel", delivery_id, url, key, account, as_json=as_json)


def _act(verb: str, delivery_id: str, url: str | None, key: str | None, account: str | None, *, as_json: bool) -> None:
    answer = connect(url, key, account).post(f"/v2/deliveries/{segment(delivery_id)}/{verb}", {})
    if as_json:
        print_json(answer["delivery"])
    else:
        print_facts(answer["delivery"])


def _row(delivery: dict[str, Any]) -> list[object]:
    return [
        delivery["id"],
        delivery["event_type"],
        state_text(delivery["state"]),
        delivery["attempts_made"],
        delivery["last_status"] or delivery["last_reason"],
        delivery["created_at"],
        delivery["finished_at"] or delivery["due_at"],
    ]


def _print_attempt(attempt: dict[str, Any]) -> None:
    outcome = attempt["status"] or attempt["reason"]
    request, answer = attempt["request"] or {}, attempt["answer"] or {}
    print(f"attempt {attempt['number']}: {printable(str(outcome))} → {printable(str(attempt['decision']))}")
    timings = {name: took for name, took in (attempt["timings"] or {}).items() if took is not None}
    print_facts(
        {
            "  sent_at": attempt["sent_at"],
            "  finished_at": attempt["finished_at"],
            "  next_at": attempt["next_at"],
            "  reason": attempt["reason"],
            "  detail": attempt["detail"],
            "  notes": attempt["notes"] or None,
            "  took": ", ".join(f"{name} {took}" for name, took in timings.items()) or None,
            "  url": request.get("url"),
        }
    )
    _print_message("sent", request)
    _print_message("answer", answer)


def _print_message(title: str, message: dict[str, Any]) -> None:
    headers = message.get("headers", {})
    lines = [f"{printable(name)}: {printable(value)}" for name, value in headers.items()]
    if message.get("body"):
        content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
        lines += ["", *body_lines(message["body"], content_type)]
    if lines:
        print(f"  {title}")
        for line in lines:
            print(f"    {line}".rstrip())
