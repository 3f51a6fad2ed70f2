"""The manual and the code say the same: nothing is missing there, and nothing stands there that does not exist."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main

import run
from postback.api import errors as api_errors
from postback.api.app import framework
from postback.cli import app as command_line
from postback.cli.output import Exit
from postback.domain.accounts import Scope
from postback.domain.deliveries import State, Verdict
from postback.domain.errors import InvalidValue
from postback.domain.wire import Note, Reason
from postback.formats.api_default import PARAMETERS
from postback.resources import RESOURCES, Kind
from postback.settings import Settings, described
from postback.storage.tables import METADATA
from tests import manual
from tests.api.test_access_matrix import LOCAL, OPEN, ROUTES

API = manual.page("api")
CLI = manual.page("cli")
ERRORS = manual.page("errors")
SETTINGS = manual.page("settings")

DOCUMENT: Mapping[str, Any] = framework(
    SimpleNamespace(base_url="http://127.0.0.1:8080", refusals=None)
).state.document()  # type: ignore[arg-type]

PROGRAMS = (["python3", "run.py"], ["postback"])
OWN_OF_RUN = ("test", "proof", "check")
"""What run.py does itself; everything else goes to the command line program."""


# --- settings --------------------------------------------------------------------------------------------------------


def test_every_setting_is_in_the_manual_with_its_default_and_its_sentence() -> None:
    assert manual.table(SETTINGS, "name") == [[one.name, one.default, one.sentence] for one in described()]


def test_the_settings_file_that_is_shown_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [block] = [block for block in manual.blocks(SETTINGS) if block.language == "toml"]
    (tmp_path / "postback.toml").write_text(block.text)
    monkeypatch.chdir(tmp_path)

    settings = Settings()

    assert settings.model_fields_set == set(tomllib.loads(block.text))


def test_nobody_is_told_to_ask_an_index_for_it() -> None:
    """`pip install 'postback[postgres]'` would install whatever somebody has put there under that name."""
    source = [path.read_text("utf-8") for path in (manual.ROOT / "src").rglob("*.py")]
    pages = [path.read_text("utf-8") for path in manual.PAGES]

    asked = [word for text in (*source, *pages) for word in re.findall(r"pip install[^\n]*?(\S*postback\[\w+\])", text)]

    assert len(asked) >= 6
    assert [word for word in asked if not word.lstrip("'").startswith("./")] == []


@pytest.mark.parametrize("path", manual.PAGES, ids=lambda path: path.name)
def test_no_page_names_a_setting_that_does_not_exist(path: Path) -> None:
    named = set(re.findall(r"POSTBACK_[A-Z_]+", path.read_text("utf-8")))

    assert named - {one.name for one in described()} - {"POSTBACK_"} == set()


# --- the API ---------------------------------------------------------------------------------------------------------


def test_every_route_is_in_the_manual_and_no_other() -> None:
    exist = {(method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations}

    rows = [(method, path) for method, path, *_ in manual.table(API, "method")]
    assert sorted(rows) == sorted(exist)


def test_the_manual_says_which_scope_opens_a_route() -> None:
    said = {(method, _shape(path)): scope.partition(",")[0] for method, path, scope, _ in manual.table(API, "method")}

    true = {(method, _shape(path)): str(scope) for method, path, _, scope in ROUTES}
    true |= dict.fromkeys(OPEN, "–") | dict.fromkeys(LOCAL, str(Scope.READ))
    assert said == true
    assert sorted(manual.column(API, "scope")) == sorted(Scope)


@pytest.mark.parametrize(
    ("title", "schema"),
    [
        ("Keys", "NewKey"),
        ("Accounts", "NewAccount"),
        ("Portal links", "NewPortalLink"),
        ("Postback configs", "NewPostbackConfig"),
        ("Callbacks", "NewCallbacks"),
        ("Postback settings", "NewPostbackSettings"),
        ("Events", "NewEvent"),
        ("Many deliveries at once", "NewReplay"),
        ("Many deliveries at once", "NewCancel"),
    ],
)
def test_every_field_that_a_request_takes_is_in_the_manual(title: str, schema: str) -> None:
    fields = manual.column(manual.section(API, title), "field")

    assert sorted(fields) == sorted(DOCUMENT["components"]["schemas"][schema]["properties"])


def test_the_defaults_and_limits_of_a_config_are_in_the_manual() -> None:
    schemas = DOCUMENT["components"]["schemas"]["NewPostbackConfig"]["properties"]

    for name, takes, default in manual.table(manual.section(API, "Postback configs"), "field"):
        schema = schemas[name]
        if "default" in schema:
            assert default.strip('"') == str(schema["default"]), name
        if "maximum" in schema:
            assert f"{schema['minimum']:.10g} to {schema['maximum']:.10g}" in takes, name


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES)
def test_every_field_of_a_record_is_in_the_manual_with_its_limits(resource: Any) -> None:
    rows = manual.table(API, f"field of {resource.one}")
    fields = [field for field in resource.fields if not field.read_only]

    assert [names for names, _ in rows] == [", ".join(filter(None, (one.name, one.alias))) for one in fields]
    for field, (_, takes) in zip(fields, rows, strict=True):
        assert ("required" in takes) == field.required, field.name
        if field.kind in (Kind.TEXT, Kind.NUMBER):
            limits = {field.at_least, field.at_most} - {0}
            assert {int(number) for number in re.findall(r"-?\d+", takes)} - {0} == limits, field.name


@pytest.mark.parametrize(
    ("method", "path", "title"),
    [("get", "/v2/events", "Events"), ("get", "/v2/deliveries", "Deliveries"), ("get", "/v2/audit", "Audit")],
)
def test_the_filters_of_the_logs_are_in_the_manual(method: str, path: str, title: str) -> None:
    parameters = [parameter["name"] for parameter in DOCUMENT["paths"][path][method]["parameters"]]
    [line] = [line for line in manual.section(API, title).splitlines() if re.match(r"(\*\*)?List(\*\*)? with", line)]
    sentence = line.partition(". ")[0]

    assert sorted(manual.words_in_code(sentence)) == sorted(parameters)


@pytest.mark.parametrize("schema", ["NewReplay", "NewCancel"])
def test_what_many_deliveries_are_narrowed_by_is_in_the_manual(schema: str) -> None:
    rows = manual.table(manual.section(API, "Many deliveries at once"), "filter")
    fields = DOCUMENT["components"]["schemas"][schema]["properties"]["filter"]["properties"]

    assert [name for names, _ in rows for name in names.split(", ")] == list(fields)
    assert set(fields["state"]["enum"]) <= set(re.findall(r"\w+", rows[0][1]))


def test_the_parameters_of_a_postback_are_in_the_manual() -> None:
    assert manual.column(API, "parameter") == list(PARAMETERS)


# --- errors, reasons, states -----------------------------------------------------------------------------------------


def test_every_error_code_is_in_the_manual_with_its_status() -> None:
    answered = {kind.code: status for kind, status in api_errors.STATUSES.items() if kind is not InvalidValue}
    # Three more are written where they are answered.
    answered |= {"method_not_allowed": 405, "internal_error": 500}

    assert {code: int(status) for code, status, *_ in manual.table(ERRORS, "code")} == answered


def test_no_error_code_is_written_anywhere_else_in_the_api() -> None:
    sources = [path.read_text("utf-8") for path in Path(api_errors.__file__).parent.glob("*.py")]
    written = {code for source in sources for code in re.findall(r'"?code"?(?:: | = )"(\w+)"', source)}

    assert written
    assert written <= set(manual.column(ERRORS, "code"))


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("reason", list(Reason)),
        ("note", list(Note)),
        ("state", list(State)),
        ("decision", [verdict.name.lower() for verdict in Verdict]),
    ],
)
def test_every_word_of_the_log_is_in_the_manual_and_no_other(title: str, words: Sequence[str]) -> None:
    assert sorted(manual.column(ERRORS, title)) == sorted(map(str, words))


# --- the command line ------------------------------------------------------------------------------------------------


def _commands(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its words."""
    for name, child in getattr(command, "commands", {}).items():
        words = f"{path} {name}".strip()
        if getattr(child, "commands", None):
            yield from _commands(child, words)
        else:
            yield words, child


