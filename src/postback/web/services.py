"""What the portal is joined to: the actions that it asks, the same as the API's, and a few plain values."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from postback.actions.account_wide import AccountWideActions
from postback.actions.accounts import AccountActions
from postback.actions.audit import AuditActions
from postback.actions.config_checks import ConfigChecks
from postback.actions.configs import ConfigActions
from postback.actions.log import LogActions
from postback.actions.overview import OverviewActions
from postback.actions.portal_links import PortalLinks
from postback.actions.publish import Publishing
from postback.actions.receiver_manners import ReceiverManners
from postback.actions.records import RecordActions
from postback.actions.refusals import Refusals
from postback.actions.replays import ReplayActions
from postback.actions.sessions import SessionActions
from postback.actions.stats import StatsActions
from postback.actions.users import UserActions
from postback.ports import Clock


@dataclass(frozen=True, kw_only=True)
class Services:
    """`base_url` is what links begin with, without a slash at its end; `stopping` is set when the server ends.
    `security_contact` is the URI that a weakness is told to, None where the operator named none.

    `calls_loopback` says that receivers on this very machine may be called, as when it is tried out.
    `api_reference` gives the page of the API, by the address at which it will find its stylesheet and the one that it leads
    back to; it takes a moment.
    """

    base_url: str
    calls_loopback: bool
    clock: Clock
    users: UserActions
    sessions: SessionActions
    accounts: AccountActions
    portal_links: PortalLinks
    configs: ConfigActions
    config_checks: ConfigChecks
    account_wide: AccountWideActions
    manners: ReceiverManners
    records: RecordActions
    log: LogActions
    replays: ReplayActions
    stats: StatsActions
    overview: OverviewActions
    publishing: Publishing
    audit: AuditActions
    refusals: Refusals
    api_reference: Callable[[str, str], bytes]
    api_stylesheet: Callable[[], bytes]
    security_contact: str | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_encrypted(self) -> bool:
        return self.base_url.startswith("https://")
