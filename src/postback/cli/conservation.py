"""`doctor`'s proof that no delivery was lost or made up: by the counters, and with --log by the log itself."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from postback.cli.findings import Finding

if TYPE_CHECKING:
    from postback.storage.balance import Balance, Logged

NAMED_MAX: Final = 5
"""Of what is wrong so much is named; the rest is counted."""

STEPS_BETWEEN_LOOKS: Final = 1_000
DAY_S: Final = 86_400


def conservation(connection: sqlite3.Connection, within_s: float, *, with_log: bool) -> Iterator[Finding]:
    """All of it as it was at one moment; the log is read for as long as it takes."""
    # Its libraries take a while to load, which no other command should wait for.
    from postback.storage.balance import differences
    from postback.storage.sqlite.conservation import balances, count_log, counted

    connection.execute("BEGIN")
    try:
        with limited(connection, None if with_log else within_s):
            totals = counted(connection)
            accounts = balances(connection, totals)
        yield of_accounts(accounts)
        if with_log:
            with progress() as told:
                logged = count_log(connection, told)
            yield of_log(list(differences(totals, logged)), logged)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        text = f"not added up within {within_s:g} s; with --log it may take longer"
        yield Finding("conservation", "note", text)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def limited(connection: sqlite3.Connection, within_s: float | None) -> Iterator[None]:
    """What is asked meanwhile is broken off after so many seconds, with SQLITE_INTERRUPT: a server at work cannot empty
    its log while somebody reads."""
    if within_s is not None:
        end = time.monotonic() + within_s
        connection.set_progress_handler(lambda: time.monotonic() > end, STEPS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


@contextmanager
def progress() -> Iterator[Callable[[int, int], None]]:
    columns = (
        TextColumn("counting the log"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
    )
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as bars:
        bar = bars.add_task("", total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def of_accounts(accounts: "Mapping[str, Balance]") -> Finding:
    wrong = [
        f"account {account}: {balance}; {_missing(balance.missing)}"
        for account, balance in sorted(accounts.items())
        if balance.missing
    ]
    if wrong:
        return Finding("conservation", "wrong", _some(wrong))
    return Finding("conservation", "ok", _summed(list(accounts.values())))


def _summed(balances: "Sequence[Balance]") -> str:
    if not balances:
        return "nothing was accepted yet"
    total = type(balances[0])._make(map(sum, zip(*balances, strict=True)))
    return str(total) if len(balances) == 1 else f"{total}; so in each of {len(balances):,} accounts"


def of_log(differences: Sequence[tuple[str, str, int, int]], logged: "Logged") -> Finding:
    wrong = [
        f"account {account}, accepted on {datetime.fromtimestamp(day * DAY_S, UTC):%Y-%m-%d}: {balance}; {_missing(balance.missing)}"
        for (account, day), balance in sorted(logged.days.items())
        if balance.missing
    ]
    wrong += [
        f"account {account}: {counted:,} {what} by the counters, {in_log:,} by the log"
        for account, what, counted, in_log in differences
    ]
    if wrong:
        return Finding("log", "wrong", _some(wrong))
    deliveries, days = sum(balance.accepted for balance in logged.days.values()), len({day for _, day in logged.days})
    when = f"{days:,} {'day' if days == 1 else 'days'}"
    text = f"{deliveries:,} deliveries, accepted on {when}: each is owed or has ended, and all is counted"
    return Finding("log", "ok", text)


def _missing(count: int) -> str:
    return f"{count:,} missing" if count > 0 else f"{-count:,} too many"


def _some(wrong: Sequence[str]) -> str:
    more = len(wrong) - NAMED_MAX
    return "; ".join(wrong[:NAMED_MAX]) + (f"; and {more:,} more" if more > 0 else "")
