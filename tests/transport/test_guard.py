"""No request reaches a forbidden address: by name, by a change of mind, by redirect or by the environment.

The forbidden addresses exist only in the answers of a made-up resolver; what may be called is 127.0.0.1.
"""

import asyncio

import pytest

from postback.domain.addresses import AddressRules, networks
from postback.domain.verdict import reason_of
from postback.domain.wire import Answered, Reason
from postback.transport import dialer
from postback.transport.failures import CannotReach
from postback.transport.guard import Guard
from postback.transport.sender import HttpSender
from tests.receivers import answers, answers_once, deaf_port, receiving
from tests.transport.posting import Names, OpenSender, a_request, post, post_all, reason_in, status_of

pytestmark = pytest.mark.anyio

METADATA = "169.254.169.254"


def test_one_forbidden_address_refuses_the_whole_set() -> None:
    guard = Guard(AddressRules())

    guard.check("client.example", ["8.8.8.8", "2606:4700::1111"], 443)
    with pytest.raises(CannotReach, match=r"client\.example resolves to .* 10\.0\.0\.1") as refused:
        guard.check("client.example", ["8.8.8.8", "10.0.0.1"], 443)

    assert refused.value.reason is Reason.BLOCKED_ADDRESS


async def test_41_a_forbidden_literal_is_blocked_at_send_as_well(open_sender: OpenSender) -> None:
    sender = open_sender(rules=AddressRules())
    async with receiving(answers()) as receiver:
        outcomes = [
            await post(sender, url)
            for url in (receiver.url, f"http://0.0.0.0:{receiver.port}/", f"http://[::1]:{receiver.port}/")
        ]

    assert {reason_in(outcome) for outcome in outcomes} == {Reason.BLOCKED_ADDRESS}
    assert receiver.connections == 0
    assert "POSTBACK_ALLOW_NETWORKS" in str(outcomes[0])


async def test_48_a_name_of_the_metadata_service_is_blocked_after_it_was_resolved(open_sender: OpenSender) -> None:
    sender = open_sender(resolver=Names(metadata_google_internal=[[METADATA]]))

    outcome = await post(sender, "http://metadata.google.internal/computeMetadata/v1/")

    assert reason_in(outcome) is Reason.BLOCKED_ADDRESS
    assert METADATA in str(outcome)


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "localhost.", "x.localhost"])
async def test_49_names_of_loopback_are_blocked_after_they_were_resolved(open_sender: OpenSender, name: str) -> None:
    sender = open_sender(rules=AddressRules())
    async with receiving(answers()) as receiver:
        outcome = await post(sender, receiver.url_of(name))

    assert reason_in(outcome) is Reason.BLOCKED_ADDRESS
    assert receiver.connections == 0


async def test_49_public_names_of_loopback_are_blocked_after_they_were_resolved(open_sender: OpenSender) -> None:
    sender = open_sender(rules=AddressRules(), resolver=Names(lvh_me=[["127.0.0.1"]]))
    async with receiving(answers()) as receiver:
        outcome = await post(sender, receiver.url_of("lvh.me"))

    assert reason_in(outcome) is Reason.BLOCKED_ADDRESS
    assert receiver.connections == 0


async def test_50_a_single_label_passes_when_all_its_addresses_are_allowed(open_sender: OpenSender) -> None:
    sender = open_sender(resolver=Names(db=[["127.0.0.1"], ["127.0.0.1", "10.0.0.1"]]))
    async with receiving(answers_once()) as receiver:
        inside = await post(sender, receiver.url_of("db"))
        partly = await post(sender, receiver.url_of("db"))

    assert status_of(inside) == 200
    assert reason_in(partly) is Reason.BLOCKED_ADDRESS


async def test_51_a_name_that_changes_its_mind_is_checked_each_time(open_sender: OpenSender) -> None:
    flips = [["127.0.0.1"], [METADATA]] * 10
    sender = open_sender(resolver=Names(rebinding_example=flips))
    async with receiving(answers_once()) as receiver:
        outcomes = [await post(sender, receiver.url_of("rebinding.example")) for _ in flips]

    assert [status_of(outcome) for outcome in outcomes[::2]] == [200] * 10
    assert [reason_in(outcome) for outcome in outcomes[1::2]] == [Reason.BLOCKED_ADDRESS] * 10
    assert receiver.connections == 10


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1", METADATA], [METADATA, "127.0.0.1"], ["::1", "fd00:ec2::254"], ["127.0.0.1", "fe80::1"]]
)
async def test_52_a_mixed_set_is_refused_as_a_whole(open_sender: OpenSender, addresses: list[str]) -> None:
    sender = open_sender(resolver=Names(mixed_example=[addresses]))
    async with receiving(answers()) as receiver:
        outcome = await post(sender, receiver.url_of("mixed.example"))

    assert reason_in(outcome) is Reason.BLOCKED_ADDRESS
    assert receiver.connections == 0


