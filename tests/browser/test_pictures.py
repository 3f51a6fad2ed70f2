"""The pictures of the README, drawn anew with PICTURES=1: a server whose last hour is made up, rows like its own.

PICTURES=1 python3 run.py test tests/browser/test_pictures.py
"""

import math
import os
import sqlite3
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGTERM
from threading import Thread
from types import SimpleNamespace
from typing import Final, cast

import pytest
from playwright.sync_api import Page

from postback.bench.filling import MINUTE_MS, Filling, Lane, Times
from postback.bench.server import Store
from postback.bench.tables import sqlite_tables
from postback.domain.ids import parse
from tests.browser.conftest import EMAIL, PASSWORD, Windows
from tests.browser.test_start import IMAGES
from tests.live import Live
from tests.ports import free_port
from tests.transport.certificates import Authority

pytestmark = pytest.mark.skipif("PICTURES" not in os.environ, reason="it draws the pictures of the README: PICTURES=1")

KEY: Final = b"k" * 32
MINUTES: Final = 58
WANTED: Final = {
    "Shop back end": ("order.*", "answers"),
    "Warehouse": ("order.*", "answers"),
    "Newsletter": ("subscriber.*", "answers"),
    "CRM of Harbour Road": ("contact.*", "in trouble"),
    "Loyalty partner": ("order.*", "expired"),
    "Loyalty partner, returns": ("order.*", "expired"),
    "Loyalty partner, gifts": ("order.*", "expired"),
    "Till 4": ("transaction.*", "nobody"),
}
"""Postback configs by name: what they want, and how their receiver is."""

_TYPES: Final = {"order.*": "order.paid", "subscriber.*": "subscriber.subscribed", "contact.*": "contact.updated"}
_URLS: Final = {
    "answers": "https://{}.shop.example/postbacks",
    "in trouble": "https://crm.example/in",
    "expired": "https://points.example/{}",
    "nobody": "https://till-4.example/postbacks",
}


class Answering(ThreadingHTTPServer):
    """Answers `statuses` in turn, the last of them for ever."""

    daemon_threads = True

    def __init__(self, *statuses: int, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.statuses = list(statuses)
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self.server_address[1]}/in"
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, *_: object) -> None:
        """Whoever refuses a certificate hangs up."""


class _Answer(BaseHTTPRequestHandler):
    server: Answering

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status = self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0]
        body = b"" if status == 200 else b'{"error": "the database is being restarted"}'
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is said of a request."""


@contextmanager
def answering(*statuses: int, context: ssl.SSLContext | None = None) -> Iterator[Answering]:
    with Answering(*statuses, context=context) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("pictures")
    authority = Authority(folder)
    settings = {
        "POSTBACK_OWNER_EMAIL": EMAIL,
        "POSTBACK_OWNER_PASSWORD": PASSWORD,
        "POSTBACK_SECRET_KEY": KEY.hex(),
        "POSTBACK_CA_FILE": str(authority.file),
    }
    with Live(folder, **settings) as live:
        with answering(200) as well, answering(503) as ill, answering(200, context=authority.server(days=-1)) as old:
            urls = {"answers": well.url, "in trouble": ill.url, "expired": old.url}
            urls["nobody"] = f"http://127.0.0.1:{free_port()}/in"
            samples = {
                how: live.config(url, f"sample.{how[:2]}", format="json", number_of_attempts=1)
                for how, url in urls.items()
            }
            for how in samples:
                live.publish(f"sample.{how[:2]}", {"id": "ord_8151", "total": "24.90", "currency": "EUR"})
            live.until_nothing_is_owed()
        location = live.made("/v2/locations", {"location": {"name": "Harbour Road"}})["id"]
        made = {
            name: live.config(
                _URLS[how].format(name.split()[-1].lower()), pattern, name=name, format="json", location_id=location
            )
            for name, (pattern, how) in WANTED.items()
        }
        live.end(SIGTERM)
        fill(folder, samples, made)
        live.start()
        yield live


def fill(folder: Path, samples: dict[str, str], made: dict[str, str]) -> None:
    """An hour like others: more in its middle, a partner whose certificate expired 20 minutes ago, some trouble before."""
    path = folder / "postback.db"
    number = {how: parse("pbc", config_id) for how, config_id in samples.items()}
    with sqlite_tables(path) as tables:
        filling = Filling(tables, cast("Store", SimpleNamespace(secret_key=KEY)))
        known = {lane.config_id: lane for lane in filling.lanes("account = 'default'")}
        lanes = {
            how: [
                known[parse("pbc", made[name])]._replace(event_type=_TYPES.get(pattern, "transaction.created"))
                for name, (pattern, one) in WANTED.items()
                if one == how
            ]
            for how in samples
        }
        end_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS
        for minute in range(MINUTES):
            times = [end_ms - (MINUTES - minute) * MINUTE_MS + part * MINUTE_MS // 8 for part in range(9)]
            wave = 90 + 60 * math.sin(minute / 9) + 22 * math.sin(minute * 2.4)
            put(filling, lanes["answers"] + lanes["expired"], int(wave), times[0:2])
            put(
                filling,
                lanes["in trouble"],
                9 + minute % 5 if 14 <= minute < 24 else 0,
                times[2:4],
                number["in trouble"],
            )
            put(filling, lanes["in trouble"], 8, times[3:5])
            put(filling, lanes["expired"], int(wave / 4) if minute >= 38 else 0, times[5:7], number["expired"])
            put(filling, lanes["nobody"], minute % 3 if minute > 30 else 0, times[7:9], number["nobody"])
        filling.close()
    with closing(sqlite3.connect(path)) as raw, raw:
        for config_id in number.values():
            for table in ("attempts", "counters"):
                raw.execute(f"DELETE FROM {table} WHERE config_id = ?", (config_id,))
            raw.execute("UPDATE configs SET state = 'deleted' WHERE id = ?", (config_id,))


def put(filling: Filling, lanes: Sequence[Lane], count: int, times: Sequence[int], like: int | None = None) -> None:
    if count:
        filling.finished(lanes, count, Times(times[0], times[1]), like)


def draw(page: Page, name: str, *, height: int) -> None:
    page.set_viewport_size({"width": 1200, "height": height})
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    page.screenshot(path=IMAGES / f"{name}.png")


def test_the_pictures_of_the_readme(windows: Windows, live: Live) -> None:
    window = windows.open(width=1200)
    window.sign_in()
    page = window.page
    draw(page, "portal-overview", height=900)

    window.go("/postbackconfigs/add")
    page.get_by_label("URL").fill("https://crm.example/in")
    page.get_by_label("Event types").fill("sms.*\nmms.received")
    page.get_by_label("Format").select_option("xml")
    page.locator("#preview", has_text="<POSTBACK>").wait_for()
    page.evaluate("document.activeElement.blur()")
    draw(page, "portal-add-postback", height=900)

    with answering(503, 503, 200) as receiver:
        live.config(
            receiver.url, "order.shipped", name="Warehouse", format="json", retry_schedule=[1, 1], number_of_attempts=3
        )
        live.publish("order.shipped", {"id": "ord_8152", "carrier": "Harbour Express", "parcels": 2})
        live.until_nothing_is_owed()
        [delivery] = live.ask("GET", "/v2/deliveries?event_type=order.shipped").json["deliveries"]
    window.go(f"/deliveries/{delivery['id']}")
    draw(page, "portal-delivery", height=1150)

    dark = windows.open(width=1200, theme="dark", like=window)
    dark.go("/")
    dark.page.set_viewport_size({"width": 1200, "height": 900})
    dark.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    draw(dark.page, "portal-failures", height=900)
