"""Names: by c-ares, cached, and never one waiting for another. The name server is ours, on 127.0.0.1."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from postback.domain.policy import Deadlines
from postback.domain.wire import Reason
from postback.transport import resolver as resolvers
from postback.transport.failures import CannotReach
from postback.transport.resolver import ADDRESSES_MAX, CaresResolver, Families
from tests.patience import PATIENCE_S
from tests.receivers import answers, receiving
from tests.transport.nameserver import AAAA, NXDOMAIN, SERVFAIL, A, NameServer, name_server
from tests.transport.posting import OpenSender, a_request, post, post_all, reason_in, send, status_of, to

pytestmark = pytest.mark.anyio

OpenResolver = Callable[..., CaresResolver]


@pytest.fixture
async def open_resolver() -> AsyncIterator[OpenResolver]:
    opened: list[CaresResolver] = []

    def open_one(server: NameServer, families: Families = Families.BOTH) -> CaresResolver:
        opened.append(CaresResolver(families, [server.address]))
        return opened[-1]

    yield open_one
    for resolver in opened:
        await resolver.close()


async def test_a_name_has_the_addresses_of_both_families(open_resolver: OpenResolver) -> None:
    async with name_server({"client.example": ["192.0.2.1", "2001:db8::1"]}) as server:
        addresses = await open_resolver(server).resolve("client.example", "someone")
        only_4 = await open_resolver(server, Families.IPV4).resolve("client.example", "someone")
        only_6 = await open_resolver(server, Families.IPV6).resolve("client.example", "someone")

    assert set(addresses) == {"192.0.2.1", "2001:db8::1"}
    assert list(only_4) == ["192.0.2.1"]
    assert list(only_6) == ["2001:db8::1"]


async def test_localhost_is_known_without_asking(open_resolver: OpenResolver) -> None:
    async with name_server({}) as server:
        resolver = open_resolver(server)
        addresses = {name: set(await resolver.resolve(name, "someone")) for name in ("localhost", "x.localhost")}

    assert all(found and found <= {"127.0.0.1", "::1"} for found in addresses.values())
    assert server.asked == []


async def test_an_answer_is_kept_for_a_while_also_when_it_should_not_be(open_resolver: OpenResolver) -> None:
    async with name_server({"client.example": ["192.0.2.1"]}, ttl=0) as server:
        resolver = open_resolver(server, Families.IPV4)
        for _ in range(10):
            await resolver.resolve("client.example", "someone")

    assert server.asked == [("client.example", A)]


async def test_a_failure_is_kept_for_a_while(open_resolver: OpenResolver) -> None:
    async with name_server({}) as server:
        resolver = open_resolver(server, Families.IPV4)
        for _ in range(3):
            with pytest.raises(CannotReach, match="no such name"):
                await resolver.resolve("gone.example", "someone")

    assert server.asked == [("gone.example", A)]


async def test_those_who_wait_for_one_name_share_a_look_up(open_resolver: OpenResolver) -> None:
    async with name_server({"client.example": ["192.0.2.1"]}) as server:
        resolver = open_resolver(server, Families.IPV4)
        answered = await asyncio.gather(*(resolver.resolve("client.example", "someone") for _ in range(20)))

    assert {tuple(addresses) for addresses in answered} == {("192.0.2.1",)}
    assert server.asked == [("client.example", A)]


async def test_one_who_stops_waiting_does_not_end_the_look_up_of_the_others(open_resolver: OpenResolver) -> None:
    async with name_server({"client.example": ["192.0.2.1"]}) as server:
        resolver = open_resolver(server)
        impatient = asyncio.ensure_future(resolver.resolve("client.example", "someone"))
        patient = asyncio.ensure_future(resolver.resolve("client.example", "someone"))
        await asyncio.sleep(0)
        impatient.cancel()

        assert list(await patient) == ["192.0.2.1"]


async def test_an_answer_that_ran_out_serves_while_it_is_renewed(
    open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep_answers_for(0.0, monkeypatch)
    zone = {"client.example": ["192.0.2.1"]}
    async with name_server(zone) as server:
        resolver = open_resolver(server, Families.IPV4)
        first = await resolver.resolve("client.example", "someone")
        zone["client.example"] = ["192.0.2.2"]
        await asyncio.sleep(0.02)

        stale = await resolver.resolve("client.example", "someone")
        await asyncio.sleep(0.1)
        renewed = await resolver.resolve("client.example", "someone")

    assert [list(each) for each in (first, stale, renewed)] == [["192.0.2.1"], ["192.0.2.1"], ["192.0.2.2"]]


async def test_an_answer_that_ran_out_long_ago_does_not_serve(
    open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep_answers_for(0.0, monkeypatch)
    monkeypatch.setattr(resolvers, "STALE_S", 0.0)
    zone = {"client.example": ["192.0.2.1"]}
    async with name_server(zone) as server:
        resolver = open_resolver(server, Families.IPV4)
        await resolver.resolve("client.example", "someone")
        zone["client.example"] = ["192.0.2.2"]
        await asyncio.sleep(0.02)

        addresses = await resolver.resolve("client.example", "someone")

    assert list(addresses) == ["192.0.2.2"]


async def test_the_names_that_are_remembered_are_limited(
    open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolvers, "NAMES_MAX", 2)
    async with name_server({f"{n}.example": ["192.0.2.1"] for n in range(3)}, ttl=0) as server:
        resolver = open_resolver(server, Families.IPV4)
        for n in (0, 1, 2, 0):
            await resolver.resolve(f"{n}.example", "someone")

    assert [name for name, _ in server.asked] == ["0.example", "1.example", "2.example", "0.example"]


async def test_50_a_name_is_asked_as_it_is_without_search_domains(
    open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALDOMAIN", "corp.example")
    async with name_server({}) as server:
        resolver = open_resolver(server)
        for name in ("db", "service.internal"):
            with pytest.raises(CannotReach):
                await resolver.resolve(name, "someone")

    assert sorted(set(server.asked)) == [("db", A), ("db", AAAA), ("service.internal", A), ("service.internal", AAAA)]


async def test_53_of_very_many_addresses_the_first_are_taken(open_resolver: OpenResolver) -> None:
    async with name_server({"many.example": [f"192.0.2.{n}" for n in range(1, 41)]}) as server:
        addresses = await open_resolver(server, Families.IPV4).resolve("many.example", "someone")

    assert len(addresses) == ADDRESSES_MAX


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (NXDOMAIN, "there is no such name"),
        (SERVFAIL, "the look-up failed"),
        ([], "the name has no address"),
        (["loop.example", "bad.example", "loop.example", "bad.example"], "bad.example"),
    ],
    ids=["NXDOMAIN", "SERVFAIL", "no address", "CNAME loop"],
)
async def test_53_a_name_that_cannot_be_resolved_is_a_dns_error(
    open_resolver: OpenResolver, known: list[str] | int, words: str
) -> None:
    async with name_server({"bad.example": known}) as server:
        with pytest.raises(CannotReach, match=words) as failed:
            await open_resolver(server).resolve("bad.example", "someone")

    assert failed.value.reason is Reason.DNS_ERROR


async def test_53_a_chain_of_names_leads_to_its_address(open_resolver: OpenResolver) -> None:
    chain = [f"hop{n}.example" for n in range(8)]
    async with name_server({"chained.example": [*chain, "192.0.2.1"]}) as server:
        addresses = await open_resolver(server, Families.IPV4).resolve("chained.example", "someone")

    assert list(addresses) == ["192.0.2.1"]


async def test_53_silence_is_a_dns_error_in_time(open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolvers, "LOOKUP_S", 0.2)
    async with name_server({"silent.example": None}) as server:
        resolver = open_resolver(server)

        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(CannotReach, match="did not answer") as failed:
                await resolver.resolve("silent.example", "someone")

    assert failed.value.reason is Reason.DNS_ERROR


async def test_53_silence_ends_an_attempt_by_its_own_deadline(
    open_sender: OpenSender, open_resolver: OpenResolver
) -> None:
    async with name_server({"silent.example": None}) as server:
        sender = open_sender(resolver=open_resolver(server))

        outcome = await post(sender, "http://silent.example/", deadlines=Deadlines(0.2, 1, 5))

    assert reason_in(outcome) is Reason.DNS_ERROR
    assert outcome.timings.total_ms <= 700


async def test_sixteen_silent_names_do_not_delay_another(open_sender: OpenSender, open_resolver: OpenResolver) -> None:
    silent = {f"silent{n}.example": None for n in range(16)}
    async with receiving(answers()) as receiver, name_server({**silent, "good.example": ["127.0.0.1"]}) as server:
        sender = open_sender(resolver=open_resolver(server))
        waiting = asyncio.ensure_future(
            post_all(sender, [a_request(f"http://{name}/", deadlines=Deadlines(2, 3, 3)) for name in silent])
        )
        await asyncio.sleep(0.05)

        outcome = await post(sender, receiver.url_of("good.example"))
        still_silent = not waiting.done()
        outcomes = await waiting

    assert status_of(outcome) == 200
    assert outcome.timings.sent_after_ms is not None
    assert outcome.timings.sent_after_ms < 100
    assert still_silent
    assert {reason_in(each) for each in outcomes} == {Reason.DNS_ERROR}


async def test_two_hundred_silent_names_of_one_account_do_not_delay_those_of_another(
    open_sender: OpenSender, open_resolver: OpenResolver
) -> None:
    """They took all the places for look-ups, five seconds at a time, and everyone else's deliveries failed meanwhile."""
    silent = {f"silent{n}.example": None for n in range(200)}
    # Far longer than the good one takes, also on a busy machine.
    late = Deadlines(2, 3, 3)
    async with receiving(answers()) as receiver, name_server({**silent, "good.example": ["127.0.0.1"]}) as server:
        sender = open_sender(resolver=open_resolver(server))
        requests = [a_request("", destination=to(f"http://{name}/", deadlines=late, asker="crowd")) for name in silent]
        waiting = asyncio.ensure_future(post_all(sender, requests))
        await asyncio.sleep(0.05)

        good = to(receiver.url_of("good.example"), asker="lonely")
        outcome = await send(sender, a_request("", destination=good))
        still_silent = not waiting.done()
        await waiting

    assert status_of(outcome) == 200
    assert still_silent


def _keep_answers_for(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the channel, so that what c-ares keeps by itself does not serve either."""
    monkeypatch.setattr(resolvers, "TTL_MIN_S", seconds)
    monkeypatch.setattr(resolvers, "TTL_MAX_S", seconds)
