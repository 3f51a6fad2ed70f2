"""Many deliveries from the command line: which ones, the last question, and what is said at the end."""

import json
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from postback.cli import many
from postback.cli.client import Client
from postback.cli.output import Exit
from postback.domain.jobs import COUNTED_MAX
from postback.receiver.server import Behaviour, TestReceiver
from tests.cli.calling import Cli
from tests.cli.test_serving import a_config
from tests.patience import PATIENCE_S
from tests.proof.harness import until


@pytest.fixture
def failed(here: Client) -> str:
    """The id of a config with three deliveries that failed, and whose receiver has come back since."""
    behaviour = Behaviour(status=400)
    with TestReceiver(lambda *_: None, behaviour) as receiver:
        config, location = a_config(here, f"{receiver.url}/in")
        for number in range(3):
            event = {"type": "contact.created", "location_id": location, "data": {"id": f"con_{number}"}}
            here.post("/v2/events", {"event": event})
        until(lambda: states(here, config) == ["failed"] * 3, PATIENCE_S, "they fail")
    return config


def states(server: Client, config: str) -> list[str]:
    listed = server.get("/v2/deliveries", postbackconfig_id=config)["deliveries"]
    return [delivery["state"] for delivery in listed]


def test_a_dry_run_says_how_many_and_does_nothing(cli: Cli, here: Client, failed: str) -> None:
    said = cli("deliveries", "replay", "--config", failed, "--dry-run")
    as_json = cli("deliveries", "replay", "--config", failed, "--dry-run", "--json")

    assert (said.code, said.out) == (0, "3 deliveries would be replayed\n")
    assert json.loads(as_json.out) == {"count": 3}
    assert states(here, failed) == ["failed"] * 3


def test_a_replay_is_followed_to_its_end(cli: Cli, here: Client, failed: str) -> None:
    here.send("POST", f"/v2/postbackconfigs/{failed}/pause")

    said = cli("deliveries", "replay", "--config", failed, "--type", "contact.created", "--yes")

    assert (said.code, said.out, said.err) == (0, "3 deliveries replayed\n", "")
    assert states(here, failed) == ["held"] * 3
    cancelled = cli("deliveries", "cancel", "--config", failed, "--state", "held", "--yes", "--json")
    replay = json.loads(cancelled.out)
    assert (replay["kind"], replay["state"], replay["selected"], replay["done"]) == ("cancel", "done", 3, 3)
    assert states(here, failed) == ["cancelled"] * 3
    assert here.get(f"/v2/replays/{replay['id']}")["replay"] == replay


def test_nothing_to_do_is_said_and_no_job_is_made(cli: Cli, here: Client, failed: str) -> None:
    jobs = len(here.get("/v2/replays", page_size=500)["replays"])

    said = cli("deliveries", "replay", "--config", failed, "--state", "delivered", "--yes")

    assert (said.code, said.out) == (0, "no deliveries: nothing to do\n")
    assert len(here.get("/v2/replays", page_size=500)["replays"]) == jobs


@pytest.mark.parametrize(("answer", "state", "code"), [("y", "held", 0), ("n", "failed", Exit.FAILED)])
def test_a_person_is_asked_before_it_is_done(
    cli: Cli, here: Client, failed: str, monkeypatch: pytest.MonkeyPatch, answer: str, state: str, code: int
) -> None:
    here.send("POST", f"/v2/postbackconfigs/{failed}/pause")
    asked: list[str] = []

    def confirm(question: str, **_: Any) -> bool:
        asked.append(question)
        return answer == "y"

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(many.typer, "confirm", confirm)
    said = cli("deliveries", "replay", "--config", failed)

    assert asked == ["Replay 3 deliveries?"]
    assert said.code == code
    assert states(here, failed) == [state] * 3
    assert said.err == ("" if answer == "y" else "error: nothing was done\n")


def test_where_nobody_can_be_asked_it_has_to_be_said(cli: Cli, here: Client, failed: str) -> None:
    said = cli("deliveries", "replay", "--config", failed)

    assert said.code == Exit.USAGE
    assert said.err == "error: Replay 3 deliveries? Nobody is there to answer; --yes says that it is meant\n"
    assert states(here, failed) == ["failed"] * 3


