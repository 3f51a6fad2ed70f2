"""Fills a store with rows like those that its server wrote for one delivery, so many that no API would do."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from postback.bench.secret import Copier, Place
from postback.bench.server import Store
from postback.bench.tables import Row, Tables

AT_ONCE: Final = 50_000
MINUTE_MS: Final = 60_000

_ID_BITS: Final = 21
_OF_NO_WORKER: Final = 511 << 12
"""The rest of the ids made here: of the last slot, which no server has that is alone."""

_ACCEPTED: Final = 0
_REPLAYED: Final = 5
_LAST_ERROR: Final = 7
_ALL_TIME: Final = 0
_COUNTERS: Final = ("account", "config_id", "minute", "measure", "count")
_OWED: Final = (
    *("event_id", "config_id", "account", "order_key", "due_at_ms", "attempts", "forgiven", "interruptions"),
    *("logged", "manual", "worker", "claim", "claimed_ms"),
)


class Lane(NamedTuple):
    """A config that deliveries are made up for, and what its events say; None: what the first event says."""

    account: str
    config_id: int
    event_type: str | None = None
    location_id: str | None = None


class Times(NamedTuple):
    """From when to when the events were accepted (unix ms), one after the other at equal distances."""

    since_ms: int
    until_ms: int

    def of(self, number: int, count: int) -> int:
        return self.since_ms + (self.until_ms - self.since_ms) * number // count


class _Sample(NamedTuple):
    """A delivery that the server made: its event, its attempt, and (whether it is a last time, measure) of its config."""

    event: Row
    attempt: Row
    measures: Sequence[tuple[bool, int]]


class Filling:
    """The store has been used for one delivery, in the account `default`: that is what all others look like.

    `close` writes what is counted of them; until then the counters do not fit the rows.
    """

    def __init__(self, tables: Tables, store: Store) -> None:
        self._tables = tables
        self._account = _first(tables, "SELECT * FROM accounts WHERE id = 'default'")
        config_id = _first(tables, "SELECT * FROM attempts ORDER BY event_id")["config_id"]
        self._sample = self._sample_of(config_id)
        self._config = _first(tables, f"SELECT * FROM configs WHERE id = {config_id}")  # noqa: S608
        self._version = _first(tables, f"SELECT * FROM config_versions WHERE config_id = {config_id}")  # noqa: S608
        place = Place(config_id, self._version["version"], self._version["account"])
        self._secrets = Copier(store.secret_key, self._version["secrets"], place)
        self._counts: Counter[tuple[str, int, int, int]] = Counter()
        self._due: dict[Lane, int] = {}

    def accounts(self, count: int, configs: int) -> Sequence[Lane]:
        """Accounts with so many configs each, active, signed, all with the receiver of the first."""
        names = [f"acc_bench{number:07}" for number in range(count)]
        first = self._config["id"] + 1
        lanes = [Lane(name, first + number * configs + n) for number, name in enumerate(names) for n in range(configs)]
        self._copies("accounts", self._account, ({"id": name} for name in names))
        self._copies("configs", self._config, ({"id": lane.config_id, "account": lane.account} for lane in lanes))
        self._copies("config_versions", self._version, map(self._of_version, lanes))
        return lanes

    def lanes(self, which: str) -> Sequence[Lane]:
        """Of configs that are there, by a condition."""
        rows = self._tables.rows(f"SELECT account, id, location_id FROM configs WHERE {which} ORDER BY id")  # noqa: S608
        return [Lane(row["account"], row["id"], location_id=row["location_id"]) for row in rows]

    def finished(
        self, lanes: Sequence[Lane], count: int, times: Times, like: int | None = None, *, is_replayed: bool = False
    ) -> None:
        """A millisecond after they were accepted, as the first delivery ended, or as that of the config `like` did; where
        they were replayed, then once more, as the first one."""
        sample = self._sample if like is None else self._sample_of(like)
        ends = [sample, self._sample] if is_replayed else [sample]
        counted = _counted(sample)
        if is_replayed:
            counted += [_REPLAYED, *(measure for measure in _counted(self._sample) if measure != _ACCEPTED)]
        last: dict[Lane, _Event] = {}
        for some in _spread(lanes, count, times):
            self._events(some, sample.event)
            for n, end in enumerate(ends, start=1):
                self._copies("attempts", end.attempt, (_attempted(n, *one) for one in some))
            for one in some:
                self._count(one[2], one[1], counted)
                last[one[2]] = one
        for is_last_time, measure in {measure for end in ends for measure in end.measures}:
            for lane, (event_id, at_ms, _) in last.items() if is_last_time else ():
                key = (lane.account, lane.config_id, _ALL_TIME, measure)
                self._counts[key] = max(self._counts[key], event_id if measure == _LAST_ERROR else at_ms)

    def owed(self, lanes: Sequence[Lane], count: int, times: Times, due_ms: int | None = None) -> None:
        """Due when they were accepted, or all at `due_ms`."""
        for some in _spread(lanes, count, times):
            self._owe((one, due_ms or one[1], (None, None, None)) for one in some)
            self._events(some, self._sample.event)
            for _, at_ms, lane in some:
                self._due[lane] = min(self._due.get(lane, at_ms), due_ms or at_ms)

    def claimed(self, lanes: Sequence[Lane], count: int, times: Times) -> None:
        """By a worker that was killed a minute ago."""
        worker = _id(times.until_ms, 0)
        registered = ("id", "slot", "host", "started_ms", "beat_ms")
        self._tables.add("workers", registered, [(worker, 511, "bench", times.since_ms, times.until_ms - MINUTE_MS)])
        for some in _spread(lanes, count, times):
            self._owe((one, one[1], (worker, one[0], one[1])) for one in some)
            self._events(some, self._sample.event)

    def close(self) -> None:
        self._tables.add("counters", _COUNTERS, ((*key, count) for key, count in self._counts.items()))
        lanes = ((lane.config_id, lane.account, due_ms) for lane, due_ms in self._due.items())
        self._tables.add("lanes", ("config_id", "account", "next_due_ms"), lanes)

    def _sample_of(self, config_id: int) -> _Sample:
        of_config = f"WHERE config_id = {config_id}"
        attempt = _first(self._tables, f"SELECT * FROM attempts {of_config} ORDER BY event_id")  # noqa: S608
        counters = self._tables.rows(f"SELECT * FROM counters {of_config}")  # noqa: S608
        return _Sample(
            _first(self._tables, f"SELECT * FROM events WHERE id = {attempt['event_id']}"),  # noqa: S608
            attempt,
            [(row["minute"] == _ALL_TIME, row["measure"]) for row in counters],
        )

    def _events(self, some: Iterable["_Event"], like: Row) -> None:
        self._copies("events", like, (_accepted(like, *one) for one in some))

    def _owe(self, some: Iterable[tuple["_Event", int, tuple[int | None, int | None, int | None]]]) -> None:
        def rows() -> Iterator[Sequence[Any]]:
            for (event_id, at_ms, lane), due_ms, claim in some:
                self._count(lane, at_ms, [_ACCEPTED])
                yield (event_id, lane.config_id, lane.account, None, due_ms, 0, 0, 0, 0, 0, *claim)

        self._tables.add("owed", _OWED, rows())

    def _of_version(self, lane: Lane) -> Row:
        place = Place(lane.config_id, self._version["version"], lane.account)
        return {"config_id": lane.config_id, "account": lane.account, "secrets": self._secrets.sealed_for(place)}

    def _count(self, lane: Lane, at_ms: int, measures: Iterable[int]) -> None:
        for measure in measures:
            self._counts[lane.account, lane.config_id, at_ms // MINUTE_MS, measure] += 1

    def _copies(self, table: str, row: Row, changes: Iterable[Mapping[str, Any]]) -> None:
        """The same row again and again, but for what changes, which is of the same columns each time."""
        columns, whole = list(row), list(row.values())
        places = {name: place for place, name in enumerate(columns)}

        def rows() -> Iterator[Sequence[Any]]:
            for change in changes:
                for name, value in change.items():
                    whole[places[name]] = value
                yield tuple(whole)

        self._tables.add(table, columns, rows())


_Event = tuple[int, int, Lane]
"""Its id, when it was accepted, and who wants it."""


def _spread(lanes: Sequence[Lane], count: int, times: Times) -> Iterator[Sequence[_Event]]:
    """Events for the lanes in turn, in the order of their ids, AT_ONCE at a time."""
    times_ms = (times.of(number, count) for number in range(count))
    events = ((_id(at_ms, n), at_ms, lanes[n % len(lanes)]) for n, at_ms in enumerate(times_ms))
    while some := list(islice(events, AT_ONCE)):
        yield some


def _accepted(like: Row, event_id: int, at_ms: int, lane: Lane) -> Row:
    return {
        "id": event_id,
        "account": lane.account,
        "accepted_ms": at_ms,
        "type": lane.event_type or like["type"],
        "location_id": lane.location_id or like["location_id"],
    }


def _counted(sample: _Sample) -> list[int]:
    return [measure for is_last_time, measure in sample.measures if not is_last_time]


def _attempted(n: int, event_id: int, at_ms: int, lane: Lane) -> Row:
    return {
        "event_id": event_id,
        "config_id": lane.config_id,
        "n": n,
        "counter": n,
        "account": lane.account,
        "started_ms": at_ms,
        "rendered_ms": at_ms,
        "sent_ms": at_ms,
        "ended_ms": at_ms + 1,
    }


def _id(at_ms: int, number: int) -> int:
    return at_ms << _ID_BITS | _OF_NO_WORKER | number % 4096


def _first(tables: Tables, query: str) -> Row:
    return tables.rows(f"{query} LIMIT 1")[0]
