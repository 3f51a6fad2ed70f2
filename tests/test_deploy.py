"""The files to deploy by, held to the code: settings and commands that exist, a user without rights, a root that stays as it is."""

import configparser
import http.client
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import run
from postback.cli import app as command_line
from postback.cli.output import Exit
from postback.domain import databases
from postback.settings import Settings, described
from tests.api.test_access_matrix import OPEN
from tests.test_repository import PROJECT, ROOT, pins

DEPLOY = ROOT / "deploy"
SETTINGS = {one.name for one in described()}
GRACE_S = Settings(database="x").grace.total_seconds()
ENDS_WITHIN_S = GRACE_S + 6
"""After POSTBACK_GRACE, so long for requests under way and for the last settlements."""

COMMANDS = typer.main.get_command(command_line.app)


def container() -> list[tuple[str, str]]:
    """Instruction and what it says, of all stages, lines joined."""
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*\n", "", text)).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


def said(instruction: str) -> list[str]:
    return [rest for word, rest in container() if word == instruction]


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for text in said("ENV") for pair in shlex.split(text))


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    return found


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((DEPLOY / "postback.service").read_text("utf-8"))
    return parser


def ours() -> dict[str, dict[str, Any]]:
    """The services of compose that run postback."""
    return {name: service for name, service in compose()["services"].items() if service["image"] == "postback"}


def seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)s", text)
    assert match is not None, text
    return int(match[1])


def accepts(words: list[str]) -> bool:
    """Whether these are a command of the program, with options that it has."""
    name, *options = words
    command = COMMANDS.commands.get(name)  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts} if command else set()
    return command is not None and {word for word in options if word.startswith("--")} <= known


def looks_at_health(program: str, port: int) -> None:
    """It asks the port for a route that is open, and knows what it got."""
    assert ("GET", "/health") in OPEN
    found = re.search(r"HTTPConnection\('127\.0\.0\.1', (\d+), timeout=\d\); c\.request\('GET', '(\S+)'\)", program)
    assert found is not None, program
    assert (int(found[1]), found[2]) == (port, "/health")


# --- the container -------------------------------------------------------------------------------------------------


def test_the_container_has_what_the_lock_pins_by_its_hashes_and_nothing_else() -> None:
    [install] = [text for text in said("RUN") if " install " in text and "--requirement" in text]

    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(shlex.split(install))
    assert "requirements.lock /build/" in said("COPY")
    assert [text for text in said("RUN") if "pip" in text] == [install]


def test_the_lock_has_what_the_store_on_postgresql_needs() -> None:
    pinned = pins("requirements.lock")
    extra = PROJECT["project"]["optional-dependencies"]["postgres"]

    assert {re.split("[><=]", requirement)[0] for requirement in extra} <= set(pinned)


def test_the_container_starts_from_a_python_that_it_runs_on() -> None:
    images = [text.split()[0] for text in said("FROM")]
    [version] = {re.fullmatch(r"python:(3\.\d+)-slim", image)[1] for image in images}  # type: ignore[index]

    assert tuple(map(int, version.split("."))) >= run.PYTHON_MIN
    folders = {found for text in said("COPY") for found in re.findall(r"/lib/python(3\.\d+)/", text)}
    assert folders == {version}


def test_what_the_container_copies_is_there() -> None:
    sources = [words[:-1] for words in map(shlex.split, said("COPY")) if not words[0].startswith("--from")]

    paths = [word for words in sources for word in words if not word.startswith("--")]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert {".venv", ".git", "deploy/.env", "**/*.db.key", "**/*.db.secret"} <= set(ignored)


