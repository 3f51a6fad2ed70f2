"""What a worker may do while not all know yet who is there: never more than there is, and in the end all of it."""

import random
from dataclasses import dataclass, field

import pytest

from postback.domain.crews import CONNECTIONS, Peer, mark_of
from postback.engine.sharing import Sharing
from tests.build import CONFIG_ID, a_config
from tests.proving import times

IN_TOUCH_S = 10.0

OWNED = [a_config(id=CONFIG_ID + n, rate_limit=1.0, max_in_flight=5) for n in range(4)]
SMALL = [a_config(id=CONFIG_ID + 10 + cap, max_in_flight=cap) for cap in range(1, 12)]
WIDE = a_config(id=CONFIG_ID + 30)


def joined(worker: int, *peers: Peer, now: float = 0.0) -> Sharing:
    """A worker that has told what it has heard."""
    sharing = Sharing(IN_TOUCH_S)
    sharing.begin(worker)
    beat(sharing, *peers, now=now)
    return sharing


def beat(sharing: Sharing, *peers: Peer, now: float = 0.0) -> None:
    """Until it has no news."""
    while True:
        sharing.hear([Peer(sharing.worker, sharing.goes_by), *peers], now, now)
        if not sharing.has_news(lambda: True):
            return


def test_who_is_alone_has_everything_from_its_first_heartbeat_on() -> None:
    sharing = joined(7)

    assert sharing.is_agreed
    assert [sharing.part(config) for config in (OWNED[0], WIDE)] == [5, 64]
    assert sharing.connections == CONNECTIONS
    assert sharing.since is None


def test_before_its_first_heartbeat_a_worker_has_nothing() -> None:
    sharing = Sharing(IN_TOUCH_S)
    sharing.begin(7)

    assert not sharing.is_agreed
    assert sharing.part(WIDE) == 0
    assert sharing.trusted_until < 0


def test_who_joins_has_nothing_until_the_others_know_of_it() -> None:
    sharing = joined(7, Peer(8, mark_of((8,))))
    assert sharing.part(WIDE) == 0

    beat(sharing, Peer(8, mark_of((7, 8))), now=1.0)

    assert sharing.part(WIDE) == 32
    assert sharing.connections == 128
    assert sharing.since == 1.0


def test_who_hears_of_another_keeps_within_both_crews_until_all_go_by_the_new_one() -> None:
    sharing = joined(7)
    beat(sharing, Peer(8, 0))

    assert not sharing.is_agreed
    assert sharing.part(WIDE) == 32
    beat(sharing, now=1.0)
    assert sharing.is_agreed
    assert sharing.part(WIDE) == 64


def test_it_says_nothing_of_a_crew_before_it_is_within_what_that_gives_it() -> None:
    sharing = joined(7)
    sharing.hear([Peer(7, sharing.goes_by), Peer(8, 0)], 0.0, 0.0)

    assert not sharing.has_news(lambda: False)
    assert sharing.goes_by == mark_of((7,))
    assert sharing.has_news(lambda: True)
    assert sharing.goes_by == mark_of((7, 8))


def test_who_was_not_heard_of_for_too_long_has_nothing_until_all_know_of_it_again() -> None:
    sharing = joined(7, Peer(8, mark_of((7, 8))))
    assert sharing.trusted_until == IN_TOUCH_S

    sharing.hear([Peer(7, sharing.goes_by), Peer(8, mark_of((7, 8)))], IN_TOUCH_S + 1, IN_TOUCH_S + 1)

    assert sharing.part(WIDE) == 0
    assert sharing.goes_by == 0
    beat(sharing, Peer(8, mark_of((7, 8))), now=IN_TOUCH_S + 2)
    assert sharing.part(WIDE) == 32


def test_an_answer_that_comes_too_late_gives_nothing() -> None:
    sharing = joined(7)

    sharing.hear([Peer(7, sharing.goes_by)], 1.0, 20.0)

    assert sharing.part(WIDE) == 0
    assert sharing.trusted_until == 1.0 + IN_TOUCH_S


# --- whatever happens -------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Member:
    """A worker, and what it does not know yet: the answer to its last heartbeat."""

    sharing: Sharing
    busy: dict[int, int] = field(default_factory=dict)
    answer: tuple[list[Peer], float] | None = None
    is_frozen: bool = False


