"""Builders of whole valid things: a test names only what it is about."""

from dataclasses import replace
from typing import Any, Final

from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import Claim, NewDeliveries, Settlement, Target, Verdict
from postback.domain.destinations import destination
from postback.domain.events import Event
from postback.domain.policy import Deadlines
from postback.domain.records import LOCATION, Record
from postback.domain.urls import parse_url
from postback.domain.wire import Answered, Destination, Timings

NOON: Final = 1_790_000_000_000
"""A moment, in unix milliseconds."""

ACCOUNT: Final = "default"
LOCATION_ID: Final = "loc_main"
CONFIG_ID: Final = 1 << 40


def an_event(**changes: Any) -> Event:
    event = Event(
        id=NOON << 21,
        account=ACCOUNT,
        location_id=LOCATION_ID,
        type="contact.created",
        subject="con_1",
        occurred_at="2026-09-21T12:00:00+00:00",
        accepted_ms=NOON,
        data=b'{"id":"con_1","last_name":"Jones"}',
    )
    return event._replace(**changes)


def a_config(**changes: Any) -> PostbackConfig:
    config = PostbackConfig(
        id=CONFIG_ID,
        account=ACCOUNT,
        version=1,
        url="http://127.0.0.1:9000/receiver",
        location_id=LOCATION_ID,
        resource="contact",
        on_create=True,
        on_update=True,
        on_delete=True,
        created_ms=NOON,
        modified_ms=NOON,
    )
    return replace(config, **changes)


def a_location(**changes: Any) -> Record:
    record = Record(
        account=ACCOUNT,
        resource=LOCATION,
        id=LOCATION_ID,
        location_id=None,
        key=None,
        revision=1,
        created_ms=NOON,
        body={"id": LOCATION_ID, "name": "Main Street"},
    )
    return replace(record, **changes)


def a_unit(event: Event | None = None, *, targets: int = 1, claimed: bool = False, **changes: Any) -> NewDeliveries:
    """An event with deliveries for the configs CONFIG_ID, CONFIG_ID + 1 …"""
    unit = NewDeliveries(
        event=event or an_event(),
        targets=[Target(CONFIG_ID + n, claimed) for n in range(targets)],
        config_version=0,
    )
    return unit._replace(**changes)


def a_claim(**changes: Any) -> Claim:
    claim = Claim(
        event=an_event(),
        config_id=CONFIG_ID,
        token=1,
        attempts=0,
        forgiven=0,
        interruptions=0,
        manual=False,
        claimed_ms=NOON,
    )
    return claim._replace(**changes)


def answered(status: int = 200, **changes: Any) -> Answered:
    return Answered(status=status, headers=(), body=b"", timings=Timings(total_ms=5, sent_after_ms=1))._replace(
        **changes
    )


_OUTCOMES: Final = {Verdict.DELIVERED: answered(), Verdict.RETRY: answered(500, timings=Timings())}


def a_settlement(claim: Claim, verdict: Verdict = Verdict.DELIVERED, **changes: Any) -> Settlement:
    """What is tried again took no time: the clock stands still where a test does not move it."""
    settlement = Settlement(
        claim=claim,
        verdict=verdict,
        outcome=_OUTCOMES.get(verdict) or answered(500),
        config_version=1,
        wait_ms=300_000 if verdict is Verdict.RETRY else 0,
        rendered_ms=claim.claimed_ms,
    )
    return settlement._replace(**changes)


def a_destination(url: str = "http://127.0.0.1:9000/receiver", **changes: Any) -> Destination:
    return destination(parse_url(url, allow_http=True), **{"deadlines": Deadlines(), **changes})
