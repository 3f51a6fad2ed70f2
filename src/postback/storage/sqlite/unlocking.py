"""The keys of a store's secrets: found, or made at the first start; a store that they do not fit is not opened."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from postback.storage import sealing
from postback.storage.database import CannotOpen
from postback.storage.sealing import Resealed
from postback.storage.secret_file import SecretFile, new_key
from postback.storage.sqlite.connections import Door
from postback.storage.vault import Vault, key_id

BATCH: Final = 500

_TO_FORGET: Final = 1
"""The file's own number (0 otherwise) while secrets that stood in clear are sealed, but may be legible in its free places."""


class Keys(NamedTuple):
    """The keys that fit a store, the one that seals first; `file` is where they stand, None where they were given."""

    keys: Sequence[bytes]
    file: SecretFile | None

    @property
    def vault(self) -> Vault:
        return Vault(self.keys)


def unlock(door: Door, path: Path, given: Sequence[bytes]) -> Keys:
    """With the keys that are given, else with those of the file beside it. What is still in clear is sealed."""
    held = door.run(sealing.held)
    file = SecretFile(path)
    keys = given or file.read()
    if not keys and not held.key_ids:
        # Never where something is sealed already: its key may only be mislaid.
        keys = [new_key()]
        file.write(keys)
    unknown = held.key_ids - set(map(key_id, keys))
    if unknown:
        raise CannotOpen(_refusal(path, file, sorted(unknown), given))
    fitting = Keys(keys, None if given else file)
    if held.has_clear:
        # Before the first of them is sealed: then nothing in the tables says any more that there was a clear one.
        door.raw.execute(f"PRAGMA user_version = {_TO_FORGET}")
        for _ in reseal_all(door, fitting.vault):
            continue
    if door.raw.execute("PRAGMA user_version").fetchone()[0] == _TO_FORGET:
        forget_what_stood_there(door)
    return fitting


def reseal_all(door: Door, vault: Vault) -> Iterator[Resealed]:
    """Batch by batch, each a transaction: whatever ends it, the same keys still open all of it."""
    after: tuple[int, int] | None = sealing.START
    while after is not None:
        with door.transaction():
            batch = door.run(partial(sealing.reseal, vault=vault, after=after, limit=BATCH))
        yield batch
        after = batch.last


def forget_what_stood_there(door: Door) -> None:
    """Write the file anew: what was overwritten stands in its free places and in the log until then."""
    # In memory it might not have room.
    door.raw.execute("PRAGMA temp_store = FILE")
    door.raw.execute("VACUUM")
    door.raw.execute("PRAGMA temp_store = MEMORY")
    door.raw.execute("PRAGMA user_version = 0")
    door.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _refusal(path: Path, file: SecretFile, unknown: Sequence[str], given: Sequence[bytes]) -> str:
    """What is missing, and where it may be found."""
    plural, them = ("", "it") if len(unknown) == 1 else ("s", "them")
    missing = f"{path} has secrets encrypted with the key{plural} {', '.join(unknown)}"
    if not given:
        lacks = f"{file.path} does not have {them}" if file.path.exists() else f"{file.path} is not there"
        return f"{missing}, and {lacks}: put the file back from a copy, or set POSTBACK_SECRET_KEY to what it was"
    has = f"POSTBACK_SECRET_KEY gives {', '.join(map(key_id, given))}"
    if set(unknown) <= set(map(key_id, file.read())):
        what = f"add what stands in {file.path} to it, after a comma"
    else:
        what = f"add the old key{plural} to it, after a comma"
    return f"{missing}, and {has}: {what}; `postback rewrap` then makes the old key{plural} needless"
