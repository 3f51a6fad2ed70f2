"""A start after a restore, for a person: what would be sent a second time, how to keep it back, and the last word."""

import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from postback.cli.output import program
from postback.domain.errors import Unavailable
from postback.domain.ids import ACCOUNT_DEFAULT, config_text
from postback.domain.times import rfc3339

if TYPE_CHECKING:
    from postback.bootstrap import Restored
    from postback.domain.restored import OwedTo

YES: Final = "yes"
LINE_BYTES: Final = 4096
_ASKED: Final = f"Type {YES} and Enter to let it deliver; until then it goes on waiting."
_ELSEWHERE: Final = "Nobody can answer here: it waits until `{program} release` is given."


async def ask(restored: "Restored", say: Callable[[str], None]) -> None:
    """Say what would be sent, and let it go when somebody types yes, here or with `postback release` elsewhere."""
    say(question(restored))
    if restored.owing.is_nothing:
        return
    answering: set[asyncio.Task[None]] = set()

    async def let_go() -> None:
        try:
            await restored.release()
        except Unavailable as error:
            say(f"It cannot be let go now: {error}\n{_ASKED}")

    def answered(line: str) -> None:
        if line.strip().lower() == YES:
            task = asyncio.get_running_loop().create_task(let_go())
            answering.add(task)
            task.add_done_callback(answering.discard)
        else:
            say(f"Nothing is delivered yet. {_ASKED}")

    with _typed(answered, lambda: say(_ELSEWHERE.format(program=program()))) as is_asking:
        say(_ASKED if is_asking else _ELSEWHERE.format(program=program()))
        await restored.until_released()
    say("It is let go: what is owed is delivered from now on.")


def question(restored: "Restored") -> str:
    """What is known of the copy, and what would come of it."""
    copy, owing = restored.copy, restored.owing
    known_ms = copy.known_until_ms
    known = (
        "The copy knows of nothing that ever happened."
        if known_ms is None
        else f"The copy knows of nothing after {rfc3339(known_ms)}, {_age(restored.now_ms - known_ms)} ago."
    )
    if owing.is_nothing:
        return f"After a restore: {known}\nNothing is owed in it, so nothing can be sent twice: it delivers at once.\n"
    parts = [f"HELD after a restore: events are accepted, nothing is delivered.\n{known}", _owed(restored)]
    if owing.most:
        parts.append("Most of it is owed to:\n" + "\n".join(map(_line, owing.most)))
    parts.append(
        "What of it was delivered after the copy was made will be sent a SECOND TIME, under the same event ids:\n"
        "receivers that look at the id notice it, others take it for something new."
    )
    parts.append(_ways(restored))
    return "\n\n".join(parts) + "\n"


def _owed(restored: "Restored") -> str:
    owing = restored.owing
    newer = owing.owed - owing.in_copy
    more = " or more" if owing.has_more else ""
    text = f"{_number(owing.owed, f'delivery{more}', f'deliveries{more}')} owed; accepted before the copy was made: {owing.in_copy:,}"
    if newer:
        text += f", since then: {newer:,}"
    if owing.replays:
        jobs = _number(owing.replays, "job that replays deliveries goes", "jobs that replay deliveries go")
        text += f"\n{jobs} on when it is let go."
    return text


def _line(one: "OwedTo") -> str:
    state = "" if one.state == "active" else f"  ({one.state}: not sent)"
    return f"  {one.owed:>9,}  {one.account}  {config_text(one.config_id)}  {one.url or '–'}{state}"


def _ways(restored: "Restored") -> str:
    """As they can be pasted: of the config that is owed most, and of what its account had when the copy was made."""
    name = program()
    most = restored.owing.most[0] if restored.owing.most else None
    known_ms = restored.copy.known_until_ms
    config = "pbc_…" if most is None else config_text(most.config_id)
    of_account = "" if most is None or most.account == ACCOUNT_DEFAULT else f" --account {shlex.quote(most.account)}"
    # What was accepted in that very millisecond as well.
    until = "2026-…Z" if known_ms is None else rfc3339(known_ms + 1)
    ways = [
        (f"{name} deliveries cancel --config {config}{of_account} --dry-run", "how many of one config"),
        (f"{name} deliveries cancel --until {until}{of_account} --dry-run", "how many of an account were in the copy"),
        (f"{name} deliveries list --state pending{of_account}", "what there is, one by one"),
        (f"{name} release", "let it deliver"),
    ]
    width = max(len(command) for command, _ in ways)
    lines = [f"  {command:<{width}}   {what}" for command, what in ways]
    return "\n".join(["In another terminal, meanwhile (without --dry-run they are cancelled):", *lines])


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _age(ms: int) -> str:
    """In the two largest units."""
    seconds = max(ms, 0) // 1000
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


@contextmanager
def _typed(answered: Callable[[str], None], left: Callable[[], None]) -> Iterator[bool]:
    """Call `answered` with each line that is typed on our terminal; whether there is one. `left` when there is none any more."""
    loop, descriptor = asyncio.get_running_loop(), _terminal()

    def read() -> None:
        # In the background one must not read: the system would stop the whole process for it.
        typed = os.read(descriptor, LINE_BYTES) if _is_ours(descriptor) else b""
        if typed:
            answered(typed.decode(errors="replace"))
        else:
            loop.remove_reader(descriptor)
            left()

    is_asking = descriptor >= 0 and _is_ours(descriptor)
    if is_asking:
        loop.add_reader(descriptor, read)
    try:
        yield is_asking
    finally:
        if is_asking:
            loop.remove_reader(descriptor)


def _terminal() -> int:
    """The descriptor of the terminal that we are started on, -1 where there is none."""
    try:
        return sys.stdin.fileno() if sys.stdin.isatty() else -1
    except (AttributeError, OSError, ValueError):
        return -1


def _is_ours(descriptor: int) -> bool:
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
