"""One operation of the API as a part of the page: what it takes, what it answers, and a request to try."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from postback.api.reference.calls import curl
from postback.api.reference.examples import as_text, example_of
from postback.api.reference.fields import Told, in_words, row, said_only_here, shape
from postback.api.reference.markup import (
    NOTHING,
    Html,
    code,
    coloured,
    element,
    joined,
    link,
    paragraphs,
    prose,
    together,
)
from postback.api.schema_parts import Schema

_ALIKE: Final = 3
"""So many parameters that differ by their names only are told in one row."""

_JSON: Final = "application/json"


class Operation(NamedTuple):
    """A route with one method, as the document describes it."""

    path: str
    method: str
    said: Schema

    @property
    def id(self) -> str:
        return str(self.said["operationId"])

    @property
    def summary(self) -> str:
        return str(self.said["summary"])


def operation_html(document: Schema, one: Operation, told: Told) -> Html:
    told.here = link(f"#{one.id}", one.summary)
    return element(
        "article",
        element("h3", link(f"#{one.id}", one.summary)),
        element("div", *_told(document, one, told), class_="told"),
        element("div", *_shown(document, one), class_="shown"),
        id=one.id,
    )


def method_html(one: Operation) -> Html:
    return element("span", one.method.upper(), class_=f"method {one.method}")


def path_html(one: Operation) -> Html:
    """The path, which may be broken before each of its parts."""
    return element("code", joined(one.path.split("/"), Html("<wbr>/")), class_="path")


def block(text: Html) -> Html:
    """An example; what may scroll can be reached by the keyboard."""
    return element("pre", element("code", text), tabindex="0")


def _told(document: Schema, one: Operation, told: Told) -> Iterator[Html]:
    said = one.said
    yield element("p", method_html(one), " ", path_html(one), _scope(document, one), class_="route")
    description = said.get("description", "")
    if description.removesuffix(".") != one.summary:
        yield paragraphs(description)
    if said.get("parameters"):
        yield together(element("h4", "Parameters"), _parameters(said["parameters"]))
    if "requestBody" in said:
        yield together(element("h4", "Body"), _body(said["requestBody"], document["components"]["schemas"], told))
    yield together(element("h4", "Answers"), _answers(said["responses"]))


def _scope(document: Schema, one: Operation) -> Html:
    """What a key must be allowed to."""
    security = one.said.get("security", document.get("security", []))
    if not security:
        return element("span", "no key needed", class_="scope")
    scopes = [scope for demand in security for scope in demand.get("key", ())]
    return element("span", "scope ", joined(map(code, scopes), " "), class_="scope") if scopes else NOTHING


def _parameters(parameters: Sequence[Schema]) -> Html:
    alike: dict[tuple[str, str], list[Schema]] = {}
    for parameter in parameters:
        but_for_the_name = (_but_for_the_name(parameter), repr(parameter["schema"]))
        alike.setdefault(but_for_the_name, []).append(parameter)
    rows: list[Html] = []
    for (description, _), group in alike.items():
        if len(group) < _ALIKE:
            rows += [_parameter([one["name"]], one, one.get("description", "")) for one in group]
        else:
            rows.append(_parameter([one["name"] for one in group], group[0], description))
    return element("table", element("tbody", *rows), class_="fields")


def _but_for_the_name(parameter: Schema) -> str:
    """Its description, the same for all whose descriptions differ by their names only."""
    return re.sub(rf"\bthis {re.escape(parameter['name'])}\b", "this value", parameter.get("description", ""))


def _parameter(names: Sequence[str], one: Schema, description: str) -> Html:
    return row(names, one["schema"], description=description, required=one.get("required", False), where=one["in"])


def _body(body: Schema, schemas: Mapping[str, Schema], told: Told) -> Html:
    parts = [
        together(element("p", code(content_type), class_="content-type"), shape(content["schema"], schemas, told))
        for content_type, content in body["content"].items()
    ]
    return together(NOTHING if body.get("required") else element("p", "May be left out."), *parts)


def _answers(responses: Mapping[str, Schema]) -> Html:
    rows = (
        element(
            "tr",
            element("th", status, scope="row", class_="good" if status.startswith("2") else "bad"),
            element("td", prose(response["description"]), *_content(response)),
        )
        for status, response in sorted(responses.items())
    )
    return element("table", element("tbody", *rows), class_="answers")


def _content(response: Schema) -> Iterator[Html]:
    for content_type, content in response.get("content", {}).items():
        if content_type == _JSON:
            yield together(" ", in_words(content["schema"]), *said_only_here(content["schema"]))
        else:
            yield together(" ", code(content_type))


def _shown(document: Schema, one: Operation) -> Iterator[Html]:
    yield element("h4", "Request")
    yield block(together(curl(document, one.path, one.method)))
    for status, response in sorted(one.said["responses"].items()):
        schema = response.get("content", {}).get(_JSON, {}).get("schema")
        if status.startswith("2") and schema:
            yield element("h4", "Answer ", code(status))
            yield block(coloured(as_text(example_of(schema, document["components"]["schemas"]))))
            return
