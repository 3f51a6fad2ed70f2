"""The one place that joins the parts: everything else is given what it uses."""

import asyncio
import contextlib
import gc
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import uvicorn

from postback.actions.secrets import OWN_SECRET_MIN, hash_of
from postback.api.app import build
from postback.api.services import Services
from postback.domain.accounts import Account
from postback.domain.addresses import AddressRules
from postback.domain.errors import NotFound, Unavailable
from postback.domain.ids import ACCOUNT_DEFAULT, SLOTS, IdSource, encode
from postback.domain.records import LOCATION, Insert
from postback.domain.telemetry import Backlog, Standing
from postback.engine.engine import Engine, Limits
from postback.observability import CannotTrace, Log, Observing
from postback.ports import Query
from postback.resources import RESOURCES, new_record
from postback.settings import Settings
from postback.storage.accounts import SqlAccounts
from postback.storage.audit import SqlAudit
from postback.storage.backlog import backlog
from postback.storage.configs import SqlConfigs
from postback.storage.log import SqlLog
from postback.storage.records import SqlRecords
from postback.storage.secret_file import keep_private
from postback.storage.sqlite import SqliteStore
from postback.storage.stats import SqlStats
from postback.storage.troubles import SqlTroubles
from postback.transport.guard import Guard
from postback.transport.resolver import CaresResolver, Families
from postback.transport.sender import HttpSender
from postback.transport.tls import client_context

BACKLOG: Final = 4096
REQUESTS_END_S: Final = 2
TESTS_END_S: Final = 1
SETTLEMENTS_END_S: Final = 4
"""How long API requests under way may take at the end, of these the ones that wait for a receiver, and the last settlements
after the grace: together with its 20 s less than the 30 s after which supervisors kill."""

IDLE_CONNECTION_S: Final = 75
BROKEN_S: Final = 1.0
"""After a failed fsync nothing more can be made durable: the process ends within so many seconds."""


@dataclass(frozen=True, slots=True)
class Started:
    """What is worth saying once the server answers.

    `key` is the operator key where it was made just now; `key_path` is None where POSTBACK_API_KEY gives it,
    `secret_path`, where the key of the secrets is, None where POSTBACK_SECRET_KEY does.
    `needs_public_url`: links name an address that other machines cannot use.
    """

    address: str
    key: str | None
    key_path: Path | None
    location_id: str | None
    allows_loopback: bool
    needs_public_url: bool
    secret_path: Path | None = None


class CannotStart(Exception):
    """Nothing was started; the text says why, and what would help."""


def serve(settings: Settings, announce: Callable[[Started], None]) -> int:
    """Run API and engine until SIGTERM or SIGINT; the exit code. A second signal interrupts what is under way."""
    return _run(_serve(settings, announce))


async def _serve(settings: Settings, announce: Callable[[Started], None]) -> int:
    try:
        observing = Observing.start(settings.log_level, sys.stderr, settings.otel_endpoint, os.environ)
    except CannotTrace as error:
        raise CannotStart(str(error)) from error
    with _listening(settings) as listening:
        store = await SqliteStore.open(
            settings.database,
            clock,
            lease_ms=int(settings.lease.total_seconds() * 1000),
            failed=partial(_end_now, observing.log),
            report=observing,
            secret_keys=settings.secret_keys,
        )
        try:
            return await _Server(settings, store, observing).run(listening, announce)
        finally:
            await store.close()
            await observing.close()


def clock() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