def test_the_container_runs_as_a_user_without_rights_who_owns_nothing_but_the_data() -> None:
    [user] = said("USER")
    [volume] = said("VOLUME")
    [data] = [text for text in said("RUN") if volume in text.split()]

    uid, gid = map(int, user.split(":"))
    assert uid >= 1000
    assert {f"--owner={uid}", f"--group={gid}", "--mode=0700"} <= set(shlex.split(data))
    words = [word for word, _ in container()]
    assert words.index("USER") > max(at for at, word in enumerate(words) if word in ("RUN", "COPY"))
    assert environment()["POSTBACK_DATABASE"].startswith(f"{volume}/")


def test_the_container_sets_what_exists_and_starts_what_exists() -> None:
    given = {name: value for name, value in environment().items() if name.startswith("POSTBACK_")}
    [entry], [command] = map(json.loads, said("ENTRYPOINT")), map(json.loads, said("CMD"))

    assert set(given) <= SETTINGS
    settings = Settings(**{name.removeprefix("POSTBACK_").lower(): value for name, value in given.items()})
    assert entry == ["postback"]
    assert accepts(command)
    assert said("EXPOSE") == [str(settings.listen[1])]
    assert settings.listen.is_every


def test_the_container_is_asked_how_it_is_and_told_to_end() -> None:
    [health] = said("HEALTHCHECK")
    program = json.loads(health.partition(" CMD ")[2])

    assert program[:2] == ["python", "-c"]
    looks_at_health(program[2], Settings(listen=environment()["POSTBACK_LISTEN"]).listen[1])
    assert said("STOPSIGNAL") == ["SIGTERM"]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_look_at_its_health_ends_by_what_it_was_answered(status: int, code: int) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    [health] = said("HEALTHCHECK")
    program = json.loads(health.partition(" CMD ")[2])[2]
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.handle_request, daemon=True).start()
        program = program.replace("8080", str(server.server_port))
        ended = subprocess.run([sys.executable, "-c", program], timeout=20, check=False)

    assert ended.returncode == code
    assert http.client.HTTPConnection.__name__ in program


def test_the_program_of_the_container_is_the_command_line() -> None:
    program = DEPLOY / "postback"

    assert program.stat().st_mode & 0o111
    assert program.read_text("utf-8").startswith("#!/opt/postback/bin/python\n")
    ended = subprocess.run(
        [sys.executable, str(program), "--version"],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, f"postback {PROJECT['project']['version']}\n")


# --- compose -------------------------------------------------------------------------------------------------------


def test_compose_runs_a_server_a_worker_and_a_database() -> None:
    assert sorted(ours()) == ["serve", "worker"]
    database = compose()["services"]["database"]
    # What the tests run on by default (tests/postgres.py): 17 is neither that nor what CI has beside it.
    assert database["image"] == "postgres:18"
    for name, service in ours().items():
        assert service["command"][0] == name
        assert accepts(service["command"])
    # The folder of the image's data, which another one has since 18: kept elsewhere it would be gone with the container.
    assert database["volumes"] == ["database:/var/lib/postgresql"]
    assert all(service["init"] is True for service in ours().values())
    assert [name for name, service in ours().items() if service.get("pull_policy") != "never"] == ["serve"]
    [build] = [service["build"] for service in ours().values() if "build" in service]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Containerfile"


def test_compose_sets_what_exists_and_keeps_no_secret() -> None:
    for service in ours().values():
        named = {name for name in service["environment"] if name.startswith("POSTBACK_")}
        assert named <= SETTINGS
        address = service["environment"]["POSTBACK_DATABASE"]
        [(host, port)] = databases.hosts(databases.parse(address), {})
        assert (host, port) == ("database", 5432)
    for service in compose()["services"].values():
        for name, value in service["environment"].items():
            if re.search("KEY|PASSWORD", name):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), (
                    f"{name} is to be given, and to be missed where it is not"
                )


