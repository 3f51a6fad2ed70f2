"""Secrets in the file: none in clear, the key beside it, and no start with a key that does not fit."""

import json
import sqlite3
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from postback.domain.configs import BasicAuth, PostbackConfig, SigningSecret
from postback.domain.errors import CannotRender
from postback.domain.secret_keys import key_text, parse_keys
from postback.formats import render
from postback.storage import migrations
from postback.storage.configs import SqlConfigs
from postback.storage.database import CannotOpen
from postback.storage.secret_file import SecretFile
from postback.storage.sqlite import SqliteStore, unlocking
from postback.storage.sqlite.connections import APPLICATION_ID, open_writer
from postback.storage.vault import key_id, key_id_of
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_config, an_event
from tests.doubles import ClockDouble
from tests.storage import given

pytestmark = pytest.mark.anyio

FIRST, SECOND = b"\x01" * 32, b"\x02" * 32
CANARIES = (
    "canary-basic-password",
    "canary-header-value",
    "whsec_Y2FuYXJ5LWN1cnJlbnQ=",
    "canary-second-password",
    "canary-second-header",
    "whsec_Y2FuYXJ5LXJvdGF0ZWQ=",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "postback.db"


@pytest.fixture
async def store(path: Path, anyio_backend: str) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path, ClockDouble())
    await store.write(given.adding(ACCOUNT))
    yield store
    await store.close()


def a_secret_config(**changes: object) -> PostbackConfig:
    password, header, signing, *_ = CANARIES
    config = a_config(
        location_id=None,
        basic_auth=BasicAuth("hookuser", password),
        headers={"X-Api-Key": header},
        signing_secrets=(SigningSecret(signing),),
        as_sent={"basic_auth_password": password, "headers": {"X-Api-Key": header}, "signing_secret": signing},
    )
    return replace(config, **changes)


