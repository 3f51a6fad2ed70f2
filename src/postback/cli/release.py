"""`release`: lets a server deliver that was started after a restore."""

import sys
from typing import Annotated, Any

import typer

from postback.cli.client import Json, Key, Url, connect
from postback.cli.output import CommandError, Exit, print_facts, print_json, print_table, state_text


def release(
    url: Url = None,
    key: Key = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", metavar="", help="Only show what would be sent.")] = False,
    sure: Annotated[bool, typer.Option("--yes", metavar="", help="Do not ask before it is done.")] = False,
    as_json: Json = False,
) -> None:
    """Let a server deliver that was started with --after-restore and is held; with an operator key."""
    client = connect(url, key)
    hold = client.get("/v2/hold")["hold"]
    if dry_run or not hold["is_held"]:
        print_json(hold) if as_json else _show(hold)
        return
    if not sure:
        if not as_json:
            _show(hold)
        _ask(hold)
    hold = client.post("/v2/hold/release", {})["hold"]
    print_json(hold) if as_json else print("it is let go: what is owed is delivered from now on")


def _show(hold: dict[str, Any]) -> None:
    if not hold["is_held"]:
        print("the server is not held: it delivers")
        return
    print_facts({name: value for name, value in hold.items() if name != "most_owed"})
    print()
    rows = [
        (f"{one['owed']:,}", one["account"], one["postbackconfig_id"], state_text(one["state"]), one["url"])
        for one in hold["most_owed"]
    ]
    print_table(["Owed", "Account", "Postback config", "State", "URL"], rows, "nothing is owed any more")


def _ask(hold: dict[str, Any]) -> None:
    question = f"Deliver {hold['owed']:,} owed, also what was delivered after the copy was made?"
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Nobody is there to answer; --yes says that it is meant", Exit.USAGE)
    # On stderr: what a script reads stays clean.
    if not typer.confirm(question, err=True):
        raise CommandError("nothing was done; the server stays held")
