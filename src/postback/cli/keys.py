"""`keys`: API keys of an account: make, list, revoke."""

from typing import Annotated

import typer

from postback.cli.client import Account, Json, Key, Url
from postback.cli.desk import desk
from postback.cli.output import print_facts, print_json, print_table
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
    as_json: Json = False,
) -> None:
    """Make a key; its secret is shown this once."""
    scopes = [str(one) for one in scope or (Scope.READ, Scope.PUBLISH)]
    with desk(url, key, account) as asked:
        made = asked.add_key(name, scopes, expires_at)
    if as_json:
        print_json(made)
    else:
        print_facts(made)
        print("\nThe secret is not shown again.")


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
