"""`rewrap`: encrypts all secrets of the database anew: of a file while no server runs."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from postback.cli.desk import lock_holder
from postback.cli.output import CommandError, Exit, complain, program
from postback.settings import Settings, load_settings

if TYPE_CHECKING:
    from postback.storage.sealing import Resealed
    from postback.storage.sqlite.rewrapping import Rewrapping
    from postback.storage.vault import Vault


def rewrap(
    *,
    with_new_key: Annotated[
        bool,
        typer.Option("--new-key", metavar="", help="Make a new key first, and forget the old ones when it is done."),
    ] = False,
) -> None:
    """Encrypt the secrets of postback configs anew, with the first key; stop the server before."""
    settings = load_settings()
    if settings.is_on_a_server:
        _rewrap_on_server(settings, with_new_key=with_new_key)
        return
    _refuse_where_it_cannot(settings, with_new_key=with_new_key)
    # The store's libraries take a while to load, which no other command should wait for.
    from postback.storage.sqlite.rewrapping import opened_to_rewrap

    with opened_to_rewrap(settings.database, settings.secret_keys) as rewrapping:
        if with_new_key:
            rewrapping.begin_a_new_key()
        unreadable = _reseal(rewrapping)
        # Also where nothing was changed: an earlier run may have been ended before this.
        rewrapping.forget_what_stood_there()
        _tell_of_old_keys(rewrapping, settings, dropped=with_new_key and rewrapping.drop_old_keys())
    if unreadable:
        raise typer.Exit(Exit.FAILED)


def _rewrap_on_server(settings: Settings, *, with_new_key: bool) -> None:
    """Servers may go on meanwhile, where all of them have these keys."""
    if with_new_key:
        raise _cannot_change_the_key()
    from postback.storage.stores import demand_driver

    demand_driver()
    asyncio.run(_reseal_on_server(settings))


async def _reseal_on_server(settings: Settings) -> None:
    from postback.storage.postgres.rewrapping import opened_to_rewrap

    async with opened_to_rewrap(settings.database, settings.secret_keys) as rewrapping:
        with _told(await rewrapping.total(), lambda: rewrapping.vault) as tell:
            async for batch in rewrapping.reseal():
                tell(batch)
        old = len(settings.secret_keys) - 1
        _say_of_old_keys(old, await rewrapping.old_ids_in_use(), "POSTBACK_SECRET_KEY")
    if tell.unreadable:
        raise typer.Exit(Exit.FAILED)


def _cannot_change_the_key() -> CommandError:
    return CommandError(
        "POSTBACK_SECRET_KEY gives the key, and --new-key cannot change it: put a new key in front of it, with a "
        f"comma between them, run `{program()} rewrap`, then take the old one away",
        Exit.USAGE,
    )


def _refuse_where_it_cannot(settings: Settings, *, with_new_key: bool) -> None:
    database = Path(settings.database)
    if with_new_key and settings.secret_key is not None:
        raise _cannot_change_the_key()
    if not database.exists():
        raise CommandError(f"{database} does not exist: there is nothing to encrypt", Exit.USAGE)
    holder = lock_holder(database)
    if holder is not None:
        raise CommandError(f"{database} is in use by a server (pid {holder}); stop it first")


class _Tell:
    """Adds up what batches came to."""

    def __init__(self, moved: Callable[[int], None]) -> None:
        self.changed = self.seen = 0
        self.unreadable: list[str] = []
        self._moved = moved

    def __call__(self, batch: "Resealed") -> None:
        self.changed, self.seen = self.changed + batch.changed, self.seen + batch.seen
        self.unreadable += batch.unreadable
        self._moved(self.seen)


@contextmanager
def _told(total: int, vault: "Callable[[], Vault]") -> Iterator[_Tell]:
    """A bar while it lasts, and what came of it at its end."""
    columns = (TextColumn("encrypting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:
        bar = progress.add_task("", total=total)
        tell = _Tell(lambda seen: progress.update(bar, completed=seen))
        yield tell
    print(f"encrypted anew: {tell.changed:,} of {tell.seen:,} secrets; the key is {vault().first_id}")
    for one in tell.unreadable:
        complain(f"{one}; it stays as it was")


def _reseal(rewrapping: "Rewrapping") -> bool:
    """Whether there was something that could not be read; each is told of."""
    with _told(rewrapping.total, lambda: rewrapping.vault) as tell:
        for batch in rewrapping.reseal():
            tell(batch)
    return bool(tell.unreadable)


def _tell_of_old_keys(rewrapping: "Rewrapping", settings: Settings, *, dropped: bool) -> None:
    if dropped:
        print("the old keys are gone; copies of the database from before can only be read with a copy of them")
        return
    where = "POSTBACK_SECRET_KEY" if settings.secret_key is not None else str(settings.secret_file)
    _say_of_old_keys(rewrapping.old_keys, rewrapping.old_ids_in_use, where)


def _say_of_old_keys(old_keys: int, ids: Sequence[str], where: str) -> None:
    if not old_keys:
        return
    use = f"of which {', '.join(ids)} is still needed" if ids else "which nothing in the database needs any more"
    print(f"{where} also has {old_keys} old {'key' if old_keys == 1 else 'keys'}, {use}")