class History:
    """Workers that come, go, freeze, and hear late of each other, in an order that the seed says."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.now = 0.0
        self.next_id = 1
        self.members: dict[int, Member] = {}
        self.rows: dict[int, tuple[int, float]] = {}
        self.join()

    def join(self) -> None:
        sharing = Sharing(IN_TOUCH_S)
        sharing.begin(self.next_id)
        self.members[self.next_id] = Member(sharing)
        self.rows[self.next_id] = (0, self.now)
        self.next_id += 1

    def end(self, worker: int, *, well: bool) -> None:
        del self.members[worker]
        if well:
            del self.rows[worker]

    def ask(self, member: Member) -> None:
        """The heartbeat takes effect in the store; its answer comes later."""
        sharing = member.sharing
        self.rows[sharing.worker] = sharing.goes_by, self.now
        peers = [Peer(one, mark) for one, (mark, at) in self.rows.items() if at >= self.now - IN_TOUCH_S]
        member.answer = peers, self.now

    def hear(self, member: Member) -> None:
        assert member.answer is not None
        (peers, asked_at), member.answer = member.answer, None
        if self.now >= member.sharing.trusted_until:
            # What it had under way when it was lost sight of is what the promise leaves out.
            member.busy.clear()
        member.sharing.hear(peers, asked_at, self.now)
        member.sharing.has_news(lambda: self.keeps_within(member))

    def keeps_within(self, member: Member) -> bool:
        by_id = {config.id: config for config in (*OWNED, *SMALL, WIDE)}
        return all(n <= member.sharing.newest_part(by_id[config_id]) for config_id, n in member.busy.items())

    def work(self, member: Member) -> None:
        """Attempts end and begin, as many as it may."""
        if self.now >= member.sharing.trusted_until:
            return
        for config in (*OWNED, *SMALL, WIDE):
            under_way = self.dice.randint(0, member.busy.get(config.id, 0))
            member.busy[config.id] = max(under_way, self.dice.randint(0, member.sharing.part(config)))

    def step(self) -> None:
        chance = self.dice.random()
        self.now += self.dice.random()
        if chance < 0.02 and len(self.members) < 6:
            self.join()
        elif chance < 0.03 and len(self.members) > 1:
            self.end(self.dice.choice(list(self.members)), well=self.dice.random() < 0.5)
        elif chance < 0.05:
            member = self.dice.choice(list(self.members.values()))
            member.is_frozen = not member.is_frozen
        awake = [member for member in self.members.values() if not member.is_frozen]
        if awake:
            member = self.dice.choice(awake)
            if self.dice.random() < 0.5:
                self.work(member)
            elif member.answer is None:
                self.ask(member)
            else:
                self.hear(member)

    def check(self) -> None:
        """Of whoever is trusted: what is under way, and what may be begun at any moment."""
        trusted = [member for member in self.members.values() if self.now < member.sharing.trusted_until]
        for config in (*OWNED, *SMALL, WIDE):
            most = [max(one.busy.get(config.id, 0), one.sharing.part(config)) for one in trusted]
            assert sum(most) <= config.max_in_flight, f"{config.id}: {most}"

    def settle(self) -> None:
        """Nothing happens any more but heartbeats, and attempts end."""
        for _ in range(40):
            self.now += 1.0
            for member in self.members.values():
                member.is_frozen = False
                self.work(member)
                if member.answer is None:
                    self.ask(member)
                self.hear(member)
                self.check()


@pytest.mark.parametrize("seed", range(times(12, 200)))
def test_whatever_workers_know_of_each_other_together_they_do_no_more_than_there_is_and_in_the_end_all(
    seed: int,
) -> None:
    history = History(seed)
    for _ in range(400):
        history.step()
        history.check()

    history.settle()

    parts = {config.id: [one.sharing.part(config) for one in history.members.values()] for config in (*OWNED, *SMALL)}
    for config in OWNED:
        assert max(parts[config.id]) == sum(parts[config.id]) == 5
    for config in SMALL:
        assert sum(parts[config.id]) > config.max_in_flight / 2
    assert all(one.sharing.is_agreed for one in history.members.values())
