"""`keys`: API keys of an account: make, list, revoke."""

from collections.abc import Mapping
from typing import Annotated

import typer

from postback.cli.client import Account, Json, Key, Url
from postback.cli.desk import desk, make_operator_key
from postback.cli.output import CommandError, Exit, print_facts, print_json, print_table
from postback.domain.accounts import Scope

app = typer.Typer(help="API keys: make one, list them, revoke one.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may do; repeat for several. By default read and publish.")
    ] = None,
    expires_at: Annotated[str | None, typer.Option(help="When it stops working (RFC 3339).")] = None,
    url: Url = None,
    key: Key = None,
    account: Account = None,
    *,
    operator: Annotated[
        bool,
        typer.Option("--operator", metavar="", help="An operator key, for any account; made in the database itself."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a key; its secret is shown this once."""
    if operator:
        _refuse_beside_operator(
            {"--scope": scope, "--expires-at": expires_at, "--url": url, "--key": key, "--account": account}
        )
        made = make_operator_key(name)
    else:
        scopes = [str(one) for one in scope or (Scope.READ, Scope.PUBLISH)]
        with desk(url, key, account) as asked:
            made = asked.add_key(name, scopes, expires_at)
    if as_json:
        print_json(made)
    else:
        print_facts(made)
        print("\nThe secret is not shown again.")


def _refuse_beside_operator(given: Mapping[str, object]) -> None:
    names = [name for name, value in given.items() if value]
    if names:
        raise CommandError(
            f"an operator key acts for any account, may do everything and is made in the database that POSTBACK_DATABASE "
            f"names: --operator goes without {', '.join(names)}",
            Exit.USAGE,
        )


@app.command("list")
def list_(url: Url = None, key: Key = None, account: Account = None, *, as_json: Json = False) -> None:
    """List the keys of an account."""
    with desk(url, key, account) as asked:
        keys = asked.keys()
    if as_json:
        print_json(keys)
        return
    fields = ["id", "account", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at"]
    print_table(
        ["Key", "Account", "Name", "Begins with", "Scopes", "Created", "Expires", "Last used"],
        [[one[field] for field in fields] for one in keys],
        "no keys of this account",
    )


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key, such as key_….")],
    url: Url = None,
    key: Key = None,
    account: Account = None,
) -> None:
    """Revoke a key: it stops working at once."""
    with desk(url, key, account) as asked:
        asked.revoke_key(key_id)
    print(f"{key_id} is revoked")
