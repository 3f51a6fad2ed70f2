"""What a worker may do while not all know yet who is there: never more than there is, and in the end all of it."""

import random
from dataclasses import dataclass, field

import pytest

from postback.domain.configs import PostbackConfig
from postback.domain.crews import CONNECTIONS, NOTHING, Keys, Peer, host_key, mark_of
from postback.engine.sharing import KEPT_MAX, Sharing
from tests.build import CONFIG_ID, a_config
from tests.proving import times

IN_TOUCH_S = 10.0

OWNED = [a_config(id=CONFIG_ID + n, rate_limit=1.0, max_in_flight=5) for n in range(4)]
SMALL = [a_config(id=CONFIG_ID + 10 + cap, max_in_flight=cap) for cap in range(1, 12)]
WIDE = a_config(id=CONFIG_ID + 30)
HOST = host_key("host.example", 443)


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
        if not sharing.has_news(lambda: NOTHING):
            return


def test_who_is_alone_has_everything_from_its_first_heartbeat_on() -> None:
    sharing = joined(7)

    assert sharing.is_agreed
    assert [sharing.part(config) for config in (OWNED[0], WIDE)] == [5, 64]
    assert sharing.connections(HOST) == CONNECTIONS
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
    assert sharing.connections(HOST) == 128
    assert sharing.since == 1.0


def test_who_hears_of_another_keeps_within_both_crews_until_all_go_by_the_new_one() -> None:
    sharing = joined(7)
    beat(sharing, Peer(8, 0))

    assert not sharing.is_agreed
    assert sharing.part(WIDE) == 32
    beat(sharing, now=1.0)
    assert sharing.is_agreed
    assert sharing.part(WIDE) == 64


def test_it_goes_by_a_new_crew_at_once_and_names_what_it_has_more_of() -> None:
    sharing = joined(7)
    sharing.hear([Peer(7, sharing.goes_by), Peer(8, 0)], 0.0, 0.0)
    assert (sharing.goes_by, sharing.keeps) == (mark_of((7,)), NOTHING)

    assert sharing.has_news(lambda: frozenset({WIDE.id, HOST}))
    assert (sharing.goes_by, sharing.keeps) == (mark_of((7, 8)), {WIDE.id, HOST})
    assert not sharing.has_news(lambda: frozenset({WIDE.id, HOST}))

    assert sharing.has_news(lambda: frozenset({HOST}))
    assert (sharing.goes_by, sharing.keeps) == (mark_of((7, 8)), {HOST})


def test_what_another_keeps_from_before_it_joined_is_all_that_who_joins_waits_for() -> None:
    sharing = joined(7, Peer(8, mark_of((7, 8)), frozenset({WIDE.id, HOST})))
    other = host_key("other.example", 443)

    assert [sharing.part(config) for config in (WIDE, SMALL[10])] == [0, 5]
    assert [sharing.connections(host) for host in (HOST, other)] == [0, 128]
    assert not sharing.is_agreed

    beat(sharing, Peer(8, mark_of((7, 8)), frozenset({HOST})), now=2.0)
    assert sharing.let_go == {WIDE.id}
    assert (sharing.part(WIDE), sharing.connections(HOST)) == (32, 0)

    beat(sharing, Peer(8, mark_of((7, 8))), now=3.0)
    assert sharing.let_go == {HOST}
    assert sharing.connections(HOST) == 128
    assert sharing.is_agreed


