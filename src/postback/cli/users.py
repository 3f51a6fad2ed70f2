"""`users`: who may sign in to the portal, and links for whoever cannot; by the database itself."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from postback.cli.client import Json
from postback.cli.desk import lock_holder
from postback.cli.output import CommandError, print_json, print_table
from postback.settings import Settings, load_settings

if TYPE_CHECKING:
    from postback.cli.store import StoreDesk

app = typer.Typer(
    help="Users of the portal: list them, make a link for one who is locked out, sign everybody out.",
    no_args_is_help=True,
)


@app.command("list")
def list_(*, as_json: Json = False) -> None:
    """List the users of the platform and of all accounts."""
    with _store(load_settings()) as here:
        users = here.users()
    if as_json:
        print_json(users)
        return
    print_table(
        ["User", "Email", "Account", "Role", "Created", "Disabled"],
        [
            [
                one["id"],
                one["email"],
                one["account"] or "(the platform)",
                one["role"],
                one["created_at"],
                "yes" if one["disabled"] else "",
            ]
            for one in users
        ],
        "no users yet",
    )


@app.command()
def link(
    email: Annotated[
        str | None, typer.Argument(metavar="EMAIL", help="Whose; without it the link is that of the first user.")
    ] = None,
) -> None:
    """Make a link to sign in with, once: to a new password, or to become the first user."""
    settings = load_settings()
    with _store(settings) as here:
        path = here.join_path() if email is None else here.new_password_path(email)
    if path is None:
        raise CommandError("there are users already; name the one that is locked out: postback users link EMAIL")
    print(settings.address_url.rstrip("/") + path)


@app.command("sign-out")
def sign_out() -> None:
    """Sign everybody out: end all sessions, and void all links that sign somebody in."""
    with _store(load_settings()) as here:
        ended = here.sign_everybody_out()
    print(f"{_counted(ended.sessions, 'session')} ended, {_counted(ended.links, 'link')} void")


@contextmanager
def _store(settings: Settings) -> Iterator["StoreDesk"]:
    database = Path(settings.database)
    if not settings.is_on_a_server:
        if not database.exists():
            raise CommandError(f"there is no database {settings.shown_database}; `postback serve` makes it")
        holder = lock_holder(database)
        if holder is not None:
            raise CommandError(f"a server has {settings.shown_database} (process {holder}); stop it, and ask again")
    # The store's libraries take a while to load, which no other command should wait for.
    from postback.cli.store import StoreDesk

    with asyncio.Runner() as runner:
        here = StoreDesk.open(runner, settings, None)
        try:
            yield here
        finally:
            here.close()


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what if count == 1 else what + 's'}"
