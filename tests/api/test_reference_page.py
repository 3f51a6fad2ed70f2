"""GET /docs: everything that the OpenAPI document says, and nothing that a browser could run or fetch."""

import base64
import copy
import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest

from postback.api.app import framework
from postback.api.contents import TAGS
from postback.api.reference.calls import curl
from postback.api.reference.examples import as_text, example_of
from postback.api.reference.html import grouped, page
from postback.api.reference.markup import element
from postback.api.reference.operation import Operation
from postback.api.reference.words import UNDERSTOOD, kind_of, rules_of
from tests.api import test_access_matrix
from tests.api.client import Api, Client
from tests.api.fitting import misfits
from tests.api.pages import Element, read

SERVER = "http://127.0.0.1:8080"
APP = framework(SimpleNamespace(base_url=SERVER, refusals=None))  # type: ignore[arg-type]
DOCUMENT: Mapping[str, Any] = APP.state.document()
SCHEMAS: Mapping[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS = [one for operations in grouped(DOCUMENT).values() for one in operations]  # type: ignore[arg-type]


@pytest.fixture
async def things(api: Api) -> dict[str, str]:
    return await test_access_matrix.one_of_each_kind(api)


HOSTILE = """<script>alert(1)</script>"><img src=x onerror='alert(2)'>&amp;"""


@cache
def shown() -> Element:
    return read(APP.state.reference().body.decode())


@cache
def anchors() -> Mapping[str, Element]:
    return {one.attributes["id"]: one for one in shown().all() if "id" in one.attributes}


# --- everything is there ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", OPERATIONS, ids=lambda one: one.id)
def test_an_operation_is_on_the_page_with_all_that_is_said_of_it(one: Operation) -> None:
    article = anchors()[one.id]

    assert one.summary in article.text
    assert f"{one.method.upper()} {one.path}" in article.text
    for parameter in one.said.get("parameters", ()):
        assert parameter["name"] in [code.text for code in article.all("code") if "field" in code.classes]
    told = [row.text for table in article.all("table") if "answers" in table.classes for row in table.all("tr")]
    for status, response in one.said["responses"].items():
        assert any(line.startswith(f"{status}{response['description']}") for line in told), status


def test_every_operation_of_the_document_is_in_the_contents_and_in_its_group() -> None:
    ids = {operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()}

    assert {one.id for one in OPERATIONS} == ids
    [contents] = shown().all("nav")
    assert {f"#{id}" for id in ids} <= {link.attributes["href"] for link in contents.all("a")}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_on_the_page_with_all_its_fields(name: str) -> None:
    article = anchors()[f"schema-{name}"]

    fields = [code.text for code in article.all("code") if "field" in code.classes]
    assert set(SCHEMAS[name].get("properties", {})) <= set(fields)
    [contents] = shown().all("nav")
    assert f"#schema-{name}" in [link.attributes["href"] for link in contents.all("a")]


def test_the_fields_of_a_body_stand_with_its_first_operation_and_are_linked_from_the_others() -> None:
    creating = anchors()["create_postbackconfig"]
    changing = anchors()["change_postbackconfig"]

    fields = [code.text for code in creating.all("code") if "field" in code.classes]
    assert fields == list(SCHEMAS["NewPostbackConfig"]["properties"])
    assert "#create_postbackconfig" in [link.attributes["href"] for link in changing.all("a")]


def test_what_is_required_is_marked() -> None:
    rows = {row.text.partition("string")[0]: row.text for row in anchors()["create_contact"].all("tr")}

    assert "required" in rows["last_name"]
    assert "required" not in rows["first_name"]


def test_answers_without_a_named_schema_are_told_where_they_are_given() -> None:
    fields = [code.text for code in anchors()["health"].all("code") if "field" in code.classes]

    assert fields == ["status"]


def test_each_part_has_its_introduction_and_the_reading_order_is_ours() -> None:
    used = list(grouped(DOCUMENT))  # type: ignore[arg-type]

    assert used == list(TAGS)
    for tag, sentence in TAGS.items():
        assert sentence.replace("`", "") in anchors()["tag-" + tag.replace(" ", "-")].text


def test_no_word_of_a_schema_is_left_unsaid() -> None:
    def words(schema: Any) -> Iterator[str]:
        yield from schema
        for word, value in schema.items():
            if word == "properties":
                for one in value.values():
                    yield from words(one)
            elif word in ("items", "additionalProperties") and isinstance(value, dict):
                yield from words(value)
            elif word in ("oneOf", "anyOf", "allOf"):
                for one in value:
                    yield from words(one)

    used = {word for schema in SCHEMAS.values() for word in words(schema)}
    used |= {word for one in OPERATIONS for each in one.said.get("parameters", ()) for word in words(each["schema"])}
    assert used <= UNDERSTOOD


@pytest.mark.parametrize(
    ("schema", "kind", "rules"),
    [
        ({"type": "string", "minLength": 1, "maxLength": 64}, "string", ["1 to 64 characters."]),
        ({"type": ["string", "null"], "maxLength": 1}, "string or null", ["Up to 1 character."]),
        ({"type": "string", "minLength": 2, "maxLength": 2}, "string", ["Exactly 2 characters."]),
        ({"type": "integer", "minimum": 1, "default": 20}, "integer", ["At least 1.", "By default 20."]),
        ({"type": "integer", "minimum": 0, "maximum": 604_800}, "integer", ["0 to 604,800."]),
        (
            {"enum": ["0", "1", 0, 1, False, True]},
            "string or integer or boolean",
            ['One of "0", "1", 0, 1, false, true.'],
        ),
        (
            {"type": "array", "items": {"type": "integer", "maximum": 9}, "maxItems": 3},
            "list of integer",
            ["Up to 3 items.", "Each: Up to 9."],
        ),
        ({"oneOf": [{"$ref": "#/components/schemas/Error"}, {"type": "null"}]}, "Error or null", []),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "object of string", []),
        ({}, "anything", []),
    ],
)
def test_schemas_in_words(schema: Any, kind: str, rules: list[str]) -> None:
    assert read(kind_of(schema)).text == kind
    assert [read(rule).text for rule in rules_of(schema)] == rules


