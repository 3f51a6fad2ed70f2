"""Where log lines go: one JSON object a line, or coloured columns where a person looks."""

import logging
from collections.abc import Callable, MutableMapping
from typing import Any, Final, Protocol, TextIO

import msgspec
import structlog

EXCERPT: Final = 1024
TRACEBACK: Final = 16 * 1024


class Log(Protocol):
    """What structlog's loggers are used for here."""

    def is_enabled_for(self, level: int) -> bool: ...

    def info(self, event: str, /, **facts: object) -> object: ...

    def warning(self, event: str, /, **facts: object) -> object: ...

    def error(self, event: str, /, **facts: object) -> object: ...


def start_logging(level: str, stream: TextIO, lost: Callable[[], None]) -> Log:
    """One JSON object a line; coloured columns where a person looks. Also for libraries that log by `logging`."""
    lines = LogStream(stream, lost)
    pretty = stream.isatty()
    threshold = getattr(logging, level.upper())
    steps: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _printable if pretty else _bounded,
    ]
    render: Any = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(serializer=_json)
    structlog.configure(
        processors=[*steps, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
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


class LogStream:
    """Where log lines go. A reader that went away must not take the server with it: what it misses is counted."""

    def __init__(self, stream: TextIO, lost: Callable[[], None]) -> None:
        self._stream = stream
        self._lost = lost

    def write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            self._lost()

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._lost()


def excerpt(text: str, limit: int = EXCERPT) -> str:
    """Text from elsewhere, fit for a log: at most so many characters, and nothing that cannot be written as UTF-8."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut.encode("utf-8", "backslashreplace").decode()


_Facts = MutableMapping[str, Any]

_FIRST: Final[dict[str, Any]] = {"timestamp": None, "level": None, "event": None}
"""What each line has, and a reader looks for first: a dict keeps the order of what it was made with."""


def _plain(_logger: object, _method: str, facts: _Facts) -> _Facts:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(_logger, _method, facts)


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
    return msgspec.json.encode({**_FIRST, **facts}, enc_hook=str).decode()
