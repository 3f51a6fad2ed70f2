"""What of a config belongs to its format: the options, each with the formats that it means something to."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, NamedTuple
from zoneinfo import available_timezones

from postback.actions.fields import Errors, Reader, flag, one_of, text
from postback.domain.configs import FormatOptions
from postback.domain.event_types import Layout
from postback.resources.fields import Refusal, shown

FORMAT: Final = "api-default"
"""The format of a config whose owner chose none."""

SIGNED: Final = ("json", "cloudevents")
"""Formats whose POSTs are signed where there is a secret."""

ALWAYS_SIGNED: Final = "json"

ZONE_MAX: Final = 64


class Option(NamedTuple):
    formats: tuple[str, ...]
    read: Reader


def _layout(sent: object) -> Layout:
    return Layout(one_of(*Layout)(sent))


def _time_zone(sent: object) -> str:
    name: str = text(ZONE_MAX)(sent)
    if name not in _zones():
        raise Refusal(f"is {shown(name)}; expected a name of the IANA database such as Europe/Paris")
    return name


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


OPTIONS: Final[Mapping[str, Option]] = {
    "xml_layout": Option(("xml",), _layout),
    "xml_content_type": Option(("xml",), one_of("raw", "form")),
    "xml_strict_historic": Option(("xml",), flag),
    "callback_payload": Option(("sms-callback",), one_of("json", "form")),
    "callback_naming": Option(("sms-callback",), one_of("overview", "reference")),
    "time_zone": Option(("sms-callback",), _time_zone),
    "cloudevents_mode": Option(("cloudevents",), one_of("structured")),
    "signature_algorithm": Option(SIGNED, one_of("v1")),
}

_BELONGS_TO: Final[Mapping[str, tuple[str, ...]]] = {
    **{name: option.formats for name, option in OPTIONS.items()},
    "signing_secret": SIGNED,
}


def format_of(values: Mapping[str, Any]) -> str:
    chosen: str = values.get("format", FORMAT)
    return chosen


def options_of(values: Mapping[str, Any]) -> FormatOptions:
    """The options that the values (of fields that hold together) come to."""
    return FormatOptions(**{name: values[name] for name in OPTIONS if name in values})


def applying_options(format_name: str, options: FormatOptions) -> Mapping[str, object]:
    """The options that this format has, each with what holds."""
    return {name: getattr(options, name) for name, option in OPTIONS.items() if format_name in option.formats}


def means_nothing_to(format_name: str) -> frozenset[str]:
    """The fields that go away with a change to this format."""
    return frozenset(name for name, formats in _BELONGS_TO.items() if format_name not in formats)


def check_options(values: Mapping[str, Any], errors: Errors) -> None:
    if "format" in errors:
        return
    chosen = format_of(values)
    for name, formats in _BELONGS_TO.items():
        if name in values and chosen not in formats:
            errors.add(name, f"{name} goes with the format {' or '.join(formats)} only; format is {chosen}")
