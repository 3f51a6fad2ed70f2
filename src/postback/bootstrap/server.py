"""One server process, joined of its parts, from its start to its end."""

import asyncio
import contextlib
import os
import random
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

from postback.api.services import Services
from postback.bootstrap.figures import Figures
from postback.bootstrap.first_start import FirstStart
from postback.bootstrap.held import AfterRestore, demand_not_held, hold_alone
from postback.bootstrap.listening import Api, listening, own_addresses
from postback.bootstrap.portal import first_user, portal_services, with_portal
from postback.bootstrap.process import end_now, ends_within, run, settle_garbage
from postback.bootstrap.processes import run_many
from postback.bootstrap.proxies import behind
from postback.bootstrap.role import SERVER, WORKER, Role
from postback.bootstrap.seat import Answers, Made, Seat
from postback.bootstrap.sharing import kept, shared
from postback.bootstrap.started import Announce, CannotStart, KeyMade, Restored, Started
from postback.bootstrap.stopping import ended_by_parent, told_by_parent, told_by_signals
from postback.domain.addresses import AddressRules
from postback.engine.engine import Engine, Limits
from postback.observability import CannotTrace, Observing, SharedStream
from postback.resources import RESOURCES
from postback.settings import Settings
from postback.storage.accounts import SqlAccounts
from postback.storage.audit import SqlAudit
from postback.storage.configs import SqlConfigs
from postback.storage.in_use import has_configs
from postback.storage.links import SqlSignInLinks
from postback.storage.log import SqlLog
from postback.storage.records import SqlRecords
from postback.storage.stats import SqlStats
from postback.storage.stores import Store, open_store
from postback.storage.troubles import SqlTroubles
from postback.transport.guard import Guard
from postback.transport.resolver import CaresResolver, Families
from postback.transport.sender import HttpSender
from postback.transport.tls import client_context

TESTS_END_S: Final = 1
SETTLEMENTS_END_S: Final = 4
"""How long API requests that wait for a receiver may take at the end, and the last settlements after the grace: together
with its 20 s and the other requests' 2 s less than the 30 s after which supervisors kill. Where the store does not take
them, so long after the last attempt."""

Ask = Callable[[Restored], Awaitable[None]]
"""Tells somebody what would be sent after a restore, and releases it when they say so."""


def serve(settings: Settings, announce: Announce, ask: Ask | None = None) -> int:
    """Run API and engine until SIGTERM or SIGINT; the exit code. A second signal interrupts what is under way.

    With `ask` it is a start after a restore, of one process: held, where something is owed.
    """
    if ask is not None:
        return run(_work(settings, SERVER, None, announce, ask))
    return _start(settings, SERVER, announce)


def work(settings: Settings, announce: Announce) -> int:
    """The same without the API. Nothing is known of the start: `announce` is called with None."""
    return _start(settings, WORKER, announce)


def _start(settings: Settings, role: Role, announce: Announce) -> int:
    """In as many processes as the settings say."""
    if settings.processes == 1:
        return run(_work(settings, role, None, announce))

    def of_several(seat: Seat) -> int:
        def tell(news: KeyMade | Started | None) -> None:
            seat.report(Made(news.key) if isinstance(news, KeyMade) else Answers(news))

        return run(_work(settings, role, seat, tell))

    address = role.listens_on(settings)
    with contextlib.nullcontext() if address is None else kept(address, role.setting) as door:
        return run_many(settings.processes, door, settings.log_level, of_several, announce)


async def _work(settings: Settings, role: Role, seat: Seat | None, announce: Announce, ask: Ask | None = None) -> int:
    """The life of a process, which is alone where it has no seat."""
    stream = None if seat is None else SharedStream(seat.number, seat.log_lock)
    try:
        observing = Observing.start(settings.log_level, sys.stderr, settings.otel_endpoint, os.environ, stream)
    except CannotTrace as error:
        raise CannotStart(str(error)) from error
    with _taken(settings, role, seat) as taken, _bound_to_parent(seat):
        store = await open_store(
            settings.database,
            clock,
            lease_ms=int(settings.lease.total_seconds() * 1000),
            failed=partial(end_now, observing.log),
            report=observing.report,
            secret_keys=settings.secret_keys,
        )
        try:
            return await _Server(settings, role, seat, store, observing, ask).run(taken, announce)
        finally:
            await store.close()
            await observing.close()


