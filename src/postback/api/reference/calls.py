"""A request as a line for the shell, with examples for what it needs."""

import shlex
from typing import Final

from postback.api.reference.examples import LINE_MAX, as_text, example_of, id_of
from postback.api.schema_parts import Schema

_JSON: Final = "application/json"


def curl(document: Schema, path: str, method: str) -> str:
    """What to type; the key is in the variable KEY."""
    operation = document["paths"][path][method]
    command, url = f"curl -s{_method(operation, method)}", shlex.quote(_url(document, path, operation))
    words = [f"{command} {url}"] if len(command) + len(url) < LINE_MAX else [command, url]
    if operation.get("security") != []:
        words.append('-H "Authorization: Bearer $KEY"')
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"][_JSON]["schema"]
        body = as_text(example_of(schema, document["components"]["schemas"]), LINE_MAX - len(" -d ''"))
        words += [f'-H "Content-Type: {_JSON}"', f"-d {shlex.quote(body)}"]
    return " \\\n  ".join(words)


def _method(operation: Schema, method: str) -> str:
    """Left out where curl takes it by itself."""
    by_itself = "post" if "requestBody" in operation else "get"
    return "" if method == by_itself else f" -X {method.upper()}"


def _url(document: Schema, path: str, operation: Schema) -> str:
    [server] = document["servers"]
    query = []
    for parameter in operation.get("parameters", []):
        name = parameter["name"]
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", _thing(path, name))
        elif parameter["in"] == "query" and parameter.get("required"):
            query.append(f"{name}={id_of(name)}")
    return str(server["url"]) + path + ("?" + "&".join(query) if query else "")


def _thing(path: str, name: str) -> str:
    """An id for `record_id` is one of what stands before it: `/v2/contacts/{record_id}`."""
    if name != "record_id":
        return id_of(name)
    plural = path.partition("/{")[0].rpartition("/")[2]
    return id_of(plural.removesuffix("es") if plural.endswith("ches") else plural.removesuffix("s"))
