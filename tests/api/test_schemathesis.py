"""What schemathesis finds when it reads the OpenAPI document and asks for all that stands there: nothing.

SCHEMATHESIS_EXAMPLES=100 makes it a long run, of minutes: so many examples of each operation, and the thousands of edge
cases that schemathesis works out from the schemas. SCHEMATHESIS_SEED gives others.
"""

import json
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import pytest
import schemathesis
from hypothesis import strategies
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import events, from_schema
from schemathesis.python import asgi
from starlette.types import Receive, Scope, Send

from postback.actions.secrets import hash_of, prefix_of
from postback.domain.accounts import Scope as KeyScope
from tests import places
from tests.api.client import OPERATOR, Api, open_api
from tests.doubles import ClockDouble

ACCOUNT_KEY: Final = "account-key-of-24-characters"
KEYS: Final = {"an operator": OPERATOR, "an account": ACCOUNT_KEY, "nobody": None}
HERE, ELSEWHERE = "127.0.0.1", "192.0.2.1"

EXAMPLES: Final = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "0"))
SEED: Final = int(os.environ.get("SCHEMATHESIS_SEED", "1"))
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
)

# No account key opens them.
OF_OPERATORS: Final = {
    "GET /v2/accounts",
    "PUT /v2/accounts/{account_id}",
    "GET /v2/accounts/{account_id}",
    "DELETE /v2/accounts/{account_id}",
    "POST /v2/accounts/{account_id}/portal-link",
    "DELETE /v2/accounts/{account_id}/portal-link/{link_id}",
}
OPEN: Final = {"GET /health", "GET /ready"}

UNREACHED_MAX: Final = 5
"""Of 65 operations; beyond, the rest of what is asserted says little."""

schemathesis.openapi.format(
    "uri", strategies.sampled_from(["http://127.0.0.1:9000/receiver", "https://client.example/", "/receiver"])
)


@schemathesis.serializer("application/x-ndjson")
def lines(_: schemathesis.SerializationContext, value: Any) -> bytes:
    """The same event twice, one a line."""
    return b"\n".join([json.dumps(value).encode()] * 2)


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Three times of four, as the other ids have it: the same each time."""
    served = case.operation.app
    if isinstance(served, Served) and crc32(repr(case.path_parameters).encode()) % 4:
        case.path_parameters = {**case.path_parameters, **served.ids.get(case.operation.path, {})}


class Served:
    """The API on a real store with things in it; opened and closed on the loop on which schemathesis asks."""

    api: Api
    peer: str = HERE
    ids: Mapping[str, Mapping[str, str]]
    """Path → the ids in it with which it does what it is asked for, where schemathesis does not learn them itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.api.clock.pass_(ms=7)
            await self.api.client.app({**scope, "client": (self.peer, 50000)}, receive, send)
            return
        await receive()
        with tempfile.TemporaryDirectory(prefix="postback-", dir=places.folder()) as folder:
            self.api = await open_api(Path(folder), ClockDouble())
            await self._fill()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.api.store.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _fill(self) -> None:
        api = self.api
        await api.key(*KeyScope, hash=hash_of(ACCOUNT_KEY), prefix=prefix_of(ACCOUNT_KEY))
        for _ in range(3):
            location_id = await api.location()
            config = await api.config(location_id, format="json")
            contact = {"contact": {"location_id": location_id, "last_name": "Jones"}}
            assert (await api.client.post("/v2/contacts", contact)).status == 201
        owed, given_up, *_ = [delivery["id"] for delivery in await api.deliveries()]
        assert (await api.client.post(f"/v2/deliveries/{given_up}/cancel")).status == 200
        job = await api.client.post("/v2/deliveries/replay", {"all": True})
        self.ids = {
            "/v2/postbackconfigs/{config_id}/rotate-secret": {"config_id": config["id"]},
            "/v2/deliveries/{delivery_id}/replay": {"delivery_id": given_up},
            "/v2/deliveries/{delivery_id}/cancel": {"delivery_id": owed},
            "/v2/replays/{replay_id}": {"replay_id": job.json["replay"]["id"]},
        }


@dataclass
class Found:
    """Operation → how often it answered what; and what is wrong, in sentences."""

    statuses: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    wrong: list[str] = field(default_factory=list)

    @property
    def reached(self) -> set[str]:
        """The operations that did what they were asked for at least once."""
        return {name for name, statuses in self.statuses.items() if any(200 <= status < 300 for status in statuses)}


@pytest.fixture
def served() -> Iterator[Served]:
    yield Served()
    asgi.shutdown_lifespans()


@pytest.mark.parametrize("who", KEYS)
def test_nothing_is_answered_that_the_document_does_not_say(served: Served, who: str) -> None:
    document = schemathesis.openapi.from_asgi("/openapi.json", served).raw_schema
    served.peer = HERE if KEYS[who] else ELSEWHERE
    # Loaded by its address, the document would not be asked for.
    schema = schemathesis.openapi.from_dict(document, config=config(KEYS[who]))
    schema.app = served

    found = run(schema)

    operations = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert found.wrong == []
    assert set(found.statuses) == operations
    match who:
        case "nobody":
            assert found.reached == OPEN
        case "an account":
            assert not found.reached & OF_OPERATORS
            assert len(operations - OF_OPERATORS - found.reached) <= UNREACHED_MAX, operations - found.reached
        case _:
            assert len(operations - found.reached) <= UNREACHED_MAX, operations - found.reached


def run(schema: schemathesis.BaseSchema) -> Found:
    found = Found()
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished(recorder=recorder):
                for case_id, interaction in recorder.interactions.items():
                    if interaction.response is not None:
                        name = recorder.cases[case_id].value.operation.label
                        found.statuses[name][interaction.response.status_code] += 1
                for checks in recorder.checks.values():
                    found.wrong += [
                        told(recorder.label, check.failure_info.failure, check.failure_info.code_sample)
                        for check in checks
                        if check.failure_info is not None
                    ]
            case events.NonFatalError(label=label, value=error):
                found.wrong.append(f"{label}: {error!r}")
            case events.FatalError(exception=error):
                found.wrong.append(repr(error))
    return found


def told(label: str, failure: Failure, code_sample: str) -> str:
    return f"{label}: {failure.title}: {failure.message}\n{code_sample}"


def config(key: str | None) -> SchemathesisConfig:
    """The same requests each time, for what is the same."""
    asked: dict[str, Any] = {
        "seed": SEED,
        "workers": 1,
        "base-url": "http://api.example",
        "generation": {
            "max-examples": EXAMPLES or (1 if key is None else 4),
            "deterministic": True,
            "database": "none",
            "no-shrink": True,
        },
        "phases": {"coverage": {"enabled": bool(EXAMPLES)}, "stateful": {"enabled": bool(EXAMPLES)}},
        # In a batch a bad event is answered in its place, with a 202 for all.
        "operations": [
            {"include-name": "POST /v2/events", "checks": {"negative_data_rejection": {"enabled": False}}},
        ],
        "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
    }
    if key is not None:
        asked["headers"] = {"Authorization": f"Bearer {key}"}
    return SchemathesisConfig.from_dict(asked)