PROGRAM = typer.main.get_command(command_line.app)
COMMANDS = dict(_commands(PROGRAM))


def test_every_command_is_in_the_manual_and_no_other() -> None:
    titles = manual.headings(manual.section(CLI, "Commands"))

    assert titles == list(COMMANDS)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_is_in_the_manual_with_its_sentence_and_all_options(words: str) -> None:
    part = manual.section(CLI, words)
    common = {name: [name, default, sentence] for name, default, sentence in manual.table(CLI, "common option")}
    rows = manual.table(part, "option") if "| option |" in part else []
    also = [line for line in part.splitlines() if line.startswith("Also ")]
    rows += [common[name] for line in also for name in manual.words_in_code(line)]

    command = COMMANDS[words]
    assert (command.help or "").partition("\n")[0] in part
    assert sorted(rows) == sorted(map(_as_row, command.params))


def test_the_options_before_a_command_are_in_the_manual() -> None:
    assert manual.table(CLI, "option before the command") == [
        [*option.opts, option.help] for option in PROGRAM.params if not getattr(option, "hidden", False)
    ]


def test_the_exit_codes_are_in_the_manual() -> None:
    rows = manual.table(CLI, "exit code")

    assert rows == [[str(code.value), code.sentence] for code in Exit] + [["130", "Ctrl-C"]]


