"""What an account is allowed: events a second, each process for itself, and the bytes of one event."""

from collections.abc import Sequence

import pytest

from postback.actions import limits
from postback.actions.limits import LimitedIntake
from postback.domain.accounts import AccountLimits
from postback.domain.deliveries import Accepted, Refused
from postback.domain.errors import RateLimited, TooLarge, Unavailable
from postback.domain.records import Insert
from postback.ports import NewEvent
from tests.build import a_location

pytestmark = pytest.mark.anyio


class Inner:
    """Takes whatever comes, and answers with its number."""

    def __init__(self) -> None:
        self.taken: list[NewEvent] = []
        self.error: Exception | None = None

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Accepted | Refused]:
        if self.error is not None:
            raise self.error
        start = len(self.taken)
        self.taken += events
        return [Accepted(start + number, 0) for number in range(len(events))]


class Scene:
    def __init__(self) -> None:
        self.now = 100.0
        self.allowed: dict[str, AccountLimits] = {}
        self.inner = Inner()
        self.intake = LimitedIntake(self.inner, self._limits_of, lambda: self.now)

    async def _limits_of(self, account: str) -> AccountLimits:
        return self.allowed.get(account, AccountLimits())

    async def publish(self, *accounts: str) -> list[bool]:
        """Which of these events were let in."""
        answers = await self.intake.publish([NewEvent(account=one, type="a.b", data=b"{}") for one in accounts])
        assert all(isinstance(one.error, RateLimited) for one in answers if isinstance(one, Refused))
        return [isinstance(answer, Accepted) for answer in answers]


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_second_s_worth_may_come_at_once_and_then_as_many_as_the_rate_allows(scene: Scene) -> None:
    scene.allowed["acme"] = AccountLimits(events_per_second=5)

    assert await scene.publish(*["acme"] * 7) == [True] * 5 + [False] * 2
    scene.now += 0.4
    assert await scene.publish(*["acme"] * 3) == [True, True, False]
    scene.now += 3600
    assert await scene.publish(*["acme"] * 6) == [True] * 5 + [False]


async def test_over_any_time_it_is_the_rate_and_one_burst(scene: Scene) -> None:
    scene.allowed["acme"] = AccountLimits(events_per_second=20)
    let_in = 0

    for _ in range(1_000):
        let_in += sum(await scene.publish("acme"))
        scene.now += 0.01

    assert 10 * 20 <= let_in <= 10 * 20 + 20


async def test_what_is_refused_uses_nothing_up(scene: Scene) -> None:
    scene.allowed["acme"] = AccountLimits(events_per_second=1)
    await scene.publish("acme")

    for _ in range(100):
        scene.now += 0.009
        assert await scene.publish("acme") == [False]
    scene.now += 0.11

    assert await scene.publish("acme") == [True]


async def test_an_answer_says_when_the_next_one_may_come(scene: Scene) -> None:
    scene.allowed |= {"slow": AccountLimits(events_per_second=0.1), "fast": AccountLimits(events_per_second=1000)}
    waits = {}
    for account in scene.allowed:
        answers = await scene.intake.publish([NewEvent(account=account, type="a.b", data=b"{}")] * 1001)
        last = answers[-1]
        assert isinstance(last, Refused)
        assert isinstance(last.error, RateLimited)
        assert "limits.events_per_second" in str(last.error)
        waits[account] = last.error.retry_after_s

    assert waits == {"slow": 10, "fast": 1}


async def test_accounts_do_not_use_up_each_other_s(scene: Scene) -> None:
    scene.allowed |= {"acme": AccountLimits(events_per_second=1), "other": AccountLimits(events_per_second=1)}

    assert await scene.publish("acme", "free", "acme", "other", "free", "other") == [
        *(True, True, False),
        *(True, True, False),
    ]
    assert [event.account for event in scene.inner.taken] == ["acme", "free", "other", "free"]


async def test_each_answer_stands_in_its_place(scene: Scene) -> None:
    scene.allowed["acme"] = AccountLimits(events_per_second=1)
    events = [NewEvent(account=one, type="a.b", data=b"{}") for one in ("acme", "acme", "free", "acme", "free")]

    answers = await scene.intake.publish(events)

    assert [answer.event_id if isinstance(answer, Accepted) else None for answer in answers] == [0, None, 1, None, 2]


async def test_another_limit_holds_from_the_next_event_on(scene: Scene) -> None:
    scene.allowed["acme"] = AccountLimits(events_per_second=1)
    assert await scene.publish("acme", "acme") == [True, False]

    scene.allowed["acme"] = AccountLimits(events_per_second=100)
    # What was used stays used.
    assert await scene.publish("acme") == [False]
    scene.now += 0.05
    assert await scene.publish(*["acme"] * 6) == [True] * 5 + [False]
    scene.allowed["acme"] = AccountLimits()
    assert await scene.publish(*["acme"] * 200) == [True] * 200


async def test_the_data_of_an_event_may_be_so_long_and_no_longer(scene: Scene) -> None:
    scene.allowed["acme"] = AccountLimits(max_body=10, events_per_second=2)
    exactly, longer = (NewEvent(account="acme", type="a.b", data=b"x" * size) for size in (10, 11))

    answers = await scene.intake.publish([longer, exactly, longer, exactly])

    assert [isinstance(answer, Accepted) for answer in answers] == [False, True, False, True]
    assert all(isinstance(answer.error, TooLarge) for answer in answers if isinstance(answer, Refused))


async def test_a_record_is_bounded_by_its_fields_and_counts_as_an_event(scene: Scene) -> None:
    scene.allowed["acme"] = AccountLimits(max_body=1, events_per_second=1)
    change = NewEvent(account="acme", type="contact.created", data=b"{}", changes=[Insert(a_location())])

    first, second = await scene.intake.publish([change, change])

    assert isinstance(first, Accepted)
    assert isinstance(second, Refused)
    assert isinstance(second.error, RateLimited)


async def test_what_the_way_in_refuses_as_a_whole_is_refused_as_a_whole(scene: Scene) -> None:
    scene.inner.error = Unavailable("the server is stopping")

    with pytest.raises(Unavailable):
        await scene.publish("acme")


async def test_accounts_that_are_silent_are_forgotten_and_lose_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_BUCKETS_KEPT", 3)
    names = [f"acc_{number}" for number in range(6)]
    scene.allowed |= dict.fromkeys(names, AccountLimits(events_per_second=1))

    for name in names[:3]:
        assert await scene.publish(name) == [True]
    scene.now += 0.5
    assert await scene.publish(names[3]) == [True]
    # None of them was full: all are remembered.
    assert await scene.publish(*names[:4]) == [False] * 4

    scene.now += 0.5
    assert await scene.publish(names[4]) == [True]
    assert len(scene.intake._buckets) == 2
    assert await scene.publish(*names[:4]) == [True, True, True, False]
