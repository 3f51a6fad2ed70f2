"""`bench`: measures the product on this machine, with receivers and load of its own, and shows it as a table."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from postback.cli.output import CommandError, Exit, print_json, print_table
from postback.cli.trial import environment

_COLUMNS: Final = (
    "case",
    "events/s",
    "deliveries/s",
    "engine µs",
    "× raw",
    "database µs",
    "WAL bytes",
    "p50 ms",
    "p99 ms",
    "MB",
    "target",
    "met",
)
_OF_A_PAGE: Final = {"first_ms": "first ms", "p50_ms": "p50 ms", "p95_ms": "p95 ms", "cpu_ms": "CPU ms"}
_FIGURES: Final = {
    "times_raw": "× raw",
    "database_us": "µs of the database",
    "log_bytes": "WAL bytes",
    "p99_ms": "ms p99",
    "memory_mb": "MB",
    "share_of_openssl": "of openssl",
    "p99_ratio": "× p99 without",
    "claim_p99_ms": "ms p99 of claims",
    "drain_share": "of the steady rate",
    "start_s": "s to start",
    "cost_ratio": "× CPU of empty",
    "database_ratio": "× database of empty",
    "page_p95_ms": "ms p95 of each page",
}


def bench(
    *,
    case: Annotated[list[str] | None, typer.Option(help="Only this case; repeat for several.")] = None,
    database: Annotated[
        str,
        typer.Option(help="sqlite, or the address of a PostgreSQL server; a database is made there and dropped again."),
    ] = "sqlite",
    rounds: Annotated[int, typer.Option(help="How often each case runs; medians are shown.", min=1, max=20)] = 3,
    large: Annotated[
        bool,
        typer.Option("--large", metavar="", help="Also the cases on large stores; they need minutes and gigabytes."),
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", metavar="", help="Only try that all of it works.")] = False,
    raw: Annotated[
        str | None, typer.Option(help="What measures the raw limit: wrk or bare; by default wrk where it is installed.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The port of the server under test; by default a free one.", min=1, max=65535)
    ] = None,
    log_level: Annotated[
        str, typer.Option(help="What the server under test logs: debug, info, warning or error.")
    ] = "info",
    json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for scripts.")] = False,
) -> None:
    """Measure how fast this machine delivers, with a server, receivers and load of its own."""
    from postback.bench.bench import Wanted
    from postback.bench.bench import bench as measure
    from postback.bench.errors import BenchError, WrongWord

    wanted = Wanted(
        environment=environment(),
        database=database,
        names=case or (),
        rounds=rounds,
        raw_client=raw,
        port=port,
        log_level=log_level,
        is_quick=quick,
        is_large=large,
    )
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with (
            _ended_by(signal.SIGTERM, signal.SIGHUP),
            Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as progress,
        ):
            task = progress.add_task("", total=wanted.steps)
            begun = -1

            def step(title: str) -> None:
                nonlocal begun
                begun += 1
                progress.update(task, description=title, completed=begun)

            found = measure(wanted, step)
    except BenchError as error:
        raise CommandError(str(error), Exit.USAGE if isinstance(error, WrongWord) else Exit.FAILED) from error
    print_json(found) if json else show(found)
    if found["errors"]:
        raise CommandError("\n".join(f"{name}: {why}" for name, why in found["errors"].items()))


@contextmanager
def _ended_by(*signals: signal.Signals) -> Iterator[None]:
    """They end it as Ctrl-C does: whatever was started is ended too, and nothing stays behind."""
    before = {number: signal.signal(number, _end) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def show(found: dict[str, Any]) -> None:
    raw, machine = found["raw"], found["machine"]
    rows: list[list[object]] = [
        [f"raw limit: {raw['client']} to our receiver", "", f"{raw['per_s']:,}", raw["cpu_us"], 1.0, *[""] * 7]
    ]
    for one in found["cases"]:
        targets = one["targets"]
        rows.append(
            [
                one["title"],
                *(f"{one[name]:,.0f}" for name in ("events_per_s", "deliveries_per_s")),
                *(one[name] for name in ("engine_us", "times_raw", "database_us")),
                None if one["log_bytes"] is None else f"{one['log_bytes']:,.0f}",
                *(one[name] for name in ("p50_ms", "p99_ms", "memory_mb")),
                "; ".join(map(_words, targets)),
                Text.assemble(*(part for target in targets for part in (_verdict(target), " "))) if targets else "",
            ]
        )
    print_table(_COLUMNS, rows, "no cases")
    print()
    for one in found["cases"]:
        if one["pages"]:
            times = [[page["path"], *(f"{page[name]:.1f}" for name in _OF_A_PAGE)] for page in one["pages"]]
            print_table(("page of the portal", *_OF_A_PAGE.values()), times, "no pages")
            print()
    print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['python']}, {found['database']}, fdatasync {machine['sync_ms']} ms"
    )
    print(
        "The engine has a core for itself."
        if machine["engine_has_its_own"]
        else "All share one core: nothing here is comparable."
    )
    print(
        "Costs are for each delivery (publish only: each event); CPU of the engine is that of the whole server process."
    )
    print(f"p50 and p99: {found['latency']}.")


def _words(target: dict[str, Any]) -> str:
    sign, bound = ("≥", target["at_least"]) if "at_least" in target else ("≤", target["at_most"])
    return f"{sign} {bound:g} {_FIGURES.get(target['figure'], target['figure'])}"


def _verdict(target: dict[str, Any]) -> Text:
    return Text("yes", style="green") if target["is_met"] else Text(f"no: {target['value']:g}", style="red")