def _as_row(parameter: Any) -> list[str]:
    is_argument = not parameter.opts[0].startswith("-")
    name = (parameter.metavar or parameter.name.upper()) if is_argument else ", ".join(parameter.opts)
    default = parameter.default
    return [name, "" if default is None or default is False or parameter.required else str(default), parameter.help]


# --- the architecture ------------------------------------------------------------------------------------------------


def test_every_table_is_in_the_architecture() -> None:
    text = (manual.ROOT / "docs" / "why" / "architecture.md").read_text("utf-8")

    named = [name for names in manual.column(text, "table") for name in names.split(", ")]
    assert sorted(named) == sorted(METADATA.tables)


# --- all pages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", manual.PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in manual.links(path.read_text("utf-8")):
        if re.match(r"https?://", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.is_file(), f"{path.name}: {link}"
        if anchor:
            assert anchor in manual.anchors(target.read_text("utf-8")), f"{path.name}: {link}"


def test_every_page_of_the_documentation_is_in_its_contents() -> None:
    contents = manual.ROOT / "docs" / "README.md"
    listed = {(contents.parent / link).resolve() for link in manual.links(contents.read_text("utf-8"))}

    pages = set((manual.ROOT / "docs").rglob("*.md")) - {contents}
    assert pages <= listed


@pytest.mark.parametrize("path", manual.PAGES, ids=lambda path: path.name)
def test_every_block_of_json_parses(path: Path) -> None:
    for block in manual.blocks(path.read_text("utf-8")):
        if block.language == "json":
            try:
                json.loads(block.text)
            except ValueError as error:
                pytest.fail(f"{path.name}, line {block.line}: {error}")


@pytest.mark.parametrize("path", manual.PAGES, ids=lambda path: path.name)
def test_every_command_that_a_page_shows_exists(path: Path) -> None:
    for words in shown_commands(path.read_text("utf-8")):
        if words[0] in OWN_OF_RUN or words[0] in ("…", "<command>"):
            continue
        name = next((name for name in COMMANDS if words[: len(name.split())] == name.split()), None)
        assert name is not None, f"{path.name}: {' '.join(words)}"
        options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} - options - {"--help"} == set(), (
            f"{path.name}: {words}"
        )


def test_the_words_of_run_py_itself_exist() -> None:
    assert [word for word in OWN_OF_RUN if f"run.py {word}" not in (run.__doc__ or "")] == []


def shown_commands(text: str) -> list[list[str]]:
    """What pages call our program with: at prompts, in indented lines, and in code within sentences."""
    typed = manual.commands(text) + [words.split() for words in manual.words_in_code(text)]
    typed += [line.split() for line in text.splitlines() if line.startswith("    ")]
    return [
        words[len(program) :]
        for words in typed
        for program in PROGRAMS
        if words[: len(program)] == program and len(words) > len(program) and words[len(program)] != "--help"
    ]


def _shape(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path.partition("?")[0])