@pytest.mark.parametrize("verb", ["replay", "cancel"])
def test_which_ones_has_to_be_said(cli: Cli, here: Client, verb: str) -> None:
    for words in ([], ["--yes"], ["--state", "failed", "--yes"], ["--dry-run"]):
        said = cli("deliveries", verb, *words)
        assert said.code == Exit.USAGE
        assert "or --all" in said.err
    for words in (["--config", "pbc_1"], ["--all"], ["--dry-run"], ["--yes"], ["--state", "failed"]):
        said = cli("deliveries", verb, "dlv_1", *words)
        assert said.code == Exit.USAGE
        assert "not both" in said.err


def test_what_the_server_refuses_is_told_by_option(cli: Cli, here: Client) -> None:
    """It named `filter.postbackconfig_id`, which nobody had typed."""
    said = cli("deliveries", "replay", "--state", "pending", "--since", "today", "--yes")
    of_config = cli("deliveries", "cancel", "--config", "nonsense", "--yes")
    listed = cli("deliveries", "list", "--since", "today")

    assert said.code == Exit.FAILED
    assert "expected one of failed, delivered, cancelled" in said.err
    assert "expected a time with an offset" in said.err
    assert {re.split("[: ]+", line)[1] for line in said.err.splitlines()} == {"--state", "--since"}
    assert of_config.err.startswith("error: --config is 'nonsense'; expected ")
    assert listed.err.startswith("error: --since is 'today'; expected ")
    for one in (said, of_config, listed):
        assert one.code == Exit.FAILED
        assert "filter." not in one.err
        assert "postbackconfig_id" not in one.err


class Scripted:
    """A server that is at work for a while."""

    def __init__(self, *steps: tuple[int, int, int]) -> None:
        self.steps = [
            {"id": "rpl_1", "state": "running", "selected": selected, "done": done, "skipped": skipped}
            for selected, done, skipped in steps
        ]
        self.steps[-1]["state"] = "done"

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"count": self.steps[0]["selected"]} if body.get("dry_run") else {"replay": self.steps.pop(0)}

    def get(self, path: str) -> dict[str, Any]:
        return {"replay": self.steps.pop(0)}


def follow(monkeypatch: pytest.MonkeyPatch, server: Any, *, as_json: bool = False) -> str:
    """What a terminal has shown beside the output."""
    screen = Console(width=100, force_terminal=True, color_system=None, record=True, file=sys.stderr)
    make: Callable[..., Console] = lambda **_: screen  # noqa: E731
    monkeypatch.setattr(many, "Console", make)
    monkeypatch.setattr(many, "LOOK_EVERY_S", 0.11)
    asked = many.Many(
        state=None,
        config="pbc_1",
        event_type=None,
        location=None,
        since=None,
        until=None,
        is_everything=False,
        is_dry_run=False,
        is_sure=True,
    )
    many.act_on_many(many.JobKind.REPLAY, asked, server, as_json=as_json)
    return screen.export_text()


def test_a_bar_shows_how_far_it_is_and_what_was_skipped_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = follow(monkeypatch, Scripted((5000, 0, 0), (5000, 1200, 0), (5000, 4998, 2)))

    assert "rpl_1 (goes on without this command)" in shown
    assert "1200/5000" in shown
    assert capsys.readouterr().out == (
        "4,998 deliveries replayed\n2 skipped: not any more what they had been, or without a config now\n"
    )


def test_more_than_was_counted_is_no_surprise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [(COUNTED_MAX, 0, 0), (COUNTED_MAX, 70_000, 0), (150_000, 150_000, 0), (200_000, 200_000, 0)]
    shown = follow(monkeypatch, Scripted(*steps))

    assert "70000/100000" in shown
    assert "150000/150000" in shown
    assert capsys.readouterr().out == "200,000 deliveries replayed\n"
    assert many._deliveries(COUNTED_MAX) == "100,000 or more deliveries"
