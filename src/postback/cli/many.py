"""Many deliveries at once: which ones, a last question before it is done, and a bar that shows how far it is."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from postback.cli.client import Client, Refused, segment
from postback.cli.output import CommandError, Exit, print_json
from postback.domain.jobs import COUNTED_MAX, JobKind, JobState

LOOK_EVERY_S: Final = 0.2

Config = Annotated[str | None, typer.Option(help="Many: those to this postback config.")]
EventType = Annotated[str | None, typer.Option("--type", help="Many: those of this event type.")]
Location = Annotated[str | None, typer.Option(help="Many: those of this location.")]
Since = Annotated[str | None, typer.Option(help="Many: of events accepted at or after this time (RFC 3339).")]
Until = Annotated[str | None, typer.Option(help="Many: of events accepted before this time (RFC 3339).")]
Everything = Annotated[bool, typer.Option("--all", metavar="", help="Many: all of the account, or all in that state.")]
DryRun = Annotated[bool, typer.Option("--dry-run", metavar="", help="Only say how many they are.")]
Sure = Annotated[bool, typer.Option("--yes", metavar="", help="Do not ask before it is done.")]

_OPTIONS: Final = {
    "state": "--state",
    "postbackconfig_id": "--config",
    "event_type": "--type",
    "location_id": "--location",
    "since": "--since",
    "until": "--until",
}
"""What is typed for a field of the API."""

_DONE: Final = {JobKind.REPLAY: "replayed", JobKind.CANCEL: "cancelled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """What was said of which deliveries; texts as they were typed, None where nothing was."""

    state: str | None
    config: str | None
    event_type: str | None
    location: str | None
    since: str | None
    until: str | None
    is_everything: bool
    is_dry_run: bool
    is_sure: bool

    def body(self) -> dict[str, Any]:
        """As the API takes it. A state alone is almost everything, which has to be said."""
        narrowed = {
            "postbackconfig_id": self.config,
            "event_type": self.event_type,
            "location_id": self.location,
            "since": self.since,
            "until": self.until,
        }
        narrowed = {name: value for name, value in narrowed.items() if value is not None}
        if not narrowed and not self.is_everything:
            raise CommandError(
                "which deliveries? Give the id of one; or of many --config, --type, --location, --since or --until; or --all",
                Exit.USAGE,
            )
        state = {} if self.state is None else {"state": self.state}
        return {"filter": {**state, **narrowed}} | ({"all": True} if self.is_everything else {})

    def refuse(self) -> None:
        """For a command that was given the id of one delivery."""
        said = (self.state, self.config, self.event_type, self.location, self.since, self.until)
        if any(one is not None for one in said) or self.is_everything or self.is_dry_run or self.is_sure:
            raise CommandError("give the id of one delivery, or say which ones of many, not both", Exit.USAGE)


def act_on_many(kind: JobKind, many: Many, client: Client, *, as_json: bool) -> None:
    """Count, ask, start, and show how far it is."""
    body = many.body()
    path = f"/v2/deliveries/{kind}"
    with said_by_option("filter."):
        count = client.post(path, {**body, "dry_run": True})["count"]
    if many.is_dry_run:
        print_json({"count": count}) if as_json else print(f"{_deliveries(count)} would be {_DONE[kind]}")
        return
    if not many.is_sure and count:
        _ask(f"{kind.capitalize()} {_deliveries(count)}?")
    if not count and not as_json:
        print("no deliveries: nothing to do")
        return
    replay = _followed(client, client.post(path, body)["replay"])
    if as_json:
        print_json(replay)
        return
    print(f"{_deliveries(replay['done'], is_exact=True)} {_DONE[kind]}")
    if replay["skipped"]:
        print(f"{replay['skipped']:,} skipped: not any more what they had been, or without a config now")


@contextmanager
def said_by_option(prefix: str = "") -> Iterator[None]:
    """What the server says of a field is said of the option that it was typed as."""
    try:
        yield
    except Refused as refused:
        options = {f"{prefix}{field}": option for field, option in _OPTIONS.items()}
        if not refused.errors or not set(refused.errors) <= set(options):
            raise
        lines = [
            _of_option(options[field], field.removeprefix(prefix), text)
            for field, texts in refused.errors.items()
            for text in texts
        ]
        raise CommandError("\n".join(lines), refused.code) from refused


def _of_option(option: str, field: str, text: str) -> str:
    """Where the sentence begins with the field, it begins with the option."""
    return f"{option} {text.removeprefix(f'{field} ')}" if text.startswith(f"{field} ") else f"{option}: {text}"


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Nobody is there to answer; --yes says that it is meant", Exit.USAGE)
    # On stderr: what a script reads stays clean.
    if not typer.confirm(question, err=True):
        raise CommandError("nothing was done")


def _followed(client: Client, replay: dict[str, Any]) -> dict[str, Any]:
    """The job when it is done. The server does it, with or without us."""
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as progress:
        task = progress.add_task(f"{replay['id']} (goes on without this command)", total=replay["selected"])
        while replay["state"] == JobState.RUNNING:
            time.sleep(LOOK_EVERY_S)
            replay = client.get(f"/v2/replays/{segment(replay['id'])}")["replay"]
            progress.update(task, total=replay["selected"], completed=replay["done"] + replay["skipped"])
    return replay


def _deliveries(count: int, *, is_exact: bool = False) -> str:
    more = " or more" if count == COUNTED_MAX and not is_exact else ""
    return f"{count:,}{more} {'delivery' if count == 1 else 'deliveries'}"
