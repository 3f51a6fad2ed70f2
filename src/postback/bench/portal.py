"""How long each page of the portal takes, for somebody who is signed in, on a store that was used for a million deliveries."""

import http.client
import json
import math
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from typing import Any, Final
from urllib.parse import urlencode

from postback.bench.errors import BenchError
from postback.bench.filling import Filling, Lane, Times
from postback.bench.ground import Ground
from postback.bench.plans import LIMIT_S, Measured, PageTime
from postback.bench.server import Server, free_port, until
from postback.bench.used import HISTORY_MS, HOUR_MS, filled, now_ms, start_of, used_store

TIMES: Final = 50
"""How often each page is asked for, after it was once."""

PAGES: Final = (
    "/",
    "/?span=day",
    "/?span=week",
    "/deliveries",
    "/deliveries?cursor={far_back}",
    "/deliveries?state=delivered",
    "/deliveries?state=delivered&cursor={far_back}",
    "/deliveries?state=pending",
    "/deliveries?state=failed",
    "/deliveries?state=failed&to={after_outage}",
    "/deliveries?state=failed&reason=bad_status",
    "/deliveries?state=cancelled",
    "/deliveries?state=held",
    "/deliveries?state=failed&reason=bad_status.500&config={config}",
    "/deliveries?reason=response_timeout",
    "/deliveries?reason=response_timeout&cursor={far_back}",
    "/deliveries?type=bench.portal.n7",
    "/deliveries?type=never.published",
    "/deliveries?type=never.published&cursor={far_back}",
    "/deliveries?state=delivered&type=never.published",
    "/deliveries?state=failed&type=never.published",
    "/deliveries?state=pending&type=never.published",
    "/deliveries?config={config}",
    "/deliveries?config={config}&state=failed",
    "/deliveries?config={config}&type=never.published",
    "/deliveries?location={location}",
    "/deliveries?location={location}&type=bench.portal.n7",
    "/deliveries?location={location}&reason=response_timeout",
    "/deliveries?location={location}&type=bench.portal.n7&cursor={far_back}",
    "/deliveries?from={since}&to={until}",
    "/deliveries?search={event}",
    "/deliveries?search=127.0.0.1",
    "/deliveries?search=127.0.0.1&type=never.published",
    "/deliveries?search=nothing-has-this",
    "/deliveries/{delivery}",
    "/deliveries/{failed}",
    "/deliveries/{pending}/cancel",
    "/replays",
    "/replays/new?state=failed",
    "/replays/new?state=failed&to={after_outage}",
    "/replays/new?state=failed&reason=bad_status.500",
    "/replays/new?state=failed&reason=response_timeout",
    "/replays/new?state=failed&config={config}",
    "/replays/new?state=delivered&type=bench.portal.n7",
    "/replays/new?state=delivered&type=never.published",
    "/replays/new?state=delivered&config={config}&type=never.published",
    "/replays/cancel?state=pending",
    "/replays/cancel?type=never.published",
    "/replays/{replay}",
    "/events",
    "/events?cursor={far_back_event}",
    "/events?type=bench.portal.n7",
    "/events?type=never.published",
    "/events?type=never.published&cursor={far_back_event}",
    "/events?location={location}",
    "/events?search=nothing-has-this",
    "/events/new",
    "/events/new?type=sms.received",
    "/events/{event}",
    "/locations",
    "/locations?search=Street+7",
    "/locations/add",
    "/locations/{location}",
    "/locations/{location}/contacts/add",
    "/locations/{location}/contacts/{contact}",
    "/locations/{location}/contacts/{contact}/delete",
    "/locations/{location}/settings",
    "/locations/{location}/postbackconfigs",
    "/locations/{location}/delete",
    "/postbackconfigs",
    "/postbackconfigs/add",
    "/postbackconfigs/{config}",
    "/postbackconfigs/{config}/edit",
    "/postbackconfigs/{config}/delete",
    "/callbacks",
    "/postbacksettings",
    "/reference",
    "/reference?format=xml",
    "/reference/events/sms.received",
    "/reference/signatures",
    "/reference/api",
    "/account",
    "/account/password",
    "/account/users",
    "/account/users/invite",
    "/account/keys",
    "/account/keys/add",
    "/account/keys/{key}/revoke",
    "/account/audit",
    "/account/audit?cursor={far_back_audit}",
    "/accounts",
    "/accounts/add",
    "/accounts/default/settings",
    "/accounts/default/portal-link",
)
"""What stands in braces is found on the server: `found_on`."""

EMAIL: Final = "bench@example.com"

