"""The repository itself: locks that hold what the project needs, and contracts without exceptions."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import postback
from tests import manual
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = ["requirements.lock", "requirements-dev.lock"]
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ;]+)(?: ; (?P<marker>.+))?")


def pins(lock: str) -> dict[str, str]:
    """Package → version, of a lock that holds nothing but pins and their hashes."""
    text = (ROOT / lock).read_text("utf-8").replace(" \\\n    --hash", " --hash")
    found = {}
    for line in text.splitlines():
        pin, *hashes = line.split(" --hash=")
        match = PIN.fullmatch(pin)
        assert match, f"{lock}: {line[:80]}"
        assert hashes, f"{lock}: {pin} has no hash"
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in hashes), f"{lock}: {pin}"
        found[match["name"]] = match["version"]
    return found


def name_and_minimum(requirement: str) -> tuple[str, tuple[int, ...]]:
    match = re.match(r"([A-Za-z0-9_.-]+)>=([0-9.]+)", requirement)
    assert match, f"{requirement}: expected a name and a lowest version"
    return re.sub(r"[-_.]+", "-", match[1]).lower(), numbers(match[2])


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_hold_pins_and_hashes_and_no_address(lock: str) -> None:
    assert pins(lock)
    assert "//" not in (ROOT / lock).read_text("utf-8")


def test_locks_cover_what_the_project_asks_for() -> None:
    served = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["postgres"]
    wanted = {
        "requirements.lock": served,
        "requirements-dev.lock": served + PROJECT["dependency-groups"]["dev"],
    }
    for lock, requirements in wanted.items():
        pinned = pins(lock)
        for requirement in requirements:
            name, minimum = name_and_minimum(requirement)
            assert name in pinned, f"{lock} lacks {name}"
            assert numbers(pinned[name]) >= minimum, f"{lock} has {name} {pinned[name]}"


def test_the_development_lock_contains_the_other_pin_for_pin() -> None:
    """run.py relies on it: what was set up for the tests serves the server as well."""
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


def test_import_contracts_have_no_exceptions() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]

    assert [contract["name"] for contract in contracts if contract.get("ignore_imports")] == []
    assert any(contract["type"] == "layers" and contract["exhaustive"] for contract in contracts)


def test_every_rule_that_is_off_says_why() -> None:
    lines = (ROOT / "pyproject.toml").read_text("utf-8").splitlines()
    start = lines.index("ignore = [")
    ignored = lines[start + 1 : lines.index("]", start)]

    assert [line for line in ignored if "  # " not in line] == []
    assert all(rule["msg"] for rule in PROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"].values())


def test_the_version_stands_in_one_place_less_than_could_differ() -> None:
    assert postback.__version__ == PROJECT["project"]["version"]


def test_it_is_said_how_to_tell_of_a_weakness_privately_and_what_happens_then() -> None:
    """By the host of the repository: an address of a person would be wrong before long."""
    text = (ROOT / "SECURITY.md").read_text("utf-8")

    assert "Report a vulnerability" in text
    times = {when for _, when in manual.table(text, "what")}
    assert {"within 3 working days", "within 7 days of that", "within 30 days of that"} <= times
    assert "@" not in text
    for page in ("README.md", "CONTRIBUTING.md"):
        assert "SECURITY.md" in manual.links((ROOT / page).read_text("utf-8")), page


@pytest.mark.parametrize("name", ["run", "chromium", "postgres15"])
def test_the_programs_that_check_a_change_can_be_started(name: str) -> None:
    program = ROOT / ".ci" / name

    assert program.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", program], check=False).returncode == 0


def test_a_change_is_checked_in_a_browser_on_the_oldest_postgresql_and_proven_last() -> None:
    steps = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()[-4:]

    assert steps == [".ci/chromium", "python3 run.py check", ".ci/postgres15", "exec python3 run.py proof"]


@pytest.mark.parametrize(
    ("program", "missing"), [("postgres15", "the tests on PostgreSQL 15"), ("chromium", "the tests in a browser")]
)
def test_without_what_some_tests_want_ci_fails_and_nobody_else(tmp_path: Path, program: str, missing: str) -> None:
    """Where nothing can be installed: there is no apt-get on the path."""
    for name in ("bash", "dirname", "id"):
        (tmp_path / name).symlink_to(Path(shutil.which(name) or name))
    (tmp_path / ".ci").mkdir()
    text = (ROOT / ".ci" / program).read_text("utf-8")
    script = tmp_path / ".ci" / program
    script.write_text(text.replace("/usr/lib/postgresql/15/bin", str(tmp_path / "none")))

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(tmp_path), **more}
        return subprocess.run(
            ["bash", str(script)], env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )

    alone, in_ci = run(), run(CI="true")

    assert (alone.returncode, in_ci.returncode) == (0, 1)
    assert missing in alone.stderr
    assert "skipped" in alone.stderr
    assert "cannot be installed" in in_ci.stderr


def test_where_there_is_a_chromium_nothing_is_installed_for_the_browser(tmp_path: Path) -> None:
    (tmp_path / "bash").symlink_to(Path(shutil.which("bash") or "bash"))
    (tmp_path / "chromium").symlink_to(Path(shutil.which("true") or "true"))

    ended = subprocess.run(
        ["bash", ROOT / ".ci" / "chromium"],
        env={"PATH": str(tmp_path), "CI": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
