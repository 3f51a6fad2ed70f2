"""Programs of ours in processes of their own: a line of JSON asks, a line of JSON answers."""

import json
import select
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, Final, cast

from postback.bench import proc
from postback.bench.errors import BenchError

START_S: Final = 20.0
STOP_S: Final = 5.0


class Child:
    """A running program; it also ends by itself when the one who asks is gone."""

    def __init__(self, process: "subprocess.Popen[str]", name: str) -> None:
        self._name = name
        self._questions, self._answers = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)

    def ask(self, question: object, within_s: float = START_S) -> Any:
        """BenchError when it says nothing within that time, or has ended."""
        try:
            self._questions.write(json.dumps(question) + "\n")
            self._questions.flush()
        except OSError:
            raise self._gone() from None
        return self.answer(within_s)

    def answer(self, within_s: float) -> Any:
        # One line answers one question, so nothing waits in the buffer that select would not see.
        if not select.select([self._answers], [], [], within_s)[0]:
            raise BenchError(f"the {self._name} said nothing for {within_s:.0f} s")
        line = self._answers.readline()
        if not line:
            raise self._gone()
        return json.loads(line)

    def _gone(self) -> BenchError:
        return BenchError(f"the {self._name} has ended; what it said stands above")


@contextmanager
def child(name: str, argument: object, environment: Mapping[str, str], cores: Collection[int]) -> Iterator[Child]:
    """`postback.bench.<name>` on these cores, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"postback.bench.{name}", json.dumps(argument)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for whoever started this: it ends the others itself, in order.
        process_group=0,
    )
    try:
        proc.pin(process.pid, cores)
        yield Child(process, name)
    finally:
        stop(process)


def stop(process: "subprocess.Popen[Any]") -> None:
    """End it, and by force when it takes longer than STOP_S."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also when a second Ctrl-C came meanwhile.
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
