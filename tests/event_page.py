"""The page docs/reference/events.md, made from the catalog; `python -m tests.event_page` writes it anew."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from postback.domain.catalog import SAYABLE
from postback.domain.described import described_types
from postback.domain.event_types import Layout
from postback.domain.events import TYPE_MAX
from postback.domain.notices import FAILING_AFTER_MS, FAILURES_LEAST
from postback.domain.notices import NOTICES as NOTICE_TYPES

PATH: Final = Path(__file__).parents[1] / "docs" / "reference" / "events.md"

_ALL: Final = [f"`{name}`" for name, types in SAYABLE.items() if types is None]
_MARK: Final = {True: "yes", False: ""}

INTRODUCTION: Final = f"""\
# Event types

What is known by name. `GET /v2/eventtypes` and `postback events types` show the same; this page is made from it.

**Other types** can be published and subscribed to all the same: 2 to 10 parts of `a-z`, `0-9`, `_` or `-`, joined by dots, up to {TYPE_MAX} characters in all, with any JSON object as data. The formats {", ".join(_ALL[:-1])} and {_ALL[-1]} can say every event; `xml` and `sms-callback` say those that are marked so below.

**Data is judged when it is published.** What a messaging event lacks, or has of the wrong kind, is a 422 that names it, such as `data.to`; in a batch it stands in that event's place.

- A required field has to be there. Texts may be empty.
- A field that takes only one value may be left out. Another value is refused.
- A time carries its offset: `2026-04-09T10:15:09-04:00`, `…Z`. A fraction of seconds is taken.
- Fields that are not listed are free. They are kept as they came; formats that show the data as it is show them, `xml` and `sms-callback` do not.

## Messaging events

What the XML postback says as `CODE` and `ORIGIN`; [XML postbacks](../guide/xml-postbacks.md) shows the bodies. All of these can be said in `xml`."""

RESOURCES: Final = """\
## Resource events

A change of a record that postback keeps is an event by itself, in the same transaction. For records that live elsewhere publish these types yourself; any object is taken as data. [Payment postbacks](../guide/payment-postbacks.md) shows the bodies. `xml` and `sms-callback` cannot say them."""


NOTICES: Final = f"""\
## Notices

What postback itself has to say of your postbacks, for configs of the same account that name it in `event_types`, such as `delivery.failed`, `postbackconfig.*` or `*`. A config never hears of itself, and a notice that cannot be delivered makes no further one, so nothing goes round in circles. What nobody wants is not kept.

- A config is told to be failing after {FAILURES_LEAST} failed attempts and {FAILING_AFTER_MS // 60_000} minutes without a success (or half of its `disable_after`, where that is shorter), and disabled when `disable_after` is over. Success is looked at once a minute.
- A notice is made once what it tells of is on record. A server that is killed in between has not told the last few; what expires, or loses its worker ten times in a row, is in the log only."""


def page() -> str:
    known = described_types()
    messaging = [one for one in known if one["fields"]]
    notices = [one for one in known if one["type"] in NOTICE_TYPES]
    resources = [one for one in known if not one["fields"] and one not in notices]
    heads = ["type", "what happened", "code", "code in 2014-03", "origin", "sms-callback"]
    parts = [
        INTRODUCTION,
        _table(heads, map(_messaging_row, messaging)),
        *map(_section, messaging),
        RESOURCES,
        _table(["type", "what happened", "example of its data"], map(_resource_row, resources)),
        NOTICES,
        _table(["type", "what happened", "example of its data"], map(_resource_row, notices)),
    ]
    return "\n\n".join(parts) + "\n"


def _messaging_row(known: Mapping[str, Any]) -> list[str]:
    newest, oldest = (", ".join(known["codes"][layout]) for layout in (Layout.L2015, Layout.L2014_03))
    link = f"[`{known['type']}`](#{known['type'].replace('.', '')})"
    old = "" if oldest == newest else oldest
    return [link, known["description"], newest, old, known["origin"], _MARK["sms-callback" in known["formats"]]]


def _resource_row(known: Mapping[str, Any]) -> list[str]:
    return [f"`{known['type']}`", known["description"], f"`{json.dumps(known['example'])}`"]


def _section(known: Mapping[str, Any]) -> str:
    said_by = ", ".join(f"`{name}`" for name in known["formats"])
    parts = [f"### {known['type']}", f"{known['description']} Said by {said_by}."]
    for way in known["variants"] or [known]:
        if "told_by" in way:
            parts.append(_told_by(**way["told_by"]))
        parts.append(f"{_codes(way['codes'])}, origin {known['origin']}.")
        parts.append(_table(["field", "takes", "required", "meaning"], map(_field_row, way["fields"])))
        parts.append(f"```json\n{json.dumps(way['example'], indent=2)}\n```")
    return "\n\n".join(parts)


def _told_by(field: str, value: str | None) -> str:
    return f"**With `{field}`**" if value is None else f"**With `{field}` = `{value}`**"


def _codes(codes: Mapping[str, Any]) -> str:
    newest, oldest = (codes[layout] for layout in (Layout.L2015, Layout.L2014_03))
    newest, oldest = (code if isinstance(code, str) else ", ".join(code) for code in (newest, oldest))
    return f"Code {newest}" + (f" (in the layout 2014-03: {oldest})" if oldest != newest else "")


def _field_row(field: Mapping[str, Any]) -> list[str]:
    takes = ", ".join(f"`{choice}`" for choice in field.get("choices", ())) or field["type"]
    if "default" in field and len(field["choices"]) > 1:
        takes += f"; without it `{field['default']}`"
    return [f"`{field['name']}`", takes, _MARK[field["required"]], field["description"]]


def _table(heads: list[str], rows: Iterable[list[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(f"| {' | '.join(cells)} |" for cells in rows)]
    return "\n".join(lines).replace("|  |", "| |")


if __name__ == "__main__":
    PATH.write_text(page(), "utf-8")
