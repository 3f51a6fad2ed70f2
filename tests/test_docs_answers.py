"""What the pages show is what happens: their requests are sent to a real server, and the answers compared.

Ids, times and ports are others each time. An id that a page shows stands for the same thing from then on.
"""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from queue import Queue
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

import pytest

from postback.cli.client import Client
from postback.cli.trial import trial_server
from postback.receiver.server import Behaviour, Received, TestReceiver
from tests import manual
from tests.manual import Block
from tests.patience import PATIENCE_S

SERVER: Final = "http://127.0.0.1:8080"
RECEIVER: Final = "http://127.0.0.1:9000"

_ID: Final = r"(?:loc|pbc|evt|con|bat|chg|key|rpl|aud|lnk)_[0-9a-z]{13}|(?<=/portal/)[\w-]{43}|dlv_[0-9a-z]{26}|pbk_[0-9a-z]+|whsec_[0-9A-Za-z+/]+=*"
_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z|\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT|(?<=_ts%22%3A)\d+"
_NAMED: Final = re.compile(_ID)
_VOLATILE: Final = re.compile(f"{_ID}|{_TIME}")
_REQUEST: Final = re.compile(r"(GET|POST|PUT|DELETE) (/\S*)")


class Asked(NamedTuple):
    """A request as a page shows it."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: str | None


class Differs(AssertionError):
    """The server's answer is not the page's."""


class Play:
    """Sends what a page shows to a server, and compares what comes back; `known` are the page's ids → the real ones."""

    def __init__(self, client: Client, receiver: TestReceiver, heard: "Queue[Received]") -> None:
        self.known: dict[str, str] = {}
        self.heard = heard
        self.url = client.url
        self._client = client
        self._hosts = {SERVER: client.url, RECEIVER: receiver.url}
        self._hosts |= {url.removeprefix("http://"): real.removeprefix("http://") for url, real in self._hosts.items()}

    def knows_the_first_location(self, text: str) -> str:
        """The one that the first start makes, and that a page takes for granted."""
        _, answer = self.ask(Asked("GET", "/v2/locations", {}, None))
        real: str = answer["locations"][0]["id"]
        documented = re.search(r"loc_[0-9a-z]{13}", text)
        if documented is not None:
            self.known[documented[0]] = real
        return real

    def ask(self, asked: Asked) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self._client.key}", **asked.headers}
        if asked.body is not None:
            headers.setdefault("Content-Type", "application/json")
        body = None if asked.body is None else self.real(asked.body).encode()
        request = urllib.request.Request(self._client.url + self.real(asked.target), body, headers, method=asked.method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read()
        return status, json.loads(text) if text else None

    def real(self, text: str) -> str:
        """A text of the page with the hosts and ids of this run."""
        for documented, real in self._hosts.items():
            text = text.replace(documented, real)
        return _NAMED.sub(lambda found: self.known.get(found[0], found[0]), text)

    def compare(self, documented: Any, found: Any, at: str) -> None:
        """Keys and their order, and all values but those that no two runs share."""
        if isinstance(documented, dict) and isinstance(found, dict):
            if list(documented) != list(found):
                raise Differs(f"{at} has the keys {list(found)}; the page says {list(documented)}")
            for name, value in documented.items():
                self._compare_value(name, value, found[name], f"{at}.{name}")
        elif isinstance(documented, list) and isinstance(found, list) and len(documented) == len(found):
            for place, (one, other) in enumerate(zip(documented, found, strict=True)):
                self.compare(one, other, f"{at}[{place}]")
        elif isinstance(documented, str) and isinstance(found, str):
            cut = documented.removesuffix("…")
            self._compare_text(cut, found if cut == documented else found[: len(cut)], at)
        elif documented != found:
            raise Differs(f"{at} is {found!r}; the page says {documented!r}")

    def _compare_value(self, name: str, documented: Any, found: Any, at: str) -> None:
        if name.endswith("_ms"):
            # How long something took, and whether it was needed at all, is another matter each time.
            if type(found) not in (int, type(None)):
                raise Differs(f"{at} is {found!r}; expected a number or null")
        elif name.endswith("_ts") or name in ("worker", "next_cursor"):
            if type(documented) is not type(found):
                raise Differs(f"{at} is {found!r}; the page says {documented!r}")
        else:
            self.compare(documented, found, at)

    def _compare_text(self, documented: str, found: str, at: str) -> None:
        mine, theirs = _VOLATILE.findall(documented), _VOLATILE.findall(found)
        for one, other in zip(mine, theirs, strict=False):
            if _NAMED.fullmatch(one) and self.known.setdefault(one, other) != other:
                raise Differs(f"{at} names {other}; by the page it would be {self.known[one]}, which it calls {one}")
        if _VOLATILE.sub("*", self.real(documented)) != _VOLATILE.sub("*", found) or len(mine) != len(theirs):
            raise Differs(f"{at} is {found!r}; the page says {documented!r}")


@pytest.fixture
def play() -> Iterator[Play]:
    heard: Queue[Received] = Queue()
    with (
        TestReceiver(lambda received, _: heard.put(received), Behaviour(status=503, count=1)) as receiver,
        trial_server() as client,
    ):
        yield Play(client, receiver, heard)


def test_the_answers_of_the_api_page_are_those_of_the_server(play: Play) -> None:
    assert follow(play, manual.page("api")) >= 20


def test_the_guide_to_payment_postbacks_works_as_it_stands(play: Play) -> None:
    assert follow(play, (manual.ROOT / "docs" / "guide" / "payment-postbacks.md").read_text("utf-8")) == 8


def test_the_guide_to_publishing_works_as_it_stands(play: Play) -> None:
    assert follow(play, (manual.ROOT / "docs" / "guide" / "publishing.md").read_text("utf-8")) == 9


def test_the_examples_of_troubleshooting_work_as_they_stand(play: Play) -> None:
    assert follow(play, (manual.ROOT / "docs" / "guide" / "troubleshooting.md").read_text("utf-8")) == 7


def test_the_three_steps_of_the_readme_work_as_they_stand(play: Play) -> None:
    text = (manual.ROOT / "README.md").read_text("utf-8")
    values = {"POSTBACK_API_KEY": "…", "LOCATION": play.knows_the_first_location(text)}
    requests = [as_request(words, values) for words in manual.commands(text) if words[0] == "curl"]

    statuses = [play.ask(asked)[0] for asked in requests]

    assert statuses == [201, 201]
    received = play.heard.get(timeout=PATIENCE_S)
    [paragraph] = [line for line in text.splitlines() if line.startswith("The receiver has been sent")]
    parameters = parse_qs(received.body.decode())
    assert [f"{name}={parameters[name][0]}" for name in ("type", "resource", "number_of_attempts")] == [
        word for word in manual.words_in_code(paragraph) if "=" in word
    ]


def test_every_figure_of_the_metrics_is_in_the_manual_with_its_sentence(play: Play) -> None:
    with urllib.request.urlopen(f"{play.url}/metrics", timeout=PATIENCE_S) as answer:
        shown = answer.read().decode()

    figures = re.findall(r"^# HELP (\S+) (.*)$", shown, re.MULTILINE)
    told = [(name, sentence) for name, _, _, sentence in manual.table(manual.page("telemetry"), "figure")]
    # The library's own of the process are there where the system tells of it.
    assert [figure for figure in figures if not figure[0].startswith("process_")] == told


def follow(play: Play, text: str) -> int:
    """Do what a page shows, in its order, and compare what comes of it; how much there was to do."""
    play.knows_the_first_location(text)
    blocks = manual.blocks(text)
    played = 0
    place = 0
    while place < len(blocks):
        block = blocks[place]
        follows = blocks[place + 1] if place + 1 < len(blocks) else None
        shown = follows.text if follows is not None and follows.language == "json" else None
        place += 1
        if block.language == "http" and block.text.partition("\n")[0].endswith(" HTTP/1.1"):
            compare_postback(play, block.text, shown)
        elif block.language == "http" or (block.language == "console" and "\n$ curl " in "\n" + block.text):
            compare_answer(play, block, shown)
        else:
            continue
        place += shown is not None
        played += 1
    return played


def compare_answer(play: Play, block: Block, shown: str | None) -> None:
    """Asked until the answer is the page's, where a look changes nothing: deliveries take their time."""
    asked = as_shown(block)
    at = f"line {block.line}: {asked.method} {asked.target}"
    end = time.monotonic() + (PATIENCE_S if asked.method == "GET" else 0)
    while True:
        status, answer = play.ask(asked)
        try:
            if status != (block.status or 200):
                raise Differs(f"{at} is answered with {status} {answer}; the page says {block.status}")
            if shown is not None:
                play.compare(json.loads(shown), answer, at)
        except Differs:
            if time.monotonic() >= end:
                raise
            time.sleep(0.05)
        else:
            return


def compare_postback(play: Play, documented: str, data: str | None) -> None:
    """The next one to this path: the head to the letter, of the body as much as the page shows."""
    *head, _, shown_body = documented.splitlines()
    received = play.heard.get(timeout=PATIENCE_S)
    while received.path != head[0].split()[1]:
        received = play.heard.get(timeout=PATIENCE_S)
    lines = [f"{received.method} {received.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in received.headers]
    body = received.body.decode("ascii")

    if data is not None:
        play.compare(json.loads(data), json.loads(parse_qs(body)["data"][0]), "data")
    play.compare("\n".join(head), "\n".join(lines), "the postback")
    play.compare(shown_body, body, "the body of the postback")


def as_shown(block: Block) -> Asked:
    if block.language == "console":
        [words] = [words for words in manual.typed(block) if words[0] == "curl"]
        return as_request(words, {"KEY": "…"})
    head, _, body = block.text.partition("\n\n")
    first, *lines = head.splitlines()
    found = _REQUEST.fullmatch(first)
    assert found, f"line {block.line}: {first} is not a method and a path"
    return Asked(found[1], found[2], dict(line.split(": ", 1) for line in lines), body or None)


def as_request(curl: list[str], values: Mapping[str, str]) -> Asked:
    """What curl would send. The key is the runner's own."""
    arguments = iter(curl[1:])
    url, headers, body = "", {}, None
    for argument in arguments:
        match argument:
            case "-s":
                pass
            case "-H":
                name, _, value = next(arguments).partition(": ")
                headers[name] = value
            case "-d":
                body = next(arguments)
            case _:
                url = argument
    known: Callable[[re.Match[str]], str] = lambda found: values[found[1]]  # noqa: E731
    assert url.startswith(SERVER), f"curl {url}: expected {SERVER}"
    assert re.fullmatch(r"Bearer \$(\w+)", headers.pop("Authorization", "")), "the key is taken from a variable"
    body = None if body is None else re.sub(r"\$(\w+)", known, body)
    return Asked("GET" if body is None else "POST", url.removeprefix(SERVER), headers, body)
