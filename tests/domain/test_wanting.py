"""Which config wants which event, and which of them hold what they are owed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postback.domain.catalog import CATALOG, SAYABLE
from postback.domain.configs import RESOURCES, BasicAuth, ConfigState, PostbackConfig, Snapshot
from postback.domain.events import Event
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


def test_a_config_of_neither_resource_nor_types_wants_nothing() -> None:
    assert not a_config(resource=None).wants(an_event())


def of_types(*patterns: str, **changes: object) -> PostbackConfig:
    return a_config(resource=None, on_create=False, on_update=False, on_delete=False, event_types=patterns, **changes)


@pytest.mark.parametrize(
    ("patterns", "wanted", "unwanted"),
    [
        (("*",), ["contact.created", "sms.sent", "a.b"], []),
        (("sms.*",), ["sms.sent", "sms.link.clicked"], ["smsx.sent", "mms.sent", "contact.sms.sent"]),
        (("sms.link.*",), ["sms.link.clicked"], ["sms.link", "sms.links.x"]),
        (("pass.generated",), ["pass.generated"], ["pass.generated.twice", "pass.failed", "pass.generate"]),
        (("mms.*", "sms.sent"), ["mms.saved", "sms.sent"], ["sms.failed"]),
        (("sms.s*",), [], ["sms.sent"]),
    ],
)
def test_a_pattern_is_all_or_what_begins_with_it_or_one_type(
    patterns: tuple[str, ...], wanted: list[str], unwanted: list[str]
) -> None:
    config = of_types(*patterns)

    assert [name for name in wanted if not config.wants(an_event(type=name))] == []
    assert [name for name in unwanted if config.wants(an_event(type=name))] == []


def test_a_pattern_means_what_the_format_can_say() -> None:
    types = [*CATALOG, "order.shipped"]

    def wanted(format_name: str) -> set[str]:
        return {name for name in types if of_types("*", format=format_name).wants(an_event(type=name))}

    assert wanted("json") == wanted("cloudevents") == wanted("api-default") == set(types)
    assert wanted("xml") == {name for name in CATALOG if CATALOG[name].origin is not None}
    assert wanted("sms-callback") == SAYABLE["sms-callback"]
    assert not of_types("mms.*", format="sms-callback").wants(an_event(type="mms.sent"))


def test_types_of_a_config_are_narrowed_by_its_location_like_resources() -> None:
    here = of_types("contact.*")

    assert here.wants(an_event(location_id=LOCATION_ID))
    assert not here.wants(an_event(location_id="loc_other"))
    assert not here.wants(an_event(location_id=None))
    assert of_types("contact.*", location_id=None).wants(an_event(location_id=None))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (a_config(is_active=False), "is_active is off: from then on no event makes a delivery"),
        (a_config(state=ConfigState.DELETED), "the config is deleted"),
        (
            a_config(location_id="loc_other"),
            f"the event is of location {LOCATION_ID}; the config wants those of loc_other",
        ),
        (a_config(on_create=False), "on_create is off"),
        (
            a_config(resource="transaction"),
            "the config wants changes of transaction; the event is contact.created",
        ),
        (of_types("sms.*", "a.b"), "event_types names sms.*, a.b; the event is contact.created"),
        (of_types("*", format="xml"), "the format xml cannot say contact.created"),
    ],
)
def test_a_config_explains_in_a_sentence_why_it_does_not_want_an_event(config: PostbackConfig, reason: str) -> None:
    assert config.explain(an_event()) == [reason]


def test_an_event_without_a_location_is_explained_and_a_product_too() -> None:
    of_product = a_config(resource="transaction", product_transaction_id="pt_1", location_id=None)
    event = an_event(location_id=None, type="transaction.created", data=b'{"product_transaction_id":"pt_2"}')

    assert a_config().explain(an_event(location_id=None)) == [
        f"the event is of no location; the config wants those of {LOCATION_ID}"
    ]
    assert of_product.explain(event) == ["the record is not of the product transaction pt_1"]
    assert of_product.explain(event._replace(data=b'{"product_transaction_id":"pt_1"}')) == []


def test_all_reasons_are_told_at_once() -> None:
    assert len(a_config(is_active=False, location_id="loc_other", on_create=False).explain(an_event())) == 3


TYPES = st.sampled_from([*CATALOG, "sms.link.clicked", "order.shipped", "contact.merged", "transaction.created"])
PATTERNS = st.sampled_from(["*", "sms.*", "sms.link.*", "contact.*", "pass.*", "sms.sent", "contact.created", "a.b"])
LOCATIONS = st.sampled_from([LOCATION_ID, "loc_other", None])
CONFIGS = st.builds(
    a_config,
    location_id=LOCATIONS,
    resource=st.sampled_from([*RESOURCES, None]),
    on_create=st.booleans(),
    on_update=st.booleans(),
    on_delete=st.booleans(),
    event_types=st.lists(PATTERNS, max_size=2).map(tuple),
    product_transaction_id=st.sampled_from([None, "pt_1"]),
    is_active=st.booleans(),
    format=st.sampled_from(sorted(SAYABLE)),
    state=st.sampled_from(ConfigState),
)
EVENTS = st.builds(
    an_event,
    type=TYPES,
    location_id=LOCATIONS,
    data=st.sampled_from([b"{}", b'{"product_transaction_id":"pt_1"}', b'{"product_transaction_id":2}']),
)


@given(CONFIGS, EVENTS)
def test_a_config_wants_exactly_what_it_has_no_reason_against(config: PostbackConfig, event: Event) -> None:
    reasons = config.explain(event)

    assert config.wants(event) == (not reasons)
    assert all(reason and not reason.endswith(".") for reason in reasons)


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


def test_a_snapshot_decides_anew_for_each_record_of_a_product() -> None:
    config = a_config(resource="transaction", on_create=True, product_transaction_id="p1")
    snapshot = Snapshot(config.account, 1, {config.id: config})
    events = [
        an_event(type="transaction.created", data=b'{"product_transaction_id":"%b"}' % one) for one in (b"p1", b"p2")
    ]

    assert [len(snapshot.wanting(event)) for event in (*events, *events)] == [1, 0, 1, 0]


def test_a_snapshot_tells_locations_apart_that_it_has_decided_for() -> None:
    config = a_config(location_id="loc_1")
    snapshot = Snapshot(config.account, 1, {config.id: config})
    events = [an_event(location_id=one) for one in ("loc_1", "loc_2", None)]

    assert [len(snapshot.wanting(event)) for event in (*events, *events)] == [1, 0, 0, 1, 0, 0]
