"""Watches configs that fail: warns others of them, disables those that fail for too long, and says when one is well again."""

import asyncio
from typing import Final

from postback.domain.configs import ConfigState, PostbackConfig
from postback.domain.errors import NotFound, Unavailable
from postback.domain.notices import (
    CONFIG_DISABLED,
    CONFIG_FAILING,
    CONFIG_RECOVERED,
    judge,
    lasting,
    of_config,
    why_disabled,
)
from postback.domain.telemetry import InternalError, StoreFailed
from postback.engine.notifier import Notifier
from postback.engine.snapshots import Snapshots
from postback.engine.waiting import happens
from postback.ports import Clock, Configs, Report, Troubles

WATCH_EVERY_S: Final = 60.0


class Watcher:
    """Looks once a minute at the configs that had an attempt fail since it last looked, or were failing before."""

    def __init__(
        self,
        configs: Configs,
        troubles: Troubles,
        snapshots: Snapshots,
        notifier: Notifier,
        clock: Clock,
        report: Report,
    ) -> None:
        self._configs = configs
        self._troubles = troubles
        self._snapshots = snapshots
        self._notifier = notifier
        self._clock = clock
        self._report = report
        self._noticed: dict[int, str] = {}

    def attempted(self, config: PostbackConfig, success: bool) -> None:
        """One more attempt has ended. A success is news only of a config that others know to be failing."""
        if not success or config.failing_ms is not None:
            self._noticed[config.id] = config.account

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await happens(stopping, WATCH_EVERY_S)
            noticed, self._noticed = self._noticed, {}
            for config_id, account in noticed.items():
                if stopping.is_set():
                    return
                try:
                    await self._look(account, config_id)
                except NotFound:
                    continue
                except Unavailable as error:
                    self._report(StoreFailed("watch", str(error)))
                    self._noticed.setdefault(config_id, account)
                except Exception as error:  # noqa: BLE001 - a row that cannot be read must not end the worker
                    self._report(InternalError(error))

    async def _look(self, account: str, config_id: int) -> None:
        config = (await self._snapshots.of(account)).configs.get(config_id)
        if config is None or config.state is not ConfigState.ACTIVE:
            return
        trouble = lasting(config, await self._troubles.of(account, config_id))
        now_ms = self._clock()
        found = judge(config, trouble, now_ms)
        if found == CONFIG_FAILING and await self._troubles.told(account, config_id, now_ms):
            self._notifier.tell(of_config(found, config, why_disabled(trouble), trouble))
        elif found == CONFIG_RECOVERED and await self._troubles.told(account, config_id, None):
            self._notifier.tell(of_config(found, config, None, trouble))
        elif found == CONFIG_DISABLED:
            reason = why_disabled(trouble)
            # First, so that one that is killed in between leaves none disabled whose recovery nobody would hear of.
            await self._troubles.told(account, config_id, now_ms)
            await self._configs.set_state(account, config_id, ConfigState.DISABLED, reason)
            self._notifier.tell(of_config(found, config, reason, trouble))
