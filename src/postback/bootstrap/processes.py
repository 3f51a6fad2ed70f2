"""Several processes of one kind: a parent that starts them, starts again what dies, and passes on when to stop.

It runs no loop and has no threads, so it may fork at any time, and what could fail in it is little.
"""

import contextlib
import gc
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from types import FrameType
from typing import Final, NoReturn

from postback.bootstrap.seat import Made, Refused, Report, Seat, read_report
from postback.bootstrap.sharing import Door
from postback.bootstrap.started import Announce, CannotStart, KeyMade, Started
from postback.bootstrap.stopping import HURRY, SIGNALS, STOP, heed_no_more
from postback.domain.errors import PostbackError
from postback.observability import Log, SharedStream, start_logging

AGAIN_AFTER_S: Final = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Waits before a process is started again, by how often in a row it has died; the last one stays."""

STEADY_S: Final = 10.0
"""Whoever has lived for so long did not die in a row."""

FOLDER_BYTES: Final = 96
"""As long may the folder of the processes' sockets be: with a number it is an address, of which systems take 104 bytes."""


def wait_s(deaths: int) -> float:
    """How long to wait after so many deaths in a row, of which there is one at least."""
    return AGAIN_AFTER_S[min(deaths, len(AGAIN_AFTER_S)) - 1]


def run_many(
    count: int,
    door: Door | None,
    log_level: str,
    work: Callable[[Seat], int],
    announce: Announce,
) -> int:
    """Run `work` in so many processes until SIGTERM or SIGINT; the exit code. A second signal interrupts what is under way.

    The first starts alone; what it makes the others find. `announce` is called for a key at once, and when all answer. CannotStart where the
    first does not start; whatever dies later is started again.
    """
    try:
        folder = TemporaryDirectory(prefix="postback-", ignore_cleanup_errors=True)
    except OSError as error:
        raise CannotStart(f"there is no folder for temporary files: {error.strerror}; name one in TMPDIR") from error
    with folder as name, TemporaryFile(dir=name) as lock:
        if len(os.fsencode(name)) > FOLDER_BYTES:
            raise CannotStart(f"{name} is too long for the address of a socket; name a shorter folder in TMPDIR")
        log = start_logging(log_level, sys.stderr, _nobody_counts, SharedStream(None, lock.fileno()))
        # What is loaded is the same for all: no collection in a child is to copy it.
        gc.collect()
        gc.freeze()
        return _Parent(count, door, Path(name), lock.fileno(), work, announce, log).run()


def _nobody_counts() -> None:
    """A parent has no figures."""


@dataclass(slots=True)
class _Child:
    """`orders` is written to and `reports` read from, until it is at its end. `born_s` is monotonic."""

    number: int
    pid: int
    orders: int
    reports: int | None
    born_s: float
    said: bytes = b""
    answers: bool = False
    refused: str | None = None


