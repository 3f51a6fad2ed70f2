"""The rules of lists, over every kind of record: pages, order, filters."""

from typing import Any, NamedTuple

import pytest

from postback.resources import RESOURCES
from tests.api.client import PUBLIC_URL, Api, Client
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio


class Kind(NamedTuple):
    """A kind of record: what each of four differs in, in the order of its values, and filters with what they find."""

    name: str
    needed: dict[str, Any]
    differs: str
    values: tuple[Any, ...]
    found: dict[str, list[int]]
    """Query → which of the four, in their order."""
    refused: tuple[str, ...]
    """Filters that no such record can match."""

    @property
    def plural(self) -> str:
        return RESOURCES[self.name].plural


KINDS = [
    Kind(
        "location",
        {},
        "name",
        ("100%", "Main", "Main Street", "a_b"),
        {"name=Main": [1], "name=main": [], "tz=America/New_York": [0, 1, 2, 3], "show_contact_notes=true": []},
        ("show_contact_notes=maybe", "recurring_notification_days_default=366", "created_ts=now"),
    ),
    Kind(
        "contact",
        {},
        "last_name",
        ("%", "Jones", "Jonson", "_"),
        {"last_name=Jon": [], "last_name=Jones,_": [1, 3], "last_name=%25": [0], "email_trx_receipt=0": [0, 1, 2, 3]},
        ("email_trx_receipt=maybe", "date_of_birth=1990", "header_message_type=5", "modified_ts=-1"),
    ),
    Kind(
        "transaction",
        {"status_id": 101, "is_recurring": 1},
        "transaction_amount",
        ("2.00", "9.50", "10.00", "100.00"),
        {
            "transaction_amount=9.50": [1],
            "transaction_amount=9.5,10": [1, 2],
            "transaction_amount=1": [],
            "status_id=101&is_recurring=true": [0, 1, 2, 3],
            "status_id=102,301": [],
        },
        ("transaction_amount=many", "status_id=999", "is_recurring=2", "settle_date=today", "cvv_response=Q"),
    ),
    Kind(
        "transactionbatch",
        {"is_open": 1, "processing_status_id": 1},
        "batch_num",
        (1, 9, 10, 100),
        {"batch_num=1": [0], "batch_num=9,100": [1, 3], "is_open=1": [0, 1, 2, 3], "is_open=0": [], "is_open=true": [0, 1, 2, 3]},
        ("is_open=2", "processing_status_id=7", "batch_close_ts=now", "batch_num=-1"),
    ),
    Kind(
        "accountvault",
        {"active": 0, "payment_method": "cc"},
        "title",
        ("'; DROP TABLE records;--", "Main card", "Second \\ card", "{{7*7}}"),
        {"title=Main card": [1], "title=Main": [], "active=0": [0, 1, 2, 3], "active=1": [], "payment_method=ach,cc": [0, 1, 2, 3]},
        ("active=yes", "payment_method=cash", "expiring_in_months=soon"),
    ),
]  # fmt: skip

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


class Four:
    """Four records of a kind, made ten seconds after each other; the greatest value first, so no order is another's."""

    def __init__(self, client: Client, kind: Kind, location_id: str, ids: list[str]) -> None:
        self.client = client
        self.kind = kind
        self.location_id = location_id
        self.ids = ids
        """In the order of their values."""

    async def asked(self, query: str) -> Any:
        reply = await self.client.get(f"/v2/{self.kind.plural}?{query}")
        assert reply.status == 200, reply.body
        return reply.json

    async def places(self, query: str) -> list[int]:
        """Which of the four it finds, in the order of the list."""
        found = (await self.asked(query))[self.kind.plural]
        return [self.ids.index(record["id"]) for record in found]


@pytest.fixture
async def four(api: Api, client: Client, clock: ClockDouble, kind: Kind) -> Four:
    location_id = "" if kind.name == "location" else await api.location()
    ids = []
    for value in reversed(kind.values):
        sent = {**kind.needed, kind.differs: value}
        if location_id:
            sent |= {"location_id": location_id}
        reply = await client.post(f"/v2/{kind.plural}", {kind.name: sent})
        assert reply.status == 201, reply.body
        ids.append(reply.json[kind.name]["id"])
        clock.pass_(seconds=10)
    return Four(client, kind, location_id, ids[::-1])


@each_kind
async def test_a_list_is_ordered_as_asked_and_else_the_newest_is_first(four: Four) -> None:
    """Amounts and numbers by their worth: 9.50 comes before 10.00."""
    assert await four.places("") == [0, 1, 2, 3]
    assert await four.places("sort=created_ts") == [3, 2, 1, 0]
    assert await four.places(f"sort={four.kind.differs}") == [0, 1, 2, 3]
    assert await four.places(f"sort=-{four.kind.differs}") == [3, 2, 1, 0]
    assert sorted(await four.places("sort=id")) == [0, 1, 2, 3]