def test_a_server_behind_a_proxy_on_its_machine_opens_loopback_to_nobody() -> None:
    """With the example's empty value a server listening on 127.0.0.1, as under systemd, let all configs call loopback."""
    example = (DEPLOY / "environment.example").read_text("utf-8")
    [given] = re.findall(r"^POSTBACK_ALLOW_NETWORKS=(.*)$", example, re.MULTILINE)
    by_default = unit()["Service"]["Environment"].partition("POSTBACK_ALLOW_NETWORKS=")[2]

    assert not Settings(listen="127.0.0.1:8080", allow_networks=given).allows_loopback
    assert not Settings(listen="127.0.0.1:8080", allow_networks=by_default).allows_loopback
    for service in ours().values():
        assert service["environment"]["POSTBACK_ALLOW_NETWORKS"] == "${POSTBACK_ALLOW_NETWORKS:-none}"


def test_what_compose_asks_for_stands_in_the_example_and_is_empty_there() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text("utf-8")))
    example = dict(
        line.split("=", 1)
        for line in (DEPLOY / "environment.example").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    )

    assert set(example) == asked
    # What is empty is not set, and that would open loopback to a server that listens there.
    assert example.pop("POSTBACK_ALLOW_NETWORKS") == "none"
    assert set(example.values()) == {""}
    assert asked - {"POSTGRES_PASSWORD"} <= SETTINGS


def test_what_compose_runs_has_no_rights_and_writes_nowhere() -> None:
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert "/tmp" in service["tmpfs"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service
        assert ("cap_add" in service) == (name == "database")
    ports = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports), "who opens it to others puts TLS before it"


def test_compose_asks_each_how_it_is_and_waits_until_it_has_ended() -> None:
    serve, worker = ours()["serve"], ours()["worker"]
    ports = {
        "serve": Settings(listen=serve["environment"]["POSTBACK_LISTEN"]).listen[1],
        "worker": Settings(listen=worker["environment"]["POSTBACK_WORKER_LISTEN"]).listen[1],
    }

    for name, service in ours().items():
        kind, *program = service["healthcheck"]["test"]
        assert (kind, *program[:2]) == ("CMD", "python", "-c")
        looks_at_health(program[2], ports[name])
        assert seconds(service["stop_grace_period"]) > ENDS_WITHIN_S
        assert service["depends_on"]["database"]["condition"] == "service_healthy"
    assert serve["ports"] == [f"127.0.0.1:{ports['serve']}:{ports['serve']}"]
    assert compose()["services"]["database"]["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]


# --- systemd -------------------------------------------------------------------------------------------------------


def test_the_unit_starts_the_program_as_a_user_without_rights() -> None:
    service = unit()["Service"]
    program, *words = shlex.split(service["ExecStart"])

    assert program == "/opt/postback/bin/postback"
    assert accepts(words)
    assert service["User"] not in ("", "root")
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"
    assert service["EnvironmentFile"] == "-/etc/postback/environment"
    assert (service["UMask"], service["StateDirectoryMode"]) == ("0077", "0700")
    assert (service["CapabilityBoundingSet"], service["AmbientCapabilities"]) == ("", "")
    for setting, value in {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "PrivateTmp": "yes"}.items():
        assert service[setting] == value


def test_the_unit_ends_it_well_and_starts_it_again() -> None:
    service = unit()["Service"]

    assert service["KillSignal"] == "SIGTERM"
    assert float(service["TimeoutStopSec"]) > ENDS_WITHIN_S
    assert service["Restart"] == "on-failure"
    # It gave up after five starts within ten seconds, which a database that is away for long takes.
    assert unit()["Unit"]["StartLimitIntervalSec"] == "0"
    assert int(service["RestartPreventExitStatus"]) == Exit.USAGE
    assert int(service["LimitNOFILE"]) > Settings(database="x").worker_capacity


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "postback.service").read_text("utf-8").replace("/opt/postback/bin/postback", "/bin/true")
    (tmp_path / "postback.service").write_text(text)

    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "postback.service")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    ours_only = [line for line in ended.stderr.splitlines() if "postback.service" in line]
    assert (ended.returncode, ours_only) == (0, []), ended.stderr
