#!/usr/bin/env python3
"""Sets postback up and runs it, with nothing but Python 3.11 or newer.

    python3 run.py serve          start the server (API and engine, SQLite in the current folder)
    python3 run.py demo           see it deliver, step by step
    python3 run.py test [...]     run the quick tests, some at a time; with arguments, those go to pytest
    python3 run.py check          format, lint, types, import contracts, and these tests
    python3 run.py proof          run the others: PostgreSQL, a real browser, several servers, kills, races, as many as is promised
    python3 run.py <any other>    goes to the command line program; try: python3 run.py --help

The first start makes .venv beside this file and installs what the lock files pin, by hash.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from venv import EnvBuilder

PYTHON_MIN = (3, 11)

# Before anything that an older Python could not even define.
if sys.version_info < PYTHON_MIN:
    sys.exit(f"postback needs Python 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable})")
if os.name != "posix":
    sys.exit("postback runs on Linux and macOS (on Windows: in WSL)")

ROOT = Path(__file__).resolve().parent
LOCK = "requirements.lock"
LOCK_DEV = "requirements-dev.lock"

# As modules: the programs in .venv/bin name the folder that they were installed in, and a checkout may be moved.
CHECKS = {
    "format": ["-m", "ruff", "format", "--check", "."],
    "lint": ["-m", "ruff", "check", "."],
    "types": ["-m", "mypy"],
    "import contracts": ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
}

# The whole suite in several processes, one more than processors, since some tests wait more than they work; the tests of
# a file stay together, for what they share; which files begin is said in tests/conftest.py.
TOGETHER = [
    *("--numprocesses", str(min((os.cpu_count() or 1) + 1, 4))),
    *("--dist", "loadfile", "--no-loadscope-reorder"),
]

# Which tests are left to the proofs, and of which more are made there, is said in tests/proving.py.
SUITE = ["-m", "not proof"]
PROOFS = ["-m", "proof or more"]

NO_INSTALLER = """\
This Python ({python}) has neither pip nor ensurepip, and uv is not on PATH. One of them is needed, for instance:
    apt-get install python3-pip
Then start this again."""

# What a person has set for pip elsewhere and would lead it out of our environment.
FOREIGN = ("PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PIP_ROOT", "PIP_TARGET", "PIP_USER", "PYTHONHOME", "PYTHONPATH")


class SetupError(Exception):
    """The environment could not be made; the text says what to do."""


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__)
        return 2
    command, *rest = arguments
    try:
        python = ready(ROOT, LOCK_DEV if command in ("test", "check", "proof") else LOCK)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    if command == "check":
        return check(python)
    if command == "test":
        os.chdir(ROOT)
        become(python, "-m", "pytest", *chosen(rest))
    if command == "proof":
        os.chdir(ROOT)
        os.environ["TESTS_PROOF"] = "1"
        become(python, "-m", "pytest", *TOGETHER, *PROOFS)
    become(python, "-m", "postback", *arguments)
    return 1


def become(python: str | Path, *arguments: str) -> None:
    """Go on as that program, so signals and the exit code are its own."""
    sys.stdout.flush()
    os.execv(python, [str(python), *arguments])  # noqa: S606 - no shell is wanted


def chosen(arguments: list[str]) -> list[str]:
    """What `test` gives to pytest: whatever is named, and where nothing is, the quick ones; without arguments, at once."""
    if not arguments:
        return [*TOGETHER, *SUITE]
    paths = [ROOT / one.partition("::")[0] for one in arguments]
    names = any(path.exists() and path.is_relative_to(ROOT / "tests") for path in paths)
    return arguments if names or "-m" in arguments else [*SUITE, *arguments]


def check(python: Path) -> int:
    """What a change must pass before it is proven; stops at the first that it does not."""
    os.chdir(ROOT)
    for name, arguments in CHECKS.items():
        print(f"── {name}: python {shlex.join(arguments)}", flush=True)
        code = subprocess.call([str(python), *arguments])
        if code:
            print(f"── {name}: failed", flush=True)
            return code
    print("── tests: python3 run.py test", flush=True)
    become(sys.executable, str(ROOT / "run.py"), "test")
    return 1


def ready(root: Path, lock: str) -> Path:
    """The environment's Python, after what the lock pins is installed: at once when it was before."""
    venv = root / ".venv"
    python = venv / "bin" / "python"
    if not is_ready(root, venv, lock):
        import fcntl  # noqa: PLC0415 - there is none on Windows, which is told so above

        # Two first starts at the same time: the second waits for the first, and finds everything done.
        with (root / "run.py").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not is_ready(root, venv, lock):
                set_up(root, venv, lock)
    return python


