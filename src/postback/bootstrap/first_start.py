"""What a new database needs before it is of use: an operator key, and the account `default` with a location."""

from collections.abc import Callable
from pathlib import Path

from postback.actions.access import Access
from postback.actions.accounts import AccountActions
from postback.actions.secrets import OWN_SECRET_MIN, hash_of
from postback.bootstrap.started import CannotStart, KeyMade, Started
from postback.domain.accounts import Account
from postback.domain.errors import NotFound
from postback.domain.ids import ACCOUNT_DEFAULT, SLOTS, IdSource, encode
from postback.domain.records import LOCATION, Insert
from postback.ports import Accounts, Clock, Query, Records
from postback.resources import RESOURCES, new_record
from postback.settings import Settings
from postback.storage.secret_file import keep_private


class FirstStart:
    """Makes what is missing, at each start; only one process at a time may be at it. A key that is kept nowhere is told."""

    def __init__(
        self, settings: Settings, accounts: Accounts, records: Records, clock: Clock, tell: Callable[[KeyMade], None]
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._records = records
        self._clock = clock
        self._tell = tell
        # There is no worker yet, and no worker has the last slot before all others are taken.
        self._ids: Callable[[], int] = IdSource(clock, SLOTS - 1)
        self._actions = AccountActions(accounts, Access(accounts, clock), clock, self._ids)

    async def make(self) -> Started:
        settings = self._settings
        try:
            await self._accounts.find(ACCOUNT_DEFAULT)
            is_fresh = False
        except NotFound:
            is_fresh = True
        others = await self._accounts.list_keys(None, Query(page_size=1, sort="created_ts"))
        key = await self._operator_key(is_fresh=is_fresh)
        if is_fresh:
            await self._make_default_account()
        locations = await self._records.list(ACCOUNT_DEFAULT, LOCATION, Query(page_size=1, sort="created_ts"))
        return Started(
            listens_on=f"http://{settings.listen}",
            address=settings.address_url,
            key=key,
            key_path=settings.key_file if settings.api_key is None else None,
            location_id=locations.items[0].id if locations.items else None,
            allows_loopback=settings.allows_loopback,
            needs_public_url=settings.needs_public_url,
            secret_path=settings.secret_file if settings.secret_key is None else None,
            keeps_no_key=settings.api_key is None and settings.key_file is None,
            is_one_more=key is not None and bool(others.items),
        )

    async def _operator_key(self, *, is_fresh: bool) -> str | None:
        """Make sure that the key which the settings or the key file name is one; a key that was made for it."""
        settings = self._settings
        if settings.api_key is not None:
            await self._actions.add_operator_key("POSTBACK_API_KEY", settings.api_key.get_secret_value())
            return None
        if settings.key_file is None:
            return await self._key_of_nobody()
        kept = _kept_key(settings.key_file)
        if kept is not None:
            known = await self._accounts.key_by_hash(hash_of(kept))
            if known is not None and known.account is None:
                return None
            # Its database was taken away. In one that is not fresh it was revoked, and must stay so.
            if is_fresh and len(kept) >= OWN_SECRET_MIN:
                await self._actions.add_operator_key("first start", kept)
                return None
        _, key = await self._actions.add_operator_key("first start")
        keep_private(settings.key_file, key)
        return key

    async def _key_of_nobody(self) -> str | None:
        """Many machines may start this server, and none of them keeps the key: it is made while there is none at all."""
        keys = await self._accounts.list_keys(None, Query(page_size=1, sort="created_ts"))
        if keys.items:
            return None
        _, key = await self._actions.add_operator_key("first start")
        self._tell(KeyMade(key))
        return key

    async def _make_default_account(self) -> None:
        now_ms = self._clock()
        await self._accounts.save(Account(id=ACCOUNT_DEFAULT, created_ms=now_ms, modified_ms=now_ms))
        location = new_record(
            RESOURCES[LOCATION],
            {"name": "Main"},
            account=ACCOUNT_DEFAULT,
            id="loc_" + encode(self._ids()),
            now_ms=now_ms,
        )
        await self._records.apply([Insert(location)])


def _kept_key(path: Path) -> str | None:
    """The secret that an earlier start wrote down, None where there is none."""
    try:
        return path.read_text("ascii").strip() or None
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}; it keeps the operator key") from error
