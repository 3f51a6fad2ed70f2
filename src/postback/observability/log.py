"""Where log lines go: one JSON object a line, or coloured columns where a person looks."""

import asyncio
import contextlib
import fcntl
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Final, Protocol, TextIO

import msgspec
import structlog

from postback.observability.line import AttemptLine

EXCERPT: Final = 1024
TRACEBACK: Final = 16 * 1024


class Log(Protocol):
    """What structlog's loggers are used for here."""

    def is_enabled_for(self, level: int) -> bool: ...

    def info(self, event: str, /, **facts: object) -> object: ...

    def warning(self, event: str, /, **facts: object) -> object: ...

    def error(self, event: str, /, **facts: object) -> object: ...

    def line(self, line: AttemptLine, /) -> None:
        """What the method named by its level does with its facts, but whether that level is on is for the caller to ask:
        each attempt writes one, and this way costs a sixth."""


@dataclass(frozen=True, slots=True)
class SharedStream:
    """What a process needs to know where several write to one stream: its number, which its lines end with (None for the
    parent of the others), and the descriptor of a file that is locked while one of them writes."""

    process: int | None
    lock: int


def start_logging(level: str, stream: TextIO, lost: Callable[[], None], shared: SharedStream | None = None) -> Log:
    """One JSON object a line; coloured columns where a person looks. Also for libraries that log by `logging`."""
    lines = LogStream(stream, lost, None if shared is None else shared.lock)
    process = None if shared is None else shared.process
    pretty = stream.isatty()
    threshold = getattr(logging, level.upper())
    steps: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _printable if pretty else _bounded,
    ]
    if process is not None:
        steps.append(partial(_numbered, process))
    render: Any = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(serializer=_json)
    structlog.configure(
        processors=[*steps, render],
        wrapper_class=_with_lines(structlog.make_filtering_bound_logger(threshold), None if pretty else lines, process),
        logger_factory=structlog.WriteLoggerFactory(lines),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(lines)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=steps, processors=[_plain, render]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING) if level != "debug" else threshold)
    log: Log = structlog.get_logger().bind()
    return log


def _with_lines(logger_class: type[Any], lines: "LogStream | None", process: int | None) -> type[Any]:
    """The same class of loggers with the method `line`: straight to the lines, or through columns where there are none."""
    if lines is None:

        def line(self: Any, line: AttemptLine, /) -> None:
            getattr(self, line.level)(**line.facts())

    else:
        write = lines.write
        end = "\n" if process is None else f',"process":{process}}}\n'
        # Its last brace comes after the number.
        stop = None if process is None else -1

        def line(self: Any, line: AttemptLine, /) -> None:  # noqa: ARG001
            # The other members follow the first within the same braces.
            now_ns = time.time_ns()  # noqa: TID251 - a line says when it was written, by the clock that structlog reads
            write(f'{{"timestamp":"{stamp(now_ns)}",{_encode(line).decode()[1:stop]}{end}')

    return type("Logger", (logger_class,), {"line": line})


def stamp(unix_ns: int) -> str:
    """As structlog's TimeStamper(fmt="iso", utc=True) writes it, in a quarter of its time."""
    micros = unix_ns // 1000
    fraction = micros % 1_000_000
    second = _second(micros // 1_000_000)
    return f"{second}.{fraction:06}Z" if fraction else f"{second}Z"


# The same for all lines of a second.
@lru_cache(maxsize=2)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class LogStream:
    """Where log lines go: those of one turn of the loop in one write. A reader that went away must not take the server with
    it: what it misses is counted.

    `lock` is the descriptor of a file that is locked meanwhile, where other processes write to the same stream: the
    system keeps together only what is short, and of that only what finds room at once.
    """

    def __init__(self, stream: TextIO, lost: Callable[[], None], lock: int | None = None) -> None:
        self._stream = stream
        self._lost = lost
        self._lock = lock
        self._waiting: deque[str] = deque()

    def write(self, text: str) -> None:
        self._waiting.append(text)
        if len(self._waiting) > 1:
            return
        try:
            asyncio.get_running_loop().call_soon(self._write_out)
        except RuntimeError:
            # Before the loop runs, after it, or on another thread.
            self._write_out()

    def flush(self) -> None:
        """Loggers ask for it after each line: what is not written yet is on its way."""

    def _write_out(self) -> None:
        lines = []
        # One at a time: other threads write as well.
        with contextlib.suppress(IndexError):
            while True:
                lines.append(self._waiting.popleft())
        try:
            with _UNLOCKED if self._lock is None else _locked(self._lock):
                self._stream.write("".join(lines))
                self._stream.flush()
        except (OSError, ValueError):
            for _ in lines:
                self._lost()


_UNLOCKED: Final = contextlib.nullcontext()


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """While no other process is in it. The lock is the process's, also where the descriptor was inherited, and ends with
    it."""
    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)


def excerpt(text: str, limit: int = EXCERPT) -> str:
    """Text from elsewhere, fit for a log: at most so many characters, and nothing that cannot be written as UTF-8."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut.encode("utf-8", "backslashreplace").decode()


_Facts = MutableMapping[str, Any]

_FIRST: Final[dict[str, Any]] = {"timestamp": None, "level": None, "event": None}
"""What each line has, and a reader looks for first: a dict keeps the order of what it was made with."""


_encode = msgspec.json.Encoder(enc_hook=str).encode


def _plain(_logger: object, _method: str, facts: _Facts) -> _Facts:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(_logger, _method, facts)


def _numbered(process: int, _logger: object, _method: str, facts: _Facts) -> _Facts:
    facts["process"] = process
    return facts


def _bounded(_logger: object, _method: str, facts: _Facts) -> _Facts:
    if "exception" in facts:
        facts["exception"] = excerpt(facts["exception"], TRACEBACK)
    return facts


def _printable(_logger: object, _method: str, facts: _Facts) -> _Facts:
    """Escape what would move a terminal's cursor or begin a line that was never logged."""
    for name, value in facts.items():
        if isinstance(value, str) and name != "exception" and not value.isprintable():
            facts[name] = value.encode("unicode_escape").decode("ascii")
    return facts


def _json(facts: _Facts, **_: object) -> str:
    return _encode({**_FIRST, **facts}).decode()
