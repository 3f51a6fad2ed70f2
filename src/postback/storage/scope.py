"""Where every statement on an account's things begins, so that none can forget whose they are.

An account of None stands for what belongs to no account: the operators' own keys.
"""

from typing import Any

from sqlalchemy import ColumnElement, Delete, FromClause, Insert, Select, Table, Update, delete, insert, select, update

from postback.storage.tables import accounts


def rows(account: str | None, table: FromClause, *columns: ColumnElement[Any]) -> Select[Any]:
    """SELECT these columns (all, where none is named) of the account's rows."""
    return select(*(columns or table.c)).select_from(table).where(of(account, table))


def add(account: str | None, table: Table) -> Insert:
    return insert(table).values({_owner(table): account})


def change(account: str | None, table: Table) -> Update:
    return update(table).where(of(account, table))


def remove(account: str | None, table: Table) -> Delete:
    return delete(table).where(of(account, table))


def of(account: str | None, table: FromClause) -> ColumnElement[bool]:
    """That a row is the account's: for tables that a statement of `rows` joins or looks into."""
    return _owner(table) == account


def everyones_rows(table: Table) -> Select[Any]:
    """Whatever account they belong to: for operators, and to find out whom a key acts for."""
    return select(table)


def everyones_change(table: Table) -> Update:
    return update(table)


def _owner(table: FromClause) -> ColumnElement[Any]:
    return table.c.id if table is accounts else table.c.account
