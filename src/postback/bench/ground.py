"""What the runs of a bench stand on: processes, each on its core, in a folder that goes away with them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Final, Self

from postback.bench import proc, raw
from postback.bench.certificates import make_certificates
from postback.bench.children import START_S, Child, child
from postback.bench.raw import Raw
from postback.bench.server import Server, Store, make_store, start_server

_RAW_S: Final = 1
_RAW_TIMES: Final = 40_000
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """How they are to be started. `environment` is that of each, without settings of the product."""

    environment: Mapping[str, str]
    database: str
    raw_client: str
    port: int | None
    log_level: str
    is_quick: bool


class Ground:
    """The processes that last as long as the bench; those of a run are started for it."""

    def __init__(self, wanted: Processes, cores: proc.Cores) -> None:
        self.is_quick = wanted.is_quick
        self._wanted = wanted
        self._cores = cores
        self._numbers = 0
        self._raw: Raw | None = None
        self._shared: Server | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(TemporaryDirectory(prefix="postback-bench-")))
            self.authority, self._certificate = make_certificates(self.folder)
            self.load = stack.enter_context(self._child("load", None))
            self._client = stack.enter_context(self._child("load", None, self._cores.engine))
            self._raw_receiver, ports = stack.enter_context(self.receivers([{"count": 1}], tls=False))
            [self._raw_port] = ports
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def raw(self) -> Raw:
        """Measured beside each run, for the machine is not the same all the time; once where it is to be quick."""
        if self._raw is None or not self.is_quick:
            if self._wanted.raw_client == raw.WRK:
                self._raw = raw.measure_with_wrk(self._raw_port, _RAW_S, self.folder, self._cores.engine)
            else:
                times = _RAW_TIMES // 20 if self.is_quick else _RAW_TIMES
                self._raw_receiver.ask({"clear": True})
                self._raw = raw.measure_with_bare_client(self._client, self._raw_receiver, self._raw_port, times)
        return self._raw

    def handshakes(self, port: int) -> Raw | None:
        seconds = 1 if self.is_quick else raw.HANDSHAKE_S
        return raw.measure_handshakes(port, self.authority, self._cores.engine, seconds)

    def server(self) -> AbstractContextManager[Server]:
        """On a fresh store."""
        if not self.is_quick:
            return self._server()
        if self._shared is None:
            self._shared = self._stack.enter_context(self._server())
        return nullcontext(self._shared)

    def store(self) -> AbstractContextManager[Store]:
        """A fresh one, for servers that come after each other."""
        return make_store(self._wanted.database)

    def server_on(
        self, store: Store, *, port: int | None = None, settings: Mapping[str, str] = _NONE
    ) -> AbstractContextManager[Server]:
        return start_server(
            store,
            environment=self._wanted.environment,
            settings={
                "POSTBACK_CA_FILE": str(self.authority),
                "POSTBACK_LOG_LEVEL": self._wanted.log_level,
                **settings,
            },
            port=self._wanted.port if port is None else port,
            cores=self._cores,
        )

    @contextmanager
    def receivers(self, groups: Sequence[Mapping[str, object]], *, tls: bool) -> Iterator[tuple[Child, Sequence[int]]]:
        certificate = str(self._certificate) if tls else None
        with self._child("receiver", {"groups": groups, "certificate": certificate}) as started:
            yield started, started.answer(START_S)["ports"]

    @contextmanager
    def _server(self) -> Iterator[Server]:
        with self.store() as store, self.server_on(store) as server:
            yield server

    def _child(
        self, name: str, argument: object, cores: Collection[int] | None = None
    ) -> AbstractContextManager[Child]:
        return child(name, argument, self._wanted.environment, self._cores.others if cores is None else cores)