async def test_54_a_kept_connection_stays_with_its_address_and_a_new_one_is_checked(open_sender: OpenSender) -> None:
    sender = open_sender(resolver=Names(moved_example=[["127.0.0.1"], [METADATA]]))
    async with receiving(answers(delay_s=0.05)) as receiver:
        first = await post(sender, receiver.url_of("moved.example"))
        kept, fresh = await post_all(sender, [a_request(receiver.url_of("moved.example")) for _ in range(2)])

    assert [status_of(first), status_of(kept)] == [200, 200]
    assert reason_in(fresh) is Reason.BLOCKED_ADDRESS
    assert receiver.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", [f"http://{METADATA}/", "/", "file:///etc/passwd", "CANARY"])
async def test_55_a_redirect_is_never_followed(sender: HttpSender, status: int, location: str) -> None:
    async with receiving(answers()) as canary:
        location = canary.url if location == "CANARY" else location
        async with receiving(answers(status, headers=[("Location", location)])) as receiver:
            outcome = await post(sender, receiver.url)

    assert isinstance(outcome, Answered)
    assert outcome.status == status
    assert outcome.header(b"location") == [location.encode()]
    assert reason_of(outcome) is Reason.REDIRECT_NOT_FOLLOWED
    assert (canary.connections, len(receiver.received)) == (0, 1)


async def test_58_inside_the_allowed_networks_every_port_may_be_called(open_sender: OpenSender) -> None:
    outside = await post(open_sender(rules=AddressRules()), "http://8.8.8.8:22/")
    inside = await post(open_sender(), "http://127.0.0.1:1/")

    assert reason_in(outside) is Reason.BLOCKED_ADDRESS
    assert "port 22" in str(outside)
    assert reason_in(inside) is Reason.CONNECTION_REFUSED


async def test_64_our_own_listening_address_is_never_called(open_sender: OpenSender) -> None:
    async with receiving(answers()) as ourselves:
        [own] = networks(["127.0.0.1"])
        rules = AddressRules(networks(["127.0.0.0/8"]), frozenset({(own.network_address, ourselves.port)}))
        sender = open_sender(rules=rules, resolver=Names(us_example=[["127.0.0.1"]]))

        outcomes = [await post(sender, url) for url in (ourselves.url, ourselves.url_of("us.example"))]

    assert {reason_in(outcome) for outcome in outcomes} == {Reason.BLOCKED_ADDRESS}
    assert ourselves.connections == 0


async def test_65_proxies_of_the_environment_are_not_asked(
    open_sender: OpenSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving(answers(500)) as proxy, receiving(answers()) as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url)

        outcome = await post(open_sender(), receiver.url)

    assert status_of(outcome) == 200
    assert proxy.connections == 0


async def test_addresses_are_tried_in_turn_and_the_one_that_worked_is_remembered(open_sender: OpenSender) -> None:
    names = Names(both_example=[["::1", "127.0.0.9", "127.0.0.1"]])
    sender = open_sender(resolver=names)
    async with receiving(answers_once()) as receiver:
        outcomes = [await post(sender, receiver.url_of("both.example")) for _ in range(3)]

    assert [status_of(outcome) for outcome in outcomes] == [200] * 3
    assert names.asked == ["both.example"] * 3


async def test_a_silent_address_gives_way_to_the_next_after_a_quarter_of_a_second(open_sender: OpenSender) -> None:
    async with deaf_port() as port, receiving(answers(), host="127.0.0.2", port=port) as receiver:
        sender = open_sender(resolver=Names(slow_example=[["127.0.0.1", "127.0.0.2"]]))

        first = await post(sender, receiver.url_of("slow.example"))
        later = await post_all(sender, [a_request(receiver.url_of("slow.example")) for _ in range(3)])

    assert status_of(first) == 200
    assert first.timings.connect_ms is not None
    assert 250 <= first.timings.connect_ms < 600
    assert [status_of(outcome) for outcome in later] == [200] * 3
    assert max(outcome.timings.connect_ms or 0 for outcome in later) < 200


async def test_when_no_address_connects_each_is_told(open_sender: OpenSender) -> None:
    sender = open_sender(resolver=Names(dead_example=[["127.0.0.1", "127.0.0.2"]]))

    outcome = await post(sender, "http://dead.example:1/")

    assert reason_in(outcome) is Reason.CONNECTION_REFUSED
    assert "127.0.0.1:1" in str(outcome)
    assert "127.0.0.2:1" in str(outcome)


async def test_while_one_address_connects_no_other_is_dialled(open_sender: OpenSender) -> None:
    sender = open_sender(resolver=Names(twins_example=[["127.0.0.1", "127.0.0.2"]]))
    async with receiving(answers()) as one, receiving(answers(), host="127.0.0.2", port=one.port) as two:
        await post(sender, one.url_of("twins.example"))

    assert (one.connections, two.connections) == (1, 0)


async def test_of_two_addresses_that_connect_at_once_one_is_kept(
    open_sender: OpenSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialer, "NEXT_ADDRESS_S", 0.0)
    async with receiving(answers()) as one, receiving(answers(), host="127.0.0.2", port=one.port):
        sender = open_sender(resolver=Names(twins_example=[["127.0.0.1", "127.0.0.2"]]))
        outcomes = await post_all(sender, [a_request(one.url_of("twins.example")) for _ in range(10)])
        await asyncio.sleep(0.05)

        assert [status_of(outcome) for outcome in outcomes] == [200] * 10
        assert len(sender._connections) == 10
