"""Nested values as parameters of a form, and back: `meta_data[keys][0]=41`."""

from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import parse_qsl

from postback.domain.errors import Malformed

DEPTH_MAX: Final = 64
"""Levels of brackets. The common receivers stop reading there as well."""

_BETWEEN: Final = "]["

Tree = dict[str, "str | Tree"]


def flattened(name: str, value: object, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The parameters that say a value: items of lists by their number, nothing for what is empty, null as no text.

    ValueError for what would come back as something else.
    """
    if not isinstance(value, dict | list):
        yield name, _as_text(value)
        return
    if depth == DEPTH_MAX:
        raise ValueError(f"it is nested deeper than {DEPTH_MAX} levels")
    members: Iterable[tuple[object, object]] = value.items() if isinstance(value, dict) else enumerate(value)
    for key, member in members:
        if _BETWEEN in str(key):
            raise ValueError(f"a key contains {_BETWEEN!r}, which separates keys in a form")
        yield from flattened(f"{name}[{key}]", member, depth + 1)


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def form_fields(body: bytes, nested: str) -> list[tuple[str, Any]]:
    """The fields of a form as texts; those under the name `nested` (in any case) are one object, which comes last.

    ValueError or Malformed for what is no form.
    """
    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    flat: list[tuple[str, Any]] = []
    within = []
    for name, value in pairs:
        head, bracket, path = name.partition("[")
        if bracket and path.endswith("]") and head.lower() == nested:
            within.append((path[:-1], value))
        else:
            flat.append((name, value))
    return [*flat, (nested, _gathered(within))] if within else flat


def _gathered(parameters: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The object that parameters say, each given by what stands between its outer brackets.

    A form knows no other values than texts. What is numbered from 0 on, below the object itself, is a list.
    """
    tree: Tree = {}
    for path, value in parameters:
        *above, last = path.split(_BETWEEN)
        if len(above) >= DEPTH_MAX:
            raise Malformed(f"a parameter is nested deeper than {DEPTH_MAX} levels")
        level = tree
        for key in above:
            below = level.setdefault(key, {})
            if isinstance(below, str):
                raise Malformed("a parameter is a value and an object at once")
            level = below
        if last in level:
            raise Malformed("a parameter is there twice")
        level[last] = value
    return {key: _with_lists(value) for key, value in tree.items()}


def _with_lists(value: "str | Tree") -> Any:
    if isinstance(value, str):
        return value
    members = {key: _with_lists(member) for key, member in value.items()}
    is_list = all(key == str(place) for place, key in enumerate(members))
    return list(members.values()) if is_list else members