@each_kind
async def test_a_list_goes_by_pages_from_one(four: Four) -> None:
    pages = [await four.asked(f"sort={four.kind.differs}&page_size=3&page={page}") for page in (1, 2, 3)]

    ids = [[record["id"] for record in page[four.kind.plural]] for page in pages]
    address = f"{PUBLIC_URL}/v2/{four.kind.plural}?sort={four.kind.differs}&page_size=3&page="
    links = [
        {"self": {"href": f"{address}1"}, "next": {"href": f"{address}2"}, "last": {"href": f"{address}2"}},
        {"self": {"href": f"{address}2"}},
        {"self": {"href": f"{address}3"}},
    ]
    assert ids == [four.ids[:3], four.ids[3:], []]
    for number, page in enumerate(pages, start=1):
        assert page["meta"] == {
            "pagination": {
                "links": links[number - 1],
                "totalCount": 4,
                "pageCount": 2,
                "currentPage": number,
                "perPage": 3,
            },
            "sort": {"attributes": {four.kind.differs: "asc"}},
        }


@each_kind
async def test_a_page_has_twenty_unless_asked_otherwise(four: Four) -> None:
    meta = (await four.asked(""))["meta"]

    assert (meta["pagination"]["perPage"], meta["pagination"]["pageCount"]) == (20, 1)
    assert meta["sort"] == {"attributes": {"created_ts": "desc"}}
    assert (await four.asked("page_size=500"))["meta"]["pagination"]["perPage"] == 500


@each_kind
async def test_what_no_list_can_be_asked_is_refused_by_name(client: Client, kind: Kind) -> None:
    for query, name in (
        ("page=0", "page"), ("page=-1", "page"), ("page=x", "page"), ("page_size=0", "page_size"),
        ("page_size=501", "page_size"), ("page_size=1e3", "page_size"), ("limit=1", "limit"), ("cursor=x", "cursor"),
        ("sort=", "sort"), ("sort=secret", "sort"), ("sort=-body", "sort"), ("sort=revision", "sort"),
        ("account=other", "account"), ("ssn4=1234", "ssn4"), ("sort=routing", "sort"), ("id=1&id=2", "id"),
    ):  # fmt: skip
        assert list((await client.get(f"/v2/{kind.plural}?{query}")).errors) == [name], query


@each_kind
async def test_filters_are_exact(four: Four) -> None:
    for query, expected in four.kind.found.items():
        assert await four.places(f"{query}&sort={four.kind.differs}") == expected, query


@each_kind
async def test_a_filter_takes_any_of_several_and_all_filters_hold(four: Four) -> None:
    first, _, third, _ = four.ids

    assert await four.places(f"id={first},{third},nobody&sort={four.kind.differs}") == [0, 2]
    created = [record["created_ts"] for record in (await four.asked(f"id={third}"))[four.kind.plural]]
    assert await four.places(f"id={first},{third}&created_ts={created[0]}") == [2]


@each_kind
async def test_a_filter_that_no_record_can_match_is_refused_by_name(client: Client, kind: Kind) -> None:
    for query in kind.refused:
        assert list((await client.get(f"/v2/{kind.plural}?{query}")).errors) == [query.partition("=")[0]], query


async def test_a_text_that_looks_like_a_number_or_a_flag_is_looked_for_as_it_is(api: Api, client: Client) -> None:
    """It was read as one first: zip=02134 looked for 2134 and found nothing, and 007 found the contact of 7."""
    location_id = await api.location()
    names = ["007", "7", "true", "True", "1"]
    for name in names:
        sent = {"location_id": location_id, "last_name": name, "contact_api_id": name, "zip": "02134"}
        assert (await client.post("/v2/contacts", {"contact": sent})).status == 201
    await client.put("/v2/accounts/007", {"account": {"name": "true"}})

    async def found(query: str) -> list[str]:
        return [contact["last_name"] for contact in (await client.get(f"/v2/contacts?{query}")).json["contacts"]]

    assert [await found(f"{field}={name}") for field in ("last_name", "contact_api_id") for name in names] == [
        [name] for name in names * 2
    ]
    assert await found("last_name=007,true&sort=last_name") == ["007", "true"]
    page = (await client.get("/v2/contacts?zip=02134&page_size=2")).json["meta"]["pagination"]
    assert page["totalCount"] == len(names)
    assert page["links"]["next"]["href"].endswith("/v2/contacts?zip=02134&sort=-created_ts&page_size=2&page=2")
    for query in ("id=007", "name=true"):
        assert [one["id"] for one in (await client.get(f"/v2/accounts?{query}")).json["accounts"]] == ["007"]


@pytest.mark.parametrize("kind", KINDS[1:], ids=lambda kind: kind.name)
async def test_records_are_listed_by_their_location(api: Api, four: Four) -> None:
    """A batch too, though it does not show where it belongs."""
    elsewhere = await api.location(name="Nothing Lane")

    assert await four.places(f"location_id={four.location_id}") == [0, 1, 2, 3]
    assert await four.places(f"location_id={elsewhere}") == []
    assert sorted(await four.places(f"location_id={elsewhere},{four.location_id}&sort=location_id")) == [0, 1, 2, 3]


@each_kind
async def test_a_list_has_nothing_of_others(api: Api, four: Four) -> None:
    other = await api.other_account()

    reply = await other.get(f"/v2/{four.kind.plural}?id={four.ids[0]}")

    assert (reply.json[four.kind.plural], reply.json["meta"]["pagination"]["totalCount"]) == ([], 0)


async def test_lists_do_not_look_into_what_has_parts(client: Client) -> None:
    for field in ("additional_amounts", "custom_data", "emv_receipt_data"):
        assert list((await client.get(f"/v2/transactions?{field}=x")).errors) == [field]
