"""A postback config: who wants to hear of what, where, in which format, under which policy."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from typing import Final

from postback.domain.catalog import can_say
from postback.domain.errors import Unavailable
from postback.domain.event_types import Layout
from postback.domain.events import Event, split_type
from postback.domain.patterns import names
from postback.domain.policy import Deadlines, RetryPolicy, SuccessRule

RESOURCES: Final = ("contact", "transaction", "transactionbatch", "accountvault")
OF_A_PRODUCT: Final = ("transaction", "transactionbatch")
"""Resources whose records belong to a product transaction: configs of these hear of their own product only."""

DECIDED_MAX: Final = 1_000
"""Pairs of type and location whose configs a snapshot remembers: types are made up by publishers."""

MAX_IN_FLIGHT: Final = 64
DISABLE_AFTER_S: Final = 5 * 86_400

_NOTHING: Final[Mapping[str, object]] = {}

_FLAG_OF_VERB: Final = {"created": "on_create", "updated": "on_update", "deleted": "on_delete"}


class ConfigState(StrEnum):
    """Active sends; paused (by a person) and disabled (by a rule) hold what is owed; deleted is on its way out."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"
    DELETED = "deleted"


# Looking a member up costs as much as a call; this one is asked for on the way of every delivery.
_ACTIVE: Final = ConfigState.ACTIVE


class Purpose(StrEnum):
    """What a config of the account-wide settings is for; there is at most one of each in an account."""

    DELIVERIES = "callback.deliveries"
    INBOUNDS = "callback.inbounds"
    BLACKLISTED_NUMBERS = "callback.blacklisted_numbers"
    MAIN = "postback.main"
    MO = "postback.mo"
    PASS = "postback.pass"  # noqa: S105 - a pass for a wallet


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatOptions:
    """How a format says things, where it leaves a choice; each belongs to one format and means nothing to the others.

    `time_zone` is an IANA name, None for the offset that a time came with.
    """

    xml_layout: Layout = Layout.L2015
    xml_content_type: str = "raw"
    xml_strict_historic: bool = False
    callback_payload: str = "json"
    callback_naming: str = "overview"
    cloudevents_mode: str = "structured"
    signature_algorithm: str = "v1"
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """`whsec_` and base64. One that was rotated away still signs until `expires_ms` (unix), beside its successor."""

    text: str = field(repr=False)
    expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Warned:
    """What a receiver does that it was told not to do, though its answers counted; since when (unix ms)."""

    text: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class BasicAuth:
    username: str
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostbackConfig:
    """One version of a config, complete. `as_sent` is what its owner sent, which is what the API echoes.

    It wants either the events of a resource, by its flags, or those of its patterns: `*`, `sms.*`, `pass.generated`.
    `rate_limit` is deliveries a second. Of `signing_secrets` the first is the current one. Without a success for
    `disable_after_s` it is disabled (None: never); since `failing_ms` (unix) others have been told that it is failing.
    `locked` says why its secrets, which are not here, cannot be opened by this process; None where they can.
    """

    id: int
    account: str
    version: int
    url: str
    location_id: str | None = None
    resource: str | None = None
    on_create: bool = False
    on_update: bool = False
    on_delete: bool = False
    event_types: tuple[str, ...] = ()
    product_transaction_id: str | None = None
    is_active: bool = True
    format: str = "api-default"
    options: FormatOptions = FormatOptions()
    expands: tuple[str, ...] = ()
    success: SuccessRule = SuccessRule.ANY_2XX
    retry: RetryPolicy = RetryPolicy()
    deadlines: Deadlines = Deadlines()
    max_in_flight: int = MAX_IN_FLIGHT
    disable_after_s: int | None = DISABLE_AFTER_S
    rate_limit: float | None = None
    basic_auth: BasicAuth | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    signing_secrets: tuple[SigningSecret, ...] = ()
    purpose: Purpose | None = None
    state: ConfigState = ConfigState.ACTIVE
    state_reason: str | None = None
    warned: Warned | None = None
    failing_ms: int | None = None
    locked: str | None = None
    created_ms: int = 0
    modified_ms: int = 0
    as_sent: Mapping[str, object] = field(default_factory=dict, repr=False)

    def wants(self, event: Event) -> bool:
        """Whether an event accepted now makes a delivery for this config: an inactive config gets none."""
        if not self.is_active or self.state is ConfigState.DELETED:
            return False
        if self.location_id is not None and self.location_id != event.location_id:
            return False
        if self.event_types:
            return matches(self.event_types, self.format, event.type)
        subject, verb = split_type(event.type)
        flag = _FLAG_OF_VERB.get(verb)
        if subject != self.resource or flag is None or not getattr(self, flag):
            return False
        return self.product_transaction_id is None or subject not in OF_A_PRODUCT or self._is_of_its_product(event)

    def explain(self, event: Event) -> Sequence[str]:
        """Why `wants` says no, each reason a sentence; empty where it says yes."""
        reasons = []
        if self.state is ConfigState.DELETED:
            reasons.append("the config is deleted")
        if not self.is_active:
            reasons.append("is_active is off: from then on no event makes a delivery")
        if self.location_id is not None and self.location_id != event.location_id:
            of = f"of location {event.location_id}" if event.location_id is not None else "of no location"
            reasons.append(f"the event is {of}; the config wants those of {self.location_id}")
        return [*reasons, *(self._pattern_reasons(event) if self.event_types else self._resource_reasons(event))]

    def _pattern_reasons(self, event: Event) -> Sequence[str]:
        if not any(names(pattern, event.type) for pattern in self.event_types):
            return [f"event_types names {', '.join(self.event_types)}; the event is {event.type}"]
        if not can_say(self.format, event.type):
            return [f"the format {self.format} cannot say {event.type}"]
        return []

    def _resource_reasons(self, event: Event) -> Sequence[str]:
        subject, verb = split_type(event.type)
        flag = _FLAG_OF_VERB.get(verb)
        if subject != self.resource or flag is None:
            return [f"the config wants changes of {self.resource}; the event is {event.type}"]
        if not getattr(self, flag):
            return [f"{flag} is off"]
        of_a_product = self.product_transaction_id is not None and subject in OF_A_PRODUCT
        if of_a_product and not self._is_of_its_product(event):
            return [f"the record is not of the product transaction {self.product_transaction_id}"]
        return []

    def _is_of_its_product(self, event: Event) -> bool:
        # int() refuses a number of 5,000 digits, which is JSON all the same.
        data = json.loads(event.data, parse_int=float)
        return bool(data.get("product_transaction_id") == self.product_transaction_id)

    def without_echo(self) -> "PostbackConfig":
        """Of what was sent only the name, for whoever carries it out and shows it to nobody."""
        return replace(self, as_sent={"name": self.as_sent["name"]} if "name" in self.as_sent else _NOTHING)

    @property
    def holds(self) -> bool:
        """Whether what is owed waits, because the config is paused or disabled, or its secrets are locked."""
        return self.state is not _ACTIVE or self.locked is not None

    def demand_unlocked(self) -> None:
        """Unavailable where nothing can be made of it here: another process may have the key."""
        if self.locked is not None:
            raise Unavailable(self.locked)


