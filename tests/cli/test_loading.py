"""What a command loads before it does anything, and Ctrl-C meanwhile."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from postback.cli.trial import environment
from tests.cli.calling import Cli
from tests.patience import PATIENCE_S

LATER = {"postback.bootstrap", "postback.formats", "postback.receiver", "fastapi", "lxml", "sqlalchemy", "uvicorn"}

SLOW = """
import signal, sys
from importlib.abc import MetaPathFinder

class Slow(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {name!r}:
            print("loading", flush=True)
            try:
                signal.pause()
            except BaseException:
                raise ImportError("an extension that catches all")
        return None

sys.meta_path.insert(0, Slow())
sys.argv[1:] = {words!r}
import runpy
runpy.run_module("postback", run_name="__main__")
"""


def test_what_the_server_and_receivers_need_is_loaded_by_the_commands_that_need_it() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, postback.cli.app; print(*sys.modules)"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert LATER & set(loaded.stdout.split()) == set()


def test_what_is_loaded_is_no_garbage_and_what_comes_later_may_be() -> None:
    code = """if True:
        import gc, sys
        from postback import __main__

        sys.argv[1:] = ["--version"]
        try:
            __main__.main()
        except SystemExit:
            print(gc.isenabled(), len(gc.get_objects()) < gc.get_freeze_count())
    """
    told = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)

    assert told.stdout.splitlines()[1:] == ["True True"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("postback.cli.app", ["serve"]),
        ("postback.bootstrap", ["serve"]),
        ("postback.storage.postgres", ["serve"]),
        ("postback.bootstrap", ["worker"]),
        ("typer", ["--version"]),
    ],
)
def test_ctrl_c_while_modules_are_loaded_is_one_line_and_130(tmp_path: Path, name: str, words: list[str]) -> None:
    """It was a traceback of whatever was just being loaded."""
    given = {"POSTBACK_DATABASE": "postgresql://127.0.0.1:9/x", "POSTBACK_SECRET_KEY": "a1" * 32}
    given["POSTBACK_LISTEN"] = "127.0.0.1:0"
    with subprocess.Popen(
        [sys.executable, "-c", SLOW.format(name=name, words=words)],
        cwd=tmp_path,
        env=environment() | given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as loading:
        assert loading.stdout is not None
        assert loading.stdout.readline() == "loading\n"
        loading.send_signal(signal.SIGINT)
        try:
            _, said = loading.communicate(timeout=PATIENCE_S)
        finally:
            loading.kill()

    assert (loading.returncode, said) == (130, "error: interrupted before it had started\n")


def test_ctrl_c_while_the_command_line_is_put_together_says_the_same(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(typer.main, "get_command", interrupted)

    assert cli("--version") == (130, "", "error: interrupted before it had started\n")