# --- nothing else is ------------------------------------------------------------------------------------------------


def test_the_page_refers_to_nothing_outside_of_itself() -> None:
    allowed = {
        "a",
        "article",
        "body",
        "code",
        "dd",
        "div",
        "dl",
        "dt",
        "h1",
        "h2",
        "h3",
        "h4",
        "head",
        "header",
        "html",
    }
    allowed |= {"li", "main", "meta", "nav", "p", "pre", "section", "span", "strong", "style", "table", "tbody", "td"}
    allowed |= {"th", "title", "tr", "ul", "wbr"}

    elements = list(shown().all())
    targets = [one.attributes[name] for one in elements for name in ("href", "src", "action") if name in one.attributes]
    [style] = shown().all("style")
    assert {one.tag for one in elements} <= allowed
    assert not [one for one in elements for name in one.attributes if name.startswith("on") or name == "style"]
    assert [target for target in targets if not target.startswith("#") and target != "/openapi.json"] == []
    assert not re.search(r"url\(|@import|https?:", style.text)


def test_every_link_within_the_page_leads_somewhere_and_every_anchor_is_one() -> None:
    ids = [one.attributes["id"] for one in shown().all() if "id" in one.attributes]
    links = {link.attributes["href"] for link in shown().all("a")}

    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in links if link.startswith("#")} <= set(ids)


@pytest.mark.anyio
async def test_a_browser_is_told_to_use_the_stylesheet_of_the_page_and_nothing_else(client: Client) -> None:
    reply = await client.get("/docs")

    [style] = read(reply.body.decode()).all("style")
    known = base64.b64encode(hashlib.sha256(style.text.encode()).digest()).decode()
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{known}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def test_every_text_of_the_document_is_escaped() -> None:
    """Whatever comes into a description, a name or an example, it is text to whoever reads it."""
    document = hostile(copy.deepcopy(DOCUMENT))

    root = read(page(document, element("style")))

    assert {one.tag for one in root.all()} == {one.tag for one in shown().all()}
    assert not [one for one in root.all() if any(name.startswith("on") for name in one.attributes)]
    # Descriptions and examples of operations, fields and schemas: it is all still to be read.
    assert root.text.count(HOSTILE) > 1000


