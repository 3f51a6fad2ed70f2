"""`deliveries`: what is owed and what became of it; again, or no more."""

from typing import Annotated, Any

import typer

from postback.cli import many
from postback.cli.client import Account, Client, Json, Key, Url, connect, segment
from postback.cli.output import body_lines, print_facts, print_json, print_table, printable, state_text
from postback.domain.jobs import JobKind

app = typer.Typer(help="Deliveries: list, show, replay, cancel.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The delivery, such as dlv_….")]
OneId = Annotated[str | None, typer.Argument(metavar="ID", help="One delivery, such as dlv_…; or else say which many.")]


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
    asked = connect(url, key, account).list(
        "/v2/deliveries",
        limit,
        state=state,
        postbackconfig_id=config,
        event_type=event_type,
        location_id=location,
        since=since,
        until=until,
    )
    with many.said_by_option():
        found = list(asked)
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
    delivery_id: OneId = None,
    state: Annotated[str | None, typer.Option(help="Many: failed, delivered or cancelled; by default failed.")] = None,
    config: many.Config = None,
    event_type: many.EventType = None,
    location: many.Location = None,
    since: many.Since = None,
    until: many.Until = None,
    url: Url = None,
    key: Key = None,
    account: Account = None,
    *,
    everything: many.Everything = False,
    dry_run: many.DryRun = False,
    sure: many.Sure = False,
    as_json: Json = False,
) -> None:
    """Owe a finished delivery again, now, or many at once; their policy begins anew."""
    asked = many.Many(
        state=state,
        config=config,
        event_type=event_type,
        location=location,
        since=since,
        until=until,
        is_everything=everything,
        is_dry_run=dry_run,
        is_sure=sure,
    )
    _act(JobKind.REPLAY, delivery_id, asked, connect(url, key, account), as_json=as_json)


@app.command()
def cancel(
    delivery_id: OneId = None,
    state: Annotated[str | None, typer.Option(help="Many: pending, held or claimed; by default all of these.")] = None,
    config: many.Config = None,
    event_type: many.EventType = None,
    location: many.Location = None,
    since: many.Since = None,
    until: many.Until = None,
    url: Url = None,
    key: Key = None,
    account: Account = None,
    *,
    everything: many.Everything = False,
    dry_run: many.DryRun = False,
    sure: many.Sure = False,
    as_json: Json = False,
) -> None:
    """End an open delivery, or many at once: no more attempts."""
    asked = many.Many(
        state=state,
        config=config,
        event_type=event_type,
        location=location,
        since=since,
        until=until,
        is_everything=everything,
        is_dry_run=dry_run,
        is_sure=sure,
    )
    _act(JobKind.CANCEL, delivery_id, asked, connect(url, key, account), as_json=as_json)


def _act(kind: JobKind, delivery_id: str | None, asked: many.Many, client: Client, *, as_json: bool) -> None:
    if delivery_id is None:
        many.act_on_many(kind, asked, client, as_json=as_json)
        return
    asked.refuse()
    answer = client.post(f"/v2/deliveries/{segment(delivery_id)}/{kind}", {})
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
