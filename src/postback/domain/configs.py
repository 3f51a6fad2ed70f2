"""A postback config: who wants to hear of what, where, in which format, under which policy."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from postback.domain.events import Event, split_type
from postback.domain.policy import Deadlines, RetryPolicy, SuccessRule

RESOURCES: Final = ("contact", "transaction", "transactionbatch", "accountvault")
OF_A_PRODUCT: Final = ("transaction", "transactionbatch")
"""Resources whose records belong to a product transaction: configs of these hear of their own product only."""

MAX_IN_FLIGHT: Final = 64

_FLAG_OF_VERB: Final = {"created": "on_create", "updated": "on_update", "deleted": "on_delete"}


class ConfigState(StrEnum):
    """Active sends; paused (by a person) and disabled (by a rule) hold what is owed; deleted is on its way out."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class BasicAuth:
    username: str
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostbackConfig:
    """One version of a config, complete. `as_sent` is what its owner sent, which is what the API echoes."""

    id: int
    account: str
    version: int
    url: str
    location_id: str | None = None
    resource: str | None = None
    on_create: bool = False
    on_update: bool = False
    on_delete: bool = False
    product_transaction_id: str | None = None
    is_active: bool = True
    format: str = "api-default"
    expands: tuple[str, ...] = ()
    success: SuccessRule = SuccessRule.ANY_2XX
    retry: RetryPolicy = RetryPolicy()
    deadlines: Deadlines = Deadlines()
    max_in_flight: int = MAX_IN_FLIGHT
    basic_auth: BasicAuth | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    state: ConfigState = ConfigState.ACTIVE
    state_reason: str | None = None
    created_ms: int = 0
    modified_ms: int = 0
    as_sent: Mapping[str, object] = field(default_factory=dict, repr=False)

    def wants(self, event: Event) -> bool:
        """Whether an event accepted now makes a delivery for this config: an inactive config gets none."""
        if not self.is_active or self.state is ConfigState.DELETED:
            return False
        if self.location_id is not None and self.location_id != event.location_id:
            return False
        subject, verb = split_type(event.type)
        flag = _FLAG_OF_VERB.get(verb)
        if subject != self.resource or flag is None or not getattr(self, flag):
            return False
        return self.product_transaction_id is None or subject not in OF_A_PRODUCT or self._is_of_its_product(event)

    def _is_of_its_product(self, event: Event) -> bool:
        # int() refuses a number of 5,000 digits, which is JSON all the same.
        data = json.loads(event.data, parse_int=float)
        return bool(data.get("product_transaction_id") == self.product_transaction_id)

    @property
    def holds(self) -> bool:
        """Whether what is owed waits, because the config is paused or disabled."""
        return self.state is not ConfigState.ACTIVE


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The configs of one account at one version: accepting compares the version, so no event is matched with old ones."""

    account: str
    version: int
    configs: Mapping[int, PostbackConfig] = field(default_factory=dict)

    def wanting(self, event: Event) -> Sequence[PostbackConfig]:
        return [config for config in self.configs.values() if config.wants(event)]
