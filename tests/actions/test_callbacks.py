"""Where callbacks go: every combination of the settings, as configs and back."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest

from postback.actions.account_wide import changed
from postback.actions.callbacks import Callbacks
from postback.domain.catalog import CATALOG
from postback.domain.configs import FormatOptions, PostbackConfig, Purpose
from postback.domain.errors import InvalidValue
from tests.build import a_config, an_event

DELIVERIES, INBOUNDS, OPT_OUTS = Callbacks.URLS.values()
URL = "https://client.example/"
KINDS = {
    **dict.fromkeys(("sms.sent", "sms.delivered", "sms.undelivered", "sms.failed"), DELIVERIES),
    "sms.received": INBOUNDS,
    "subscriber.unsubscribed": OPT_OUTS,
}
"""Type of event → the setting with its URL, by the words of the documents."""

ALL = [
    Callbacks(**dict(zip((DELIVERIES, INBOUNDS, OPT_OUTS), urls, strict=True)), payload=payload, naming=naming)
    for urls in product((None, URL), repeat=3)
    for payload, naming in product(("json", "form"), ("overview", "reference"))
]


def as_configs(settings: Callbacks) -> dict[Purpose, PostbackConfig]:
    """The configs that the settings want."""
    configs = {}
    for purpose, name in settings.URLS.items():
        if url := getattr(settings, name):
            wanted: dict[str, Any] = dict(settings.wanted(purpose))
            configs[purpose] = a_config(
                location_id=None,
                resource=None,
                url=f"{url}{name}",
                format="sms-callback",
                event_types=tuple(wanted.pop("event_types")),
                options=FormatOptions(**wanted),
                purpose=purpose,
            )
    return configs


@pytest.mark.parametrize("settings", ALL, ids=str)
def test_settings_are_read_off_their_configs(settings: Callbacks) -> None:
    configs = as_configs(settings)

    seen = Callbacks.seen(configs)

    assert {name: getattr(seen, name) for name in Callbacks.URLS.values()} == {
        name: f"{URL}{name}" if getattr(settings, name) else None for name in Callbacks.URLS.values()
    }
    assert (seen.payload, seen.naming) == ((settings.payload, settings.naming) if configs else ("json", "overview"))


@pytest.mark.parametrize("settings", ALL[::4], ids=str)
def test_each_event_goes_to_the_url_of_its_kind(settings: Callbacks) -> None:
    configs = as_configs(settings)

    for name in CATALOG:
        heard = [config.url for config in configs.values() if config.wants(an_event(type=name, location_id=None))]
        kind = KINDS.get(name)
        assert heard == ([f"{URL}{kind}"] if kind and getattr(settings, kind) else []), name


def test_null_is_the_default_again() -> None:
    old = Callbacks(callback_url_for_inbounds=URL, payload="form", naming="reference")

    new = changed(old, {"callback_url_for_deliveries": URL, "callback_url_for_inbounds": None, "naming": None})

    assert new == Callbacks(callback_url_for_deliveries=URL, payload="form")


@pytest.mark.parametrize("sent", [{"payload": "form"}, {"naming": "reference"}])
def test_what_no_url_would_remember_is_refused(sent: Mapping[str, object]) -> None:
    with pytest.raises(InvalidValue) as refused:
        changed(Callbacks(), sent)

    assert set(refused.value.errors) == set(sent)
