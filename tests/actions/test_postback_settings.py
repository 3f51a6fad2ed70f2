"""Where XML postbacks go: every combination of the settings, as configs and back."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from postback.actions.account_wide import changed
from postback.actions.postback_settings import PostbackSettings, patterns
from postback.domain.configs import FormatOptions, PostbackConfig, Purpose
from postback.domain.errors import InvalidValue
from postback.domain.event_types import Layout
from postback.domain.messaging import MESSAGING
from tests.build import a_config, an_event

MAIN, MO, PASS = "https://main.example/", "https://mo.example/", "https://pass.example/"
MESSAGES = [one.name for one in MESSAGING]
INBOUND = {"sms.received", "mms.received"}

FLAGS = ("enabled", "mms_mo_postback", "pass_generate_postback")
ROUTES: list[dict[str, Any]] = [
    {
        "postback_url": main,
        "mo_postback_url": mo,
        "pass_postback_url": passes,
        **dict(zip(FLAGS, flags, strict=True)),
    }
    for main, mo, passes in product((None, MAIN), (None, MO), (None, PASS))
    for flags in product((True, False), repeat=3)
]
OPTIONS: list[dict[str, Any]] = [
    {"xml_layout": layout, "xml_content_type": content_type, "xml_strict_historic": is_strict}
    for layout, content_type, is_strict in product(("2015", "2014-03"), ("raw", "form"), (False, True))
]


def named(route: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in route.items())


def as_configs(settings: PostbackSettings) -> dict[Purpose, PostbackConfig]:
    """The configs that the settings want."""
    configs = {}
    for purpose, name in settings.URLS.items():
        if url := getattr(settings, name):
            wanted: dict[str, Any] = dict(settings.wanted(purpose))
            options = FormatOptions(
                xml_layout=Layout(wanted["xml_layout"]),
                xml_content_type=wanted["xml_content_type"],
                xml_strict_historic=wanted["xml_strict_historic"],
            )
            configs[purpose] = a_config(
                location_id=None,
                resource=None,
                url=url,
                format="xml",
                event_types=tuple(wanted["event_types"]),
                is_active=wanted.get("is_active", True),
                options=options,
                purpose=purpose,
            )
    return configs


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_settings_are_read_off_their_configs_as_far_as_there_is_one_to_remember_them(route: Mapping[str, Any]) -> None:
    for options in OPTIONS:
        settings = PostbackSettings(**route, **options)

        assert PostbackSettings.seen(as_configs(settings)) == remembered(settings)


def remembered(settings: PostbackSettings) -> PostbackSettings:
    """A flag is kept by a config that it decides about; without one it is the default again."""
    main, mo, passes = settings.postback_url, settings.mo_postback_url, settings.pass_postback_url
    if not (main or mo or passes):
        return PostbackSettings()
    return replace(
        settings,
        enabled=settings.enabled or not main,
        mms_mo_postback=settings.mms_mo_postback or not (main or mo),
        pass_generate_postback=settings.pass_generate_postback or not (main or passes),
    )


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_each_messaging_event_goes_to_the_one_url_that_the_settings_name_for_it(route: Mapping[str, Any]) -> None:
    settings = PostbackSettings(**route)
    configs = as_configs(settings)

    for name in MESSAGES:
        event = an_event(type=name, location_id=None)
        heard = [config.url for config in configs.values() if config.wants(event)]
        assert heard == expected(settings, name), name


def expected(settings: PostbackSettings, event_type: str) -> list[str]:
    """By the words of the documents: everything to the main URL, but for what has a URL of its own or is turned off."""
    if event_type == "mms.received" and not settings.mms_mo_postback:
        return []
    if event_type in INBOUND and settings.mo_postback_url:
        return [settings.mo_postback_url]
    if event_type.startswith("pass."):
        if not settings.pass_generate_postback:
            return []
        if settings.pass_postback_url:
            return [settings.pass_postback_url]
    return [settings.postback_url] if settings.postback_url and settings.enabled else []


def test_whole_families_are_one_pattern_each() -> None:
    assert patterns(MESSAGES) == ["sms.*", "mms.*", "discovery.*", "queue.*", "subscriber.*", "email.*", "pass.*"]
    assert patterns(set(MESSAGES) - {"sms.received", "mms.received"})[:4] == [
        "sms.sent",
        "sms.failed",
        "sms.delivered",
        "sms.undelivered",
    ]
    assert patterns(["sms.received", "pass.generated"]) == ["sms.received", "pass.generated"]


@pytest.mark.parametrize(
    ("sent", "comes_to"),
    [
        ({"enabled": "0"}, {"enabled": False}),
        ({"enabled": 0}, {"enabled": False}),
        ({"enabled": False}, {"enabled": False}),
        ({"enabled": None}, {"enabled": True}),
        ({"mo_postback_url": ""}, {"mo_postback_url": None}),
        ({"mo_postback_url": None}, {"mo_postback_url": None}),
        ({"pass_postback_url": PASS}, {"pass_postback_url": PASS}),
        ({"xml_layout": "2014-03"}, {"xml_layout": "2014-03"}),
        ({"xml_layout": None}, {"xml_layout": "2015"}),
    ],
)
def test_what_is_not_sent_stays_and_null_is_the_default_again(
    sent: Mapping[str, object], comes_to: Mapping[str, Any]
) -> None:
    old = PostbackSettings(postback_url=MAIN, mo_postback_url=MO, mms_mo_postback=False)

    assert changed(old, sent) == replace(old, **comes_to)


@pytest.mark.parametrize(
    ("urls", "sent", "named"),
    [
        ({}, {"enabled": False}, "postback_url"),
        ({"mo_postback_url": MO}, {"enabled": False}, "postback_url"),
        ({"pass_postback_url": PASS}, {"mms_mo_postback": False}, "postback_url or mo_postback_url"),
        ({"mo_postback_url": MO}, {"pass_generate_postback": False}, "postback_url or pass_postback_url"),
        ({}, {"xml_layout": "2014-03"}, "postback_url or mo_postback_url or pass_postback_url"),
    ],
)
def test_a_setting_that_nothing_would_remember_is_refused(
    urls: Mapping[str, Any], sent: Mapping[str, object], named: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        changed(PostbackSettings(**urls), sent)

    [(field, [message])] = refused.value.errors.items()
    assert {field} == set(sent)
    assert message == f"{field} says how postbacks go to a URL, and there is none; send {named} with it"


def test_a_default_needs_nothing_to_remember_it() -> None:
    everything = {"postback_url": None, "enabled": "1", "mms_mo_postback": True, "xml_layout": "2015"}

    assert changed(PostbackSettings(), everything) == PostbackSettings()


def test_all_that_was_shown_may_be_sent_back_with_the_last_url_removed() -> None:
    old = PostbackSettings(postback_url=MAIN, enabled=False, xml_layout="2014-03")

    new = changed(old, {"postback_url": "", "enabled": False, "xml_layout": "2014-03"})

    assert PostbackSettings.seen(as_configs(new)) == PostbackSettings()