def _bound_to_parent(seat: Seat | None) -> contextlib.AbstractContextManager[None]:
    """One of several ends with its parent also while it waits for a database, when it holds nothing and hears nothing."""
    if seat is None:
        return contextlib.nullcontext()

    def end() -> None:
        seat.leave()
        os._exit(0)

    return ended_by_parent(seat.orders, end)


def _taken(
    settings: Settings, role: Role, seat: Seat | None
) -> contextlib.AbstractContextManager[socket.socket | None]:
    """What the process accepts connections on, if it does."""
    address = role.listens_on(settings)
    if address is None:
        return contextlib.nullcontext()
    if seat is None or seat.door is None:
        return listening(address, role.setting)
    return shared(seat.door)


def clock() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


class _Server:
    """One process: the parts, joined."""

    def __init__(
        self,
        settings: Settings,
        role: Role,
        seat: Seat | None,
        store: Store,
        observing: Observing,
        ask: Ask | None,
    ) -> None:
        self._settings = settings
        self._ask = ask
        self._role = role
        self._seat = seat
        self._log = observing.log
        self._observing = observing
        self._store = store
        self._stopping = asyncio.Event()
        self._engine_stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        rules = AddressRules(allowed=tuple(role.networks(settings)), own=own_addresses(settings))
        configs = SqlConfigs(store)
        # What all processes of a database go by.
        clock = store.clock
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
            report=observing.report,
            new_span=None if observing.spans is None else observing.spans.new_span,
            is_held=ask is not None,
            limits=Limits(
                places=settings.worker_capacity,
                memory=settings.worker_memory,
                lease_s=settings.lease.total_seconds(),
                grace_s=settings.grace.total_seconds(),
                retention_days=settings.retention_days,
            ),
        )
        self._held = AfterRestore(store, configs, self._engine)
        self._figures = Figures(observing, self._engine, store, seat, lambda: self._why_not_ready() is None)
        self._services = Services(
            queue=store,
            configs=configs,
            records=SqlRecords(store, {name: resource.listed for name, resource in RESOURCES.items()}),
            accounts=SqlAccounts(store),
            links=SqlSignInLinks(store),
            log=SqlLog(store),
            audit=SqlAudit(store),
            stats=SqlStats(store),
            intake=self._engine.intake,
            courier=self._engine.courier,
            held=self._held,
            clock=clock,
            # Of the worker's slot, which no other process has: ids of records and configs are nobody else's either.
            ids=self._engine.intake.event_id,
            public_url=settings.address_url,
            metrics=self._figures.all,
            ready=self._why_not_ready,
            due_now=self._engine.stored,
            addresses=rules,
            allow_http=settings.allow_http,
            retention_days=settings.retention_days,
            max_body=settings.max_body,
        )
        self._portal = portal_services(
            store, self._services, self._stopping, security_contact=settings.security_contact
        )
        store.on_due(lambda config_ids: self._engine.due() if config_ids else self._engine.stored())

    async def run(self, taken: socket.socket | None, announce: Announce) -> int:
        restored = await self._after_restore()
        # Before anything is made, claimed or answered: from then on the end has to be a good one.
        with self._told_to_stop():
            started = await self._prepare(announce)
            if self._stopping.is_set():
                return 0
            return await self._serve(taken, restored, lambda: announce(started))

    async def _serve(self, taken: socket.socket | None, restored: Restored | None, announce: Callable[[], None]) -> int:
        engine_started = asyncio.Event()
        siblings = self._figures.siblings
        async with (
            siblings.answered() if siblings else contextlib.nullcontext(),
            asyncio.TaskGroup() as parts,
        ):
            engine = parts.create_task(self._engine.run(self._engine_stopping, engine_started.set))
            hurrying = parts.create_task(self._hurry())
            await engine_started.wait()
            end_answers = await self._answer(parts, taken)
            settle_garbage()
            announce()
            asking = parts.create_task(self._ask_whether_to_send(restored)) if restored else None
            await self._stopping.wait()
            if asking is not None:
                asking.cancel()

            # First nothing new comes in, then what was accepted is brought to a good end.
            asyncio.get_running_loop().call_later(TESTS_END_S, self._engine.courier.stop)
            await end_answers()
            self._engine_stopping.set()
            code = await self._ends(engine)
            hurrying.cancel()
            return code

    async def _after_restore(self) -> Restored | None:
        """What the copy knows and owes, where it is a start after a restore; on a file nobody else can start meanwhile."""
        is_shared = self._settings.is_on_a_server
        if self._ask is None:
            if is_shared:
                await demand_not_held(self._store, self._settings.shown_database)
            return None
        if is_shared:
            await hold_alone(self._store)
        return await self._held.look()

    async def _ask_whether_to_send(self, restored: Restored) -> None:
        if self._ask is None:
            return
        if self._held.is_held:
            owing = restored.owing
            self._log.warning(
                "held after a restore", owed=owing.owed, owed_in_copy=owing.in_copy, replays=owing.replays
            )
        await self._ask(restored)
        self._log.info("delivers after a restore")

    async def _prepare(self, tell: Callable[[KeyMade], None]) -> Started | None:
        if not self._role.prepares or (self._seat is not None and not self._seat.is_first):
            return None
        services = self._services
        async with self._store.alone():
            first = FirstStart(self._settings, services.accounts, services.records, services.clock, tell)
            made = replace(await first.make(), is_in_use=self._ask is not None or await has_configs(self._store))
            path = await first_user(self._settings, self._portal.users)
            return made if path is None else replace(made, join_link=services.base_url + path)

    async def _answer(self, parts: asyncio.TaskGroup, taken: socket.socket | None) -> Callable[[], Awaitable[None]]:
        """Answer requests from now on; what is returned ends that, and returns when the last was answered."""
        if taken is None:
            return _nothing_to_end
        app = self._role.app(self._services)
        if self._role.has_portal:
            app = with_portal(app, self._portal)
        api = Api(behind(app, self._settings.trusted_proxies), self._role.publish(self._services))
        answering = parts.create_task(api.serve([taken]))
        await api.ready()

        async def end() -> None:
            api.should_exit = True
            await answering

        return end

    async def _ends(self, engine: asyncio.Task[None]) -> int:
        patience_s = self._settings.grace.total_seconds() + SETTLEMENTS_END_S
        if await ends_within(engine, patience_s, SETTLEMENTS_END_S, self._waits_in_vain):
            return 0
        self._log.error("the engine did not end in time; what it held is owed again at the next start")
        return 1

    def _waits_in_vain(self) -> bool:
        """Nothing is under way any more, and the store does not take what is left to be written."""
        return self._store.trouble is not None and not self._engine.figures().attempts

    def _told_to_stop(self) -> contextlib.AbstractContextManager[None]:
        if self._seat is None:
            return told_by_signals(self._stopping.set, self._hurrying.set)
        return told_by_parent(self._seat.orders, self._stopping.set, self._hurrying.set)

    async def _hurry(self) -> None:
        """Once a second request came: nothing waits for the answers that are still under way."""
        await self._hurrying.wait()
        self._engine_stopping.set()
        await self._engine.hurry()

    def _why_not_ready(self) -> str | None:
        if self._stopping.is_set():
            return "the server is stopping"
        if self._held.is_held:
            return "held after a restore: events are accepted and nothing is delivered until `postback release`"
        return self._store.trouble


async def _nothing_to_end() -> None:
    """It answers nobody."""
