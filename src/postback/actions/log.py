"""What happened: events, their deliveries, and each attempt with the request as it was sent."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, NamedTuple, TypeVar

from postback.actions.cursors import cursor, position
from postback.actions.fields import text
from postback.actions.sensitive import without_sensitive
from postback.domain.accounts import Actor
from postback.domain.configs import PostbackConfig
from postback.domain.destinations import destination
from postback.domain.errors import CannotRender, InvalidValue
from postback.domain.events import Event
from postback.domain.ids import parse, parse_delivery, unix_ms_of
from postback.domain.masking import MASK, masked
from postback.domain.urls import parse_url
from postback.formats import Rendered, render
from postback.ports import AttemptView, DeliveryView, Log, LogFilter, Queue, Sought
from postback.resources.fields import Refusal

T = TypeVar("T")

EVENTS: Final = "events"
DELIVERIES: Final = "deliveries"

_SEARCH: Final = text(minimum=1)


class Part(NamedTuple, Generic[T]):
    """A part of a long list, and the cursor of the next one, where there is more."""

    items: Sequence[T]
    next_cursor: str | None
    looked_back_ms: int | None = None
    """Where it ends because nothing older was looked at, rather than because it was full: back to when (unix ms)."""


class SentRequest(NamedTuple):
    """A request as it was sent, secrets masked. No body where it cannot be made again exactly as it was."""

    url: str
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class LogActions:
    log: Log
    queue: Queue
    due_now: Callable[[], None]
    """Called when a delivery is owed again."""

    async def sought(self, account: str, searched: str) -> Sought:
        """What a search is for: what begins an id, the host of a URL, the name of a config, a tracking id, else what events
        are about."""
        try:
            return await self.log.sought(account, _SEARCH(searched))
        except Refusal as refusal:
            raise InvalidValue.of("search", f"search {refusal}") from None

    async def events(
        self, account: str, narrowed: LogFilter, after: str | None, size: int, looked_at: int | None = None
    ) -> Part[tuple[Event, int]]:
        """`looked_at` bounds how many of them are looked at for those that fit, so that nobody waits for what is rare."""
        before = None if after is None else position(account, EVENTS, after, 1)[0]
        since = None if looked_at is None else await self.log.reach_of_events(account, narrowed, before, looked_at)
        found = await self.log.events(account, narrowed, before, size + 1, since)
        if len(found) > size:
            return Part(found[:size], cursor(account, EVENTS, (found[size - 1][0].id,)))
        if since is not None:
            return Part(found, cursor(account, EVENTS, (since,)), looked_back_ms=unix_ms_of(since))
        return Part(found, None)

    async def event(
        self, account: str, event_id: str, *, sees_all: bool, most: int | None = None
    ) -> tuple[Event, int, Sequence[DeliveryView]]:
        """The event, how many deliveries it has, and these, or `most` of them; without sensitive fields for those who may
        not see all."""
        number = parse("evt", event_id)
        event, total = await self.log.event(account, number)
        deliveries = await self.log.deliveries_of(account, number, most)
        return event if sees_all else without_sensitive(event), total, deliveries

    async def deliveries(
        self, account: str, narrowed: LogFilter, after: str | None, size: int, looked_at: int | None = None
    ) -> Part[DeliveryView]:
        """`looked_at` as of events."""
        before = None
        if after is not None:
            event_id, config_id = position(account, DELIVERIES, after, 2)
            before = (event_id, config_id)
        since = None if looked_at is None else await self.log.reach(account, narrowed, before, looked_at)
        found = await self.log.deliveries(account, narrowed, before, size + 1, since)
        if len(found) > size:
            last = found[size - 1]
            return Part(found[:size], cursor(account, DELIVERIES, (last.event.id, last.config_id)))
        if since is not None:
            # No config has the number 0: all of that event was looked at.
            return Part(found, cursor(account, DELIVERIES, (since, 0)), looked_back_ms=unix_ms_of(since))
        return Part(found, None)

    async def delivery(
        self, account: str, delivery_id: str, *, sees_all: bool, newest: Callable[[Event], int] | None = None
    ) -> tuple[DeliveryView, Sequence[tuple[AttemptView, SentRequest | None]]]:
        """The delivery with each attempt, or the newest, as many as `newest` says of its event, and its request, rendered
        anew from the event and that version of the config."""
        view, attempts = await self.log.delivery(account, *parse_delivery(delivery_id))
        attempts = attempts if newest is None else attempts[-newest(view.event) :]
        shown = view.event if sees_all else without_sensitive(view.event)
        requests = [sent_request(view.event, attempt, shown) for attempt in attempts]
        if shown != view.event:
            attempts = [_without_answer(attempt) for attempt in attempts]
        return view, list(zip(attempts, requests, strict=True))

    async def replay(self, account: str, delivery_id: str, *, by: Actor | None = None) -> DeliveryView:
        """Owe it again, now; its policy begins anew."""
        event_id, config_id = parse_delivery(delivery_id)
        await self.queue.replay(account, event_id, config_id, by=by)
        self.due_now()
        return (await self.log.delivery(account, event_id, config_id))[0]

    async def cancel(self, account: str, delivery_id: str, *, by: Actor | None = None) -> DeliveryView:
        """No more attempts; one that is under way decides nothing."""
        event_id, config_id = parse_delivery(delivery_id)
        await self.queue.cancel(account, event_id, config_id, by=by)
        return (await self.log.delivery(account, event_id, config_id))[0]


def sent_request(event: Event, attempt: AttemptView, shown: Event) -> SentRequest | None:
    """With the body of `shown`, the event as whoever asks may see it. None for rows of the log that stand for no request,
    such as a cancellation."""
    config = attempt.config
    if config is None or attempt.rendered_ms is None:
        return None
    try:
        rendered = render(event, config, attempt.counter, attempt.rendered_ms)
    except CannotRender:
        return SentRequest(config.url, {}, None)
    if attempt.body_hash != hashlib.sha256(rendered.body).digest():
        return SentRequest(config.url, _headers(config, rendered), None)
    seen = rendered if shown is event else render(shown, config, attempt.counter, attempt.rendered_ms)
    return SentRequest(config.url, _headers(config, rendered), seen.body)


def _without_answer(attempt: AttemptView) -> AttemptView:
    """A receiver may say back what it was sent, in whatever way: of such an event its answer is as sensitive."""
    hidden = MASK.encode()
    headers = [(name, hidden) for name, _ in attempt.answer_headers]
    return replace(attempt, answer_headers=headers, answer_body=hidden if attempt.answer_body else b"")


def _headers(config: PostbackConfig, rendered: Rendered) -> Mapping[str, str]:
    try:
        head = destination(
            parse_url(config.url, allow_http=True),
            headers=config.headers,
            basic_auth=config.basic_auth,
            deadlines=config.deadlines,
        ).head
    except InvalidValue:
        # Such a config was never called; its attempts say so.
        return {}
    lines = [line.partition(": ") for line in head.decode("ascii").split("\r\n")[1:] if line]
    headers = {name: value for name, _, value in lines}
    headers["content-type"] = rendered.content_type
    headers["content-length"] = str(len(rendered.body))
    headers.update(rendered.headers)
    return masked(headers)
