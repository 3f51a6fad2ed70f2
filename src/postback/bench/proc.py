"""What Linux tells of processes, and which core each may use."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final, NamedTuple, Self

from postback.bench.errors import BenchError

PROC: Final = Path("/proc")
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


class Cores(NamedTuple):
    """The engine has one core for itself and everything else the others; the same one where there is only one."""

    engine: frozenset[int]
    others: frozenset[int]

    @classmethod
    def of_this_machine(cls) -> Self:
        """BenchError where the system has neither cores to choose from nor figures of processes to read."""
        if not (hasattr(os, "sched_getaffinity") and (PROC / "self" / "stat").exists()):
            raise BenchError("bench reads the CPU of processes from /proc and gives them cores: it needs Linux")
        first, *others = sorted(os.sched_getaffinity(0))
        return cls(frozenset({first}), frozenset(others or {first}))

    @property
    def are_apart(self) -> bool:
        return self.engine.isdisjoint(self.others)


class _Stat(NamedTuple):
    """Seconds of CPU, user and system, all threads; those of children only once they have ended."""

    parent: int
    own_s: float
    ended_children_s: float


def pin(pid: int, cores: Collection[int]) -> None:
    """Threads and processes that it starts later inherit the cores."""
    os.sched_setaffinity(pid, cores)


def cpu_s(pid: int) -> float:
    """Seconds of CPU of a process so far."""
    return _stat(pid).own_s


def family_cpu_s(pid: int) -> float:
    """Seconds of CPU of a process and all its children, also those that have ended: PostgreSQL's are many."""
    total = 0.0
    family = {pid}
    for number, stat in sorted(_everyone().items()):
        if number == pid or stat.parent in family:
            family.add(number)
            total += stat.own_s + stat.ended_children_s
    return total


def peak_bytes(pid: int) -> int:
    """The most memory that it ever held (resident)."""
    return _status(pid, "VmHWM")


def bytes_held(pid: int) -> int:
    """The memory that it holds now (resident)."""
    return _status(pid, "VmRSS")


def parent_of(pid: int) -> int:
    return _stat(pid).parent


def name_of(pid: int) -> str:
    """The name of its program; empty where there is no such process."""
    try:
        return (PROC / str(pid) / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def processor() -> str:
    """The processor's name for people."""
    lines = (PROC / "cpuinfo").read_text("utf-8", "replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _status(pid: int, name: str) -> int:
    for line in (PROC / str(pid) / "status").read_text("ascii", "replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _everyone() -> dict[int, _Stat]:
    found = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = _stat(int(folder.name))
            except OSError:
                continue  # it has just ended
    return found


def _stat(pid: int) -> _Stat:
    # The name of the program stands in parentheses and may hold anything, parentheses too.
    fields = (PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    user, system, children_user, children_system = (int(field) / _TICKS_A_SECOND for field in fields[11:15])
    return _Stat(int(fields[1]), user + system, children_user + children_system)
