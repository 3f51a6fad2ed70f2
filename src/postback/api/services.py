"""What the API is joined to: ports, clock and ids, and the settings that it needs, as plain values."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property

from postback.actions.access import Access
from postback.actions.account_wide import AccountWideActions
from postback.actions.accounts import AccountActions
from postback.actions.audit import AuditActions
from postback.actions.config_checks import ConfigChecks
from postback.actions.configs import ConfigActions, ConfigRules
from postback.actions.hold import HoldActions
from postback.actions.limits import LimitedIntake
from postback.actions.locations import KnownLocations
from postback.actions.log import LogActions
from postback.actions.portal_links import PortalLinks
from postback.actions.publish import Publishing
from postback.actions.records import RecordActions
from postback.actions.refusals import Refusals
from postback.actions.replays import ReplayActions
from postback.actions.stats import StatsActions
from postback.api.body import BodyLimits
from postback.domain.addresses import AddressRules
from postback.ports import (
    Accounts,
    Audit,
    Clock,
    Configs,
    Courier,
    Held,
    Intake,
    Log,
    Queue,
    Records,
    SignInLinks,
    Stats,
)

MEBIBYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Services:
    """`metrics` gives the text for Prometheus; `ready` says why events cannot be accepted now, None when they can.

    `due_now` tells the engine that something in the store became due by other ways than a new event.
    """

    queue: Queue
    configs: Configs
    records: Records
    accounts: Accounts
    links: SignInLinks
    log: Log
    audit: Audit
    stats: Stats
    intake: Intake
    courier: Courier
    held: Held
    clock: Clock
    ids: Callable[[], int]
    public_url: str
    metrics: Callable[[], Awaitable[bytes]]
    ready: Callable[[], str | None]
    due_now: Callable[[], None]
    addresses: AddressRules = field(default_factory=AddressRules)
    allow_http: bool = True
    retention_days: int = 30
    max_body: int = MEBIBYTE
    max_batch: int = 16 * MEBIBYTE
    stalled_body_s: float = 15.0

    @cached_property
    def base_url(self) -> str:
        """What links begin with: the public URL, never the Host of a request."""
        return self.public_url.rstrip("/")

    @cached_property
    def body_limits(self) -> BodyLimits:
        return BodyLimits(self.max_body, self.max_batch, self.stalled_body_s)

    @cached_property
    def access(self) -> Access:
        return Access(self.accounts, self.clock)

    @cached_property
    def locations(self) -> KnownLocations:
        return KnownLocations(self.records)

    @cached_property
    def limited_intake(self) -> LimitedIntake:
        return LimitedIntake(self.intake, self.access.limits_of)

    @cached_property
    def publishing(self) -> Publishing:
        return Publishing(
            self.limited_intake,
            self.access,
            self.locations,
            self.clock,
            max_body=self.max_body,
            retention_days=self.retention_days,
        )

    @cached_property
    def config_actions(self) -> ConfigActions:
        rules = ConfigRules(self.addresses, self.allow_http, self.retention_days)
        return ConfigActions(self.configs, self.locations, rules, self.clock, self.ids, self.due_now)

    @cached_property
    def config_checks(self) -> ConfigChecks:
        return ConfigChecks(self.configs, self.log, self.courier)

    @cached_property
    def account_wide(self) -> AccountWideActions:
        return AccountWideActions(self.configs, self.config_actions, self.clock, self.ids)

    @cached_property
    def record_actions(self) -> RecordActions:
        return RecordActions(self.records, self.limited_intake, self.locations, self.clock, self.ids)

    @cached_property
    def log_actions(self) -> LogActions:
        return LogActions(self.log, self.queue, self.due_now)

    @cached_property
    def replay_actions(self) -> ReplayActions:
        return ReplayActions(self.queue, self.log, self.ids, self.due_now)

    @cached_property
    def stats_actions(self) -> StatsActions:
        return StatsActions(self.stats, self.clock)

    @cached_property
    def audit_actions(self) -> AuditActions:
        return AuditActions(self.audit)

    @cached_property
    def refusals(self) -> Refusals:
        return Refusals(self.audit)

    @cached_property
    def hold_actions(self) -> HoldActions:
        return HoldActions(self.held)

    @cached_property
    def account_actions(self) -> AccountActions:
        return AccountActions(self.accounts, self.access, self.clock, self.ids)

    @cached_property
    def portal_links(self) -> PortalLinks:
        return PortalLinks(self.links, self.access, self.clock, self.ids)
