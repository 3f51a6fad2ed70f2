"""Who a request acts as, and for how long an answer of the store is believed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from postback.actions.access import Access
from postback.actions.secrets import hash_of
from postback.domain.accounts import Account, ApiKey, Scope
from postback.domain.errors import Forbidden, InvalidValue, NotFound, Unauthorized
from postback.ports import Query
from postback.storage.accounts import SqlAccounts
from postback.storage.sqlite import SqliteStore
from tests.build import NOON
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio


@dataclass
class Stage:
    accounts: SqlAccounts
    clock: ClockDouble
    seconds: list[float] = field(default_factory=lambda: [0.0])

    def access(self) -> Access:
        return Access(self.accounts, self.clock, lambda: self.seconds[0])

    def pass_(self, seconds: float) -> None:
        self.seconds[0] += seconds
        self.clock.pass_(seconds=seconds)

    async def key(self, secret: str, account: str | None = "default", **changes: int) -> ApiKey:
        key = ApiKey(
            id=f"key_{secret}",
            account=account,
            name="x",
            scopes=frozenset({Scope.READ}),
            hash=hash_of(secret),
            prefix="x",
            created_ms=NOON,
            **changes,
        )
        await self.accounts.add_key(key)
        return key

    async def last_used_ms(self) -> int | None:
        return (await self.accounts.list_keys("default", Query())).items[0].last_used_ms


@pytest.fixture
async def stage(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Stage]:
    clock = ClockDouble()
    store = await SqliteStore.open(tmp_path / "postback.db", clock)
    accounts = SqlAccounts(store)
    for account in ("default", "acme"):
        await accounts.save(Account(id=account, created_ms=NOON, modified_ms=NOON))
    yield Stage(accounts, clock)
    await store.close()


async def test_an_account_key_acts_for_its_account(stage: Stage) -> None:
    await stage.key("s", account="acme")
    access = stage.access()

    principal = await access.identify("s")

    assert (principal.account, principal.is_operator, principal.scopes) == ("acme", False, frozenset({Scope.READ}))
    for wanted in (None, "acme"):
        assert await access.acting_for(principal, wanted) == principal
    with pytest.raises(Forbidden):
        await access.acting_for(principal, "default")


async def test_an_operator_key_acts_for_whom_it_names(stage: Stage) -> None:
    await stage.key("s", account=None)
    access = stage.access()

    principal = await access.identify("s")

    assert (await access.acting_for(principal, None)).account == "default"
    assert (await access.acting_for(principal, "acme")).account == "acme"
    with pytest.raises(NotFound):
        await access.acting_for(principal, "nobody")


async def test_only_operators_name_accounts_in_events(stage: Stage) -> None:
    await stage.key("o", account=None)
    await stage.key("a", account="acme")
    access = stage.access()

    assert await access.account_for(await access.identify("o"), "acme") == "acme"
    for secret, named in (("o", "nobody"), ("a", "default"), ("a", "acme")):
        with pytest.raises(InvalidValue):
            await access.account_for(await access.identify(secret), named)


async def test_a_key_that_is_revoked_elsewhere_ends_within_a_second(stage: Stage) -> None:
    key = await stage.key("s")
    access = stage.access()
    await access.identify("s")

    await stage.accounts.revoke_key("default", key.id)
    stage.pass_(1.0)

    with pytest.raises(Unauthorized):
        await access.identify("s")


async def test_the_store_is_not_asked_again_within_that_second(stage: Stage) -> None:
    key = await stage.key("s")
    access = stage.access()
    await access.identify("s")

    await stage.accounts.revoke_key("default", key.id)
    stage.pass_(0.9)

    assert (await access.identify("s")).account == "default"


async def test_what_is_forgotten_is_asked_for_at_once(stage: Stage) -> None:
    key = await stage.key("s")
    access = stage.access()
    await access.identify("s")

    await stage.accounts.revoke_key("default", key.id)
    access.forget()

    with pytest.raises(Unauthorized):
        await access.identify("s")


async def test_an_expired_key_ends_though_it_is_remembered(stage: Stage) -> None:
    await stage.key("s", expires_ms=NOON + 500)
    access = stage.access()
    await access.identify("s")

    stage.pass_(0.5)

    with pytest.raises(Unauthorized):
        await access.identify("s")


async def test_the_last_use_of_a_key_is_on_record_to_the_minute(stage: Stage) -> None:
    await stage.key("s")
    access = stage.access()

    await access.identify("s")
    assert await stage.last_used_ms() == NOON
    stage.pass_(59)
    await access.identify("s")
    assert await stage.last_used_ms() == NOON
    stage.pass_(2)
    await access.identify("s")
    assert await stage.last_used_ms() == NOON + 61_000
