"""Searching postback configs on each database, by what lists show of them: names and URLs."""

import pytest

from postback.ports import Query, Search
from postback.storage.configs import SqlConfigs
from tests.build import ACCOUNT, CONFIG_ID, a_config
from tests.storage.given import Store, configs_of_two_accounts

pytestmark = pytest.mark.anyio


@pytest.fixture
async def configs(empty_store: Store) -> SqlConfigs:
    """Two with a name, one without."""
    configs = await configs_of_two_accounts(empty_store)
    names = ({"name": "CRM of Sales"}, {"name": "Übersee 100%"}, {})
    for place, as_sent in enumerate(names):
        await configs.add(
            a_config(id=CONFIG_ID + place, location_id=None, url=f"https://Host{place}.example/in", as_sent=as_sent)
        )
    await configs.add(a_config(id=CONFIG_ID + 9, account="other", location_id=None, as_sent=names[0]))
    return configs


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("crm of s", [0]),
        ("SALES", [0]),
        ("Übersee", [1]),
        ("ÜBERSEE", [1]),
        ("100%", [1]),
        ("host2", [2]),
        (".example", [0, 1, 2]),
        ("url", []),
        ("name", []),
        ("\0", []),
    ],
)
async def test_configs_are_found_by_a_part_of_their_name_or_url(
    configs: SqlConfigs, text: str, places: list[int]
) -> None:
    """The list shows names, and a search for one found nothing."""
    page = await configs.list(ACCOUNT, Query(sort="url", search=Search(("name", "url"), text)))

    assert [config.id - CONFIG_ID for config in page.items] == places
    assert page.total == len(places)