class _Parent:
    def __init__(
        self,
        count: int,
        door: Door | None,
        folder: Path,
        log_lock: int,
        work: Callable[[Seat], int],
        announce: Announce,
        log: Log,
    ) -> None:
        self._count = count
        self._door = door
        self._folder = folder
        self._log_lock = log_lock
        self._work = work
        self._announce = announce
        self._log = log
        self._children: dict[int, _Child] = {}
        # When those that do not run are to be started: the first alone, until it answers.
        self._due: dict[int, float] = {1: 0.0}
        self._deaths: dict[int, int] = {}
        self._is_prepared = False
        self._started: Started | None = None
        self._is_announced = False
        self._asked = 0
        self._passed_on = 0
        self._code = 0
        self._woken, self._wakes = os.pipe()

    def run(self) -> int:
        with self._signals():
            try:
                while self._children or not self._asked:
                    self._start_due()
                    self._wait()
                    self._pass_on()
                    self._reap()
                    self._say_when_all_answer()
                return self._code
            finally:
                # None but after a bug of ours: without a parent they end by themselves.
                for child in self._children.values():
                    os.close(child.orders)
                for child in self._children.values():
                    os.waitpid(child.pid, 0)

    # --- children ------------------------------------------------------------------------------------------------

    def _start_due(self) -> None:
        now = time.monotonic()
        for number in [number for number, due in self._due.items() if due <= now]:
            if self._asked:
                return
            del self._due[number]
            try:
                child = self._start(number)
            except OSError as error:
                if not self._is_prepared:
                    raise CannotStart(f"no process can be started: {error.strerror}") from error
                self._ended(number, 0.0, error.strerror or "no process", None)
                continue
            self._children[number] = child
            self._log.info("a process was started", process=number, pid=child.pid)

    def _start(self, number: int) -> _Child:
        """OSError where the system lets no more processes or pipes be."""
        pipes: list[int] = []
        try:
            pipes += os.pipe()
            pipes += os.pipe()
            seat = Seat(
                number=number,
                count=self._count,
                is_first=not self._is_prepared,
                orders=pipes[0],
                reports=pipes[3],
                parent=os.getpid(),
                folder=self._folder,
                log_lock=self._log_lock,
                door=self._door,
            )
            # What is in a buffer at a fork is written twice.
            sys.stdout.flush()
            sys.stderr.flush()
            # Until it has handlers of its own: those of the parent would keep a signal from it.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            try:
                pid = os.fork()
                if pid == 0:
                    self._live(seat, (pipes[1], pipes[2]), before)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        except OSError:
            for one in pipes:
                os.close(one)
            raise
        os.close(pipes[0])
        os.close(pipes[3])
        os.set_blocking(pipes[2], False)
        return _Child(number, pid, pipes[1], pipes[2], time.monotonic())

    def _live(self, seat: Seat, ends_of_parent: tuple[int, int], signals: set[int | signal.Signals]) -> NoReturn:
        """The life of a child."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            # Of Ctrl-C it hears from its parent.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)
            # A pipe is at its end only when nobody else holds the other end.
            for one in (*ends_of_parent, self._woken, self._wakes, *self._ends_of_others()):
                os.close(one)
            if seat.door is not None:
                # Kept by a child it would stay taken after the parent was killed, also where nobody answers there.
                seat.door.keeper.close()
            code = self._work(seat)
        except (CannotStart, PostbackError) as error:
            seat.report(Refused(str(error)))
        except BaseException:  # noqa: BLE001 - a process's last words
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            # What the parent is to do at its end is not for the child to do.
            os._exit(code)

    def _ends_of_others(self) -> Iterator[int]:
        for child in self._children.values():
            yield child.orders
            if child.reports is not None:
                yield child.reports

    def _reap(self) -> None:
        for child in list(self._children.values()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if not pid:
                continue
            self._hear(child)
            del self._children[child.number]
            os.close(child.orders)
            if child.reports is not None:
                os.close(child.reports)
            code = os.waitstatus_to_exitcode(status)
            if self._asked:
                # One that had not started yet was ended at once, and held nothing.
                self._code = max(self._code, 0 if code == 0 or not child.answers else 1)
                continue
            how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
            if not self._is_prepared:
                raise CannotStart(
                    child.refused or f"the first process ended before it had started ({how}); what it said stands above"
                )
            if code == 0 and child.answers:
                self._renewed(child.number)
                continue
            lived_s = time.monotonic() - child.born_s if child.answers else 0.0
            self._ended(child.number, lived_s, how, child.refused)

    def _renewed(self, number: int) -> None:
        """One was told to end by somebody else, and did it well: there is nothing to wait for."""
        self._due[number] = time.monotonic()
        self._log.info("a process ended on SIGTERM; another takes its place", process=number)

    def _ended(self, number: int, lived_s: float, how: str, why: str | None) -> None:
        self._deaths[number] = 1 if lived_s >= STEADY_S else self._deaths.get(number, 0) + 1
        again_s = wait_s(self._deaths[number])
        self._due[number] = time.monotonic() + again_s
        self._log.error(
            "a process ended by itself; it is started again", process=number, how=how, why=why, in_s=again_s
        )

    # --- what is heard and said ------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Until a signal, a report, or the time to start somebody."""
        next_due = min(self._due.values(), default=None) if not self._asked else None
        timeout = None if next_due is None else max(0.0, next_due - time.monotonic())
        reports = {child.reports: child for child in self._children.values() if child.reports is not None}
        for one in select.select([self._woken, *reports], [], [], timeout)[0]:
            if one == self._woken:
                os.read(one, 4096)
            else:
                self._hear(reports[one])

    def _hear(self, child: _Child) -> None:
        """Whatever it has reported by now."""
        while child.reports is not None:
            try:
                said = os.read(child.reports, 65536)
            except BlockingIOError:
                break
            child.said += said
            if not said:
                os.close(child.reports)
                child.reports = None
        *lines, child.said = child.said.split(b"\n")
        for line in lines:
            self._take(child, read_report(line))

    def _take(self, child: _Child, report: Report) -> None:
        if isinstance(report, Refused):
            child.refused = report.why
            return
        if isinstance(report, Made):
            self._announce(KeyMade(report.key))
            return
        child.answers = True
        if not self._is_prepared:
            self._is_prepared = True
            self._started = report.started
            self._due |= dict.fromkeys(range(2, self._count + 1), 0.0)

    def _say_when_all_answer(self) -> None:
        if self._is_announced or self._asked:
            return
        if len(self._children) == self._count and all(child.answers for child in self._children.values()):
            self._is_announced = True
            self._announce(self._started)

    def _pass_on(self) -> None:
        """Each request once, however it came: a child takes a signal for a request to end well."""
        while self._passed_on < min(self._asked, 2):
            order = (STOP, HURRY)[self._passed_on]
            self._passed_on += 1
            for child in self._children.values():
                # One that has just died is found so in a moment.
                with contextlib.suppress(BrokenPipeError):
                    os.write(child.orders, order)
                if not child.answers:
                    # It does not hear yet, and may be waiting for a database that does not answer.
                    os.kill(child.pid, signal.SIGTERM)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def asked(_number: int, _frame: FrameType | None) -> None:
            self._asked += 1

        def ended(_number: int, _frame: FrameType | None) -> None:
            """It has woken the parent."""

        os.set_blocking(self._wakes, False)
        wakeup = signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        handlers = {name: signal.signal(name, asked) for name in SIGNALS}
        handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, ended)
        try:
            yield
        finally:
            if self._asked:
                heed_no_more()
                handlers = {signal.SIGCHLD: handlers[signal.SIGCHLD]}
            for name, handler in handlers.items():
                signal.signal(name, handler)
            signal.set_wakeup_fd(wakeup)
            os.close(self._woken)
            os.close(self._wakes)
