"""Searching the log on each database, by what a person has at hand."""

import pytest

from postback.domain.deliveries import State, Verdict
from postback.domain.errors import InvalidValue
from postback.domain.ids import config_text, delivery_text, event_text
from postback.ports import LogFilter, Sought
from postback.storage import log_search
from postback.storage.tracking import tracking_id_of
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_claim, a_config, a_settlement
from tests.storage.days import OTHER, OTHER_CONFIG, Day, a_numbered, a_varied_day, numbers

pytestmark = pytest.mark.anyio


@pytest.fixture
async def hosts(day: Day) -> None:
    """Configs with hosts and names of their own, and one of another account."""
    urls = ("https://crm.example/in", "https://CRM.example:8443/x?crm2.example", "http://[2001:db8::1]/in")
    names = ("Ärzte & Apotheken", "sync", "Sync")
    for place, (url, name) in enumerate(zip(urls, names, strict=True)):
        await day.configs.change(a_config(id=CONFIG_ID + place, url=url, as_sent={"name": name}))
    await day.configs.change(
        a_config(
            id=OTHER_CONFIG,
            account=OTHER,
            location_id="loc_other",
            url="https://crm.example/theirs",
            as_sent={"name": "sync"},
        )
    )


def whole(number: int) -> str:
    return event_text(a_numbered(number).id)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("crm.example", [0, 2, 3, 4, 6, 7, 8, 9]),
        ("CRM.example", [0, 2, 3, 4, 6, 7, 8, 9]),
        ("https://crm.example/another", [0, 2, 3, 4, 6, 7, 8, 9]),
        ("crm.example:8443", [2, 4, 6, 7]),
        ("[2001:db8::1]", [1, 5]),
        ("2001:db8::1", [1, 5]),
        ("crm2.example", []),
        ("Ärzte & Apotheken", [0, 3, 8, 9]),
        ("Ärzte & APOTHEKEN", [0, 3, 8, 9]),
        ("SYNC", [1, 2, 4, 5, 6, 7]),
        ("syn", []),
        ("example", []),
        ("con_1", [1, 2, 3, 4, 9]),
        ("con_", []),
        ("%", []),
        (whole(5), [1, 2, 3]),
        (whole(5)[:4], []),
        (whole(5)[:10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (whole(5) + "0", []),
        (delivery_text(a_numbered(5).id, CONFIG_ID + 1), [2]),
        (delivery_text(a_numbered(5).id, CONFIG_ID + 1)[:-3], [1, 2, 3]),
        (config_text(CONFIG_ID + 2), [1, 5]),
        (config_text(CONFIG_ID)[:-1], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (config_text(OTHER_CONFIG), []),
        ("evt_zzzz", []),
        ("evt_ABC", []),
    ],
)
async def test_deliveries_are_found_by_what_a_person_has_at_hand(
    day: Day, hosts: None, text: str, places: list[int]
) -> None:
    everything = await a_varied_day(day)
    sought = await day.log.sought(ACCOUNT, text)

    assert await day.listed(LogFilter(sought=sought)) == [everything[place] for place in places]
    first = await day.listed(LogFilter(sought=sought), limit=1)
    if first:
        before = (a_numbered(first[0][0]).id, CONFIG_ID + first[0][1])
        assert await day.listed(LogFilter(sought=sought), before) == [everything[place] for place in places[1:]]


async def test_a_search_narrows_beside_other_filters(day: Day, hosts: None) -> None:
    everything = await a_varied_day(day)
    crm, one = await day.log.sought(ACCOUNT, "crm.example"), await day.log.sought(ACCOUNT, whole(5))
    about = await day.log.sought(ACCOUNT, "con_1")

    for narrowed, places in (
        (LogFilter(sought=crm, state=State.FAILED), [7, 8]),
        (LogFilter(sought=crm, state=State.CLAIMED), [4]),
        (LogFilter(sought=crm, config_id=CONFIG_ID + 1), [2, 4, 6, 7]),
        (LogFilter(sought=crm, config_id=CONFIG_ID + 2), []),
        (LogFilter(sought=crm, event_type="contact.updated"), [4]),
        (LogFilter(sought=one, config_id=CONFIG_ID), [3]),
        (LogFilter(sought=one, until_ms=NOON + 5), []),
        (LogFilter(sought=about, subject="con_1"), [1, 2, 3, 4, 9]),
        (LogFilter(sought=about, subject="con_2"), []),
    ):
        assert await day.listed(narrowed) == [everything[place] for place in places], narrowed


async def test_events_are_found_by_ids_and_by_what_they_are_about(day: Day, hosts: None) -> None:
    await a_varied_day(day)

    async def found(text: str) -> list[int]:
        narrowed = LogFilter(sought=await day.log.sought(ACCOUNT, text))
        return numbers(await day.log.events(ACCOUNT, narrowed, None, 100))

    assert await found("con_1") == [5, 4, 1]
    assert await found(whole(3)) == [3]
    assert await found(delivery_text(a_numbered(3).id, CONFIG_ID + 1)) == [3]
    assert await found(whole(7)) == []
    for text in ("crm.example", config_text(CONFIG_ID), "nothing"):
        assert await found(text) == []


MESSAGE = {"type": "sms.sent", "data": b'{"to":"12025550143","tracking_id":"U01TXzE="}'}


async def test_messages_are_found_by_their_tracking_id(day: Day) -> None:
    await day.ended(1, **MESSAGE)
    await day.accepted(2, CONFIG_ID, CONFIG_ID + 1, claimed=False, **MESSAGE)
    await day.ended(3, type="order.paid", data=MESSAGE["data"])
    await day.ended(4, Verdict.DELIVERED, OTHER_CONFIG, account=OTHER, **MESSAGE)
    await day.store.keep_test(day.worker, a_settlement(a_claim(event=a_numbered(5, **MESSAGE)), Verdict.DELIVERED))

    sought = await day.log.sought(ACCOUNT, "U01TXzE=")

    assert sought == Sought("U01TXzE=", tracking_id="U01TXzE=")
    assert [(number, of) for number, of, _ in await day.listed(LogFilter(sought=sought))] == [
        (5, 0),
        (2, 1),
        (2, 0),
        (1, 0),
    ]
    assert await day.listed(LogFilter(sought=sought, state=State.PENDING, config_id=CONFIG_ID + 1)) == [
        (2, 1, State.PENDING)
    ]
    assert numbers(await day.log.events(ACCOUNT, LogFilter(sought=sought), None, 9)) == [5, 2, 1]
    assert await day.log.reach(ACCOUNT, LogFilter(sought=sought), None, 1) is None
    # What is longer, or none at all, is a subject like any other.
    assert await day.log.sought(ACCOUNT, "U01TXzE") == Sought("U01TXzE", subject="U01TXzE")


@pytest.mark.parametrize(
    ("event_type", "data", "found"),
    [
        ("sms.sent", b'{"tracking_id":"U01TXzE="}', "U01TXzE="),
        ("mms.received", b'{"a":[1,{"tracking_id":"x"}],"tracking_id":"MMS_MO_1"}', "MMS_MO_1"),
        ("sms.sent", b'{"tracking_id":7}', None),
        ("sms.sent", b'{"tracking_id":"a\\u0000b"}', None),
        ("sms.sent", b'{"tracking_id":""}', None),
        ("sms.sent", b'{"tracking_id":"' + b"x" * 300 + b'"}', None),
        ("sms.sent", b"{}", None),
        ("sms.sent", b"no json", None),
        ("order.paid", b'{"tracking_id":"x"}', None),
    ],
)
def test_the_tracking_id_is_read_where_the_type_has_one(event_type: str, data: bytes, found: str | None) -> None:
    assert tracking_id_of(event_type, data) == found


async def test_what_too_many_configs_fit_is_refused(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_search, "CONFIGS_MAX", 2)

    for text in ("127.0.0.1", config_text(CONFIG_ID)[:8]):
        with pytest.raises(InvalidValue, match="more than 2 configs"):
            await day.log.sought(ACCOUNT, text)
