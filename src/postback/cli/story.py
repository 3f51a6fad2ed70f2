"""How a demonstration is told: its steps, what was asked and answered, what arrived, and what must have been so."""

import json
import queue
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote_plus

from postback.cli.arrivals import shown_body
from postback.cli.client import Client, segment
from postback.cli.output import CommandError, console, headline, printable
from postback.receiver.server import Received

ARRIVES_WITHIN_S: Final = 15.0
BRIEF: Final = 110


class Inbox:
    """What a receiver heard, in order."""

    def __init__(self) -> None:
        self._heard: queue.Queue[tuple[Received, int]] = queue.Queue()

    def put(self, received: Received, answered: int) -> None:
        self._heard.put((received, answered))

    def next(self, what: str) -> tuple[Received, int]:
        try:
            return self._heard.get(timeout=ARRIVES_WITHIN_S)
        except queue.Empty:
            raise CommandError(f"not right: {what} did not arrive within {ARRIVES_WITHIN_S:g} s") from None

    def must_be_empty(self, who: str) -> None:
        if not self._heard.empty():
            raise CommandError(f"not right: {who} was called more often than it should have been")


def demand(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise CommandError(f"not right: {what}: found {found!r}, expected {expected!r}")


class Story:
    """Tells what happens, for people. `brief` tells again what has been told in full before."""

    def __init__(self) -> None:
        self._screen = console()

    def step(self, title: str) -> None:
        self._screen.print()
        self._screen.print(headline(title))

    def tell(self, line: str, style: str = "") -> None:
        self._screen.print(line, style=style, soft_wrap=True)

    def ask(
        self, client: Client, path: str, body: object, *, method: str = "POST", expected: int = 201, brief: bool = False
    ) -> Any:
        """Send it, and show what was sent and what came back."""
        self.tell(f"→ {method} {path}", "bold")
        self._details(json.dumps(body, indent=None if brief else 2).splitlines(), brief=brief)
        answer = client.send(method, path, body)
        self.tell(f"← {answer.status}", "green")
        self._details(json.dumps(answer.body, indent=None if brief else 2).splitlines(), brief=brief)
        demand(f"the status of {method} {path}", answer.status, expected)
        return answer.body

    def show(self, received: Received, answered: int, *, brief: bool = False) -> None:
        """What arrived at a receiver, and what it answered."""
        self.tell(f"← {received.method} {received.path} arrived, {received.header('content-type')}", "bold")
        lines = [printable(unquote_plus(received.body.decode("ascii")))] if brief else shown_body(received)
        self._details(lines, brief=brief)
        self.tell(f"→ {answered}", "green" if answered < 300 else "red")

    def _details(self, lines: Sequence[str], *, brief: bool) -> None:
        for line in lines:
            cut = brief and len(line) > BRIEF
            self.tell("  " + (line[:BRIEF] + " …" if cut else line), "bright_black")


def finished_attempts(client: Client, config_id: str) -> Sequence[Mapping[str, Any]]:
    """The attempts of the config's one delivery, once its end is on record (which is after its receiver's answer)."""
    end = time.monotonic() + ARRIVES_WITHIN_S
    while True:
        [delivery] = client.get("/v2/deliveries", postbackconfig_id=config_id)["deliveries"]
        if delivery["state"] == "delivered":
            shown = client.get(f"/v2/deliveries/{segment(delivery['id'])}")["delivery"]
            attempts: Sequence[Mapping[str, Any]] = shown["attempts"]
            return attempts
        if time.monotonic() > end:
            raise CommandError(f"not right: the delivery is {delivery['state']}, expected delivered")
        time.sleep(0.05)
