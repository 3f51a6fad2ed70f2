"""A process that works on an inbox, tells where it is, and waits there to be killed: `<inbox> <journal> <where>`.

`where` is claimed, handled or transaction, and it stops there at its second entry; or end, and it processes all.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from postback.receiver import End, Entry, Inbox

LEASE_S = 0.2


class StoppingInbox(Inbox):
    """Stops between the end of the handler and the mark."""

    def _mark(self, *of: Any) -> None:
        if where in ("handled", "transaction"):
            stop_at_the_second(of[1])
        super()._mark(*of)


def stop_at_the_second(entry: Entry) -> None:
    met.append(entry.id)
    if len(met) == 2:
        print(entry.id, flush=True)
        time.sleep(600)


def handle(entry: Entry) -> None:
    if where == "claimed":
        stop_at_the_second(entry)
    with journal.open("a") as file:
        file.write(entry.id + "\n")
        file.flush()
        os.fsync(file.fileno())


def handle_in_transaction(entry: Entry, connection: Any) -> None:
    connection.execute("INSERT INTO journal VALUES (?)", (entry.id,))


met: list[str] = []
inbox_file, journal, where = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
shares = journal.name == "journal in the inbox"
inbox = StoppingInbox.in_file(inbox_file, lease_s=LEASE_S)
while inbox.counts()["waiting"]:
    ends = inbox.process(handle_in_transaction if shares else handle, in_transaction=shares)
    assert set(ends) <= {End.PROCESSED}, ends
    time.sleep(0.01)