class _Server:
    """One process: the parts, joined."""

    def __init__(self, settings: Settings, store: SqliteStore, observing: Observing) -> None:
        self._settings = settings
        self._log = observing.log
        self._observing = observing
        self._store = store
        self._stopping = asyncio.Event()
        self._engine_stopping = asyncio.Event()
        rules = AddressRules(allowed=settings.networks, own=_own_addresses(settings))
        configs = SqlConfigs(store)
        self._engine = Engine(
            store,
            configs,
            HttpSender(
                CaresResolver(Families(settings.ip)),
                Guard(rules),
                context=client_context(str(settings.ca_file) if settings.ca_file else None),
                keep_answer=settings.keep_answer,
            ),
            troubles=SqlTroubles(store),
            host=socket.gethostname(),
            clock=clock,
            dice=random.random,
            now=asyncio.get_running_loop().time,
            report=observing,
            new_span=None if observing.spans is None else observing.spans.new_span,
            limits=Limits(
                places=settings.worker_capacity,
                memory=settings.worker_memory,
                lease_s=settings.lease.total_seconds(),
                grace_s=settings.grace.total_seconds(),
                retention_days=settings.retention_days,
            ),
        )
        self._services = Services(
            queue=store,
            configs=configs,
            records=SqlRecords(store, {name: resource.listed for name, resource in RESOURCES.items()}),
            accounts=SqlAccounts(store),
            log=SqlLog(store),
            audit=SqlAudit(store),
            stats=SqlStats(store),
            intake=self._engine.intake,
            courier=self._engine.courier,
            clock=clock,
            # Ids of records and configs: the last slot, which no worker of a single file reaches.
            ids=IdSource(clock, SLOTS - 1),
            public_url=settings.address_url,
            metrics=self._figures,
            ready=self._why_not_ready,
            due_now=self._engine.stored,
            addresses=rules,
            allow_http=settings.allow_http,
            retention_days=settings.retention_days,
            max_body=settings.max_body,
        )

    async def run(self, listening: socket.socket, announce: Callable[[Started], None]) -> int:
        started = await self._first_things()
        engine_started = asyncio.Event()
        api = _Api(build(self._services))
        async with asyncio.TaskGroup() as parts:
            engine = parts.create_task(self._engine.run(self._engine_stopping, engine_started.set))
            await engine_started.wait()
            answering = parts.create_task(api.serve([listening]))
            await api.ready()
            with self._signals():
                _settle_garbage()
                announce(started)
                await self._stopping.wait()

                # First nothing new comes in, then what was accepted is brought to a good end.
                api.should_exit = True
                asyncio.get_running_loop().call_later(TESTS_END_S, self._engine.courier.stop)
                await answering
                self._engine_stopping.set()
                return await self._ends(engine)

    async def _ends(self, engine: asyncio.Task[None]) -> int:
        try:
            async with asyncio.timeout(self._settings.grace.total_seconds() + SETTLEMENTS_END_S):
                await engine
        except TimeoutError:
            self._log.error("the engine did not end in time; what it held is owed again at the next start")
            return 1
        return 0

    async def _first_things(self) -> Started:
        """An operator key, and the account `default` with a location: made where they are missing."""
        services, settings = self._services, self._settings
        try:
            await services.accounts.find(ACCOUNT_DEFAULT)
            is_fresh = False
        except NotFound:
            is_fresh = True
        key = await self._operator_key(is_fresh=is_fresh)
        if is_fresh:
            await self._make_default_account()
        locations = await services.records.list(ACCOUNT_DEFAULT, LOCATION, Query(page_size=1, sort="created_ts"))
        return Started(
            address=settings.address_url,
            key=key,
            key_path=settings.key_file if settings.api_key is None else None,
            location_id=locations.items[0].id if locations.items else None,
            allows_loopback=settings.allows_loopback,
            needs_public_url=settings.needs_public_url,
            secret_path=settings.secret_file if settings.secret_key is None else None,
        )

    async def _operator_key(self, *, is_fresh: bool) -> str | None:
        """Make sure that the key which the settings or the key file name is one; a key that was made for it."""
        actions, settings = self._services.account_actions, self._settings
        if settings.api_key is not None:
            await actions.add_operator_key("POSTBACK_API_KEY", settings.api_key.get_secret_value())
            return None
        kept = _kept_key(settings.key_file)
        if kept is not None:
            known = await self._services.accounts.key_by_hash(hash_of(kept))
            if known is not None and known.account is None:
                return None
            # Its database was taken away. In one that is not fresh it was revoked, and must stay so.
            if is_fresh and len(kept) >= OWN_SECRET_MIN:
                await actions.add_operator_key("first start", kept)
                return None
        _, key = await actions.add_operator_key("first start")
        keep_private(settings.key_file, key)
        return key

    async def _make_default_account(self) -> None:
        services, now_ms = self._services, clock()
        await services.accounts.save(Account(id=ACCOUNT_DEFAULT, created_ms=now_ms, modified_ms=now_ms))
        location = new_record(
            RESOURCES[LOCATION],
            {"name": "Main"},
            account=ACCOUNT_DEFAULT,
            id="loc_" + encode(services.ids()),
            now_ms=now_ms,
        )
        await services.records.apply([Insert(location)])

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGTERM or SIGINT asks for a good end, the second for a quick one."""
        loop = asyncio.get_running_loop()
        hurrying: set[asyncio.Task[None]] = set()

        def stop() -> None:
            if self._stopping.is_set():
                self._engine_stopping.set()
                hurrying.add(loop.create_task(self._engine.hurry()))
            self._stopping.set()

        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop)
        try:
            yield
        finally:
            for name in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(name)

    async def _figures(self) -> bytes:
        standing = Standing(
            ready=self._why_not_ready() is None,
            in_hand=self._engine.figures(),
            backlog=await self._backlog(),
            database_bytes=_size(self._store.path),
            log_bytes=_size(Path(f"{self._store.path}-wal")),
        )
        return self._observing.figures(standing)

    async def _backlog(self) -> Backlog | None:
        try:
            return await backlog(self._store)
        except Unavailable:
            # A store that cannot be read is when figures are looked at: the others are answered all the same.
            return None

    def _why_not_ready(self) -> str | None:
        if self._stopping.is_set():
            return "the server is stopping"
        return self._store.broken


class _Api(uvicorn.Server):
    """uvicorn on our loop; signals are for the whole process, not for it."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=IDLE_CONNECTION_S,
                timeout_graceful_shutdown=REQUESTS_END_S,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def ready(self) -> None:
        while not self.started:
            await asyncio.sleep(0.005)


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Take the port before anything else is touched: a second server on it gets a clear word at once."""
    host, port = settings.listen
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except OSError as error:
            raise CannotStart(
                f"cannot listen on {settings.listen}: {os.strerror(error.errno or 0)}; choose another address with POSTBACK_LISTEN"
            ) from error
        listening.setblocking(False)
        yield listening


def _own_addresses(settings: Settings) -> frozenset[tuple[Any, int]]:
    """Where we listen: a postback to ourselves could go round for ever."""
    host, port = settings.listen
    hosts = {"127.0.0.1", "::1"} if host == "localhost" else {host}
    if settings.listen.is_every:
        hosts |= _addresses_of_this_machine()
    return frozenset((ip_address(one), port) for one in hosts)


def _addresses_of_this_machine() -> set[str]:
    """As its own name says; a machine whose name nobody knows has none to add."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {str(address[0]).partition("%")[0] for *_, address in found}


def _kept_key(path: Path) -> str | None:
    """The secret that an earlier start wrote down, None where there is none."""
    try:
        return path.read_text("ascii").strip() or None
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}; it keeps the operator key") from error


def _end_now(log: Log, why: str) -> None:
    """Nothing that was acknowledged is lost by this; going on could lose what is acknowledged next."""
    log.error("the store is broken; the process ends, and may be started again", why=why)
    asyncio.get_running_loop().call_later(BROKEN_S, os._exit, 1)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _settle_garbage() -> None:
    """What was made at the start stays: no collection needs to look at it again, and the rest is young or in use."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _run(main: Coroutine[Any, Any, int]) -> int:
    """On uvloop where it exists: the same work costs less than half there."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
