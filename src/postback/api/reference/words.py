"""What a JSON Schema says, in words for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from postback.api.reference.markup import Html, code, joined, link, together
from postback.api.schema_parts import Schema

REF: Final = "#/components/schemas/"
UNDERSTOOD: Final = frozenset(
    {
        "$ref", "additionalProperties", "default", "description", "enum", "example", "format", "items", "maxItems",
        "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minimum", "multipleOf", "oneOf", "pattern",
        "properties", "required", "title", "type", "uniqueItems",
    }
)  # fmt: skip
"""The words of JSON Schema that the page shows; another one would be lost on its readers."""

_KINDS: Final[Mapping[type, str]] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
_FORMATS: Final[Mapping[str, str]] = {"date-time": "RFC 3339", "date": "yyyy-mm-dd", "uri": "URL"}


def kind_of(schema: Schema) -> Html:
    """The type: `list of Event`, with a link for what has a name."""
    if "$ref" in schema:
        return link_to(name_of(schema))
    if "oneOf" in schema:
        return joined([kind_of(one) for one in schema["oneOf"]], " or ")
    if "type" not in schema and "enum" in schema:
        return together(" or ".join(dict.fromkeys(_KINDS[type(value)] for value in map(_plain, schema["enum"]))))
    types = schema.get("type", "anything")
    words = [types] if isinstance(types, str) else types
    return joined([_of_type(word, schema) for word in words], " or ")


def rules_of(schema: Schema) -> Sequence[Html]:
    """What a value must keep to besides its type, and what it is when it is left out; a sentence each."""
    rules = [_values(schema["enum"])] if "enum" in schema else []
    rules += [together(f"{said}.") for said in _limits(schema)]
    if "multipleOf" in schema:
        rules.append(together(f"A multiple of {schema['multipleOf']:,}."))
    if "pattern" in schema:
        rules.append(together("Matches ", code(schema["pattern"]), "."))
    if schema.get("uniqueItems"):
        rules.append(together("No two are the same."))
    if "items" in schema and "$ref" not in schema["items"]:
        each = [schema["items"]["description"]] if "description" in schema["items"] else []
        rules += [together("Each: ", part) for part in (*each, *rules_of(schema["items"]))]
    if "default" in schema:
        rules.append(together("By default ", code(value_in_words(schema["default"])), "."))
    return rules


def name_of(schema: Schema) -> str:
    """The name of the schema that this one stands for."""
    return str(schema["$ref"]).removeprefix(REF)


def link_to(name: str) -> Html:
    return link(f"#schema-{name}", name)


def value_in_words(value: Any) -> str:
    """A value as it stands in JSON."""
    return json.dumps(value, ensure_ascii=False)


def _of_type(word: str, schema: Schema) -> Html:
    if word == "array":
        return together("list of ", kind_of(schema["items"])) if "items" in schema else together("list")
    if word == "object" and isinstance(schema.get("additionalProperties"), dict):
        return together("object of ", kind_of(schema["additionalProperties"]))
    if word == "string" and "format" in schema:
        return together(f"string, {_FORMATS.get(schema['format'], schema['format'])}")
    return together(word)


def _values(values: Sequence[Any]) -> Html:
    if len(values) == 1:
        return together("Always ", code(value_in_words(values[0])), ".")
    return together("One of ", joined([code(value_in_words(value)) for value in values], ", "), ".")


def _limits(schema: Schema) -> list[str]:
    said = (
        _range(schema.get("minLength"), schema.get("maxLength"), " character", " characters"),
        _range(schema.get("minimum"), schema.get("maximum")),
        _range(schema.get("minItems"), schema.get("maxItems"), " item", " items"),
        _range(None, schema.get("maxProperties"), " entry", " entries"),
    )
    return [limit for limit in said if limit is not None]


def _range(least: float | None, most: float | None, one: str = "", many: str = "") -> str | None:
    """`1 to 64 characters`, `Up to 30 entries`, `At least 1`."""
    unit = one if (least if most is None else most) == 1 else many
    if most is None:
        return None if least is None else f"At least {least:,}{unit}"
    if least is None:
        return f"Up to {most:,}{unit}"
    return f"Exactly {most:,}{unit}" if least == most else f"{least:,} to {most:,}{unit}"


def _plain(value: Any) -> Any:
    """Members of an enumeration are texts to those who read."""
    return str(value) if isinstance(value, str) else value
