"""Schemas as tables of fields."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from postback.api.reference.markup import NOTHING, Html, code, element, joined, prose, together
from postback.api.reference.words import kind_of, name_of, rules_of, value_in_words
from postback.api.schema_parts import Schema

_EXAMPLE_MAX: Final = 80
"""A longer example of one field is left to the example of the whole."""

_TELL_NOTHING: Final[Sequence[Any]] = (None, "", [], {})

_WHERE: Final = {"path": "in the path", "header": "a header", "query": ""}


class Told:
    """Which named schemas were told already, and where: a second time a link is enough."""

    def __init__(self) -> None:
        self.here = NOTHING
        self._where: dict[str, Html] = {}

    def first(self, name: str) -> Html | None:
        """Where it was told before; None for the first time, which is now."""
        if name in self._where:
            return self._where[name]
        self._where[name] = self.here
        return None


def shape(schema: Schema, schemas: Mapping[str, Schema], told: Told) -> Html:
    """What a body looks like: each of its ways, and the fields of what it wraps."""
    if "oneOf" in schema:
        ways = [element("li", shape(one, schemas, told)) for one in schema["oneOf"]]
        return together(element("p", "One of:"), element("ul", *ways, class_="ways"))
    wrapped = _wrapped(schema)
    if wrapped is None:
        return together(element("p", in_words(schema)), _named(schema, schemas, told))
    inner = wrapped.get("items", wrapped)
    limits = [together(" ", rule) for rule in rules_of(wrapped)]
    return together(element("p", in_words(schema), *limits), _named(inner, schemas, told))


def in_words(schema: Schema) -> Html:
    """An answer in a line: `{"contact": Contact}`."""
    if "oneOf" in schema:
        return joined([in_words(one) for one in schema["oneOf"]], " or ")
    if "properties" not in schema:
        return element("code", kind_of(schema))
    inner = joined([together(f'"{name}": ', kind_of(one)) for name, one in schema["properties"].items()], ", ")
    return element("code", "{", inner, "}")


def said_only_here(schema: Schema) -> Iterator[Html]:
    """The fields of an answer that no named schema tells of."""
    for one in schema.get("oneOf", [schema]):
        properties = one.get("properties", {}).values()
        if any("$ref" not in value.get("items", value) for value in properties):
            # That an answer always has a field is no demand on anybody.
            yield table({**one, "required": ()})


def table(schema: Schema) -> Html:
    """The fields of an object; of anything else its type and its rules."""
    properties = schema.get("properties")
    if not properties:
        return element("p", kind_of(schema), ". ", joined(rules_of(schema), " "))
    example = schema.get("example", {})
    rows = (
        row([name], one, required=name in schema.get("required", ()), examples=_examples(name, one, example))
        for name, one in properties.items()
    )
    return element("table", element("tbody", *rows), class_="fields")


def row(
    names: Sequence[str],
    schema: Schema,
    *,
    description: str | None = None,
    required: bool = False,
    where: str = "query",
    examples: Sequence[Any] = (),
) -> Html:
    """One field, or several that differ by their names only."""
    marks = [kind_of(schema)]
    marks += [element("strong", "required")] if required else []
    marks += [together(_WHERE[where])] if _WHERE[where] else []
    said = schema.get("description", "") if description is None else description
    shown = [together("Example: ", code(value_in_words(example)), ".") for example in examples]
    rules = [*rules_of(schema), *shown]
    told = element(
        "tr",
        element(
            "th",
            joined([element("code", name, class_="field") for name in names], " "),
            element("span", joined(marks, " · "), class_="type"),
            scope="row",
        ),
        element(
            "td",
            element("p", prose(said)) if said else NOTHING,
            element("p", joined(rules, " ")) if rules else NOTHING,
        ),
    )
    return together(told, *(element("tr", element("td", inner, colspan="2")) for inner in _within(schema)))


def _within(schema: Schema) -> Iterator[Html]:
    """The fields of objects that have no name of their own, under the field that holds them."""
    inner = schema.get("items", schema)
    extra = inner.get("additionalProperties")
    ways = [inner, *inner.get("oneOf", ())]
    ways += [extra, *extra.get("oneOf", ())] if isinstance(extra, dict) else []
    for one in ways:
        if "properties" in one:
            yield table(one)


def _named(schema: Schema, schemas: Mapping[str, Schema], told: Told) -> Html:
    if "$ref" not in schema:
        return table(schema)
    name = name_of(schema)
    before = told.first(name)
    if before == told.here:
        return NOTHING
    if before is not None:
        return element("p", "The fields are those of ", before, ".")
    required = {"required": schema["required"]} if "required" in schema else {}
    return table({**schemas[name], **required})


def _wrapped(schema: Schema) -> Schema | None:
    """The content of an object that is there to give it a name."""
    properties = list(schema.get("properties", {}).values())
    if len(properties) != 1 or "$ref" not in properties[0].get("items", properties[0]):
        return None
    one: Schema = properties[0]
    return one


def _examples(name: str, schema: Schema, whole: Any) -> Sequence[Any]:
    found = [schema["example"]] if "example" in schema else [whole[name]] if name in whole else []
    return [
        example for example in found if example not in _TELL_NOTHING and len(value_in_words(example)) <= _EXAMPLE_MAX
    ]
