"""`worker`: starts processes that only deliver."""

from typing import Annotated

import typer

from postback.cli.interrupted import ended_by_interrupt
from postback.cli.loading import loading
from postback.cli.output import CommandError
from postback.cli.serve import demand_server, end, say
from postback.settings import Settings, load_settings


def worker(
    listen: Annotated[str | None, typer.Option(help=Settings.model_fields["worker_listen"].description)] = None,
    database: Annotated[str | None, typer.Option(help=Settings.model_fields["database"].description)] = None,
    allow_networks: Annotated[
        str | None,
        typer.Option(
            help="Private networks (CIDR, separated by commas) that postbacks may be sent to; auto and none: no such network."
        ),
    ] = None,
    processes: Annotated[int | None, typer.Option(help=Settings.model_fields["processes"].description)] = None,
    log_level: Annotated[str | None, typer.Option(help=Settings.model_fields["log_level"].description)] = None,
) -> None:
    """Start processes that only deliver: they take what is due and nobody's from the PostgreSQL database of `serve`.

    Every setting may also come from the environment or from postback.toml; `postback settings` shows them.
    """
    # The server's libraries take half a second to load, which no other command should wait for.
    with loading():
        from postback import bootstrap

    settings = load_settings(
        worker_listen=listen,
        database=database,
        allow_networks=allow_networks,
        processes=processes,
        log_level=log_level,
    )
    demand_server(settings, "`postback worker`")
    try:
        with ended_by_interrupt():
            code = bootstrap.work(settings, lambda _: say(announcement(settings)))
    except bootstrap.CannotStart as error:
        raise CommandError(str(error)) from error
    end(code)


def announcement(settings: Settings) -> str:
    """What is said once it delivers."""
    who = "A worker delivers" if settings.processes == 1 else f"{settings.processes} workers deliver"
    lines = [f"{who} what is due in {settings.shown_database}"]
    if settings.worker_listen is not None:
        lines.append(f"  http://{settings.worker_listen} answers /health, /ready and /metrics, and nothing else.")
    if settings.allow_networks is None:
        lines.append(
            "  Private networks are not called, loopback neither: where receivers are there, give POSTBACK_ALLOW_NETWORKS\n"
            "  the value that it has for `postback serve`."
        )
    return "\n".join(lines) + "\n"
