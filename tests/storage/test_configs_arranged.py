"""Several configs at once on each database: all of it or nothing, and one of each purpose."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text

from postback.domain.configs import ConfigState, PostbackConfig, Purpose, Warned
from postback.domain.errors import InvalidValue, NotFound, PostbackError, RevisionPassed
from postback.ports import Query
from postback.storage.configs import SqlConfigs
from tests.build import ACCOUNT, CONFIG_ID, a_config
from tests.doubles import ClockDouble
from tests.storage.given import Store, configs_of_two_accounts

pytestmark = pytest.mark.anyio


@pytest.fixture
async def configs(empty_store: Store) -> SqlConfigs:
    return await configs_of_two_accounts(empty_store)


def numbered(number: int, purpose: Purpose | None = None, **changes: object) -> PostbackConfig:
    config = a_config(id=CONFIG_ID + number, location_id=None, purpose=purpose)
    return replace(config, **changes)


async def purposes(configs: SqlConfigs) -> dict[int, tuple[Purpose | None, int]]:
    """Config → its purpose and version."""
    found = (await configs.snapshot(ACCOUNT)).configs.values()
    return {config.id - CONFIG_ID: (config.purpose, config.version) for config in found}


async def test_configs_are_added_changed_and_deleted_together(configs: SqlConfigs, clock: ClockDouble) -> None:
    main, mo, other = numbered(0, Purpose.MAIN), numbered(1, Purpose.MO), numbered(2)
    heard: list[str] = []
    configs.watch(heard.append)
    await configs.arrange([main, mo, other], [], [])
    clock.pass_(seconds=1)

    # The purpose of what goes is free for what comes.
    await configs.arrange([numbered(3, Purpose.MO)], [replace(main, max_in_flight=1)], [mo])

    assert await purposes(configs) == {0: (Purpose.MAIN, 2), 2: (None, 1), 3: (Purpose.MO, 1)}
    assert (await configs.find(ACCOUNT, CONFIG_ID)).max_in_flight == 1
    assert heard == [ACCOUNT, ACCOUNT]
    assert (await configs.snapshot(ACCOUNT)).version == 2


async def test_nothing_to_arrange_changes_nothing(configs: SqlConfigs) -> None:
    heard: list[str] = []
    configs.watch(heard.append)

    await configs.arrange([], [], [])

    assert heard == []
    assert (await configs.snapshot(ACCOUNT)).version == 0


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda main, mo: ([numbered(5, Purpose.PASS)], [replace(main, version=7)], []), RevisionPassed),
        (lambda main, mo: ([numbered(5, Purpose.PASS)], [main], [replace(mo, version=7)]), RevisionPassed),
        (lambda main, mo: ([numbered(5, Purpose.MO)], [main], []), RevisionPassed),
        (lambda main, mo: ([], [main, replace(numbered(2), purpose=Purpose.MO)], []), RevisionPassed),
        (lambda main, mo: ([], [main, numbered(9)], []), RevisionPassed),
        (lambda main, mo: ([], [main], [numbered(9)]), RevisionPassed),
        (lambda main, mo: ([numbered(5, location_id="loc_nowhere")], [main], [mo]), InvalidValue),
    ],
    ids=["change passed", "delete passed", "purpose added", "purpose changed", "gone", "gone too", "no location"],
)
async def test_all_of_it_or_nothing(
    configs: SqlConfigs,
    spoil: Callable[[PostbackConfig, PostbackConfig], tuple[list[PostbackConfig], ...]],
    error: type[PostbackError],
) -> None:
    main, mo = numbered(0, Purpose.MAIN), numbered(1, Purpose.MO)
    await configs.arrange([main, mo, numbered(2)], [], [])
    heard: list[str] = []
    configs.watch(heard.append)

    with pytest.raises(error):
        await configs.arrange(*spoil(main, mo))

    assert await purposes(configs) == {0: (Purpose.MAIN, 1), 1: (Purpose.MO, 1), 2: (None, 1)}
    assert heard == []
    assert (await configs.snapshot(ACCOUNT)).version == 1


async def test_there_is_one_of_each_purpose_in_an_account(configs: SqlConfigs) -> None:
    await configs.add(numbered(0, Purpose.MAIN))
    await configs.add(numbered(1))

    with pytest.raises(RevisionPassed, match=r"postback\.main"):
        await configs.add(numbered(2, Purpose.MAIN))
    with pytest.raises(RevisionPassed, match=r"postback\.main"):
        await configs.change(numbered(1, Purpose.MAIN))
    await configs.add(numbered(3, Purpose.MAIN, account="other"))
    await configs.add(numbered(4, Purpose.PASS))
    await configs.add(numbered(5))

    assert await purposes(configs) == {
        0: (Purpose.MAIN, 1),
        1: (None, 1),
        4: (Purpose.PASS, 1),
        5: (None, 1),
    }


async def test_what_is_taken_is_told_from_other_clashes(configs: SqlConfigs) -> None:
    """The id of another config is no purpose that somebody else was quicker to set up."""
    await configs.add(numbered(0))

    with pytest.raises(Exception, match=r"configs(\.id|_pkey)") as refused:
        await configs.add(numbered(0, Purpose.MAIN))

    assert not isinstance(refused.value, PostbackError)


@pytest.mark.parametrize("state", [ConfigState.PAUSED, ConfigState.DISABLED])
async def test_a_purpose_is_taken_while_its_config_is_not_deleted(configs: SqlConfigs, state: ConfigState) -> None:
    await configs.add(numbered(0, Purpose.MAIN))
    await configs.set_state(ACCOUNT, CONFIG_ID, state, "by hand")

    with pytest.raises(RevisionPassed):
        await configs.add(numbered(1, Purpose.MAIN))
    await configs.delete(ACCOUNT, CONFIG_ID)
    await configs.add(numbered(1, Purpose.MAIN))
    await configs.delete(ACCOUNT, CONFIG_ID + 1)
    await configs.add(numbered(2, Purpose.MAIN))

    assert await purposes(configs) == {2: (Purpose.MAIN, 1)}


async def test_what_was_deleted_in_between_is_not_arranged(configs: SqlConfigs) -> None:
    main = numbered(0, Purpose.MAIN)
    await configs.add(main)
    await configs.delete(ACCOUNT, main.id)

    for arranged in (([], [main], []), ([], [], [main])):
        with pytest.raises(RevisionPassed):
            await configs.arrange(*arranged)


async def test_nothing_is_arranged_in_an_account_that_is_not_there(configs: SqlConfigs) -> None:
    with pytest.raises(NotFound):
        await configs.arrange([numbered(0, account="nobody")], [], [])


async def test_a_config_that_cannot_be_read_still_has_its_purpose(configs: SqlConfigs, empty_store: Store) -> None:
    await configs.add(numbered(0, Purpose.MAIN))
    damage = text("UPDATE config_versions SET body = '{'")
    await empty_store.write(lambda connection: connection.execute(damage).rowcount)

    found = await configs.find(ACCOUNT, CONFIG_ID)
    await configs.arrange([], [numbered(0, Purpose.MAIN)], [])

    assert found.purpose is Purpose.MAIN
    assert await purposes(configs) == {0: (Purpose.MAIN, 2)}


async def test_a_warning_is_shown_and_a_new_version_begins_without_it(configs: SqlConfigs, empty_store: Store) -> None:
    await configs.add(numbered(0))
    warn = text("UPDATE configs SET warning = 'it answers with a body', warned_ms = 17")
    await empty_store.write(lambda connection: connection.execute(warn).rowcount)

    warned = await configs.find(ACCOUNT, CONFIG_ID)
    listed = (await configs.list(ACCOUNT, Query())).items
    await configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, None)
    paused = await configs.find(ACCOUNT, CONFIG_ID)
    await configs.change(paused)

    assert warned.warned == paused.warned == listed[0].warned == Warned("it answers with a body", 17)
    assert (await configs.find(ACCOUNT, CONFIG_ID)).warned is None
