"""What a start comes to: what is worth saying, or why there was none."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from postback.domain.restored import Copy, Owing


@dataclass(frozen=True, slots=True)
class Started:
    """What is worth saying once the server answers.

    `listens_on` is where it does so, and `address` what links begin with, which may be a proxy's.
    `key` is the operator key where it was made just now; `key_path` is None where POSTBACK_API_KEY gives it, and where
    there is no file for it (`keeps_no_key`). `secret_path` is where the key of the secrets is, None where
    POSTBACK_SECRET_KEY gives it. `join_link` is where somebody becomes the portal's first user, None where there is one.
    `needs_public_url`: links name an address that other machines cannot use. `is_one_more`: there are other operator
    keys than the one that was made. `is_in_use`: nobody has to be shown how to begin.
    """

    listens_on: str
    address: str
    key: str | None
    key_path: Path | None
    location_id: str | None
    allows_loopback: bool
    needs_public_url: bool
    secret_path: Path | None = None
    keeps_no_key: bool = False
    join_link: str | None = None
    is_one_more: bool = False
    is_in_use: bool = False


@dataclass(frozen=True, slots=True)
class KeyMade:
    """An operator key that is kept nowhere: to be shown as soon as it is stored, for the start may still fail or be ended."""

    key: str


Announce = Callable[[KeyMade | Started | None], None]
"""Tells whoever started it of the key, and once the server answers of the start, where anything is known of it."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a server was started on after a restore, at that time (unix ms). Where something is `owing` it is held:
    `release` lets it deliver, and `until_released` returns when that was done, whoever did it. Unavailable where the store
    cannot write now."""

    copy: Copy
    owing: Owing
    now_ms: int
    release: Callable[[], Awaitable[None]]
    until_released: Callable[[], Awaitable[object]]


class CannotStart(Exception):
    """Nothing was started; the text says why, and what would help."""
