"""A whole bench: its processes, its rounds, and medians of what they came to."""

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from postback.bench import proc, raw
from postback.bench.cases import CASES, POSTGRESQL, SQLITE, Case
from postback.bench.databases import is_sqlite
from postback.bench.errors import BenchError, WrongWord
from postback.bench.ground import Ground, Processes
from postback.bench.large import LARGE
from postback.bench.plans import Measured
from postback.bench.raw import Raw
from postback.bench.server import FILES, allow_files, check_port

LATENCY: Final = (
    "from the moment the event is sent to the API (at a rate: should have been) until the whole request that is "
    "answered 200 has arrived at its receiver; measured at the receiver, by one clock"
)
_SYNCS: Final = 50

Step = Callable[[str], None]
"""Told what begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line says. `environment` is that of every process, without settings of the product."""

    environment: Mapping[str, str]
    database: str = SQLITE
    names: Sequence[str] = ()
    """Of cases; none: all of them, those on large stores only where `is_large`."""
    rounds: int = 3
    raw_client: str | None = None
    port: int | None = None
    log_level: str = "info"
    is_quick: bool = False
    is_large: bool = False

    @property
    def kind(self) -> str:
        return SQLITE if is_sqlite(self.database) else POSTGRESQL

    @property
    def cases(self) -> Sequence[Case]:
        """In the order in which they run, or WrongWord for a name that is none."""
        known = {case.name: case for case in (*CASES, *LARGE)}
        for name in self.names:
            if name not in known:
                raise WrongWord(f"there is no case {name!r}; expected one of {', '.join(known)}")
        if self.names:
            return [case for name, case in known.items() if name in self.names]
        return [*CASES, *LARGE] if self.is_large else CASES

    def rounds_of(self, case: Case) -> int:
        return 1 if self.is_quick else min(self.rounds, case.rounds_most)

    def processes(self, raw_client: str) -> Processes:
        return Processes(
            environment=self.environment,
            database=self.database,
            raw_client=raw_client,
            port=self.port,
            log_level=self.log_level,
            is_quick=self.is_quick,
        )

    @property
    def steps(self) -> int:
        """How often `step` will be told."""
        return sum(map(self.rounds_of, self.cases))


def bench(wanted: Wanted, step: Step) -> dict[str, Any]:
    """All of it, as `--json` prints it."""
    cases = wanted.cases
    kind = wanted.kind
    client = raw.choose_client(wanted.raw_client)
    cores = proc.Cores.of_this_machine()
    if wanted.port is not None:
        check_port(wanted.port)
    if (files := allow_files()) < FILES and not wanted.is_quick:
        raise BenchError(f"a process may open {files:,} files and 5,000 in flight need {FILES:,}: ulimit -n {FILES}")
    own = os.sched_getaffinity(0)
    try:
        proc.pin(0, cores.others)
        with Ground(wanted.processes(client), cores) as ground:
            sync_ms = _sync_ms(ground.folder)
            found, errors = _rounds(wanted, ground, step)
    finally:
        proc.pin(0, own)
    if not any(found.values()):
        raise BenchError("\n".join(f"{name}: {error}" for name, error in errors.items()))
    raws = [each for runs in found.values() for each, _ in runs]
    return {
        "machine": _machine(cores, sync_ms),
        "database": kind,
        "log_level": wanted.log_level,
        "latency": LATENCY,
        "raw": {
            "client": client,
            "cpu_us": round(median(one.cpu_us for one in raws), 2),
            "per_s": round(median(one.per_s for one in raws)),
        },
        "cases": [result(case, found[case.name], kind) for case in cases if found[case.name]],
        "errors": errors,
    }


def _rounds(wanted: Wanted, ground: Ground, step: Step) -> tuple[dict[str, list[tuple[Raw, Measured]]], dict[str, str]]:
    """(the runs of each case, what went wrong with a case): what one cannot do takes nothing from the others."""
    found: dict[str, list[tuple[Raw, Measured]]] = {case.name: [] for case in wanted.cases}
    errors: dict[str, str] = {}
    for number in range(max(map(wanted.rounds_of, wanted.cases))):
        for case in wanted.cases:
            if number >= wanted.rounds_of(case):
                continue
            step(case.title)
            if case.name not in errors:
                try:
                    found[case.name].append((ground.raw(), case.run(ground)))
                except BenchError as error:
                    errors[case.name] = str(error)
    return found, errors


def result(case: Case, runs: Sequence[tuple[Raw, Measured]], kind: str) -> dict[str, Any]:
    """Medians of the rounds. Costs are for each delivery, or for each event where there are no deliveries."""

    def middle(read: Callable[[Raw, Measured], float | None], digits: int = 2) -> float | None:
        values = [value for each in runs if (value := read(*each)) is not None]
        return round(median(values), digits) if values else None

    figures: dict[str, Any] = {
        "events_per_s": middle(lambda _, one: one.events / one.seconds, 0),
        "deliveries_per_s": middle(lambda _, one: one.deliveries / one.seconds, 0),
        "engine_us": middle(lambda _, one: one.engine_s / one.units * 1e6),
        "times_raw": middle(lambda limit, one: one.engine_s / one.units * 1e6 / limit.cpu_us),
        "database_us": middle(lambda _, one: one.database_s and one.database_s / one.units * 1e6),
        "log_bytes": middle(lambda _, one: one.log_bytes / one.units, 0),
        "p50_ms": middle(lambda _, one: one.p50_ms),
        "p99_ms": middle(lambda _, one: one.p99_ms),
        "memory_mb": middle(lambda _, one: one.peak_bytes / 1e6, 1),
    }
    more = {name: middle(partial(_further, name)) for name in runs[0][1].more}
    everything = figures | more
    targets = [
        {
            "figure": target.figure,
            "at_least" if target.at_least else "at_most": target.bound,
            "value": value,
            "is_met": target.is_met(value),
        }
        for target in case.targets.get(kind, ())
        if (value := everything.get(target.figure)) is not None
    ]
    last = runs[-1][1]
    counts = {"rounds": len(runs), "events": last.events, "deliveries": last.deliveries}
    pages = [page._asdict() for page in last.pages]
    said = {"case": case.name, "title": case.title, **counts, **figures, "more": more}
    return {**said, "pages": pages, "targets": targets}


def _further(name: str, _: Raw, measured: Measured) -> float | None:
    return measured.more.get(name)


def _machine(cores: proc.Cores, sync_ms: float) -> dict[str, Any]:
    return {
        "processor": proc.processor(),
        "cores": len(cores.engine | cores.others),
        "engine_has_its_own": cores.are_apart,
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sync_ms": sync_ms,
    }


def _sync_ms(folder: Path) -> float:
    """How long the disk of the temporary folder takes to keep 4 KiB (median)."""
    took = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(b"x" * 4096)
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - started)
    return round(median(took) * 1000, 3)
