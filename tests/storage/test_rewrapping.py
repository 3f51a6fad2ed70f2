"""Sealing all secrets anew: whatever ends it, and wherever, the store opens and everything in it can be read."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from postback.domain.configs import BasicAuth, PostbackConfig
from postback.storage.configs import SqlConfigs
from postback.storage.database import CannotOpen
from postback.storage.secret_file import SecretFile
from postback.storage.sqlite import SqliteStore, unlocking
from postback.storage.sqlite.rewrapping import Rewrapping, opened_to_rewrap
from postback.storage.vault import key_id, key_id_of
from tests.build import ACCOUNT, CONFIG_ID, a_config
from tests.doubles import ClockDouble
from tests.storage import given

pytestmark = pytest.mark.anyio

FIRST, SECOND = b"\x01" * 32, b"\x02" * 32
CONFIGS = 7


@pytest.fixture
async def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: str) -> AsyncIterator[Path]:
    """A store with secrets, more of them than a batch has, and a config without any."""
    monkeypatch.setattr(unlocking, "BATCH", 3)
    path = tmp_path / "postback.db"
    store = await SqliteStore.open(path, ClockDouble())
    await store.write(given.adding(ACCOUNT))
    configs = SqlConfigs(store)
    for number in range(CONFIGS):
        await configs.add(a_secret_config(number))
    await configs.add(a_config(id=CONFIG_ID + CONFIGS, location_id=None))
    await configs.change(a_secret_config(0))
    await store.close()
    yield path
    # However a test left it.
    assert await passwords(path) == [f"password-{number}" for number in range(CONFIGS)]


def a_secret_config(number: int) -> PostbackConfig:
    return a_config(id=CONFIG_ID + number, location_id=None, basic_auth=BasicAuth("user", f"password-{number}"))


async def passwords(path: Path, *keys: bytes) -> list[str]:
    store = await SqliteStore.open(path, ClockDouble(), secret_keys=keys)
    found = (await SqlConfigs(store).snapshot(ACCOUNT)).configs.values()
    await store.close()
    assert all(config.state_reason is None for config in found)
    return [config.basic_auth.password for config in found if config.basic_auth is not None]


async def sealed_with(path: Path, *keys: bytes) -> list[str | None]:
    """The id of the key of each secret."""
    store = await SqliteStore.open(path, ClockDouble(), secret_keys=keys)
    query = text("SELECT secrets FROM config_versions WHERE secrets <> '' ORDER BY config_id, version")
    found = await store.read(lambda connection: connection.execute(query).scalars().all())
    await store.close()
    return [key_id_of(one) for one in found]


def all_steps(rewrapping: Rewrapping) -> int:
    """How many secrets were sealed anew."""
    rewrapping.begin_a_new_key()
    changed = sum(batch.changed for batch in rewrapping.reseal())
    rewrapping.forget_what_stood_there()
    assert rewrapping.drop_old_keys()
    return changed


async def test_a_new_key_seals_everything_and_the_old_one_is_forgotten(path: Path) -> None:
    [old] = SecretFile(path).read()
    before = await sealed_with(path)

    with opened_to_rewrap(path, ()) as rewrapping:
        assert rewrapping.total == CONFIGS + 1
        assert all_steps(rewrapping) == CONFIGS + 1

    [new] = SecretFile(path).read()
    assert new != old
    assert before == [key_id(old)] * (CONFIGS + 1)
    assert await sealed_with(path) == [key_id(new)] * (CONFIGS + 1)
    assert key_id(old).encode() not in path.read_bytes()


async def test_what_the_first_key_sealed_is_left_as_it_is(path: Path) -> None:
    before = await sealed_with(path)

    with opened_to_rewrap(path, ()) as rewrapping:
        batches = list(rewrapping.reseal())

    assert [batch.seen for batch in batches] == [3, 3, 2]
    assert sum(batch.changed for batch in batches) == 0
    assert await sealed_with(path) == before


@pytest.mark.parametrize("steps", range(7))
async def test_wherever_it_ends_everything_can_be_read_and_another_run_completes_it(path: Path, steps: int) -> None:
    with opened_to_rewrap(path, ()) as rewrapping:
        left = steps
        if left:
            rewrapping.begin_a_new_key()
            left -= 1
        if left:
            resealing = rewrapping.reseal()
            for _ in range(min(left, 3)):
                next(resealing)
            left -= min(left, 3)
        if left:
            rewrapping.forget_what_stood_there()
            left -= 1
        if left:
            assert rewrapping.drop_old_keys()

    assert await passwords(path) == [f"password-{number}" for number in range(CONFIGS)]
    with opened_to_rewrap(path, ()) as rewrapping:
        all_steps(rewrapping)

    [new] = SecretFile(path).read()
    assert set(await sealed_with(path)) == {key_id(new)}


async def test_a_batch_that_is_cut_short_never_happened(path: Path) -> None:
    [old] = SecretFile(path).read()
    with opened_to_rewrap(path, ()) as rewrapping:
        rewrapping.begin_a_new_key()
        rewrapping._door.raw.execute(
            """
            CREATE TEMP TRIGGER cut BEFORE UPDATE ON main.config_versions WHEN OLD.config_id % 7 = 4
            BEGIN SELECT raise(ABORT, 'cut'); END
            """
        )
        resealing = rewrapping.reseal()

        with pytest.raises(Exception, match="cut"):
            list(resealing)
        assert not rewrapping.drop_old_keys()

    assert key_id(old) in await sealed_with(path)
    assert len(SecretFile(path).read()) == 2


async def test_what_cannot_be_read_stays_as_it_is_and_keeps_its_key(path: Path) -> None:
    [old] = SecretFile(path).read()
    swap = text(
        """
        UPDATE config_versions
        SET secrets = (SELECT secrets FROM config_versions WHERE config_id = :id + 1)
        WHERE config_id = :id AND version = 1
        """
    )
    store = await SqliteStore.open(path, ClockDouble())
    await store.write(lambda connection: connection.execute(swap, {"id": CONFIG_ID}).rowcount)
    await store.close()

    with opened_to_rewrap(path, ()) as rewrapping:
        rewrapping.begin_a_new_key()
        [unreadable] = [one for batch in rewrapping.reseal() for one in batch.unreadable]
        assert not rewrapping.drop_old_keys()

    assert unreadable.startswith("version 1 of pbc_")
    assert (await sealed_with(path)).count(key_id(old)) == 1
    assert len(SecretFile(path).read()) == 2


async def test_keys_of_the_settings_change_by_the_settings(path: Path) -> None:
    file = SecretFile(path)
    [old] = file.read()
    with opened_to_rewrap(path, (FIRST, old)) as rewrapping:
        with pytest.raises(ValueError, match="settings"):
            rewrapping.begin_a_new_key()
        changed = sum(batch.changed for batch in rewrapping.reseal())
        assert (rewrapping.old_keys, rewrapping.old_ids_in_use) == (1, [])
        assert not rewrapping.drop_old_keys()

    assert changed == CONFIGS + 1
    assert await sealed_with(path, FIRST) == [key_id(FIRST)] * (CONFIGS + 1)
    assert file.read() == (old,)
    with pytest.raises(CannotOpen):
        await SqliteStore.open(path, ClockDouble())
    file.write([FIRST])


async def test_nobody_rewraps_what_a_server_has_open(path: Path) -> None:
    store = await SqliteStore.open(path, ClockDouble())

    with pytest.raises(CannotOpen, match="in use by another postback process"), opened_to_rewrap(path, ()):
        pass

    await store.close()