def hostile(value: Any, word: str = "") -> Any:
    """The document with markup at the end of every text that does not name a thing."""
    if isinstance(value, dict):
        return {key: hostile(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [hostile(one, word) for one in value]
    if isinstance(value, str) and word not in ("$ref", "type", "operationId", "tags", "in", "name", "required", "key"):
        return value + HOSTILE
    return value


@pytest.mark.anyio
async def test_the_page_is_rendered_once(api: Api) -> None:
    first, second = await api.client.get("/docs"), await api.client.get("/docs")

    assert first.body == second.body
    assert APP.state.reference() is APP.state.reference()


# --- its examples are true -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, schema in SCHEMAS.items() if "example" in schema])
def test_an_example_of_a_schema_fits_it(name: str) -> None:
    assert list(misfits(SCHEMAS[name]["example"], SCHEMAS[name], SCHEMAS, name)) == []


@pytest.mark.parametrize("one", OPERATIONS, ids=lambda one: one.id)
def test_the_examples_of_an_operation_fit_its_schemas(one: Operation) -> None:
    bodies = [one.said.get("requestBody", {}), *one.said["responses"].values()]
    schemas = [
        content["schema"] for body in bodies for content in body.get("content", {}).values() if content["schema"]
    ]

    for schema in schemas:
        assert list(misfits(example_of(schema, SCHEMAS), schema, SCHEMAS, one.id)) == []


@pytest.mark.parametrize("name", ["Attempt", "Delivery", "DeliveryWithAttempts", "Event", "EventWithDeliveries"])
def test_an_example_of_the_log_has_all_that_an_answer_has(name: str) -> None:
    assert set(SCHEMAS[name]["example"]) == set(SCHEMAS[name]["properties"])


@pytest.mark.parametrize("one", OPERATIONS, ids=lambda one: one.id)
def test_the_line_for_the_shell_asks_for_the_operation(one: Operation) -> None:
    method, target, headers, body = typed(curl(DOCUMENT, one.path, one.method))  # type: ignore[arg-type]

    shape = re.sub(r"\{\w+\}", "[^/{}…?]+", one.path)
    assert method == one.method.upper()
    assert re.fullmatch(rf"{shape}(\?\w+=[^…]+)?", target), target
    assert ("Authorization" in headers) == (one.said.get("security") != [])
    assert (body is not None) == ("requestBody" in one.said)


@pytest.mark.anyio
async def test_the_lines_for_the_shell_are_taken_as_they_stand(api: Api, things: dict[str, str]) -> None:
    """Each id of the page stands for a thing of its kind."""
    kinds = {id[:3]: id for name, id in things.items() if name not in ("empty_location", "signed_config", "cancelled")}
    others = {
        "rotate_secret": {"pbc": things["signed_config"]},
        "replay_delivery": {"dlv": things["cancelled"]},
        "delete_location": {"loc": things["empty_location"]},
    }
    await api.client.put("/v2/accounts/acme", {"account": {}})
    link = (await api.client.post("/v2/accounts/acme/portal-link", {"portal_link": {}})).json["portal_link"]
    others["revoke_portal_link"] = {"lnk": link["id"]}
    refused: dict[str, str] = {}

    # What is removed last is what others belong to.
    for one in sorted(OPERATIONS, key=lambda one: one.path.count("/") if one.method == "delete" else 99, reverse=True):
        known = {**kinds, **others.get(one.id, {})}
        line = curl(DOCUMENT, one.path, one.method)  # type: ignore[arg-type]
        method, target, _, body = typed(re.sub(r"\b([a-z]{3})_\d\w{12,}", lambda id: known.get(id[1], id[0]), line))  # noqa: B023
        reply = await api.client.send(method, target, json.loads(body) if body else b"")
        if reply.status >= 300:
            refused[f"{one.id} {target}"] = reply.body.decode()

    assert refused == {}


def typed(line: str) -> tuple[str, str, list[str], str | None]:
    """Method, target, names of headers and body of what curl would send."""
    words = iter(shlex.split(line.replace("\\\n", " ")))
    assert next(words) == "curl"
    method, url, headers, body = None, "", [], None
    for word in words:
        match word:
            case "-s":
                pass
            case "-X":
                method = next(words)
            case "-H":
                headers.append(next(words).partition(":")[0])
            case "-d":
                body = next(words)
            case _:
                url = word
    assert url.startswith(SERVER)
    return method or ("GET" if body is None else "POST"), url.removeprefix(SERVER), headers, body


def test_short_json_stays_on_a_line_and_long_json_is_broken_where_it_can_be() -> None:
    assert as_text({"a": [1, 2], "b": None}) == '{"a": [1, 2], "b": null}'
    assert as_text({"a": [1, 2], "b": {}}, width=12) == '{\n  "a": [\n    1,\n    2\n  ],\n  "b": {}\n}'
