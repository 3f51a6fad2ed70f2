"""Sealing all secrets anew while no server runs, also with a new key."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from postback.storage import sealing
from postback.storage.sealing import Resealed
from postback.storage.secret_file import new_key
from postback.storage.sqlite import unlocking
from postback.storage.sqlite.opening import Opened, open_file
from postback.storage.vault import Vault


@contextmanager
def opened_to_rewrap(path: str | Path, secret_keys: Sequence[bytes]) -> Iterator["Rewrapping"]:
    """The store, for nothing else; CannotOpen while a server has it."""
    opened = open_file(path, secret_keys)
    try:
        yield Rewrapping(opened)
    finally:
        opened.close()


class Rewrapping:
    """The steps, in this order. A store that was left between two of them opens as it did before."""

    def __init__(self, opened: Opened) -> None:
        self._door = opened.door
        self._keys = opened.keys

    @property
    def vault(self) -> Vault:
        return self._keys.vault

    @property
    def total(self) -> int:
        """How many secrets there are, one for each version of a config that has any."""
        return self._door.run(sealing.secrets_count)

    @property
    def old_keys(self) -> int:
        """How many there are beside the first."""
        return len(self._keys.keys) - 1

    @property
    def old_ids_in_use(self) -> Sequence[str]:
        """Of the keys that something is sealed with, though they are not the first."""
        return sorted(self._door.run(sealing.held).key_ids - {self.vault.first_id})

    def begin_a_new_key(self) -> None:
        """In front of those in the file, which still open what they sealed."""
        file = self._keys.file
        if file is None:
            raise ValueError("the keys are given by the settings, and only they can give a new one")
        self._keys = self._keys._replace(keys=(new_key(), *self._keys.keys))
        file.write(self._keys.keys)

    def reseal(self) -> Iterator[Resealed]:
        """What is not sealed with the first key yet."""
        return unlocking.reseal_all(self._door, self.vault)

    def forget_what_stood_there(self) -> None:
        unlocking.forget_what_stood_there(self._door)

    def drop_old_keys(self) -> bool:
        """Only the first key stays in the file. False, and all stay, while something is sealed with another one."""
        file = self._keys.file
        if file is None or self.old_ids_in_use:
            return False
        self._keys = self._keys._replace(keys=self._keys.keys[:1])
        file.write(self._keys.keys)
        return True
