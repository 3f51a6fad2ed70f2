"""`serve`: starts the server and says how to use it."""

import shlex
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from postback.cli import restored
from postback.cli.interrupted import ended_by_interrupt
from postback.cli.loading import loading
from postback.cli.output import CommandError, Exit, program
from postback.domain import databases, trial
from postback.settings import Settings, load_settings, source_of

if TYPE_CHECKING:
    from postback.bootstrap import KeyMade, Started

OPERATING = "docs/guide/operating.md"


def serve(
    listen: Annotated[str | None, typer.Option(help=Settings.model_fields["listen"].description)] = None,
    database: Annotated[str | None, typer.Option(help=Settings.model_fields["database"].description)] = None,
    public_url: Annotated[str | None, typer.Option(help=Settings.model_fields["public_url"].description)] = None,
    allow_networks: Annotated[
        str | None, typer.Option(help=Settings.model_fields["allow_networks"].description)
    ] = None,
    processes: Annotated[int | None, typer.Option(help=Settings.model_fields["processes"].description)] = None,
    log_level: Annotated[str | None, typer.Option(help=Settings.model_fields["log_level"].description)] = None,
    *,
    after_restore: Annotated[
        bool,
        typer.Option(
            "--after-restore",
            metavar="",
            help="Deliver nothing until somebody has seen what a restored copy would send again, and said yes.",
        ),
    ] = False,
) -> None:
    """Start the server: portal, API and engine, in one process on a SQLite file, in as many as wanted on PostgreSQL.

    Every setting may also come from the environment (POSTBACK_LISTEN …) or from postback.toml; `postback settings` shows them.
    """
    # The server's libraries take half a second to load, which no other command should wait for.
    with loading():
        from postback import bootstrap

    settings = load_settings(
        listen=listen,
        database=database,
        public_url=public_url,
        allow_networks=allow_networks,
        processes=processes,
        log_level=log_level,
    )
    if settings.processes > 1 and after_restore:
        raise CommandError(
            f"--after-restore is for one process, and {source_of('processes', {'processes': processes})} is "
            f"{settings.processes}: start it with --processes 1, answer, and start the others then",
            Exit.USAGE,
        )
    if settings.processes > 1:
        demand_server(settings, f"{source_of('processes', {'processes': processes})} is {settings.processes}, which")

    def announce(news: "KeyMade | Started | None") -> None:
        match news:
            case bootstrap.KeyMade(key):
                say(f"Operator key, shown this once and kept nowhere: {key}\n")
            case bootstrap.Started():
                say(announcement(news, settings.processes))

    try:
        asks = partial(restored.ask, say=say) if after_restore else None
        with ended_by_interrupt():
            code = bootstrap.serve(settings, announce, asks)
    except bootstrap.CannotStart as error:
        raise CommandError(str(error)) from error
    end(code)


def demand_server(settings: Settings, what: str) -> None:
    """CommandError where `what` is asked for on a file."""
    if not settings.is_on_a_server:
        raise CommandError(
            f"{what} needs PostgreSQL: POSTBACK_DATABASE is the SQLite file {settings.shown_database}, and a file has one "
            f"process; set it to {databases.EXAMPLE} ({OPERATING} says how to get there)",
            Exit.USAGE,
        )


def end(code: int) -> NoReturn:
    """Of a command that has run until it was stopped."""
    if code == Exit.OK:
        say("postback has stopped; nothing that was accepted is lost")
    else:
        say(
            "postback has stopped, not in good order: what it held is owed again, and some of it may be sent a second time"
        )
    raise typer.Exit(code)


def say(text: str) -> None:
    # A server serves, whether or not anybody reads its greeting.
    with suppress(BrokenPipeError):
        print(text, flush=True)


