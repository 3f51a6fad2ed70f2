"""How any link that signs somebody in is made: its token is known to whoever is given it, and to nobody else."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from postback.actions.secrets import hash_of
from postback.actions.sessions import new_token
from postback.domain.accounts import Actor
from postback.domain.ids import encode
from postback.domain.users import Link
from postback.ports import Clock, SignInLinks


class MadeLink(NamedTuple):
    """A link and its token, which nobody can read again."""

    link: Link
    token: str


async def make_link(
    links: SignInLinks, link: Link, lasts_ms: int | None, clock: Clock, ids: Callable[[], int], by: Actor | None
) -> MadeLink:
    """A link under a new id, good from now on for so long; None is until it was used."""
    token, now_ms = new_token(), clock()
    made = replace(
        link,
        id="lnk_" + encode(ids()),
        created_ms=now_ms,
        ends_ms=None if lasts_ms is None else now_ms + lasts_ms,
    )
    await links.add(made, hash_of(token), by=by)
    return MadeLink(made, token)
