"""The callbacks of the SMS system: a URL each for delivery receipts, replies and opt-outs.

Documented in Callbacks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from postback.actions.account_wide import URL, ByPurpose, Fields, option_of
from postback.actions.config_fields import READERS
from postback.actions.fields import Reader
from postback.domain.catalog import INBOUND, OPT_OUT, RECEIPTS
from postback.domain.configs import FormatOptions, Purpose

_DEFAULTS: Final = FormatOptions()
_URLS: Final = {
    Purpose.DELIVERIES: "callback_url_for_deliveries",
    Purpose.INBOUNDS: "callback_url_for_inbounds",
    Purpose.BLACKLISTED_NUMBERS: "callback_url_for_blacklisted_numbers",
}
_EVENT_TYPES: Final = {
    Purpose.DELIVERIES: RECEIPTS,
    Purpose.INBOUNDS: (INBOUND,),
    Purpose.BLACKLISTED_NUMBERS: (OPT_OUT,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """One URL may serve all three kinds: those are three configs, told apart by their receiver by the fields."""

    callback_url_for_deliveries: str | None = None
    callback_url_for_inbounds: str | None = None
    callback_url_for_blacklisted_numbers: str | None = None
    payload: str = _DEFAULTS.callback_payload
    naming: str = _DEFAULTS.callback_naming

    READERS: ClassVar[Mapping[str, Reader]] = {
        **dict.fromkeys(_URLS.values(), URL),
        "payload": READERS["callback_payload"],
        "naming": READERS["callback_naming"],
    }
    URLS: ClassVar[Mapping[Purpose, str]] = _URLS
    HOMES: ClassVar[Mapping[str, tuple[str, ...]]] = dict.fromkeys(("payload", "naming"), tuple(_URLS.values()))
    FORMAT: ClassVar[str] = "sms-callback"

    @classmethod
    def seen(cls, configs: ByPurpose) -> "Callbacks":
        return cls(
            **{_URLS[purpose]: config.url for purpose, config in configs.items()},
            payload=option_of(configs, "callback_payload", _DEFAULTS.callback_payload),
            naming=option_of(configs, "callback_naming", _DEFAULTS.callback_naming),
        )

    def wanted(self, purpose: Purpose) -> Fields:
        return {
            "event_types": list(_EVENT_TYPES[purpose]),
            "callback_payload": self.payload,
            "callback_naming": self.naming,
        }
