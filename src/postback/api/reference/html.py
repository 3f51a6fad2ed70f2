"""The OpenAPI document as one page, which needs no script and no other host."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from postback.api.reference.examples import as_text
from postback.api.reference.fields import Told, table
from postback.api.reference.markup import NOTHING, Html, code, coloured, element, link, paragraphs, together
from postback.api.reference.operation import Operation, block, method_html, operation_html, path_html
from postback.api.schema_parts import Schema

METHODS: Final = ("post", "get", "put", "delete")
"""In the order of a thing's life."""

_META: Final = Html(
    '<meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
)


def page(document: Schema, style: Html, back: str = "") -> str:
    """The whole page; `style` is the element that has its stylesheet, or leads to it. `back` is the address of the portal
    where it is one of its pages.
    """
    groups = grouped(document)
    head = element("head", _META, element("title", f"{document['info']['title']} API"), style)
    body = element(
        "body",
        link("#content", "To the content", class_="skip"),
        _contents(document, groups, back),
        element("main", _introduction(document), *_groups(document, groups), _schemas(document), id="content"),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en")


def grouped(document: Schema) -> Mapping[str, Sequence[Operation]]:
    """The operations by tag: the tags that the document describes, in its order, then the others."""
    groups: dict[str, list[Operation]] = {tag["name"]: [] for tag in document.get("tags", ())}
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                [tag] = methods[method]["tags"]
                groups.setdefault(tag, []).append(Operation(path, method, methods[method]))
    return {tag: operations for tag, operations in groups.items() if operations}


def _contents(document: Schema, groups: Mapping[str, Sequence[Operation]], back: str) -> Html:
    way_back = element("p", link(back, "← Back to the portal"), class_="back") if back else NOTHING
    name = element("p", link("#content", document["info"]["title"], " API"), class_="name")
    parts = [_chapter(_anchor(tag), _title(tag), *map(_entry, operations)) for tag, operations in groups.items()]
    schemas = (link(f"#schema-{name}", name) for name in document["components"]["schemas"])
    return element("nav", way_back, name, *parts, _chapter("schemas", "Schemas", *schemas), aria_label="Contents")


def _chapter(anchor: str, title: str, *entries: Html) -> Html:
    return element(
        "section",
        element("h2", link(f"#{anchor}", title)),
        element("ul", *(element("li", entry) for entry in entries)),
    )


def _entry(one: Operation) -> Html:
    return link(f"#{one.id}", method_html(one), element("span", one.summary))


def _introduction(document: Schema) -> Html:
    info = document["info"]
    facts = [("Version", together(info["version"]))]
    facts += [("Address", code(server["url"])) for server in document["servers"]]
    facts.append(("For programs", link("/openapi.json", code("/openapi.json"))))
    return element(
        "header",
        element("h1", f"{info['title']} API"),
        element("dl", *(together(element("dt", name), element("dd", value)) for name, value in facts)),
        paragraphs(info.get("description", "")),
    )


def _groups(document: Schema, groups: Mapping[str, Sequence[Operation]]) -> Iterator[Html]:
    descriptions = {tag["name"]: tag["description"] for tag in document.get("tags", ())}
    for tag, operations in groups.items():
        told = Told()
        yield element(
            "section",
            element("h2", link(f"#{_anchor(tag)}", _title(tag))),
            paragraphs(descriptions.get(tag, "")),
            element("table", element("tbody", *map(_route, operations)), class_="routes"),
            *(operation_html(document, one, told) for one in operations),
            id=_anchor(tag),
            class_="group",
        )


def _route(one: Operation) -> Html:
    return element(
        "tr",
        element("td", method_html(one)),
        element("td", link(f"#{one.id}", path_html(one))),
        element("td", one.summary),
    )


def _schemas(document: Schema) -> Html:
    schemas = document["components"]["schemas"]
    return element(
        "section",
        element("h2", link("#schemas", "Schemas")),
        *(_schema(name, schema) for name, schema in schemas.items()),
        id="schemas",
        class_="group",
    )


def _schema(name: str, schema: Schema) -> Html:
    title = element("h3", link(f"#schema-{name}", name))
    told = element("div", paragraphs(schema.get("description", "")), table(schema), class_="told")
    if "example" not in schema:
        return element("article", title, told, id=f"schema-{name}", class_="alone")
    shown = element("div", element("h4", "Example"), block(coloured(as_text(schema["example"]))), class_="shown")
    return element("article", title, told, shown, id=f"schema-{name}")


def _anchor(tag: str) -> str:
    return "tag-" + re.sub(r"[^a-z0-9]+", "-", tag.lower())


def _title(tag: str) -> str:
    return tag[:1].upper() + tag[1:]
