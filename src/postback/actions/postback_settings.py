"""The XML postbacks of the messaging system: a URL for everything, and further ones for what comes in and for passes.

Documented in Overview: Postback Notification System, and in its pages on messages, subscribers and passes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from postback.actions.account_wide import URL, ByPurpose, Fields, option_of
from postback.actions.config_fields import READERS
from postback.actions.fields import Reader, flag
from postback.domain.catalog import INBOUND
from postback.domain.configs import FormatOptions, PostbackConfig, Purpose, matches
from postback.domain.events import split_type
from postback.domain.messaging import MESSAGING

_FORMAT: Final = "xml"
_DEFAULTS: Final = FormatOptions()
_URLS: Final = {
    Purpose.MAIN: "postback_url",
    Purpose.MO: "mo_postback_url",
    Purpose.PASS: "pass_postback_url",
}
_ALL: Final = tuple(one.name for one in MESSAGING)
_MMS_INBOUND: Final = "mms.received"
_PASSES: Final = tuple(name for name in _ALL if name.startswith("pass."))
_FAMILIES: Final = {
    family: [name for name in _ALL if split_type(name)[0] == family]
    for family in dict.fromkeys(split_type(name)[0] for name in _ALL)
}
_OPTIONS: Final = ("xml_layout", "xml_content_type", "xml_strict_historic")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostbackSettings:
    """MO is what comes in. `enabled` rules the main URL only; what the two other flags turn off goes to no URL at all."""

    postback_url: str | None = None
    enabled: bool = True
    mo_postback_url: str | None = None
    mms_mo_postback: bool = True
    pass_postback_url: str | None = None
    pass_generate_postback: bool = True
    xml_layout: str = _DEFAULTS.xml_layout
    xml_content_type: str = _DEFAULTS.xml_content_type
    xml_strict_historic: bool = _DEFAULTS.xml_strict_historic

    READERS: ClassVar[Mapping[str, Reader]] = {
        **dict.fromkeys(_URLS.values(), URL),
        **dict.fromkeys(("enabled", "mms_mo_postback", "pass_generate_postback"), flag),
        **{name: READERS[name] for name in _OPTIONS},
    }
    URLS: ClassVar[Mapping[Purpose, str]] = _URLS
    HOMES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "enabled": ("postback_url",),
        "mms_mo_postback": ("postback_url", "mo_postback_url"),
        "pass_generate_postback": ("postback_url", "pass_postback_url"),
        **dict.fromkeys(_OPTIONS, tuple(_URLS.values())),
    }
    FORMAT: ClassVar[str] = _FORMAT

    @classmethod
    def seen(cls, configs: ByPurpose) -> "PostbackSettings":
        main, mo, passes = (configs.get(purpose) for purpose in _URLS)
        return cls(
            **{_URLS[purpose]: config.url for purpose, config in configs.items()},
            enabled=main is None or main.is_active,
            # A main config without any MO events is one whose MO config was deleted beside these settings.
            mms_mo_postback=_hears(mo or main, _MMS_INBOUND) or not _hears(mo or main, INBOUND),
            # A pass URL that is turned off is kept as a config that is not active.
            pass_generate_postback=_hears(main, *_PASSES) if passes is None else passes.is_active,
            xml_layout=str(option_of(configs, "xml_layout", _DEFAULTS.xml_layout)),
            xml_content_type=option_of(configs, "xml_content_type", _DEFAULTS.xml_content_type),
            xml_strict_historic=option_of(configs, "xml_strict_historic", _DEFAULTS.xml_strict_historic),
        )

    def wanted(self, purpose: Purpose) -> Fields:
        wanted: dict[str, object] = {
            "event_types": patterns(self._event_types(purpose)),
            **{name: getattr(self, name) for name in _OPTIONS},
        }
        if purpose is Purpose.MAIN:
            wanted["is_active"] = self.enabled
        if purpose is Purpose.PASS:
            wanted["is_active"] = self.pass_generate_postback
        return wanted

    def _event_types(self, purpose: Purpose) -> Collection[str]:
        inbound = {INBOUND, _MMS_INBOUND} if self.mms_mo_postback else {INBOUND}
        match purpose:
            case Purpose.MO:
                return inbound
            case Purpose.PASS:
                return _PASSES
        elsewhere = {_MMS_INBOUND} - inbound
        if self.mo_postback_url is not None:
            elsewhere |= inbound
        if self.pass_postback_url is not None or not self.pass_generate_postback:
            elsewhere.update(_PASSES)
        return set(_ALL) - elsewhere


def patterns(event_types: Collection[str]) -> list[str]:
    """Messaging events in the order of the catalog, a whole family as one pattern, which takes in what is added to it."""
    wanted: list[str] = []
    for family, names in _FAMILIES.items():
        is_whole = all(name in event_types for name in names)
        wanted += [f"{family}.*"] if is_whole else [name for name in names if name in event_types]
    return wanted


def _hears(config: PostbackConfig | None, *event_types: str) -> bool:
    """Whether the config asks for any of them; without a config nothing was ever turned off."""
    return config is None or any(matches(config.event_types, _FORMAT, name) for name in event_types)
