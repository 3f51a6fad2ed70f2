"""Settings from where they stand: flags, the environment, postback.toml; and in words what is wrong with them."""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from postback.domain import databases
from postback.settings.model import FILE, OPTIONS, PREFIX, SECRETS, SIZES, Settings
from postback.settings.values import size_text


class SettingsError(Exception):
    """What is wrong with the settings, one line for each; nothing was started."""


def source_of(field: str, flags: Mapping[str, object] | None = None) -> str:
    """Where the value of a setting comes from, in the words a person would look for it by."""
    return _given(field, flags or {})[0]


def load_settings(**flags: Any) -> Settings:
    """The settings as they hold here: flags that are not None, the environment, postback.toml, the defaults."""
    given = {field: value for field, value in flags.items() if value is not None}
    problems = _unknown_variables()
    try:
        settings = Settings(**given)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{FILE} cannot be read: {error}") from error
    except ValidationError as error:
        problems += [_problem(found, given) for found in error.errors()]
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _given(field: str, flags: Mapping[str, object]) -> tuple[str, object]:
    """(source, value as it stands there)"""
    if flags.get(field) is not None:
        return OPTIONS.get(field, "--" + field.replace("_", "-")), flags[field]
    for name, text in os.environ.items():
        # In any case, as pydantic-settings reads them.
        if text and name.upper() == PREFIX + field.upper():
            return name, text
    written = tomllib.loads(Path(FILE).read_text("utf-8")) if Path(FILE).is_file() else {}
    return (f"{field} in {FILE}", written[field]) if field in written else ("default", None)


def _unknown_variables() -> list[str]:
    known = [PREFIX + field.upper() for field in Settings.model_fields]
    unknown = [name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known]
    return [f"{name} is no setting{_nearest(name.upper().removeprefix(PREFIX), PREFIX)}" for name in sorted(unknown)]


def _nearest(name: str, prefix: str = "") -> str:
    """Compared without the prefix, which all of them share and which says nothing about what was meant."""
    near = difflib.get_close_matches(name.lower(), Settings.model_fields, n=1)
    if not near:
        return "; `postback settings` lists those that exist"
    return f"; did you mean {prefix + near[0].upper() if prefix else near[0]}?"


def _problem(found: ErrorDetails, flags: Mapping[str, object]) -> str:
    field = str(found["loc"][0])
    if found["type"] == "extra_forbidden":
        return f"{field} in {FILE} is no setting{_nearest(field)}"
    source, value = _given(field, flags)
    text = "***" if field in SECRETS else re.sub(r"//.*@", "//***@", repr(value))
    if field == "database":
        text = repr(databases.told(str(value)))
    return f"{source} is {text}; expected {_expected(field, found)}: {Settings.model_fields[field].description}"


def _expected(field: str, found: ErrorDetails) -> str:
    context = found.get("ctx", {})
    match found["type"]:
        case "value_error":
            return str(context["error"])
        case "greater_than_equal":
            return f"{_limit(field, context['ge'])} or more"
        case "less_than_equal":
            return f"{_limit(field, context['le'])} or less"
        case "literal_error":
            return f"one of {context['expected']}"
        case kind if kind.startswith("int_"):
            return "a whole number"
        case kind if kind.startswith("bool_"):
            return "true or false"
        case _:
            return found["msg"]


def _limit(field: str, limit: object) -> str:
    return size_text(limit) if field in SIZES and isinstance(limit, int) else str(limit)
