"""An API on a real store, and a client that speaks to it without a socket."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

from starlette.types import ASGIApp

from postback.actions.secrets import hash_of, new_secret, prefix_of
from postback.api.app import build
from postback.api.services import Services
from postback.bootstrap.held import AfterRestore
from postback.domain.accounts import Account, ApiKey, Scope
from postback.domain.addresses import AddressRules, networks
from postback.domain.configs import expands_of
from postback.domain.deliveries import Accepted, NewDeliveries, Refused, Target
from postback.domain.events import Event
from postback.domain.ids import ACCOUNT_DEFAULT, IdSource
from postback.domain.wire import Outcome, Request
from postback.engine.attempt import Attempter
from postback.engine.courier import TestCourier
from postback.engine.engine import Engine, Limits
from postback.ports import Clock, Configs, NewEvent, Queue, Worker
from postback.resources import RESOURCES
from postback.storage.accounts import SqlAccounts
from postback.storage.audit import SqlAudit
from postback.storage.configs import SqlConfigs
from postback.storage.links import SqlSignInLinks
from postback.storage.log import SqlLog
from postback.storage.records import SqlRecords
from postback.storage.sqlite import SqliteStore
from postback.storage.stats import SqlStats
from postback.storage.troubles import SqlTroubles
from tests.asked import ask
from tests.build import answered
from tests.databases import new_database
from tests.doubles import ClockDouble

PUBLIC_URL = "https://api.example"
OPERATOR = "operator-key-of-24-characters"


class PlainIntake:
    """Matches with the configs as they are now and accepts; whoever claims later carries out."""

    def __init__(self, queue: Queue, configs: Configs, worker: Worker, clock: Clock) -> None:
        self._queue = queue
        self._configs = configs
        self._worker = worker
        self._clock = clock
        self.ids = IdSource(clock, worker.slot, worker.last_id)
        self.refuses_with: Exception | None = None

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Accepted | Refused]:
        if self.refuses_with is not None:
            raise self.refuses_with
        return await self._queue.accept(self._worker, [await self._unit(new) for new in events])

    async def _unit(self, new: NewEvent) -> NewDeliveries:
        snapshot = await self._configs.snapshot(new.account)
        event = Event(
            self.ids(), new.account, new.location_id, new.type, new.subject, new.occurred_at, self._clock(), new.data
        )
        wanting = snapshot.wanting(event)
        targets = [Target(config.id, claimed=False) for config in wanting]
        return NewDeliveries(
            event, targets, snapshot.version, new.idempotency, new.changes, new.due_at_ms, expands_of(wanting)
        )


@dataclass
class SenderDouble:
    """Remembers what was to be sent, and answers it at once."""

    outcome: Outcome = field(default_factory=answered)
    sent: list[Request] = field(default_factory=list)

    def send(self, request: Request, answered: Callable[[Outcome], None]) -> None:
        self.sent.append(request)
        answered(self.outcome)

    async def close(self, grace_s: float) -> None:
        pass


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def errors(self) -> dict[str, list[str]]:
        """What is wrong, by field; fails for an answer that is no 422."""
        assert self.status == 422, (self.status, self.body)
        errors: dict[str, list[str]] = self.json["errors"]
        return errors

    @property
    def code(self) -> str:
        code: str = self.json["error"]["code"]
        return code

    @property
    def message(self) -> str:
        message: str = self.json["error"]["message"]
        return message


@dataclass
class Client:
    """Sends as whoever holds `key`. A `dict` or `list` as body is sent as JSON, bytes as they are."""

    app: ASGIApp
    key: str | None = OPERATOR
    account: str | None = None
    peer: str = "127.0.0.1"

    def as_(self, key: str | None, account: str | None = None) -> "Client":
        return replace(self, key=key, account=account)

    async def get(self, target: str, **headers: str) -> Reply:
        return await self.send("GET", target, headers=headers)

    async def post(self, target: str, body: object = b"", **headers: str) -> Reply:
        return await self.send("POST", target, body, headers=headers)

    async def put(self, target: str, body: object = b"", **headers: str) -> Reply:
        return await self.send("PUT", target, body, headers=headers)

    async def delete(self, target: str) -> Reply:
        return await self.send("DELETE", target)

    async def send(
        self, method: str, target: str, body: object = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        raw = [(b"host", b"whatever.example")]
        if content:
            raw += [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        if self.key is not None:
            raw.append((b"authorization", f"Bearer {self.key}".encode()))
        if self.account is not None:
            raw.append((b"postback-account", self.account.encode()))
        own = {
            name.replace("_", "-").lower().encode(): value.encode(errors="surrogateescape")
            for name, value in (headers or {}).items()
        }
        raw = [(name, value) for name, value in raw if name not in own] + list(own.items())
        answered = await ask(self.app, method, target, raw, content, self.peer)
        return Reply(answered.status, dict(answered.headers), answered.body)


@dataclass
class Api:
    """Everything behind the API, for what it cannot be asked."""

    client: Client
    services: Services
    store: SqliteStore
    worker: Worker
    intake: PlainIntake
    sender: SenderDouble
    clock: ClockDouble
    woken: list[str]

    async def location(self, client: Client | None = None, name: str = "Main Street") -> str:
        reply = await (client or self.client).post("/v2/locations", {"location": {"name": name}})
        assert reply.status == 201, reply.body
        location_id: str = reply.json["location"]["id"]
        return location_id

    async def config(self, location_id: str, client: Client | None = None, **fields: Any) -> dict[str, Any]:
        sent = {
            "location_id": location_id,
            "resource": "contact",
            "on_create": "1",
            "on_update": "1",
            "on_delete": "1",
            "url": "http://127.0.0.1:9000/receiver",
            **fields,
        }
        reply = await (client or self.client).post("/v2/postbackconfigs", {"postbackconfig": sent})
        assert reply.status == 201, reply.body
        config: dict[str, Any] = reply.json["postbackconfig"]
        return config

    async def key(self, *scopes: Scope, account: str | None = ACCOUNT_DEFAULT, **changes: Any) -> str:
        """A new key with these scopes; an operator key for the account None."""
        secret = new_secret()
        key = ApiKey(
            id=f"key_{secret[-13:]}",
            account=account,
            name="made for a test",
            scopes=frozenset(scopes),
            hash=hash_of(secret),
            prefix=prefix_of(secret),
            created_ms=self.clock(),
        )
        await self.services.accounts.add_key(replace(key, **changes))
        return secret

    async def other_account(self) -> Client:
        """The client of another account, with all scopes."""
        await self.services.accounts.save(Account(id="other", created_ms=self.clock(), modified_ms=self.clock()))
        return self.client.as_(await self.key(*Scope, account="other"))

    async def deliveries(self) -> list[dict[str, Any]]:
        reply = await self.client.get("/v2/deliveries")
        assert reply.status == 200, reply.body
        deliveries: list[dict[str, Any]] = reply.json["deliveries"]
        return deliveries


async def open_api(path: Path, clock: ClockDouble, made: Path | None = None, **changes: Any) -> Api:
    """An API with the account `default` and the operator key OPERATOR, on an empty store, or on a copy of that in the
    folder `made`. Its engine does not run, and is held, so that there is something to release."""
    if made is None:
        copyfile(new_database(), path / "postback.db")
    else:
        copytree(made, path, dirs_exist_ok=True)
    store = await SqliteStore.open(path / "postback.db", clock)
    configs, accounts = SqlConfigs(store), SqlAccounts(store)
    worker = await store.enlist("here")
    intake = PlainIntake(store, configs, worker, clock)
    sender = SenderDouble()
    attempter = Attempter(sender, clock, lambda: 0.5, lambda _: None)
    courier = TestCourier(store, attempter, clock, lambda _: None, next_id=intake.ids, worker=lambda: worker)
    engine = Engine(
        store,
        configs,
        sender,
        troubles=SqlTroubles(store),
        host="here",
        clock=clock,
        dice=lambda: 0.5,
        now=asyncio.get_running_loop().time,
        report=lambda _: None,
        limits=Limits(),
        is_held=True,
    )
    woken: list[str] = []
    services = Services(
        **{
            "queue": store,
            "configs": configs,
            "records": SqlRecords(store, {name: resource.listed for name, resource in RESOURCES.items()}),
            "accounts": accounts,
            "links": SqlSignInLinks(store),
            "log": SqlLog(store),
            "audit": SqlAudit(store),
            "stats": SqlStats(store),
            "intake": intake,
            "courier": courier,
            "held": AfterRestore(store, configs, engine),
            "clock": clock,
            "ids": IdSource(clock, 511),
            "public_url": PUBLIC_URL,
            "metrics": _no_figures,
            "ready": lambda: None,
            "due_now": lambda: woken.append("due"),
            "addresses": AddressRules(allowed=networks(["127.0.0.0/8"])),
            **changes,
        }
    )
    if made is None:
        await accounts.save(Account(id=ACCOUNT_DEFAULT, created_ms=clock(), modified_ms=clock()))
    await services.account_actions.add_operator_key("of the test", OPERATOR)
    return Api(Client(build(services)), services, store, worker, intake, sender, clock, woken)


async def _no_figures() -> bytes:
    return b"postback_events_accepted_total 0\n"
