"""Publishing: from what a program sent to events that are durable, each judged for itself."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from postback.actions.access import Access, Principal
from postback.actions.fields import Errors, Reader, read, require, text
from postback.actions.locations import KnownLocations
from postback.domain.deliveries import Idempotency, Refused
from postback.domain.errors import InvalidValue, Malformed, PostbackError, TooLarge
from postback.domain.events import TYPE_EXPECTED, is_event_type
from postback.domain.facts import is_judged, refusals
from postback.domain.making import made
from postback.domain.times import EXPECTED, unix_ms
from postback.ports import Clock, Intake, NewEvent
from postback.resources.fields import Refusal, shown

EVENTS_MAX: Final = 1_000
KEY_MAX: Final = 255
SUBJECT_MAX: Final = 256
DAYS_AHEAD: Final = 30

_DAY_MS: Final = 86_400_000


class Published(NamedTuple):
    """An event that is durable: what its publisher is told. `unsayable` of the deliveries will fail, unsent."""

    id: int
    type: str
    deliveries: int
    unsayable: int = 0


class Publishing:
    """The way of an event from its text to the intake. An error of one never fails its neighbours."""

    def __init__(
        self,
        intake: Intake,
        access: Access,
        locations: KnownLocations,
        clock: Clock,
        *,
        max_body: int,
        retention_days: int,
    ) -> None:
        self._intake = intake
        self._access = access
        self._locations = locations
        self._clock = clock
        self._max_body = max_body
        # What is scheduled for later than it is kept would never be sent.
        self._days_ahead = min(DAYS_AHEAD, retention_days)

    async def publish(
        self,
        principal: Principal,
        texts: Sequence[bytes | PostbackError],
        key: str | None = None,
        trace: str | None = None,
    ) -> Sequence[Published | PostbackError]:
        """One answer for each text of an event (or for what was wrong with it already), in order.

        `key` is the idempotency key of a single event that stood outside its text, `trace` the traceparent of the request.
        """
        events = [await self._event(principal, text, key, trace) for text in texts]
        accepted = iter(await self._intake.publish([event for event in events if isinstance(event, NewEvent)]))
        answers: list[Published | PostbackError] = []
        for event in events:
            if isinstance(event, PostbackError):
                answers.append(event)
                continue
            answer = next(accepted)
            if isinstance(answer, Refused):
                answers.append(answer.error)
            else:
                answers.append(Published(answer.event_id, event.type, answer.deliveries, answer.unsayable))
        return answers

    async def _event(
        self, principal: Principal, text: bytes | PostbackError, key: str | None, trace: str | None
    ) -> NewEvent | PostbackError:
        if isinstance(text, PostbackError):
            return text
        try:
            return await self._read(principal, text, key, trace)
        except PostbackError as error:
            return error
        except RecursionError:
            # Who looked at the text before stood less deep in the stack, and could read what we cannot.
            return Malformed("the JSON is nested too deeply")

    async def _read(self, principal: Principal, text: bytes, outer_key: str | None, trace: str | None) -> NewEvent:
        now_ms, errors = self._clock(), Errors()
        sent = _decode(text, errors)
        data = bytes(sent.data)
        if len(data) > self._max_body:
            raise TooLarge(f"data has {len(data):,} bytes; at most {self._max_body:,} are taken")
        due_ms = _check(sent, data, outer_key, now_ms, self._days_ahead, errors)
        # Most events are of types that take any object: their data is not even read.
        facts = _judged(sent.type, data, errors) if is_judged(sent.type) else None
        account, location_id = principal.account, sent.location_id
        is_own = sent.account is None
        if not is_own or not (location_id is None or self._locations.is_known(account, location_id)):
            account = await self._account(principal, sent, errors)
        errors.raise_any()
        key = outer_key if outer_key is not None else sent.idempotency_key
        return made(
            NewEvent,
            (
                account,
                sent.type,
                data,
                location_id,
                sent.subject or (subject_of(sent.type, data) if facts is None else _subject(sent.type, facts)),
                sent.occurred_at,
                due_ms if due_ms is not None and due_ms > now_ms else None,
                None if key is None else _idempotency(key, sent, data),
                (),
                trace,
            ),
        )

    async def _account(self, principal: Principal, sent: "_Sent", errors: Errors) -> str:
        """Whose event it will be; also whether its location is one of theirs."""
        account = principal.account
        if sent.account is not None:
            try:
                account = await self._access.account_for(principal, sent.account)
            except InvalidValue as error:
                errors.add_all(error)
                return account
        if sent.location_id is not None and not await self._locations.knows(account, sent.location_id):
            errors.add("location_id", "location_id provided is not valid")
        return account


def subject_of(event_type: str, data: bytes) -> str | None:
    """What an event is about when nobody says: the record's id, or the other party's number or address."""
    facts = _FACTS.decode(data)
    # Of what was received, the other party is who sent it.
    for read_fact in _RAW_SENDER_FIRST if event_type.endswith(".received") else _RAW_OWN_FIRST:
        text = bytes(read_fact(facts))
        if text[:1] == b'"':
            text = msgspec.json.decode(text, type=str).encode()
        elif not text.isdigit():
            continue
        if 0 < len(text) <= SUBJECT_MAX:
            return text.decode()
    return None


def _subject(event_type: str, facts: Mapping[str, Any]) -> str | None:
    """The same of data that was read already; of a pass it is whom it is for, of a saved MMS its id."""
    for name in _SENDER_FIRST if event_type.endswith(".received") else _OWN_FIRST:
        value = facts.get(name)
        if type(value) is int and value >= 0:
            value = str(value)
        if isinstance(value, str) and 0 < len(value.encode()) <= SUBJECT_MAX:
            return value
    return None


class _Sent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    location_id: str | None = None
    subject: str | None = None
    idempotency_key: str | None = None
    occurred_at: str | None = None
    deliver_at: str | None = None
    account: str | None = None


class _Facts(msgspec.Struct, gc=False, rename={"from_": "from"}):
    id: msgspec.Raw = msgspec.Raw(b"")
    to: msgspec.Raw = msgspec.Raw(b"")
    from_: msgspec.Raw = msgspec.Raw(b"")
    mobile: msgspec.Raw = msgspec.Raw(b"")
    email: msgspec.Raw = msgspec.Raw(b"")


_SENT: Final = msgspec.json.Decoder(_Sent)
_FACTS: Final = msgspec.json.Decoder(_Facts)
# A number beyond what numbers can hold is infinite, not an error: fields that no type lists are free.
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any], float_hook=float)

_RAW_OWN_FIRST: Final = tuple(map(attrgetter, ("id", "to", "from_", "mobile", "email")))
_RAW_SENDER_FIRST: Final = tuple(map(attrgetter, ("id", "from_", "to", "mobile", "email")))

_OWN_FIRST: Final = ("id", "to", "from", "mobile", "email", "reference_value", "mms_id")
_SENDER_FIRST: Final = ("id", "from", "to", "mobile", "email")


def _decode(text: bytes, errors: Errors) -> _Sent:
    try:
        return _SENT.decode(text)
    except msgspec.ValidationError:
        return _decode_by_name(text, errors)
    except msgspec.DecodeError as error:
        raise Malformed(str(error)) from None


def _decode_by_name(text: bytes, errors: Errors) -> _Sent:
    """What can be taken of an event that has fields which are unknown or of the wrong type: those are gathered."""
    if not text.startswith(b"{"):
        raise InvalidValue.of("event", "event is not an object")
    raw_fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    data = raw_fields.pop("data", msgspec.Raw(b""))
    sent = {name: _value(raw) for name, raw in raw_fields.items()}
    return _Sent(data=data, **read(sent, _READERS, errors))


def _value(raw: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        # A number beyond what numbers can hold, or nested without end; no field of an event takes either.
        return float("inf")


def _check(sent: _Sent, data: bytes, outer_key: str | None, now_ms: int, days_ahead: int, errors: Errors) -> int | None:
    """Gather what is wrong with single fields; the time to deliver at, where one was sent and can be read."""
    if not sent.type:
        require(("type",), {}, errors)
    elif not is_event_type(sent.type):
        errors.add("type", f"type is {shown(sent.type)}; {TYPE_EXPECTED}")
    if not data:
        require(("data",), {}, errors)
    elif not data.startswith(b"{"):
        errors.add("data", "data is not an object; expected a JSON object")
    if sent.subject is not None:
        _try(_SUBJECT, "subject", sent.subject, errors)
    if sent.idempotency_key is not None:
        _try(_KEY, "idempotency_key", sent.idempotency_key, errors)
        if outer_key not in (None, sent.idempotency_key):
            errors.add("idempotency_key", "idempotency_key differs from the header Idempotency-Key")
    if outer_key is not None:
        _try(_KEY, "Idempotency-Key", outer_key, errors)
    return _check_times(sent, now_ms, days_ahead, errors)


def _judged(event_type: str, data: bytes, errors: Errors) -> Mapping[str, Any] | None:
    """The data of a type that the catalog describes, with what it forbids gathered as `data.<field>`."""
    if not data.startswith(b"{"):
        return None
    try:
        facts: Mapping[str, Any] = _OBJECT.decode(data)
    except msgspec.DecodeError:
        # It counts the sign of a number among its digits, and refuses the longest that others take.
        facts = _by_the_standard_library(data)
    for name, messages in refusals(event_type, facts).items():
        for message in messages:
            errors.add(f"data.{name}", message)
    return facts


def _by_the_standard_library(data: bytes) -> Mapping[str, Any]:
    try:
        facts: Mapping[str, Any] = json.loads(data)
    except ValueError:
        raise Malformed("the data has a number of too many digits") from None
    return facts


def _check_times(sent: _Sent, now_ms: int, days_ahead: int, errors: Errors) -> int | None:
    if sent.occurred_at is not None and unix_ms(sent.occurred_at) is None:
        errors.add("occurred_at", f"occurred_at is {shown(sent.occurred_at)}; {EXPECTED}")
    if sent.deliver_at is None:
        return None
    due_ms = unix_ms(sent.deliver_at)
    if due_ms is None:
        errors.add("deliver_at", f"deliver_at is {shown(sent.deliver_at)}; {EXPECTED}")
    elif due_ms > now_ms + days_ahead * _DAY_MS:
        errors.add("deliver_at", f"deliver_at is more than {days_ahead} days ahead")
    return due_ms


def _try(reader: Reader, name: str, value: str, errors: Errors) -> None:
    try:
        reader(value)
    except Refusal as refusal:
        errors.add(name, f"{name} {refusal}")


def _idempotency(key: str, sent: _Sent, data: bytes) -> Idempotency:
    # As a JSON array the texts cannot run into each other, and null differs from an empty text.
    said = msgspec.json.encode([sent.type, sent.location_id, sent.occurred_at, sent.deliver_at])
    return Idempotency(hashlib.sha256(key.encode()).digest(), hashlib.sha256(said + data).digest())


_SUBJECT: Final = text(SUBJECT_MAX, 1)
_KEY: Final = text(KEY_MAX, 1)
_READERS: Final[Mapping[str, Reader]] = {
    name: text(1 << 30)
    for name in ("type", "location_id", "subject", "idempotency_key", "occurred_at", "deliver_at", "account")
}
