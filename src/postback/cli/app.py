"""Puts the groups of commands together, and turns what they raise into one line and an exit code."""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from postback import __version__
from postback.cli import (
    accounts,
    backup,
    bench,
    deliveries,
    demo,
    doctor,
    events,
    interrupted,
    keys,
    listen,
    migrate,
    release,
    retention,
    rewrap,
    serve,
    settings,
    users,
    worker,
)
from postback.cli.output import CommandError, Exit, complain
from postback.domain.errors import NotFound, PostbackError
from postback.settings import SettingsError

EPILOG = "Exit codes: " + "; ".join(f"{code.value} {code.sentence}" for code in Exit) + "."

app = typer.Typer(
    name="postback",
    help="Delivers a platform's events to its customers as HTTP POSTs.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("demo")(demo.demo)
app.command("listen")(listen.listen)
app.add_typer(events.app, name="events")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(keys.app, name="keys")
app.add_typer(accounts.app, name="accounts")
app.add_typer(users.app, name="users")
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)
app.command("backup")(backup.backup)
app.command("release")(release.release)
app.command("migrate")(migrate.migrate)
app.command("rewrap")(rewrap.rewrap)
app.command("retention")(retention.retention)
app.command("settings")(settings.settings)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"postback {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    with_traceback: Annotated[
        bool, typer.Option("--traceback", metavar="", help="Show where an error was raised.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", metavar="", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Options that stand before the command; `main` and the callbacks have looked at them already."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; always ends in SystemExit, with a code of `Exit` or 130 after Ctrl-C."""
    code = _run(list(sys.argv[1:] if arguments is None else arguments))
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not complain about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _run(words: list[str]) -> int:
    try:
        app(words, prog_name="postback")
    except SystemExit as ended:
        # Typer turns a closed pipe into a failure.
        return Exit.OK if isinstance(ended.__context__, BrokenPipeError) else int(ended.code or 0)
    except (CommandError, SettingsError, PostbackError) as error:
        complain(f"{error.name}: {error}" if isinstance(error, NotFound) else str(error))
        return _code(error)
    except KeyboardInterrupt:
        # Of a command that has begun Typer says so, with the same code.
        complain(interrupted.SAID)
        return interrupted.CODE
    except Exception as error:  # noqa: BLE001 - the last resort: a person gets a line, and the traceback when asked
        complain(
            f"{type(error).__name__}: {error} (this is a bug in postback; --traceback before the command shows more)"
        )
        if words[:1] == ["--traceback"]:
            traceback.print_exc()
        return Exit.FAILED
    return Exit.OK


def _code(error: Exception) -> Exit:
    if isinstance(error, CommandError):
        return error.code
    return Exit.USAGE if isinstance(error, SettingsError) else Exit.FAILED
