"""What the machine allows: POSTs to our receiver by wrk, or by a client that does nothing else; handshakes by openssl."""

import re
import resource
import shutil
import subprocess
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from postback.bench import proc
from postback.bench.children import Child
from postback.bench.errors import BenchError, WrongWord
from postback.bench.load import RAW_BODY

WRK: Final = "wrk"
BARE: Final = "bare"
CONNECTIONS: Final = 64
HANDSHAKE_S: Final = 2

_WRK_REQUESTS: Final = re.compile(r"^\s*(\d+) requests in", re.MULTILINE)
_WRK_FAILURES: Final = re.compile(r"Non-2xx or 3xx responses: \d+|Socket errors: .*")
_HANDSHAKES: Final = re.compile(r"(\d+) connections in \d+ real seconds")


class Raw(NamedTuple):
    """CPU of one POST (or handshake) at the side that sends it, and how many a second there were."""

    cpu_us: float
    per_s: float


def choose_client(wanted: str | None) -> str:
    """WRK where it is installed, else BARE; or the one that is wanted, or BenchError where it is not there."""
    installed = shutil.which(WRK) is not None
    if wanted is None:
        return WRK if installed else BARE
    if wanted not in (WRK, BARE):
        raise WrongWord(f"--raw is {wanted!r}; expected {WRK} or {BARE}")
    if wanted == WRK and not installed:
        raise BenchError(
            "wrk is not installed (Debian, Ubuntu: apt-get install wrk; others: https://github.com/wg/wrk); "
            "without --raw our own bare client measures the raw limit"
        )
    return wanted


def measure_with_wrk(port: int, seconds: int, folder: Path, cores: Collection[int]) -> Raw:
    script = folder / "post.lua"
    script.write_text(f'wrk.method = "POST"\nwrk.body = "{RAW_BODY.decode()}"\n')
    words = [WRK, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}/"]
    said, cpu_s, _ = _run(words, cores)
    found = _WRK_REQUESTS.search(said)
    if found is None or _WRK_FAILURES.search(said):
        raise BenchError(f"wrk did not get the answers that it should have:\n{said}")
    return Raw(cpu_s / int(found[1]) * 1e6, int(found[1]) / seconds)


def measure_with_bare_client(client: Child, receiver: Child, port: int, times: int) -> Raw:
    job = {"port": port, "times": times, "connections": CONNECTIONS, "limit_s": 60}
    done = client.ask(job, 70)
    if done["answered"] != times or done["refused"]:
        raise BenchError(f"the bare client was answered {done['answered']} of {times} times: {done['refusal']}")
    seconds = (receiver.ask({"clear": True})["last_ns"] - done["started_ns"]) / 1e9
    return Raw(done["cpu_s"] / times * 1e6, times / seconds)


def measure_handshakes(port: int, authority: Path, cores: Collection[int], seconds: int = HANDSHAKE_S) -> Raw | None:
    """Full handshakes, the certificate verified, by `openssl s_time`; None where it is not installed."""
    if shutil.which("openssl") is None:
        return None
    to = ["-connect", f"127.0.0.1:{port}", "-new", "-time", str(seconds), "-CAfile", str(authority), "-verify", "3"]
    said, cpu_s, took_s = _run(["openssl", "s_time", *to], cores)
    found = _HANDSHAKES.search(said)
    if found is None or not int(found[1]):
        raise BenchError(f"openssl s_time did not say how many handshakes it made:\n{said}")
    return Raw(cpu_s / int(found[1]) * 1e6, int(found[1]) / took_s)


def _run(words: Sequence[str], cores: Collection[int]) -> tuple[str, float, float]:
    """(what it said, its seconds of CPU, how long it ran)"""
    started = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    try:
        proc.pin(process.pid, cores)
        said, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    # Nothing else is waited for meanwhile: what children have cost more by now, this one has.
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return said, cpu_s, time.monotonic() - started