def test_what_is_kept_stays_so_when_yet_another_joins() -> None:
    sharing = joined(7, Peer(8, mark_of((7, 8)), frozenset({WIDE.id})))
    three = mark_of((7, 8, 9))

    beat(sharing, Peer(8, three, frozenset({WIDE.id})), Peer(9, three), now=1.0)
    assert (sharing.part(WIDE), sharing.connections(HOST)) == (0, CONNECTIONS // 3)
    beat(sharing, Peer(8, three), Peer(9, three), now=2.0)

    assert sharing.part(WIDE) == 64 // 3


def test_who_leaves_has_nothing_and_all_others_go_on_without_it_but_for_what_it_has_under_way() -> None:
    leaving = joined(8, Peer(7, mark_of((7, 8))))
    assert leaving.part(WIDE) == 32
    leaving.leave()
    assert [leaving.part(WIDE), leaving.newest_part(WIDE), leaving.connections(HOST), leaving.newest_connections] == [
        0
    ] * 4
    assert leaving.has_news(lambda: frozenset({WIDE.id}))
    said = Peer(8, leaving.goes_by, leaving.keeps, leaving.leaves)
    assert said == Peer(8, mark_of((7, 8)), frozenset({WIDE.id}), leaves=True)

    staying = joined(7, Peer(8, mark_of((7, 8))))
    beat(staying, said, now=1.0)
    assert [staying.part(config) for config in (WIDE, SMALL[10], OWNED[0])] == [32, 11, 5]
    assert staying.since == 1.0
    beat(staying, Peer(8, 0, leaves=True), now=2.0)
    assert staying.part(WIDE) == 64
    assert staying.is_agreed


def test_who_joins_while_the_last_one_leaves_begins_after_what_that_one_began() -> None:
    sharing = joined(8, Peer(7, mark_of((7,)), leaves=True), now=5.0)
    beat(sharing, now=6.0)

    assert sharing.part(WIDE) == 64
    assert sharing.since == 5.0


def test_who_would_have_too_much_to_name_says_nothing_of_the_crew_before_it_is_less() -> None:
    sharing = joined(7)
    sharing.hear([Peer(7, sharing.goes_by), Peer(8, 0)], 0.0, 0.0)

    assert not sharing.has_news(lambda: frozenset(range(KEPT_MAX + 1)))
    assert sharing.goes_by == mark_of((7,))
    assert sharing.has_news(lambda: frozenset(range(KEPT_MAX)))
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


HOSTS = [host_key(f"host{n}.example", 443) for n in range(3)]
MOST = {config.id: config.max_in_flight for config in (*OWNED, *SMALL, WIDE)} | dict.fromkeys(HOSTS, CONNECTIONS)
CONFIGS = {config.id: config for config in (*OWNED, *SMALL, WIDE)}


@dataclass(eq=False)
class Member:
    """A worker, and what it does not know yet: the answer to its last heartbeat. What hangs ends at that time."""

    sharing: Sharing
    busy: dict[int, int] = field(default_factory=dict)
    hangs: dict[int, float] = field(default_factory=dict)
    answer: tuple[list[Peer], float] | None = None
    is_frozen: bool = False
    is_leaving: bool = False

    def part(self, key: int) -> int:
        return self.sharing.part(CONFIGS[key]) if key in CONFIGS else self.sharing.connections(key)

    def newest_part(self, key: int) -> int:
        return self.sharing.newest_part(CONFIGS[key]) if key in CONFIGS else self.sharing.newest_connections

    def over(self) -> Keys:
        return frozenset(key for key, n in self.busy.items() if n > self.newest_part(key))


class History:
    """Workers that come, leave, die, freeze, and hear late of each other, in an order that the seed says."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.now = 0.0
        self.next_id = 1
        self.members: dict[int, Member] = {}
        self.rows: dict[int, tuple[Peer, float]] = {}
        self.used_last: dict[int, tuple[Member, float]] = {}
        self.kept = 0
        self.left = 0
        self.join()

    def join(self) -> None:
        sharing = Sharing(IN_TOUCH_S)
        sharing.begin(self.next_id)
        self.members[self.next_id] = Member(sharing)
        self.rows[self.next_id] = Peer(self.next_id, 0), self.now
        self.next_id += 1

    def leave(self, member: Member) -> None:
        """It begins nothing more, and ends when all that it has under way has ended."""
        if sum(not one.is_leaving for one in self.members.values()) > 1:
            member.is_leaving = True
            member.sharing.leave()

    def end(self, worker: int, *, well: bool) -> None:
        del self.members[worker]
        if well:
            del self.rows[worker]

    def ask(self, member: Member) -> None:
        """The heartbeat takes effect in the store; its answer comes later."""
        sharing = member.sharing
        if self.dice.random() < 0.5:
            sharing.has_news(member.over)
        self.rows[sharing.worker] = Peer(sharing.worker, sharing.goes_by, sharing.keeps, sharing.leaves), self.now
        self.kept += bool(sharing.keeps)
        self.left += bool(sharing.keeps) and sharing.leaves
        member.answer = [peer for peer, at in self.rows.values() if at >= self.now - IN_TOUCH_S], self.now

    def hear(self, member: Member) -> None:
        assert member.answer is not None
        (peers, asked_at), member.answer = member.answer, None
        if self.now >= member.sharing.trusted_until:
            # What it had under way when it was lost sight of is what the promise leaves out.
            member.busy.clear()
            member.hangs.clear()
        member.sharing.hear(peers, asked_at, self.now)
        member.sharing.has_news(member.over)

    def work(self, member: Member) -> None:
        """Attempts end and begin, as many as it may."""
        for key in MOST:
            under_way = member.busy.get(key, 0)
            if self.now >= member.hangs.get(key, 0.0):
                under_way = self.dice.randint(0, under_way)
            if self.now < member.sharing.trusted_until:
                under_way = self.begin(member, key, under_way)
            member.busy[key] = under_way
        if member.is_leaving and not any(member.busy.values()):
            self.end(member.sharing.worker, well=True)

    def begin(self, member: Member, key: int, under_way: int) -> int:
        wanted = self.dice.randint(0, member.part(key))
        if wanted <= under_way:
            return under_way
        if key in CONFIGS and CONFIGS[key].rate_limit is not None:
            self.check_rate(member, CONFIGS[key])
        if self.dice.random() < 0.1:
            member.hangs[key] = self.now + self.dice.random() * 50.0
        return wanted

    def check_rate(self, member: Member, config: PostbackConfig) -> None:
        """It begins without tokens at the moment since which it has the lane: nobody else has used it since."""
        last, at = self.used_last.get(config.id, (member, 0.0))
        assert last is member or member.sharing.since is None or member.sharing.since >= at
        self.used_last[config.id] = member, self.now

    def step(self) -> None:
        chance = self.dice.random()
        self.now += self.dice.random()
        if chance < 0.02 and len(self.members) < 6:
            self.join()
        elif chance < 0.03 and len(self.members) > 1:
            staying = [worker for worker, member in self.members.items() if not member.is_leaving]
            dying = self.dice.choice(list(self.members))
            if staying != [dying]:
                self.end(dying, well=self.dice.random() < 0.5)
        elif chance < 0.05:
            member = self.dice.choice(list(self.members.values()))
            member.is_frozen = not member.is_frozen
        elif chance < 0.06:
            self.leave(self.dice.choice(list(self.members.values())))
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
        for key, there_is in MOST.items():
            most = [max(one.busy.get(key, 0), one.part(key)) for one in trusted]
            assert sum(most) <= there_is, f"{key}: {most}"

    def settle(self) -> None:
        """Nothing happens any more but heartbeats, and attempts end."""
        for _ in range(40):
            self.now += 1.0
            for member in list(self.members.values()):
                member.is_frozen = False
                member.hangs.clear()
                self.work(member)
                if member.sharing.worker not in self.members:
                    continue
                if member.answer is None:
                    self.ask(member)
                self.hear(member)
                self.check()


@pytest.mark.parametrize("seed", range(times(12, 200)))
def test_whatever_workers_know_of_each_other_together_they_do_no_more_than_there_is_and_in_the_end_all(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postback.engine.sharing.KEPT_MAX", KEPT_MAX if seed % 4 else 3)
    history = History(seed)
    for _ in range(400):
        history.step()
        history.check()

    history.settle()

    parts = {key: [one.part(key) for one in history.members.values()] for key in MOST}
    for config in OWNED:
        assert max(parts[config.id]) == sum(parts[config.id]) == 5
    for config in SMALL:
        assert sum(parts[config.id]) > config.max_in_flight / 2
    for host in HOSTS:
        assert sum(parts[host]) > CONNECTIONS * 0.9
    assert all(one.sharing.is_agreed for one in history.members.values())


def test_the_histories_are_bad_enough_to_prove_something() -> None:
    histories = [History(seed) for seed in range(1, 4)]
    for history in histories:
        for _ in range(400):
            history.step()

    assert sum(history.kept for history in histories) > 20, "hardly anybody had more than a new crew gave it"
    assert sum(history.left for history in histories) > 5, "hardly anybody left that had something under way"
