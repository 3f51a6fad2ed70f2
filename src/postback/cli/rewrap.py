"""`rewrap`: encrypts all secrets of the database anew, while no server runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from postback.cli.desk import lock_holder
from postback.cli.output import CommandError, Exit, complain, program
from postback.settings import Settings, load_settings

if TYPE_CHECKING:
    from postback.storage.sqlite.rewrapping import Rewrapping


def rewrap(
    *,
    with_new_key: Annotated[
        bool,
        typer.Option("--new-key", metavar="", help="Make a new key first, and forget the old ones when it is done."),
    ] = False,
) -> None:
    """Encrypt the secrets of postback configs anew, with the first key; stop the server before."""
    settings = load_settings()
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


def _refuse_where_it_cannot(settings: Settings, *, with_new_key: bool) -> None:
    database = Path(settings.database)
    if with_new_key and settings.secret_key is not None:
        raise CommandError(
            "POSTBACK_SECRET_KEY gives the key, and --new-key cannot change it: put a new key in front of it, with a "
            f"comma between them, run `{program()} rewrap`, then take the old one away",
            Exit.USAGE,
        )
    if not database.exists():
        raise CommandError(f"{database} does not exist: there is nothing to encrypt", Exit.USAGE)
    holder = lock_holder(database)
    if holder is not None:
        raise CommandError(f"{database} is in use by a server (pid {holder}); stop it first")


def _reseal(rewrapping: "Rewrapping") -> bool:
    """Whether there was something that could not be read; each is told of."""
    changed = seen = 0
    unreadable: list[str] = []
    columns = (TextColumn("encrypting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:
        bar = progress.add_task("", total=rewrapping.total)
        for batch in rewrapping.reseal():
            changed, seen = changed + batch.changed, seen + batch.seen
            unreadable += batch.unreadable
            progress.update(bar, completed=seen)
    print(f"encrypted anew: {changed:,} of {seen:,} secrets; the key is {rewrapping.vault.first_id}")
    for one in unreadable:
        complain(f"{one}; it stays as it was")
    return bool(unreadable)


def _tell_of_old_keys(rewrapping: "Rewrapping", settings: Settings, *, dropped: bool) -> None:
    if dropped:
        print("the old keys are gone; copies of the database from before can only be read with a copy of them")
    elif rewrapping.old_keys:
        ids = rewrapping.old_ids_in_use
        where = "POSTBACK_SECRET_KEY" if settings.secret_key is not None else settings.secret_file
        use = f"of which {', '.join(ids)} is still needed" if ids else "which nothing in the database needs any more"
        print(f"{where} also has {rewrapping.old_keys} old {'key' if rewrapping.old_keys == 1 else 'keys'}, {use}")