def announcement(started: "Started", processes: int = 1) -> str:
    """What is said once the server answers: address, key, warnings, and lines to paste."""
    where = f"postback listens on {started.listens_on}" + (f", in {processes} processes" if processes > 1 else "")
    if started.address != started.listens_on:
        where += f"\n  links begin with {started.address}, where others reach it (POSTBACK_PUBLIC_URL)"
    parts = [where, *_about_portal(started), _about_key(started)]
    if started.secret_path is not None:
        parts.append(
            f"Secrets of postback configs are encrypted with the key in {started.secret_path}\n"
            "  without a copy of it, a copy of the database cannot be used."
        )
    if started.allows_loopback:
        parts.append(
            "! Receivers on this machine's loopback addresses may be called (POSTBACK_ALLOW_NETWORKS):\n"
            "  right for trying it out, wrong where strangers may set up postback configs; `none` closes them."
        )
    if started.needs_public_url:
        parts.append(
            f"! Links begin with {started.address}, which means nothing elsewhere: set POSTBACK_PUBLIC_URL (or\n"
            "  --public-url) to the address that others reach this server at."
        )
    parts.append(_line_to_look(started) if started.is_in_use else _lines_to_try(started))
    return "\n\n".join(parts) + "\n"


def _about_portal(started: "Started") -> list[str]:
    if started.join_link is None:
        return []
    said = "Become the first user of the portal: open this in a browser; it is good until it was used."
    return [f"{said}\n  {started.join_link}"]


def _about_key(started: "Started") -> str:
    if started.keeps_no_key:
        if started.key is None:
            return (
                "The operator key is the one that was shown at the first start, or one that was made since.\n"
                f"  Where none is known any more, `{program()} keys create NAME --operator` makes another."
            )
        return "The operator key is the one shown above, this once."
    if started.key_path is None:
        return "The operator key is the one that POSTBACK_API_KEY gives."
    path = started.key_path.absolute()
    if started.key is None:
        return f"The operator key is in {path}"
    made = f"Operator key, shown this once: {started.key}\n  kept, readable by its owner only, in {path}"
    if not started.is_one_more:
        return made
    return (
        f"{made}\n"
        f"  It was made because none that is valid stood there, and is one more: `{program()} keys list` shows the others.\n"
        "  If you have the file of the first one, put it back, and revoke this one."
    )


def _line_to_look(started: "Started") -> str:
    return f"What is delivered, in another terminal: {program()} deliveries list --url {started.address}"


def _lines_to_try(started: "Started") -> str:
    receiver = trial.RECEIVER_URL if started.allows_loopback else "https://YOUR-RECEIVER/path"
    config = (
        f'{{"postbackconfig": {{"attempt_interval": 300, "format": "api-default", "is_active": "1", '
        f'"location_id": "\'$LOCATION\'", "number_of_attempts": 1, "on_create": "1", "on_delete": "1", '
        f'"on_update": "1", "resource": "contact", "url": "{receiver}"}}}}'
    )
    contact = '{"contact": {"last_name": "Jones", "location_id": "\'$LOCATION\'"}}'
    lines = ["Try it, in another terminal:"]
    if started.allows_loopback:
        lines = [
            "Try it. In another terminal, a receiver that shows what arrives:",
            f"  {program()} listen --port {trial.RECEIVER_PORT}",
            f"Its URL is {receiver}: for a postback that you add in the portal, or by these lines in a third terminal:",
        ]
    lines.append(f"  KEY={_key_for_shell(started)}")
    if started.location_id is None:
        lines.append(_curl(started, "locations", '{"location": {"name": "Main"}}'))
    lines.append(f"  LOCATION={started.location_id or '…      # the id in that answer'}")
    lines.append(_curl(started, "postbackconfigs", config))
    lines.append(_curl(started, "contacts", contact))
    lines.append(f'  {program()} deliveries list --url {started.address} --key "$KEY"')
    return "\n".join(lines)


def _curl(started: "Started", resource: str, body: str) -> str:
    return (
        f'  curl {started.address}/v2/{resource} -H "Authorization: Bearer $KEY" '
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def _key_for_shell(started: "Started") -> str:
    """Read from its file, so that the key itself stays out of the shell's history."""
    if started.keeps_no_key:
        return "…      # the operator key"
    if started.key_path is None:
        return '"$POSTBACK_API_KEY"'
    return f'"$(cat {shlex.quote(str(started.key_path.absolute()))})"'
