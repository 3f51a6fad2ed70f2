"""Postback configs on each database: versions, states, secrets, and rows that cannot be read."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import bindparam, text

from postback.domain.configs import BasicAuth, ConfigState, FormatOptions, PostbackConfig, Purpose, SigningSecret
from postback.domain.errors import CannotRender, InvalidValue, NotFound, RevisionPassed
from postback.domain.event_types import Layout
from postback.domain.policy import Deadlines, RetryPolicy, SuccessRule
from postback.domain.records import Insert
from postback.formats import render
from postback.ports import Query
from postback.storage.config_rows import place_of
from postback.storage.configs import SqlConfigs, version_of
from postback.storage.database import Database
from postback.storage.records import SqlRecords
from postback.storage.texts import AnyText
from tests.build import ACCOUNT, CONFIG_ID, LOCATION_ID, NOON, a_config, a_location, an_event
from tests.doubles import ClockDouble
from tests.storage.given import configs_of_two_accounts

pytestmark = pytest.mark.anyio


@pytest.fixture
async def configs(empty_store: Database) -> SqlConfigs:
    configs = await configs_of_two_accounts(empty_store)
    records = SqlRecords(empty_store, {})
    await records.apply([Insert(a_location()), Insert(a_location(account="other", id="loc_other"))])
    return configs


def a_full_config() -> PostbackConfig:
    return a_config(
        url="https://client.example/in?k=1",
        on_delete=False,
        product_transaction_id="prt_1",
        expands=("contact", "changelogs"),
        success=SuccessRule.EXACTLY_200,
        retry=RetryPolicy(5, (1, 60, 3600), jitter=True),
        deadlines=Deadlines(1.5, 2.5, 4.0),
        max_in_flight=7,
        rate_limit=2.5,
        event_types=("sms.*", "pass.generated"),
        format="json",
        options=FormatOptions(xml_layout=Layout.L2014_03, callback_naming="reference", time_zone="Europe/Berlin"),
        purpose=Purpose.MAIN,
        basic_auth=BasicAuth("hookuser", "Pa55-example"),
        headers={"X-Customer": "17", "Authorization-Extra": "s3cret"},
        signing_secrets=(SigningSecret("whsec_Y3VycmVudA=="), SigningSecret("whsec_b2xk", NOON + 1)),
        state_reason=None,
        created_ms=NOON,
        modified_ms=NOON + 1,
        as_sent={
            "url": "https://client.example/in?k=1",
            "basic_auth_password": "Pa55-example",
            "on_create": "1",
            "headers": {"X-Customer": "17", "Authorization-Extra": "s3cret"},
            "on_update": 1,
            "is_active": True,
            "name": "Zoë \u0000",
        },
    )


async def rows(empty_store: Database, sql: str) -> list[tuple[object, ...]]:
    return await empty_store.read(lambda connection: [tuple(row) for row in connection.execute(text(sql))])


async def damage(empty_store: Database, sql: str, **values: object) -> None:
    texts = [bindparam(name, value, AnyText()) for name, value in values.items() if isinstance(value, str)]
    numbers = {name: value for name, value in values.items() if not isinstance(value, str)}
    statement = text(sql).bindparams(*texts, **numbers)
    await empty_store.write(lambda connection: connection.execute(statement).rowcount)


async def test_a_config_is_found_as_it_was_added(configs: SqlConfigs) -> None:
    config = a_full_config()

    await configs.add(config)

    found = await configs.find(ACCOUNT, config.id)
    assert found == config
    assert list(found.as_sent) == list(config.as_sent)


async def test_nobody_finds_or_changes_what_is_anothers(configs: SqlConfigs) -> None:
    await configs.add(a_config())

    for account, config_id in (("other", CONFIG_ID), (ACCOUNT, CONFIG_ID + 1), ("nobody", CONFIG_ID)):
        with pytest.raises(NotFound):
            await configs.find(account, config_id)
        with pytest.raises(NotFound):
            await configs.set_state(account, config_id, ConfigState.PAUSED, None)
        with pytest.raises(NotFound):
            await configs.delete(account, config_id)
    with pytest.raises(NotFound):
        await configs.change(a_config(account="other", location_id="loc_other"))
    assert (await configs.list("other", Query())).total == 0
    assert (await configs.snapshot("other")).configs == {}
    assert (await configs.find(ACCOUNT, CONFIG_ID)).state is ConfigState.ACTIVE


@pytest.mark.parametrize("location_id", ["loc_nowhere", "loc_other"])
async def test_a_config_needs_a_location_of_its_account(configs: SqlConfigs, location_id: str) -> None:
    with pytest.raises(InvalidValue):
        await configs.add(a_config(location_id=location_id))
    await configs.add(a_config())
    with pytest.raises(InvalidValue):
        await configs.change(a_config(location_id=location_id))

    assert (await configs.snapshot(ACCOUNT)).version == 1


async def test_nobody_adds_a_config_to_an_account_that_is_not_there(configs: SqlConfigs) -> None:
    with pytest.raises(NotFound):
        await configs.add(a_config(account="nobody", location_id=None))
    with pytest.raises(NotFound):
        await configs.snapshot("nobody")


async def test_each_change_is_a_version_of_its_own(empty_store: Database, configs: SqlConfigs) -> None:
    await configs.add(a_config())

    await configs.change(a_config(version=1, url="http://127.0.0.1:9000/second", modified_ms=NOON + 5))
    await configs.change(a_config(version=2, url="http://127.0.0.1:9000/third"))

    assert (await configs.find(ACCOUNT, CONFIG_ID)).version == 3
    versions = [
        await empty_store.read(lambda connection, n=n: version_of(connection, empty_store.vault, ACCOUNT, CONFIG_ID, n))  # type: ignore[misc]
        for n in (1, 2, 3, 4)
    ]
    assert [version and version.url[-6:] for version in versions] == ["ceiver", "second", "/third", None]
    assert versions[1] == replace(a_config(url="http://127.0.0.1:9000/second", modified_ms=NOON + 5), version=2)
    assert (
        await empty_store.read(lambda connection: version_of(connection, empty_store.vault, "other", CONFIG_ID, 1))
        is None
    )


async def test_a_change_made_from_an_older_version_is_refused(configs: SqlConfigs) -> None:
    await configs.add(a_config())
    await configs.change(a_config(url="http://127.0.0.1:9000/second"))

    with pytest.raises(RevisionPassed):
        await configs.change(a_config(url="http://127.0.0.1:9000/late"))

    assert (await configs.find(ACCOUNT, CONFIG_ID)).url.endswith("/second")


async def test_every_change_raises_the_version_of_the_account_and_is_announced(configs: SqlConfigs) -> None:
    heard: list[str] = []
    configs.watch(heard.append)
    versions = [(await configs.snapshot(ACCOUNT)).version]

    for change in (
        configs.add(a_config()),
        configs.change(a_config(max_in_flight=1)),
        configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, "by hand"),
        configs.delete(ACCOUNT, CONFIG_ID),
    ):
        await change
        versions.append((await configs.snapshot(ACCOUNT)).version)

    assert versions == [0, 1, 2, 3, 4]
    assert heard == [ACCOUNT] * 4
    assert (await configs.snapshot("other")).version == 0


async def test_a_change_that_is_refused_is_not_announced(configs: SqlConfigs) -> None:
    await configs.add(a_config())
    heard: list[str] = []
    configs.watch(heard.append)

    with pytest.raises(InvalidValue):
        await configs.add(a_config(id=CONFIG_ID + 1, location_id="loc_nowhere"))
    with pytest.raises(RevisionPassed):
        await configs.change(a_config(version=9))

    assert heard == []
    assert (await configs.snapshot(ACCOUNT)).version == 1


async def test_a_state_changes_one_row_and_no_version(
    empty_store: Database, configs: SqlConfigs, clock: ClockDouble
) -> None:
    await configs.add(a_config())
    clock.pass_(seconds=60)

    await configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.DISABLED, "the receiver answered 410 Gone")

    config = await configs.find(ACCOUNT, CONFIG_ID)
    assert config == a_config(
        state=ConfigState.DISABLED, state_reason="the receiver answered 410 Gone", modified_ms=NOON + 60_000
    )
    assert await rows(empty_store, "SELECT count(*) FROM config_versions") == [(1,)]


async def test_an_edit_leaves_the_state_as_it_is(configs: SqlConfigs) -> None:
    await configs.add(a_config())
    await configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, "by hand")

    await configs.change(a_config(max_in_flight=1))

    config = await configs.find(ACCOUNT, CONFIG_ID)
    assert (config.state, config.state_reason, config.max_in_flight) == (ConfigState.PAUSED, "by hand", 1)


async def test_a_deleted_config_is_gone_at_once_and_its_versions_stay(
    empty_store: Database, configs: SqlConfigs
) -> None:
    await configs.add(a_full_config())

    await configs.delete(ACCOUNT, CONFIG_ID)

    assert (await configs.snapshot(ACCOUNT)).configs == {}
    assert (await configs.list(ACCOUNT, Query())).total == 0
    for attempt in (
        configs.find(ACCOUNT, CONFIG_ID),
        configs.change(a_full_config()),
        configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.ACTIVE, None),
        configs.delete(ACCOUNT, CONFIG_ID),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await rows(empty_store, "SELECT state, location_id FROM configs") == [("deleted", None)]
    version = await empty_store.read(
        lambda connection: version_of(connection, empty_store.vault, ACCOUNT, CONFIG_ID, 1)
    )
    assert version is not None
    assert version.location_id == LOCATION_ID


async def test_a_snapshot_has_every_config_of_the_account(configs: SqlConfigs) -> None:
    await configs.add(a_full_config())
    await configs.add(a_config(id=CONFIG_ID + 1))
    await configs.add(a_config(id=CONFIG_ID + 2, account="other", location_id="loc_other"))

    snapshot = await configs.snapshot(ACCOUNT)

    assert snapshot.configs == {CONFIG_ID: a_full_config(), CONFIG_ID + 1: a_config(id=CONFIG_ID + 1)}
    assert (snapshot.account, snapshot.version) == (ACCOUNT, 2)


async def test_secrets_stand_in_their_own_column_only_and_sealed(empty_store: Database, configs: SqlConfigs) -> None:
    await configs.add(a_full_config())

    [(body, secrets)] = await rows(empty_store, "SELECT body, secrets FROM config_versions")

    opened = empty_store.vault.open(str(secrets), place_of(CONFIG_ID, 1, ACCOUNT))
    for secret in ("Pa55-example", "s3cret", "whsec_Y3VycmVudA==", "whsec_b2xk"):
        assert secret not in str(body)
        assert secret not in str(secrets)
        assert secret in opened
    assert "hookuser" in str(body)


async def test_a_config_without_secrets_seals_nothing(empty_store: Database, configs: SqlConfigs) -> None:
    await configs.add(a_config())

    assert await rows(empty_store, "SELECT secrets FROM config_versions") == [("",)]


async def test_configs_are_listed_by_what_they_are(configs: SqlConfigs) -> None:
    await configs.add(a_config(created_ms=NOON))
    await configs.add(a_config(id=CONFIG_ID + 1, created_ms=NOON + 2000, resource="transaction", on_delete=False))
    await configs.add(a_config(id=CONFIG_ID + 2, created_ms=NOON + 1000, retry=RetryPolicy(3, (60,))))
    await configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, None)

    async def listed(**filters: str) -> list[int]:
        found = await configs.list(ACCOUNT, Query(filters={name: [text] for name, text in filters.items()}))
        return [config.id - CONFIG_ID for config in found.items]

    assert await listed() == [1, 2, 0]
    assert await listed(resource="transaction") == [1]
    assert await listed(on_delete="1") == [2, 0]
    assert await listed(state="paused") == [0]
    assert await listed(number_of_attempts="3") == [2]
    assert await listed(location_id=LOCATION_ID, url="http://127.0.0.1:9000/receiver", format="api-default") == [
        1,
        2,
        0,
    ]
    assert await listed(created_ts=str(NOON // 1000)) == [0]
    assert await listed(format="%") == []


@pytest.mark.parametrize("field", ["secrets", "body", "basic_auth_password", "headers", "account"])
async def test_29_secrets_are_nothing_to_filter_or_sort_by(configs: SqlConfigs, field: str) -> None:
    with pytest.raises(InvalidValue):
        await configs.list(ACCOUNT, Query(filters={field: ["x"]}))
    with pytest.raises(InvalidValue):
        await configs.list(ACCOUNT, Query(sort=field))


async def test_28_hostile_texts_are_stored_literally(configs: SqlConfigs) -> None:
    hostile = "'; DROP TABLE configs;-- %_\\ $1 :name {{7*7}} ${jndi:ldap://x} \u202e 😀"

    await configs.add(a_config(headers={"X-Text": hostile}, as_sent={"name": hostile, hostile: [hostile]}))
    await configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.DISABLED, hostile)

    config = await configs.find(ACCOUNT, CONFIG_ID)
    assert config.headers == {"X-Text": hostile}
    assert config.as_sent == {"name": hostile, hostile: [hostile]}
    assert config.state_reason == hostile


# --- rows that cannot be read ----------------------------------------------------------------------------------------


async def cannot_be_read(configs: SqlConfigs) -> PostbackConfig:
    """The config is still in the snapshot beside its healthy neighbour, and fails visibly."""
    snapshot = await configs.snapshot(ACCOUNT)
    assert snapshot.configs[CONFIG_ID + 1] == a_config(id=CONFIG_ID + 1)
    config = snapshot.configs[CONFIG_ID]
    assert config == await configs.find(ACCOUNT, CONFIG_ID)
    assert config.state is ConfigState.ACTIVE
    assert config.state_reason is not None
    assert config.state_reason.startswith("this config cannot be read: ")
    with pytest.raises(CannotRender):
        render(an_event(), config, 1, NOON)
    return config


@pytest.fixture
async def two_configs(configs: SqlConfigs) -> SqlConfigs:
    await configs.add(a_config())
    await configs.add(a_config(id=CONFIG_ID + 1))
    return configs


@pytest.mark.parametrize(
    "change",
    [
        {"success": "3xx"},
        {"retry": {"attempts": 1, "waits_s": [], "jitter": False}},
        {"retry": {"attempts": "many", "waits_s": [1], "jitter": False}},
        {"url": None},
        {"deadlines": {"connect_s": "long"}},
        {"expands": "contact"},
    ],
)
async def test_a_config_of_a_newer_version_still_gets_its_deliveries_and_fails_them(
    empty_store: Database, two_configs: SqlConfigs, change: dict[str, object]
) -> None:
    [(body,)] = await rows(empty_store, f"SELECT body FROM config_versions WHERE config_id = {CONFIG_ID}")
    await damage(
        empty_store,
        "UPDATE config_versions SET body = :body WHERE config_id = :id",
        body=json.dumps(json.loads(str(body)) | change),
        id=CONFIG_ID,
    )

    config = await cannot_be_read(two_configs)

    assert config.wants(an_event())


@pytest.mark.parametrize(
    ("format_name", "patterns", "wanted"),
    [
        ("xml", ["*"], {"sms.received"}),
        ("json", ["*"], {"contact.created", "sms.received"}),
        ("sms-callback", ["sms.*", "contact.*"], {"sms.received"}),
        ("json", ["contact.*"], {"contact.created"}),
        ("of a newer version", ["*"], {"contact.created", "sms.received"}),
        ("xml", ["contact.*"], set()),
    ],
)
async def test_a_config_with_patterns_that_cannot_be_read_wants_what_it_wanted(
    empty_store: Database, two_configs: SqlConfigs, format_name: str, patterns: list[str], wanted: set[str]
) -> None:
    [(body,)] = await rows(empty_store, f"SELECT body FROM config_versions WHERE config_id = {CONFIG_ID}")
    change = {"format": format_name, "event_types": patterns, "resource": None, "success": "3xx"}
    await damage(
        empty_store,
        "UPDATE config_versions SET body = :body WHERE config_id = :id",
        body=json.dumps(json.loads(str(body)) | change),
        id=CONFIG_ID,
    )

    config = await cannot_be_read(two_configs)

    assert {name for name in ("contact.created", "sms.received") if config.wants(an_event(type=name))} == wanted


@pytest.mark.parametrize("body", ["", "{", "null", "[1]", "{}", '{"resource": 5}', "[" * 100_000, "\x00"])
async def test_a_config_whose_body_is_damaged_fails_what_it_is_owed(
    empty_store: Database, two_configs: SqlConfigs, body: str
) -> None:
    await damage(empty_store, "UPDATE config_versions SET body = :body WHERE config_id = :id", body=body, id=CONFIG_ID)

    config = await cannot_be_read(two_configs)

    assert not config.wants(an_event())


async def test_a_config_whose_secrets_are_damaged_is_not_sent_without_them(
    empty_store: Database, two_configs: SqlConfigs
) -> None:
    await damage(empty_store, "UPDATE config_versions SET secrets = '{}' WHERE config_id = :id", id=CONFIG_ID)

    config = await cannot_be_read(two_configs)

    assert config.wants(an_event())


async def test_a_config_whose_version_is_missing_fails_what_it_is_owed(
    empty_store: Database, two_configs: SqlConfigs
) -> None:
    await damage(empty_store, "DELETE FROM config_versions WHERE config_id = :id", id=CONFIG_ID)

    await cannot_be_read(two_configs)


async def test_an_unreadable_config_can_be_repaired_by_changing_it(
    empty_store: Database, two_configs: SqlConfigs
) -> None:
    await damage(empty_store, "UPDATE config_versions SET body = '{' WHERE config_id = :id", id=CONFIG_ID)

    await two_configs.change(a_config(version=1))

    assert await two_configs.find(ACCOUNT, CONFIG_ID) == a_config(version=2)


async def test_configs_that_choose_alike_share_what_they_chose(configs: SqlConfigs) -> None:
    """Tens of thousands are in memory: with a policy and options of its own each took twice as much."""
    for n in range(2):
        await configs.add(replace(a_full_config(), id=CONFIG_ID + n, purpose=None))

    one, other = (await configs.snapshot(ACCOUNT)).configs.values()

    assert one == replace(other, id=one.id)
    assert one.retry is other.retry
    assert one.deadlines is other.deadlines
    assert one.options is other.options
    assert one.event_types is other.event_types