def is_ready(root: Path, venv: Path, lock: str) -> bool:
    stamp = venv / ".postback"
    return os.access(venv / "bin" / "python", os.X_OK) and stamp.is_file() and digest(root, lock) in stamp.read_text()


def digest(root: Path, lock: str) -> str:
    """What an environment was made from: another lock, project or Python asks for a new set-up."""
    parts = [
        str(sys.implementation.cache_tag).encode(),
        (root / lock).read_bytes(),
        (root / "pyproject.toml").read_bytes(),
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def set_up(root: Path, venv: Path, lock: str) -> None:
    print("Setting up postback in .venv (once; about a minute) …", file=sys.stderr, flush=True)
    (venv / ".postback").unlink(missing_ok=True)
    if not is_same_python(venv / "bin" / "python"):
        make_venv(venv)
    install = installer(venv / "bin" / "python", shutil.which("uv"))
    run([*install, "--no-deps", "--require-hashes", "-r", str(root / lock)])
    # A relative path and plain ASCII: the checkout may stand anywhere and be moved, in any locale.
    (site_packages(venv) / "postback.pth").write_text(os.path.relpath(root / "src", site_packages(venv)) + "\n")
    # The development lock contains the other one, pin for pin.
    locks = [LOCK, LOCK_DEV] if lock == LOCK_DEV else [lock]
    (venv / ".postback").write_text("".join(digest(root, name) + "\n" for name in locks))


def is_same_python(python: Path) -> bool:
    """Whether the environment's Python starts and takes the same compiled packages as this one."""
    try:
        answer = subprocess.run(
            [python, "-c", "import sys; print(sys.implementation.cache_tag)"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return False
    return answer.stdout.strip() == sys.implementation.cache_tag


def make_venv(venv: Path) -> None:
    """Without pip in it: Debian's Python may lack what puts it there, and `pip --python` needs none inside."""
    EnvBuilder(with_pip=False, clear=True, symlinks=True).create(venv)


def site_packages(venv: Path) -> Path:
    return venv / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def installer(python: Path, uv: str | None) -> list[str]:
    """The command that installs into the environment: by uv, by this Python's pip, by one that ensurepip brings."""
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", str(python)]
    if pip_knows_other_pythons(sys.executable):
        return [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    try:
        run([str(python), "-m", "ensurepip"])
    except SetupError:
        raise SetupError(NO_INSTALLER.format(python=sys.executable)) from None
    return [str(python), "-m", "pip", "install", "--quiet"]


def pip_knows_other_pythons(python: str) -> bool:
    """Whether this Python has a pip of 22.3 or later, the first with `--python`."""
    answer = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"pip (\d+)\.(\d+)", answer.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= (22, 3)


def run(command: list[str]) -> None:
    """Run it quietly; what it said is shown when it failed."""
    try:
        answer = subprocess.run(
            command,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise SetupError(f"Setting up failed: {command[0]} cannot be started: {error.strerror}") from error
    if answer.returncode:
        raise SetupError(f"{answer.stdout}\nSetting up failed at: {' '.join(command)}")


def environment() -> dict[str, str]:
    """This process's environment without what would lead an installer astray, and no cache where none can be written."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    kept["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    cache = Path(kept.get("XDG_CACHE_HOME") or Path(kept.get("HOME") or "/") / ".cache")
    while not cache.exists():
        cache = cache.parent
    if not os.access(cache, os.W_OK):
        kept |= {"PIP_NO_CACHE_DIR": "1", "UV_NO_CACHE": "1"}
    return kept


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