_LOCATIONS: Final = 100
_TYPES: Final = 20
_FAILING: Final = 4
"""One in so many fails: 200 configs, each with a failure in every minute."""

_OUTAGE_ENDED: Final = 0.455
"""How much of the history came after it, and some minutes of it."""

_ONCE: Final = {"number_of_attempts": 1, "attempt_interval": 1}
_TOKEN: Final = re.compile(r'name="form_token" value="([^"]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sizes:
    """How many of each there are."""

    configs: int
    finished: int
    owed: int
    times: int


_FULL: Final = _Sizes(configs=200, finished=1_000_000, owed=10_000, times=TIMES)
_QUICK: Final = _Sizes(configs=4, finished=400, owed=20, times=2)


@dataclass
class _Samples:
    """Configs whose deliveries failed, as numbers of the database; their deliveries are what others look like."""

    types: list[str] = field(default_factory=list)

    def make(self, server: Server, ports: Sequence[int], configs: int) -> None:
        """Locations and configs, and a delivery of each kind that fails."""
        urls = {
            "bench.answers500": f"http://127.0.0.1:{ports[1]}/in",
            "bench.refuses": f"http://127.0.0.1:{free_port()}/in",
        }
        for event_type, url in urls.items():
            server.subscribe(event_type, url, _ONCE)
            server.call("POST", "/v2/events", {"event": {"type": event_type, "data": {"failing": True}}})
        self.types = list(urls)
        until(lambda: not server.owed(), LIMIT_S, "the deliveries that are to fail did not")
        locations = [_add_location(server, number) for number in range(min(_LOCATIONS, configs))]
        for number, location in zip(range(configs), cycle(locations), strict=False):
            url = f"http://127.0.0.1:{ports[0]}/in"
            server.subscribe(f"bench.portal.n{number % _TYPES}", url, {"location_id": location})

    def fill(self, filling: Filling, sizes: _Sizes) -> None:
        """One in _FAILING fails, of all configs and all the time, and nothing else in the hour of an outage, all of which
        was replayed; what is owed is due in some hours. Hour by hour, as the rows of a server come in their order."""
        lanes = _with_types(filling.lanes("location_id IS NOT NULL"))
        now = now_ms()
        answers_500, refuses = [lane.config_id for lane in filling.lanes("location_id IS NULL")][-len(self.types) :]
        hours = HISTORY_MS // HOUR_MS
        each = sizes.finished // hours
        for number in range(hours):
            since_ms = now - HISTORY_MS + number * HOUR_MS
            times = Times(since_ms, since_ms + HOUR_MS - (HOUR_MS // 2 if number == hours - 1 else 0))
            if number == hours // 2:
                filling.finished(lanes[: max(2, len(lanes) // 10)], each, times, refuses, is_replayed=True)
                continue
            filling.finished(lanes, each - each // _FAILING, times)
            # A millisecond later: ids are made of times.
            later = Times(times.since_ms + 1, times.until_ms + 1)
            filling.finished(lanes, each // _FAILING, later, answers_500)
        filling.owed(lanes, sizes.owed, Times(now - HOUR_MS // 2, now), due_ms=now + 10 * HOUR_MS)


def pages_of_a_used_store(ground: Ground) -> Measured:
    sizes = _QUICK if ground.is_quick else _FULL
    samples = _Samples()
    groups = ({"count": 1}, {"count": 1, "fail": 1.0})
    password = secrets.token_urlsafe(32)
    with used_store(ground, lambda server, ports: samples.make(server, ports, sizes.configs), groups) as used:
        with filled(used.store) as filling:
            samples.fill(filling, sizes)
        first_user = {"POSTBACK_OWNER_EMAIL": EMAIL, "POSTBACK_OWNER_PASSWORD": password}
        with ground.server_on(used.store, settings=first_user) as server:
            browser = Browser(server.port)
            browser.sign_in(EMAIL, password)
            paths = [(path, path.format(**found_on(server))) for path in PAGES]
            before, began = server.spent(), time.monotonic()
            pages = [_timed(server, browser, path, address, sizes.times) for path, address in paths]
            seconds, after = time.monotonic() - began, server.spent()
            browser.close()
            both = before.database_s is not None and after.database_s is not None
            return Measured(
                events=len(pages) * (sizes.times + 1),
                deliveries=0,
                seconds=seconds,
                engine_s=after.engine_s - before.engine_s,
                database_s=(after.database_s or 0.0) - (before.database_s or 0.0) if both else None,
                log_bytes=after.log_bytes - before.log_bytes,
                p50_ms=None,
                p99_ms=None,
                peak_bytes=server.peak_bytes(),
                more={"page_p95_ms": max(page.p95_ms for page in pages), **start_of(server)},
                pages=pages,
            )


class Browser:
    """One that keeps its connection and its cookies, and reads no pages."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._cookies: dict[str, str] = {}

    def sign_in(self, email: str, password: str) -> None:
        found = _TOKEN.search(self.get("/sign-in"))
        if found is None:
            raise BenchError("the page to sign in has no form")
        form = {"form_token": found[1], "email": email, "password": password, "next": "/"}
        status, text = self._ask("POST", "/sign-in", urlencode(form))
        if status != http.client.SEE_OTHER:
            raise BenchError(f"signing in was answered {status}: {text[:500]}")

    def get(self, path: str) -> str:
        status, text = self._ask("GET", path, None)
        if status != http.client.OK:
            raise BenchError(f"{path} was answered {status}: {text[:500]}")
        return text

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: str | None) -> tuple[int, str]:
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        for cookie in answer.headers.get_all("set-cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer.status, text


def found_on(server: Server) -> Mapping[str, str]:
    """One of each that pages are about, and cursors of pages far back in the lists."""

    def asked(path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(server.call("GET", path))
        return found

    def first(path: str, listed: str) -> dict[str, Any]:
        found: dict[str, Any] = asked(path)[listed][0]
        return found

    location = first("/v2/locations?page_size=1", "locations")["id"]
    delivered = first("/v2/deliveries?state=delivered&page_size=1", "deliveries")
    newest_ms = datetime.fromisoformat(delivered["created_at"]).timestamp() * 1000
    far_back, since, after_outage = (_text(newest_ms - share * HISTORY_MS) for share in (0.75, 0.8, _OUTAGE_ENDED))
    nothing = {"filter": {"state": "failed", "since": _text(newest_ms + HOUR_MS)}}
    replay = json.loads(server.call("POST", "/v2/deliveries/replay", nothing))["replay"]["id"]
    return {
        "location": location,
        "contact": first(f"/v2/contacts?location_id={location}&page_size=1", "contacts")["id"],
        "config": first(f"/v2/postbackconfigs?location_id={location}&page_size=1", "postbackconfigs")["id"],
        "event": delivered["event_id"],
        "delivery": delivered["id"],
        "failed": first("/v2/deliveries?state=failed&page_size=1", "deliveries")["id"],
        "pending": first("/v2/deliveries?state=pending&page_size=1", "deliveries")["id"],
        "replay": replay,
        "key": json.loads(server.call("POST", "/v2/keys", {"key": {"name": "bench", "scopes": ["read"]}}))["key"]["id"],
        "since": since,
        "until": far_back,
        "after_outage": after_outage,
        "far_back": asked(f"/v2/deliveries?until={far_back}&page_size=1")["next_cursor"],
        "far_back_event": asked(f"/v2/events?until={far_back}&page_size=1")["next_cursor"],
        "far_back_audit": asked("/v2/audit?page_size=3")["next_cursor"],
    }


def _text(unix_ms: float) -> str:
    """As addresses have it."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def percentile_ms(took_ns: Sequence[int], percent: int) -> float:
    """So many percent took at most that long."""
    return sorted(took_ns)[math.ceil(len(took_ns) * percent / 100) - 1] / 1e6


def _timed(server: Server, browser: Browser, path: str, address: str, times: int) -> PageTime:
    began_ns = time.perf_counter_ns()
    browser.get(address)
    first_ns = time.perf_counter_ns() - began_ns
    spent_s = server.cpu_s()
    took_ns = []
    for _ in range(times):
        began_ns = time.perf_counter_ns()
        browser.get(address)
        took_ns.append(time.perf_counter_ns() - began_ns)
    cpu_ms = (server.cpu_s() - spent_s) / times * 1000
    took_ms = (first_ns / 1e6, percentile_ms(took_ns, 50), percentile_ms(took_ns, 95), cpu_ms)
    return PageTime(path, *(round(one, 1) for one in took_ms))


def _with_types(lanes: Sequence[Lane]) -> Sequence[Lane]:
    return [lane._replace(event_type=f"bench.portal.n{number % _TYPES}") for number, lane in enumerate(lanes)]


def _add_location(server: Server, number: int) -> str:
    name = f"Street {number}"
    location = json.loads(server.call("POST", "/v2/locations", {"location": {"name": name, "city": "Springfield"}}))[
        "location"
    ]
    contact = {"last_name": "Jones", "location_id": location["id"]}
    server.call("POST", "/v2/contacts", {"contact": contact})
    return str(location["id"])
