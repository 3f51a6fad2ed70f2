"""`accounts`: the tenants of this server; for operators."""

from typing import Annotated, Any

import typer

from postback.cli.client import Json, Key, Url
from postback.cli.desk import desk
from postback.cli.output import print_facts, print_json, print_table

app = typer.Typer(help="Accounts: make one, list them.", no_args_is_help=True)


@app.command()
def create(
    account_id: Annotated[str, typer.Argument(metavar="ID", help="1 to 36 letters, digits, _ or -.")],
    name: Annotated[str | None, typer.Option(help="A name for people.")] = None,
    url: Url = None,
    key: Key = None,
    *,
    as_json: Json = False,
) -> None:
    """Make an account, or change the name of one that exists."""
    with desk(url, key) as asked:
        account = asked.save_account(account_id, name)
    if as_json:
        print_json(account)
    else:
        print_facts(_facts(account))


@app.command("list")
def list_(url: Url = None, key: Key = None, *, as_json: Json = False) -> None:
    """List the accounts."""
    with desk(url, key) as asked:
        accounts = asked.accounts()
    if as_json:
        print_json(accounts)
    else:
        print_table(["Account", "Name", "Created"], [list(_facts(one).values()) for one in accounts], "no accounts")


def _facts(account: dict[str, Any]) -> dict[str, Any]:
    return {"id": account["id"], "name": account["name"], "created_at": account["created_at"]}