def expands_of(wanting: Sequence[PostbackConfig]) -> Sequence[str]:
    """What any of these asks for, each name once."""
    asked = [config.expands for config in wanting if config.expands]
    return tuple(dict.fromkeys(chain.from_iterable(asked))) if asked else ()


@lru_cache(maxsize=8192)
def matches(patterns: tuple[str, ...], format_name: str, event_type: str) -> bool:
    """Whether one of the patterns names the type and the format can say it: `*` means all that can be said."""
    return any(names(pattern, event_type) for pattern in patterns) and can_say(format_name, event_type)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The configs of one account at one version: accepting compares the version, so no event is matched with old ones."""

    account: str
    version: int
    configs: Mapping[int, PostbackConfig] = field(default_factory=dict)
    _decided: dict[tuple[str, str | None], Sequence[PostbackConfig]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def wanting(self, event: Event) -> Sequence[PostbackConfig]:
        """Decided once for a type and a location: to ask each config costs a microsecond, for every event."""
        key = event.type, event.location_id
        wanting = self._decided.get(key)
        if wanting is None:
            wanting = [config for config in self.configs.values() if config.wants(event)]
            if not self._depends_on_data(event.type):
                if len(self._decided) >= DECIDED_MAX:
                    self._decided.clear()
                self._decided[key] = wanting
        return wanting

    def _depends_on_data(self, event_type: str) -> bool:
        """Whether one of the configs wants the records of one product only."""
        return split_type(event_type)[0] in OF_A_PRODUCT and any(
            config.product_transaction_id is not None for config in self.configs.values()
        )
