"""What is printed: nothing of others moves a cursor, and every end has a code."""

import os
import subprocess
import sys

import pytest

from postback.cli.output import Exit, pretty_json, print_table, printable
from postback.cli.trial import environment
from tests.cli.calling import Cli


def test_what_others_wrote_is_printed_without_control_sequences() -> None:
    assert printable("\x1b[2Jevil\rline\n\u202e") == "\\x1b[2Jevil\\rline\\n\\u202e"
    assert printable("Zoë 日本") == "Zoë 日本"


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "", "plain\x07"])
def test_what_is_no_json_is_shown_as_it_is(text: str) -> None:
    assert pretty_json(text) == text.replace("\x07", "\\x07")


def test_json_is_spread_over_lines() -> None:
    assert pretty_json('{"a":["é\\u001b"]}') == '{\n  "a": [\n    "é\\u001b"\n  ]\n}'


def test_a_table_in_a_pipe_is_not_filled_up_with_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["Name", "Meaning"], [("a", "short"), ("b", "long " * 100)], "nothing")

    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["Name  Meaning", "a     short"]
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize("words", [("--help",), ("deliveries", "list", "--help")])
def test_the_help_shows_no_value_after_a_flag_of_ours(cli: Cli, words: tuple[str, ...]) -> None:
    told = cli(*words).out.splitlines()

    assert [line for line in told if "<bool>" in line and "--help" not in line] == []


def test_every_exit_code_is_in_the_help(cli: Cli) -> None:
    told = " ".join(cli("--help").out.split())

    assert [code for code in Exit if f"{code.value} {code.sentence}" not in told] == []


@pytest.mark.parametrize(
    "words", [("nonsense",), ("deliveries", "show"), ("listen", "--port", "x"), ("keys", "nonsense")]
)
def test_a_wrong_command_line_ends_with_2_and_no_traceback(cli: Cli, words: tuple[str, ...]) -> None:
    ended = cli(*words)

    assert ended.code == Exit.USAGE
    assert "Traceback" not in ended.err


def test_a_wrong_setting_ends_with_2_and_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_LEASE", "many")

    ended = cli("settings")

    assert ended.code == Exit.USAGE
    assert ended.err.startswith("error: POSTBACK_LEASE is 'many'; expected a duration")
    assert ended.err.count("\n") == 1


def test_without_a_server_every_command_that_asks_one_ends_with_3(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_PUBLIC_URL", "http://127.0.0.1:9")

    for words in (["events", "send", "a.b"], ["deliveries", "list"], ["keys", "list"], ["accounts", "list"]):
        ended = cli(*words)
        assert (ended.code, ended.err.count("\n")) == (Exit.NOT_REACHABLE, 1), words


def test_a_bug_is_one_line_and_its_traceback_is_shown_when_asked_for(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr("postback.cli.settings.load_settings", broken)

    ended = cli("settings")
    assert ended.code == Exit.FAILED
    assert "Traceback" not in ended.err
    assert "ZeroDivisionError: broken" in ended.err

    assert "Traceback" in cli("--traceback", "settings").err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-u"], ["settings", "--json"]),
        (["-u"], ["settings"]),
        (["-u"], ["--help"]),
        (["-u"], ["--version"]),
        # Written when all of it is done.
        ([], ["settings"]),
    ],
)
def test_a_reader_that_has_seen_enough_is_no_error(options: list[str], words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    ended = subprocess.run(
        [sys.executable, *options, "-m", "postback", *words],
        env=environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)

    assert (ended.returncode, ended.stderr) == (0, b"")


def test_ctrl_c_is_no_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("postback.cli.settings.load_settings", interrupted)

    ended = cli("settings")

    assert ended.code == 130
    assert "Traceback" not in ended.err


def test_the_settings_are_shown_with_their_source(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_RETENTION_DAYS", "7")

    ended = cli("settings")

    [line] = [line for line in ended.out.splitlines() if line.startswith("POSTBACK_RETENTION_DAYS")]
    assert line.split()[1:3] == ["7", "POSTBACK_RETENTION_DAYS"]


def test_the_version_is_shown(cli: Cli) -> None:
    assert cli("--version").out.startswith("postback 0.")
