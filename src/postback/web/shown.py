"""How values are shown to people: times, numbers, long and hostile texts."""

import unicodedata
from typing import Final

from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import State
from postback.domain.records import Record
from postback.domain.stats import MINUTE_MS
from postback.domain.times import rfc3339
from postback.ports import DeliveryView

_ODD: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PLAIN: Final = frozenset("\n\t")
_KEPT: Final = frozenset("\u200d\u200c")
"""Joiners that scripts and emoji need."""

_STEPS: Final = ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (86_400 * 60, 86_400, "d"))


def visible(text: str) -> str:
    """The same text with every character named that cannot be seen, or would turn what is around it (U+202E and the like)."""
    if text.isprintable():
        return text
    # Long texts have few different letters: to judge each of those once is ten times as quick.
    odd = {letter: f"⟨U+{ord(letter):04X}⟩" for letter in set(text) if not _is_shown(letter)}
    return "".join([odd.get(letter, letter) for letter in text]) if odd else text


def _is_shown(letter: str) -> bool:
    return letter in _PLAIN or letter in _KEPT or unicodedata.category(letter) not in _ODD


def text_of(data: bytes) -> str:
    """Bytes of others: what is not UTF-8 is shown as escapes."""
    return data.decode("utf-8", "backslashreplace")


def middle_cut(text: str, length: int = 40) -> str:
    """Begin and end of a long text, which tell two of them apart."""
    if len(text) <= length:
        return text
    end = (length - 1) // 2
    return f"{text[: length - 1 - end]}…{text[-end:]}"


def ago(ms: int, now_ms: int) -> str:
    """`3 min ago`, `in 2 h`, `now`; after two months the day. What is to come is rounded: an hour is not 59 min at once."""
    seconds = (now_ms - ms) // 1000 if ms <= now_ms else -((ms - now_ms) // 1000)
    size = abs(seconds)
    if size < 2:
        return "now"
    for limit, unit, word in _STEPS:
        if size < limit:
            return f"{size // unit} {word} ago" if seconds > 0 else f"in {(size + unit // 2) // unit} {word}"
    return rfc3339(ms)[:10]


def ago_by_minute(ms: int, now_ms: int) -> str:
    """The same of a minute, by its begin: `this minute`, `3 min ago`."""
    return "this minute" if now_ms - ms < MINUTE_MS else ago(ms, now_ms)


def exact(ms: int) -> str:
    """`2026-09-21 12:00:00.123 UTC`."""
    return rfc3339(ms).replace("T", " ").removesuffix("Z") + " UTC"


def number(value: int) -> str:
    return f"{value:,}"


def duration(ms: int | None) -> str:
    """`184 ms`, `1.2 s`, `3 min`; a dash for None."""
    if ms is None:
        return "–"
    if ms < 1000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms // 60_000} min"


def waited(seconds: int) -> str:
    """`45 s`, `5 min`, `2 h`, `5 d`, as far as it comes out even."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


RETRYING: Final = "retrying"
"""What is pending with an attempt behind it is called so."""

SHOWN_STATES: Final = (RETRYING, *State)


def shown_state(delivery: DeliveryView) -> str:
    """One of SHOWN_STATES."""
    is_retrying = delivery.state is State.PENDING and delivery.attempts_made > 0
    return RETRYING if is_retrying else delivery.state


def wants(config: PostbackConfig) -> str:
    """`contact: create, update` or the patterns of its events."""
    if config.resource is None:
        return ", ".join(config.event_types)
    flags = {"create": config.on_create, "update": config.on_update, "delete": config.on_delete}
    return f"{config.resource}: {', '.join(name for name, is_on in flags.items() if is_on) or 'nothing'}"


def contact_name(contact: Record) -> str:
    last, first = contact.body["last_name"], contact.body["first_name"]
    return f"{last}, {first}" if first else str(last)


_BROWSERS: Final = (
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS: Final = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Mac OS", "macOS"), ("Windows", "Windows"),
    ("Linux", "Linux"),
)  # fmt: skip


def browser(agent: str) -> str:
    """`Firefox on Linux`, as far as a browser says who it is."""
    name = next((name for mark, name in _BROWSERS if mark in agent), "A browser")
    system = next((name for mark, name in _SYSTEMS if mark in agent), None)
    return f"{name} on {system}" if system else name
