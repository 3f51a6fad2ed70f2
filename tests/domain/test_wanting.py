"""Which config wants which event, and which of them hold what they are owed."""

import pytest

from postback.domain.configs import BasicAuth, ConfigState, Snapshot
from tests.build import ACCOUNT, CONFIG_ID, LOCATION_ID, a_config, an_event


@pytest.mark.parametrize("verb", ["created", "updated", "deleted"])
def test_a_config_wants_what_its_flags_say(verb: str) -> None:
    flag = {"created": "on_create", "updated": "on_update", "deleted": "on_delete"}[verb]
    none = {"on_create": False, "on_update": False, "on_delete": False}
    event = an_event(type=f"contact.{verb}")

    assert a_config(**(none | {flag: True})).wants(event)
    assert not a_config(**(dict.fromkeys(none, True) | {flag: False})).wants(event)


@pytest.mark.parametrize(
    "type_", ["transaction.created", "contact.merged", "contact.created.twice", "contacts.created"]
)
def test_a_config_wants_nothing_of_other_resources_and_verbs(type_: str) -> None:
    assert not a_config().wants(an_event(type=type_))


def test_a_config_without_a_resource_wants_nothing_yet() -> None:
    assert not a_config(resource=None).wants(an_event())


def test_a_config_of_a_location_wants_only_what_is_of_that_location() -> None:
    config = a_config(location_id=LOCATION_ID)

    assert config.wants(an_event(location_id=LOCATION_ID))
    assert not config.wants(an_event(location_id="loc_other"))
    assert not config.wants(an_event(location_id=None))


def test_a_config_of_the_whole_account_wants_it_from_everywhere() -> None:
    config = a_config(location_id=None)

    assert config.wants(an_event(location_id="loc_other"))
    assert config.wants(an_event(location_id=None))


def test_an_inactive_or_deleted_config_wants_nothing() -> None:
    assert not a_config(is_active=False).wants(an_event())
    assert not a_config(state=ConfigState.DELETED).wants(an_event())


@pytest.mark.parametrize("state", [ConfigState.PAUSED, ConfigState.DISABLED])
def test_a_paused_or_disabled_config_wants_events_and_holds_them(state: ConfigState) -> None:
    config = a_config(state=state)

    assert config.wants(an_event())
    assert config.holds


def test_an_active_config_holds_nothing_and_a_deleted_one_sends_nothing() -> None:
    assert not a_config().holds
    assert a_config(state=ConfigState.DELETED).holds


def test_inactive_is_no_state_open_deliveries_go_on() -> None:
    assert not a_config(is_active=False).holds


def test_a_long_number_in_the_data_is_no_hindrance() -> None:
    config = a_config(resource="transaction", product_transaction_id="pt_1")
    data = b'{"digits":%b,"product_transaction_id":"pt_1"}' % (b"9" * 5_000)

    assert config.wants(an_event(type="transaction.created", data=data))


def test_a_snapshot_finds_all_that_want_an_event() -> None:
    configs = [
        a_config(id=CONFIG_ID),
        a_config(id=CONFIG_ID + 1, on_create=False),
        a_config(id=CONFIG_ID + 2, location_id=None),
    ]
    snapshot = Snapshot(ACCOUNT, 3, {config.id: config for config in configs})

    assert [config.id for config in snapshot.wanting(an_event())] == [CONFIG_ID, CONFIG_ID + 2]
    assert snapshot.wanting(an_event(type="contact.merged")) == []


def test_secrets_are_not_shown_when_a_config_is_printed() -> None:
    config = a_config(
        basic_auth=BasicAuth("me", "swordfish"),
        headers={"X-Token": "swordfish"},
        as_sent={"basic_auth_password": "swordfish"},
    )

    assert "swordfish" not in repr(config)
