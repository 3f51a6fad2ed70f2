"""run.py: sets up once, with whatever installer there is, and never again while nothing changed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import run
from tests.proving import LEFT, MORE, is_among

ROOT = Path(run.__file__).parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with empty locks: setting it up installs nothing, so it needs no network."""
    (tmp_path / "src" / "postback").mkdir(parents=True)
    (tmp_path / "src" / "postback" / "__init__.py").write_text("")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / run.LOCK).write_text("")
    (tmp_path / run.LOCK_DEV).write_text("# more\n")
    (tmp_path / "run.py").write_text((ROOT / "run.py").read_text())
    return tmp_path


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would have been installed, in place of installing it."""
    asked: list[list[str]] = []
    monkeypatch.setattr(run, "run", asked.append)
    # Whichever this machine would use.
    monkeypatch.setattr(run, "pip_knows_other_pythons", lambda python: True)
    return asked


def test_an_environment_is_made_once_and_finds_the_project(checkout: Path, installs: list[list[str]]) -> None:
    python = run.ready(checkout, run.LOCK)
    again = run.ready(checkout, run.LOCK)

    assert again == python
    assert len(installs) == 1
    assert installs[0][-4:] == ["--no-deps", "--require-hashes", "-r", str(checkout / run.LOCK)]
    where = subprocess.run(
        [python, "-c", "import postback; print(postback.__file__)"], capture_output=True, text=True, check=True
    )
    assert where.stdout.strip() == str(checkout / "src" / "postback" / "__init__.py")


def test_the_project_is_found_after_the_checkout_has_moved_and_in_any_locale(
    checkout: Path, installs: list[list[str]]
) -> None:
    run.ready(checkout, run.LOCK)
    moved = checkout.rename(checkout.with_name("móved"))

    found = subprocess.run(
        [moved / ".venv" / "bin" / "python", "-c", "import postback"],
        env={"LC_ALL": "C"},
        capture_output=True,
        check=False,
    )

    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("changed", [run.LOCK, "pyproject.toml"])
def test_another_lock_or_project_asks_for_another_set_up(
    checkout: Path, installs: list[list[str]], changed: str
) -> None:
    run.ready(checkout, run.LOCK)
    (checkout / changed).write_text("# changed\n")

    run.ready(checkout, run.LOCK)

    assert len(installs) == 2


def test_what_serves_the_tests_serves_the_server(checkout: Path, installs: list[list[str]]) -> None:
    run.ready(checkout, run.LOCK_DEV)
    run.ready(checkout, run.LOCK)

    assert [install[-1] for install in installs] == [str(checkout / run.LOCK_DEV)]


def test_what_serves_the_server_does_not_serve_the_tests(checkout: Path, installs: list[list[str]]) -> None:
    run.ready(checkout, run.LOCK)
    run.ready(checkout, run.LOCK_DEV)

    assert len(installs) == 2


def test_a_set_up_that_failed_is_done_again(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(command: list[str]) -> None:
        raise run.SetupError("no network")

    monkeypatch.setattr(run, "run", fails)
    monkeypatch.setattr(run, "installer", lambda python, uv: ["install"])
    with pytest.raises(run.SetupError):
        run.ready(checkout, run.LOCK)
    asked: list[list[str]] = []
    monkeypatch.setattr(run, "run", asked.append)

    run.ready(checkout, run.LOCK)

    assert len(asked) == 1


def test_an_environment_whose_python_is_gone_is_made_anew(checkout: Path, installs: list[list[str]]) -> None:
    python = run.ready(checkout, run.LOCK)
    python.unlink()
    python.symlink_to("/nowhere/python3")

    run.ready(checkout, run.LOCK)

    assert run.is_same_python(python)
    assert len(installs) == 2


def test_an_environment_that_works_is_not_thrown_away(checkout: Path, installs: list[list[str]]) -> None:
    run.ready(checkout, run.LOCK)
    kept = checkout / ".venv" / "kept"
    kept.write_text("")
    (checkout / run.LOCK).write_text("# changed\n")

    run.ready(checkout, run.LOCK)

    assert kept.exists()


def test_uv_is_used_where_there_is_one() -> None:
    assert run.installer(Path("/v/python"), "/bin/uv") == [
        "/bin/uv",
        "pip",
        "install",
        "--quiet",
        "--python",
        "/v/python",
    ]


def test_without_uv_the_pip_of_this_python_installs_into_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "pip_knows_other_pythons", lambda python: True)

    command = run.installer(Path("/v/python"), None)

    assert command == [sys.executable, "-m", "pip", "--python", "/v/python", "install", "--quiet"]


def test_without_any_pip_ensurepip_brings_one_into_the_environment(
    installs: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "pip_knows_other_pythons", lambda python: False)

    assert run.installer(Path("/v/python"), None) == ["/v/python", "-m", "pip", "install", "--quiet"]
    assert installs == [["/v/python", "-m", "ensurepip"]]


def test_where_nothing_can_install_a_person_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "pip_knows_other_pythons", lambda python: False)

    with pytest.raises(run.SetupError, match="apt-get install python3-pip"):
        run.installer(Path(sys.executable).with_name("no-such-python"), None)


@pytest.mark.parametrize(
    ("said", "knows"),
    [("pip 22.3 from x", True), ("pip 23.0.1 from x", True), ("pip 22.2.9 from x", False), ("", False)],
)
def test_only_a_pip_that_can_install_into_another_python_is_used(tmp_path: Path, said: str, knows: bool) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{said}'\n")
    python.chmod(0o755)

    assert run.pip_knows_other_pythons(str(python)) is knows


def test_what_an_installer_said_is_shown_when_it_failed() -> None:
    with pytest.raises(run.SetupError, match="no such lock"):
        run.run([sys.executable, "-c", "print('no such lock'); raise SystemExit(3)"])


def test_an_installer_that_is_not_there_is_told_as_a_failure() -> None:
    with pytest.raises(run.SetupError, match="/nowhere/uv"):
        run.run(["/nowhere/uv", "pip"])


def test_settings_for_pip_that_would_lead_it_elsewhere_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in run.FOREIGN:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example")

    environment = run.environment()

    assert not set(run.FOREIGN) & set(environment)
    assert environment["PIP_INDEX_URL"] == "https://mirror.example"


def test_where_no_cache_can_be_written_none_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "not" / "there"))
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == tmp_path and mode == os.W_OK))

    environment = run.environment()

    assert (environment["PIP_NO_CACHE_DIR"], environment["UV_NO_CACHE"]) == ("1", "1")


@pytest.mark.parametrize("arguments", run.CHECKS.values(), ids=run.CHECKS)
def test_a_check_is_started_by_the_environments_python_wherever_that_stands(arguments: list[str]) -> None:
    """The programs in .venv/bin name the folder that they were installed in: they are lost when the checkout moves."""
    help_of_it = [*arguments[:2], "--help"]
    told = subprocess.run([sys.executable, *help_of_it], cwd=ROOT, capture_output=True, text=True, check=False)

    assert told.returncode == 0, told.stderr
    assert "usage: " in told.stdout.lower()


def test_without_a_word_it_says_what_it_can_do() -> None:
    told = subprocess.run([sys.executable, ROOT / "run.py"], capture_output=True, text=True, check=False)

    assert told.returncode == 2
    assert "python3 run.py serve" in told.stdout


def test_a_python_that_is_too_old_is_told_so() -> None:
    """The check must come before anything that an older Python could not even define."""
    lie = "import sys; sys.version_info = (3, 9, 2); sys.version = '3.9.2 (old)'; sys.path.insert(0, '.'); import run"
    told = subprocess.run([sys.executable, "-c", lie], cwd=ROOT, capture_output=True, text=True, check=False)

    assert told.returncode == 1
    assert told.stderr.startswith("postback needs Python 3.11 or newer; this is 3.9.2")


def test_what_is_done_more_often_as_a_proof_is_part_of_the_proofs() -> None:
    says_so = re.compile(r"^from tests\.proving import .*\btimes\b", re.MULTILINE)
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    more_often = [file for file in files if says_so.search((ROOT / file).read_text("utf-8"))]

    assert more_often
    assert [file for file in more_often if not is_among(file, (*LEFT, *MORE))] == []
    assert [pattern for pattern in (*LEFT, *MORE) if not any(is_among(file, (pattern,)) for file in files)] == []
    assert [file for file in MORE if is_among(file, LEFT)] == []


def test_of_what_runs_on_every_database_the_suite_has_the_embedded_one_and_the_proofs_the_other() -> None:
    """And of what is made more often as a proof, both have something."""
    files = ["tests/storage/test_committed.py", "tests/storage/test_moving.py", "tests/engine/test_sharing_of_lanes.py"]

    def chosen(*arguments: str) -> set[str]:
        command = [sys.executable, "-m", "pytest", "-q", "--collect-only", *arguments, *files]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return {line for line in told.stdout.splitlines() if "::" in line}

    suite, proofs = chosen(*run.SUITE), chosen(*run.PROOFS)

    everywhere = f"{files[0]}::"
    assert {one.partition("[")[2] for one in suite if one.startswith(everywhere)} == {"sqlite]"}
    assert {one.partition("[")[2] for one in proofs if one.startswith(everywhere)} == {"postgres]"}
    assert {one.partition("::")[0] for one in proofs - suite} == set(files[:2])
    assert {one.partition("::")[0] for one in proofs & suite} == set(files[2:])


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        ([], [*run.TOGETHER, *run.SUITE]),
        (["-x", "-k", "docs"], [*run.SUITE, "-x", "-k", "docs"]),
        (["tests/proof"], ["tests/proof"]),
        (["-x", "tests/test_run.py::test_name"], ["-x", "tests/test_run.py::test_name"]),
        (["-m", "proof"], ["-m", "proof"]),
    ],
    ids=["nothing", "a word", "a folder", "a test", "a mark"],
)
def test_the_quick_tests_are_made_unless_a_file_or_a_folder_is_named(arguments: list[str], chosen: list[str]) -> None:
    assert run.chosen(arguments) == chosen
