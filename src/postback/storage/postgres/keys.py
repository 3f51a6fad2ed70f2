"""The keys that the processes of a database encrypt with, on record, so that nobody works on it without one of them."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Final

from postback.domain.errors import Unavailable
from postback.domain.telemetry import KeysMissing
from postback.ports import Report
from postback.storage import sealing
from postback.storage.database import CannotOpen
from postback.storage.postgres.clock import NOW
from postback.storage.postgres.connections import Doors
from postback.storage.postgres.door import Door
from postback.storage.postgres.exclusive import exclusively
from postback.storage.vault import Vault, key_id

LOOK_EVERY_S: Final = 5.0
"""So soon a process notices that another one encrypts with a key that it was not given, and that it does so no more."""

_LOCK: Final = 0x70_6F_73_74_0009
_REGISTERED: Final = "SELECT id FROM secret_keys"
_REGISTER: Final = f"INSERT INTO secret_keys (id, since_ms) VALUES ($2, {NOW}) ON CONFLICT DO NOTHING"  # noqa: S608
_FORGET: Final = "DELETE FROM secret_keys WHERE NOT id = ANY($1::text[])"

MAKE_ONE: Final = (
    "This makes one: export POSTBACK_SECRET_KEY=$(python3 -c 'import secrets; print(secrets.token_hex(32))'); keep a copy "
    "of it, and give it to every process"
)


async def demand_some(door: Door, name: str, secret_keys: Sequence[bytes], *, is_new: bool) -> None:
    """CannotOpen where there is no key: a new database wants one made, any other the one that it has."""
    if secret_keys:
        return
    sealed: frozenset[str] = frozenset() if is_new else (await door.run(sealing.held)).key_ids
    # They are on record since schema 0009.
    is_on_record = await door.raw.fetchval("SELECT to_regclass('secret_keys') IS NOT NULL")
    known = sealed or (await registered(door) if is_on_record else frozenset())
    if not known:
        raise CannotOpen(f"{name} needs POSTBACK_SECRET_KEY, which encrypts the secrets in it. {MAKE_ONE}")
    raise CannotOpen(
        f"{name} {_has(sealed, known)}: set POSTBACK_SECRET_KEY to what the other processes have, or to what it was"
    )


def demand_sealed(held: sealing.Held, secret_keys: Sequence[bytes], name: str) -> None:
    """CannotOpen where there are secrets that none of the keys opens."""
    unknown = held.key_ids - _ids(secret_keys)
    if unknown:
        plural = "" if len(unknown) == 1 else "s"
        raise CannotOpen(
            f"{name} {_has(unknown, unknown)}, and POSTBACK_SECRET_KEY gives {_listed(map(key_id, secret_keys))}: give it "
            f"what the other processes have, or add the old key{plural} to it, after a comma; `postback rewrap` then makes "
            f"the old key{plural} needless"
        )


async def enrol(door: Door, name: str, secret_keys: Sequence[bytes]) -> None:
    """On record before anything is encrypted with the first of these. CannotOpen where others encrypt, or have encrypted,
    with a key that is not among them."""

    async def register() -> None:
        demand_sealed(await door.run(sealing.held), secret_keys, name)
        unknown = await registered(door) - _ids(secret_keys)
        if unknown:
            raise CannotOpen(
                f"{name} {_has(frozenset(), unknown)}, and POSTBACK_SECRET_KEY gives {_listed(map(key_id, secret_keys))}: "
                "give it what the other processes have. Nothing is encrypted with it yet: where it is lost, or was never "
                "meant, `postback rewrap` goes over to the one that you have"
            )
        await door.raw.execute(_REGISTER, None, key_id(secret_keys[0]))

    await exclusively(door, _LOCK, register)


async def begin_rewrap(door: Door, vault: Vault) -> None:
    """Whoever does not have the first key is to notice before something is encrypted with it."""
    await door.raw.execute(_REGISTER, None, vault.first_id)


async def end_rewrap(door: Door, vault: Vault) -> None:
    """Forget the keys that nothing is encrypted with any more."""

    async def forget() -> None:
        held = await door.run(sealing.held)
        await door.raw.execute(_FORGET, [*held.key_ids, vault.first_id])

    await exclusively(door, _LOCK, forget)


class KeyWatch:
    """Looks from `start` to `close` whether this process has all keys that secrets of the database are encrypted with.

    `changed` is called once configs may be read that could not be. What is missing and what is not any more is reported.
    """

    def __init__(self, doors: Doors, vault: Vault, report: Report, changed: Callable[[], None]) -> None:
        self._doors = doors
        self._vault = vault
        self._report = report
        self._changed = changed
        self._missing: frozenset[str] = frozenset()
        self._told: frozenset[str] = frozenset()
        self._closing = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str | None:
        """What is missing; None while nothing is."""
        missing = self._missing | self._vault.missing
        if not missing:
            return None
        plural = "" if len(missing) == 1 else "s"
        return (
            f"secrets are encrypted with the key{plural} {_listed(missing)}, which this process was not given "
            "(POSTBACK_SECRET_KEY); deliveries of configs that need it wait"
        )

    def start(self) -> None:
        self._looking = asyncio.create_task(self._look_until_closed())

    async def close(self) -> None:
        self._closing.set()
        if self._looking is not None:
            await self._looking

    async def look(self) -> None:
        """Unavailable where the database cannot be read now."""
        async with self._doors.reading() as door:
            used = await registered(door) | self._vault.missing
            if used - set(self._vault.ids):
                # The whole of the configs is looked through only where something is wrong.
                used = await registered(door) | (await door.run(sealing.held)).key_ids
        self._missing = used - set(self._vault.ids)
        is_better = bool(self._vault.missing - self._missing)
        self._vault.missing.intersection_update(self._missing)
        if self._missing != self._told:
            self._told = self._missing
            self._report(KeysMissing(sorted(self._missing)))
        if is_better:
            self._changed()

    async def _look_until_closed(self) -> None:
        while not self._closing.is_set():
            # Whoever cannot read the database hears of it elsewhere.
            with suppress(Unavailable):
                await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._closing.wait()


async def registered(door: Door) -> frozenset[str]:
    return frozenset(row[0] for row in await door.raw.fetch(_REGISTERED))


def _has(sealed: Collection[str], known: Collection[str]) -> str:
    plural = "" if len(known) == 1 else "s"
    what = "has secrets encrypted with" if sealed else "was set up with"
    return f"{what} the key{plural} {_listed(known)}"


def _ids(secret_keys: Sequence[bytes]) -> frozenset[str]:
    return frozenset(map(key_id, secret_keys))


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(sorted(ids))