def all_bytes(path: Path) -> bytes:
    """Of the database and whatever stands beside it."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))


async def open_and_close(path: Path, *keys: bytes) -> None:
    store = await SqliteStore.open(path, ClockDouble(), secret_keys=keys)
    await store.close()


async def given_a_store_with_secrets(path: Path, *keys: bytes) -> None:
    store = await SqliteStore.open(path, ClockDouble(), secret_keys=keys)
    await store.write(given.adding(ACCOUNT))
    await SqlConfigs(store).add(a_secret_config())
    await store.close()


async def found_config(path: Path, *keys: bytes) -> PostbackConfig:
    store = await SqliteStore.open(path, ClockDouble(), secret_keys=keys)
    try:
        return await SqlConfigs(store).find(ACCOUNT, CONFIG_ID)
    finally:
        await store.close()


# --- what stands in the file -----------------------------------------------------------------------------------------


async def test_no_secret_is_in_any_byte_of_the_files(store: SqliteStore, path: Path) -> None:
    configs = SqlConfigs(store)
    first, second = a_secret_config(), CANARIES[3:]
    await configs.add(first)
    await configs.change(replace(first, basic_auth=BasicAuth("hookuser", second[0]), headers={"X-Api-Key": second[1]}))
    rotated = (SigningSecret(second[2]), replace(first.signing_secrets[0], expires_ms=NOON + 1))
    await configs.change(replace(first, version=2, signing_secrets=rotated))

    while_open = all_bytes(path)
    found = await configs.find(ACCOUNT, CONFIG_ID)
    await store.close()

    assert found.signing_secrets == rotated
    assert path.with_name("postback.db-wal").name not in {file.name for file in path.parent.iterdir()}
    for kept in (while_open, all_bytes(path)):
        # What is no secret is there, so a secret would be seen.
        assert b"hookuser" in kept
        assert [canary for canary in CANARIES if canary.encode() in kept] == []


@pytest.mark.parametrize("other", ["config_id = :id + 1", "config_id = :id AND version = 1"])
async def test_secrets_put_into_another_row_are_refused_visibly(store: SqliteStore, other: str) -> None:
    configs, neighbour = SqlConfigs(store), a_secret_config(id=CONFIG_ID + 1)
    await configs.add(neighbour)
    await configs.add(a_secret_config())
    await configs.change(a_secret_config(url="http://127.0.0.1:9000/second"))
    swap = text(
        f"""
        UPDATE config_versions
        SET secrets = (SELECT secrets FROM config_versions WHERE {other})
        WHERE config_id = :id AND version = 2
        """
    )

    assert await store.write(lambda connection: connection.execute(swap, {"id": CONFIG_ID}).rowcount) == 1

    snapshot = await configs.snapshot(ACCOUNT)
    assert snapshot.configs[CONFIG_ID + 1] == neighbour
    config = snapshot.configs[CONFIG_ID]
    assert config.state_reason == "this config cannot be read: its secrets are damaged, or those of another row"
    assert config.wants(an_event())
    with pytest.raises(CannotRender):
        render(an_event(), config, 1, NOON)


# --- the key ---------------------------------------------------------------------------------------------------------


async def test_the_first_start_makes_a_key_that_only_the_owner_may_read(path: Path) -> None:
    await given_a_store_with_secrets(path)

    file = path.with_name("postback.db.secret")
    [key] = parse_keys(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert await found_config(path) == a_secret_config()
    assert parse_keys(file.read_text()) == (key,)
    assert sorted(one.name for one in path.parent.iterdir()) == [
        "postback.db",
        "postback.db.lock",
        "postback.db.secret",
    ]


async def test_a_key_of_the_settings_makes_no_file(path: Path) -> None:
    await given_a_store_with_secrets(path, FIRST)

    assert await found_config(path, FIRST) == a_secret_config()
    assert not path.with_name("postback.db.secret").exists()


async def test_the_first_key_encrypts_and_the_others_still_decrypt(path: Path) -> None:
    await given_a_store_with_secrets(path, FIRST)

    store = await SqliteStore.open(path, ClockDouble(), secret_keys=(SECOND, FIRST))
    configs = SqlConfigs(store)
    before = await configs.find(ACCOUNT, CONFIG_ID)
    await configs.change(before)
    query = text("SELECT secrets FROM config_versions ORDER BY version")
    sealed = await store.read(lambda connection: connection.execute(query).scalars().all())
    await store.close()

    assert before == a_secret_config()
    assert [key_id_of(one) for one in sealed] == [key_id(FIRST), key_id(SECOND)]


async def test_a_database_goes_by_its_link_and_its_key_by_the_database(path: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "link.db"
    link.symlink_to(path)

    await given_a_store_with_secrets(link)

    assert path.with_name("postback.db.secret").exists()
    assert list((tmp_path / "links").iterdir()) == [link]


async def test_a_start_without_the_key_file_is_refused_and_makes_none(path: Path) -> None:
    await given_a_store_with_secrets(path)
    file = path.with_name("postback.db.secret")
    [key] = parse_keys(file.read_text())
    file.unlink()

    with pytest.raises(CannotOpen) as refused:
        await open_and_close(path)

    assert key_id(key) in str(refused.value)
    assert f"{file} is not there" in str(refused.value)
    assert not file.exists()
    # Nothing is held by the start that was refused.
    assert await found_config(path, key) == a_secret_config()


async def test_a_store_without_secrets_needs_no_key_of_before(path: Path) -> None:
    await open_and_close(path)
    SecretFile(path).path.unlink()

    await open_and_close(path)

    assert SecretFile(path).path.exists()


async def test_a_wrong_key_is_noticed_at_the_start(path: Path) -> None:
    await given_a_store_with_secrets(path, FIRST)

    with pytest.raises(CannotOpen) as by_settings:
        await open_and_close(path, SECOND)
    SecretFile(path).write([SECOND])
    with pytest.raises(CannotOpen) as by_file:
        await open_and_close(path)

    assert f"encrypted with the key {key_id(FIRST)}, and POSTBACK_SECRET_KEY gives {key_id(SECOND)}" in str(
        by_settings.value
    )
    assert "add the old key to it, after a comma" in str(by_settings.value)
    assert f"{SecretFile(path).path} does not have it" in str(by_file.value)
    assert await found_config(path, FIRST) == a_secret_config()


async def test_whoever_sets_a_key_for_the_first_time_is_told_where_the_old_one_is(path: Path) -> None:
    await given_a_store_with_secrets(path)

    with pytest.raises(CannotOpen, match=r"add what stands in .*postback\.db\.secret to it, after a comma"):
        await open_and_close(path, FIRST)

    old = SecretFile(path).read()
    assert await found_config(path, FIRST, *old) == a_secret_config()


@pytest.mark.parametrize("kept", ["short", "no ASCII: é", key_text(FIRST) + "\nhalf a k"])
async def test_a_damaged_key_file_is_refused_and_left_alone(path: Path, kept: str) -> None:
    SecretFile(path).path.write_text(kept, "utf-8")

    with pytest.raises(CannotOpen, match=r"postback\.db\.secret is damaged") as refused:
        await open_and_close(path)

    assert kept not in str(refused.value)
    assert SecretFile(path).path.read_text("utf-8") == kept


async def test_a_key_that_is_lost_for_good_costs_its_configs_and_nothing_else(path: Path) -> None:
    """As the manual says."""
    await given_a_store_with_secrets(path, FIRST)
    raw = sqlite3.connect(path)
    raw.execute(f"UPDATE config_versions SET secrets = 'lost' WHERE secrets LIKE 'v1:{key_id(FIRST)}:%'")
    raw.commit()
    raw.close()

    lost = await found_config(path, SECOND)
    store = await SqliteStore.open(path, ClockDouble(), secret_keys=[SECOND])
    await SqlConfigs(store).change(a_secret_config(version=lost.version))
    await store.close()

    assert (lost.state_reason or "").startswith("this config cannot be read")
    assert await found_config(path, SECOND) == a_secret_config(version=2)


# --- a database of the first schema ----------------------------------------------------------------------------------


def given_a_database_of_the_first_schema(path: Path) -> None:
    """As the first release left it: configs with their secrets in clear, one row of them damaged."""
    door = open_writer(path)
    door.raw.execute("BEGIN IMMEDIATE")
    door.raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    door.run(partial(_migrate_to, revision="0001"))
    door.raw.execute("INSERT INTO accounts VALUES ('default', NULL, '{}', 1, 1, 7)")
    body = {
        "location_id": None,
        "resource": "contact",
        "on_create": True,
        "on_update": True,
        "on_delete": True,
        "is_active": True,
        "url": "http://127.0.0.1:9000/receiver",
        "format": "api-default",
        "expands": [],
        "product_transaction_id": None,
        "success": "2xx",
        "max_in_flight": 64,
        "created_ms": NOON,
        "retry": {"attempts": 3, "waits_s": [60], "jitter": False},
        "deadlines": {"connect_s": 5.0, "response_s": 10.0, "total_s": 15.0},
        "basic_auth_username": "hookuser",
        "as_sent": {"basic_auth_password": None, "headers": None},
    }
    secrets = {
        "basic_auth_password": CANARIES[0],
        "headers": {"X-Api-Key": CANARIES[1]},
        "as_sent": {"basic_auth_password": CANARIES[0], "headers": {"X-Api-Key": CANARIES[1]}},
    }
    for number, kept in enumerate((json.dumps(secrets), json.dumps(secrets), '{"basic_auth_password"', "damaged")):
        config_id = CONFIG_ID + number
        door.raw.execute(
            "INSERT INTO configs VALUES (?, 'default', 1, NULL, 'active', NULL, ?, ?)", (config_id, NOON, NOON)
        )
        door.raw.execute(
            "INSERT INTO config_versions VALUES (?, 1, 'default', ?, ?, ?)", (config_id, NOON, json.dumps(body), kept)
        )
    door.raw.execute("COMMIT")
    door.close()


def _migrate_to(connection: Connection, revision: str) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    command.upgrade(config, revision)


async def test_a_database_of_the_first_schema_is_brought_up_and_its_secrets_are_sealed(path: Path) -> None:
    given_a_database_of_the_first_schema(path)
    assert CANARIES[0].encode() in all_bytes(path)

    store = await SqliteStore.open(path, ClockDouble())
    snapshot = await SqlConfigs(store).snapshot(ACCOUNT)
    await store.close()

    config = snapshot.configs[CONFIG_ID]
    assert config.basic_auth == BasicAuth("hookuser", CANARIES[0])
    assert config.headers == {"X-Api-Key": CANARIES[1]}
    assert config.as_sent["basic_auth_password"] == CANARIES[0]
    assert (config.event_types, config.signing_secrets, config.purpose, config.warned) == ((), (), None, None)
    assert config.wants(an_event())
    assert snapshot.version == 7
    for damaged in (2, 3):
        assert (snapshot.configs[CONFIG_ID + damaged].state_reason or "").startswith("this config cannot be read")
    assert [canary for canary in CANARIES if canary.encode() in all_bytes(path)] == []
    assert await found_config(path) == config


def given_removed_versions(path: Path) -> None:
    raw = sqlite3.connect(path)
    # Versions of before, removed: SQLite marks their places as free and leaves the bytes, unless it is built to wipe.
    raw.execute("PRAGMA secure_delete = OFF")
    long = "x" * 3000
    raw.executemany(
        "INSERT INTO config_versions VALUES (?, 1, 'default', 1, ?, ?)",
        [(n, long, f'{{"basic_auth_password": "{CANARIES[3]}-{n}"}}') for n in range(50)],
    )
    raw.commit()
    raw.execute("DELETE FROM config_versions WHERE config_id < 50")
    raw.commit()
    raw.close()
    assert CANARIES[3].encode() in all_bytes(path)


async def test_what_was_in_clear_is_gone_from_the_free_places_of_the_file_too(path: Path) -> None:
    given_a_database_of_the_first_schema(path)
    given_removed_versions(path)

    store = await SqliteStore.open(path, ClockDouble())
    while_open = all_bytes(path)
    await store.close()

    assert CANARIES[3].encode() not in while_open
    assert CANARIES[3].encode() not in all_bytes(path)


async def test_a_start_that_was_killed_before_the_file_was_written_anew_is_made_good_by_the_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All was sealed by then, so nothing in the tables told the next start that the file's free places were legible."""
    given_a_database_of_the_first_schema(path)
    given_removed_versions(path)

    def killed(_door: object) -> None:
        raise CannotOpen("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(unlocking, "forget_what_stood_there", killed)
        with pytest.raises(CannotOpen, match="killed here"):
            await open_and_close(path)
    assert CANARIES[3].encode() in all_bytes(path)

    await open_and_close(path)

    assert CANARIES[3].encode() not in all_bytes(path)
