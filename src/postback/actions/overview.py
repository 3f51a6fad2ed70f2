"""An account at a glance: the figures of the last hour, what happened in a span, why deliveries failed, what needs attention."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from postback.actions.audit import as_seen
from postback.actions.failures import FailureActions, Owner
from postback.actions.past import AT_ONCE, LATE_MS, SPANS, Past, Span, coarser, first_of
from postback.actions.stats import StatsActions, Step
from postback.domain.causes import Cause
from postback.domain.configs import ConfigState, PostbackConfig
from postback.domain.ids import config_text
from postback.domain.policy import RetryPolicy
from postback.domain.stats import MINUTE_MS, Health
from postback.ports import Accounts, Audit, AuditFilter, Begun, Configs, Failures, Overview, Waits

WARNED_BEFORE_MS: Final = 21 * 86_400_000
"""How long before a certificate expires somebody is told."""

ATTENTION_MAX: Final = 20
"""Configs that need attention and are shown; whoever has more begins with these."""

CONFIGS_NAMED: Final = 100
"""Those with the most failures."""

_CHANGED_AT_ONCE_MS: Final = 1_000
"""What changes a config and its entry in the audit are of one transaction, and so of one moment."""

_LOOKED_AT: Final = 1_000
"""Entries of the audit from such a moment on."""


class FailedSo(NamedTuple):
    """Deliveries that failed for one cause: how many, of which configs (id → how many, the most first), and when.

    `accepted_since_ms` is before all of them were accepted, by the retries of their configs: where a config was held, or
    its receiver asked for more time, some may be older. Times are unix ms.
    """

    cause: Cause
    deliveries: int
    configs: Mapping[int, int]
    first_ms: int
    last_ms: int
    accepted_since_ms: int


class Matter(StrEnum):
    """Why a config needs attention, the most urgent first."""

    EXPIRED = "certificate expired"
    DISABLED = "disabled"
    FAILING = "failing"
    EXPIRES = "certificate expires"
    WARNED = "breaks the rule of callbacks"
    PAUSED = "paused"


class Concern(NamedTuple):
    """A config that somebody should look at. `since_ms` is when it began, of certificates when they expire; `by` is who
    paused it, as far as that is on record."""

    config: PostbackConfig
    matter: Matter
    since_ms: int | None
    health: Health
    by: str | None = None


class Glance(NamedTuple):
    """`hour` are the steps of the last hour, `steps` those of the span; `configs` are those that failures name."""

    hour: Sequence[Step]
    steps: Sequence[Step]
    waits: Waits
    failures: Sequence[FailedSo]
    configs: Mapping[int, PostbackConfig]
    concerns: Sequence[Concern]
    has_more_concerns: bool


@dataclass(frozen=True, slots=True)
class OverviewActions:
    overview: Overview
    stats: StatsActions
    accounts: Accounts
    configs: Configs
    audit: Audit
    failures: FailureActions
    past: Past = field(default_factory=Past)

    async def glance(self, account: str, span: Span, *, sees_operators: bool) -> Glance:
        """Who paused a config is named as the audit names them."""
        now_ms = self.stats.clock()
        owner = Owner(account, (await self.accounts.find(account)).created_ms)
        of_spans = await self._steps_of_spans(owner, span, now_ms)
        failures = await self.failures.since(owner, first_of(span, now_ms), now_ms)
        known = await self.configs.some(account, named(failures))
        troubled = await self.overview.troubled(account, now_ms + WARNED_BEFORE_MS, ATTENTION_MAX + 1)
        return Glance(
            hour=of_spans[0],
            steps=of_spans[-1],
            waits=await self.overview.waits(account),
            failures=by_cause(failures, known),
            configs=known,
            concerns=await self._concerns(account, troubled[:ATTENTION_MAX], now_ms, sees_operators=sees_operators),
            has_more_concerns=len(troubled) > ATTENTION_MAX,
        )

    async def begun(self, account: str) -> Begun:
        """What has been done of the way to a first delivery."""
        return await self.overview.begun(account)

    async def _steps_of_spans(self, owner: Owner, upto: Span, now_ms: int) -> Sequence[Sequence[Step]]:
        """Of the hour, and of each longer span up to that one."""
        self.past.look(now_ms)
        found: list[Sequence[Step]] = []
        for span in SPANS.values():
            found.append(await self._steps(owner, span, now_ms, found[-1] if found else ()))
            if span is upto:
                break
        return found

    async def _steps(self, owner: Owner, span: Span, now_ms: int, finer: Sequence[Step]) -> Sequence[Step]:
        """What is over is added up in parts, each of which is kept: only the first look is a long one. What is not is added
        up of the steps of a finer span."""
        step_ms, since_ms = span.step_s * 1000, first_of(span, now_ms)
        steps = self.past.steps(*owner, span, since_ms)
        since_ms += len(steps) * step_ms
        while since_ms <= now_ms:
            until_ms = since_ms + min(AT_ONCE, (now_ms - since_ms) // step_ms + 1) * step_ms
            if finer and finer[0].at_ms <= since_ms:
                part = coarser([step for step in finer if since_ms <= step.at_ms < until_ms], step_ms)
            else:
                part = list(await self.stats.steps(owner.account, since_ms, until_ms, span.step_s, None))
            self.past.keep(*owner, span, [step for step in part if step.at_ms + step_ms + LATE_MS <= now_ms])
            steps += part
            since_ms = until_ms
        return steps

    async def _concerns(
        self, account: str, config_ids: Sequence[int], now_ms: int, *, sees_operators: bool
    ) -> Sequence[Concern]:
        if not config_ids:
            return []
        configs = await self.configs.some(account, config_ids)
        health = await self.stats.health(account, list(configs))
        found = [
            concern
            for config_id in config_ids
            if config_id in configs
            for concern in concerns_of(configs[config_id], health.get(config_id, Health()), now_ms)
        ]
        with_names = [
            concern._replace(by=await self._paused_by(concern, sees_operators=sees_operators)) for concern in found
        ]
        return sorted(with_names, key=lambda concern: _MATTERS.index(concern.matter))

    async def _paused_by(self, concern: Concern, *, sees_operators: bool) -> str | None:
        """Who did it is asked for only where the config was not changed since: its entry is of that moment then."""
        if concern.matter is not Matter.PAUSED:
            return None
        config = concern.config
        moment = AuditFilter(
            action="postbackconfig.pause",
            target=config_text(config.id),
            since_ms=config.modified_ms - _CHANGED_AT_ONCE_MS,
            until_ms=config.modified_ms + _CHANGED_AT_ONCE_MS,
        )
        entry = await self.audit.first(config.account, moment, _LOOKED_AT)
        by = None if entry is None else as_seen(entry.by, sees_operators=sees_operators)
        return None if by is None else by.key_name


def by_cause(failures: Iterable[Failures], configs: Mapping[int, PostbackConfig]) -> Sequence[FailedSo]:
    """The most frequent cause first."""
    of_cause: defaultdict[Cause, list[Failures]] = defaultdict(list)
    for one in failures:
        of_cause[one.cause].append(one)
    found = [_failed_so(cause, rows, configs) for cause, rows in of_cause.items()]
    return sorted(found, key=lambda one: (-one.deliveries, str(one.cause)))


def named(failures: Iterable[Failures]) -> Sequence[int]:
    """The configs with the most failures."""
    counts: Counter[int] = Counter()
    for one in failures:
        counts[one.config_id] += one.deliveries
    return [config_id for config_id, _ in counts.most_common(CONFIGS_NAMED)]


def concerns_of(config: PostbackConfig, health: Health, now_ms: int) -> Sequence[Concern]:
    """All that somebody should know of it now; what is held does not fail as well."""
    found: list[tuple[Matter, int | None]] = []
    ends_ms, error, success_ms = health.certificate_ends_ms, health.last_error, health.last_success_ms
    if ends_ms is not None and ends_ms < now_ms + WARNED_BEFORE_MS:
        found.append((Matter.EXPIRED if ends_ms <= now_ms else Matter.EXPIRES, ends_ms))
    if config.state is ConfigState.DISABLED:
        found.append((Matter.DISABLED, None))
    elif config.state is ConfigState.PAUSED:
        found.append((Matter.PAUSED, None))
    elif error is not None and (success_ms is None or error.at_ms > success_ms):
        found.append((Matter.FAILING, config.failing_ms or error.at_ms))
    if config.warned is not None:
        found.append((Matter.WARNED, config.warned.since_ms))
    return [Concern(config, matter, since_ms, health) for matter, since_ms in found]


def longest_ms(retry: RetryPolicy) -> int:
    """How long a delivery may be tried by that policy, without the attempts themselves."""
    waits_s = [retry.waits_s[min(n, len(retry.waits_s) - 1)] for n in range(retry.attempts - 1)]
    return sum(waits_s) * (1_100 if retry.jitter else 1_000)


def _failed_so(cause: Cause, rows: Sequence[Failures], configs: Mapping[int, PostbackConfig]) -> FailedSo:
    counts = {row.config_id: row.deliveries for row in sorted(rows, key=lambda row: (-row.deliveries, row.config_id))}
    first_ms = min(row.first_ms for row in rows)
    known = [configs[config_id] for config_id in counts if config_id in configs]
    tried_ms = max((longest_ms(config.retry) + _attempts_ms(config) for config in known), default=0)
    return FailedSo(
        cause=cause,
        deliveries=sum(counts.values()),
        configs=counts,
        first_ms=first_ms,
        last_ms=max(row.last_ms for row in rows),
        accepted_since_ms=max(first_ms - tried_ms - MINUTE_MS, 0),
    )


def _attempts_ms(config: PostbackConfig) -> int:
    return int(config.retry.attempts * config.deadlines.total_s * 1000)


_MATTERS: Final = list(Matter)
