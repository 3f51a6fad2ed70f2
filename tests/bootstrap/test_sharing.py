"""A port that several processes of ours share, and nobody else gets."""

import socket
import threading
from contextlib import ExitStack

import pytest

from postback.bootstrap.listening import listening
from postback.bootstrap.sharing import kept, shared
from postback.bootstrap.started import CannotStart
from postback.settings import Address
from tests.ports import free_port

SETTING = "POSTBACK_LISTEN"


@pytest.fixture
def listen() -> Address:
    return Address("127.0.0.1", free_port())


def connected(listen: Address, count: int) -> list[socket.socket]:
    return [socket.create_connection(listen, 5) for _ in range(count)]


def test_connections_are_spread_over_all_that_listen_and_wait_for_nobody_else(listen: Address) -> None:
    with ExitStack() as stack:
        door = stack.enter_context(kept(listen, SETTING))
        sockets = [stack.enter_context(shared(door)) for _ in range(2)]
        for one in sockets:
            one.listen(100)
        for one in connected(listen, 60):
            stack.enter_context(one)

        counts = [accepted(one, stack) for one in sockets]

    assert sum(counts) == 60
    assert min(counts) > 0


def accepted(listener: socket.socket, stack: ExitStack) -> int:
    count = 0
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return count
        stack.enter_context(connection)
        count += 1


@pytest.mark.parametrize("phase", ["nobody has come yet", "one has come", "one listens", "all are gone"])
def test_a_port_that_is_kept_is_refused_to_others_at_every_moment(listen: Address, phase: str) -> None:
    with kept(listen, SETTING) as door, ExitStack() as stack:
        if phase != "nobody has come yet":
            one = stack.enter_context(shared(door))
            if phase != "one has come":
                one.listen(1)
            if phase == "all are gone":
                one.close()

        for another in (kept, listening):
            with pytest.raises(
                CannotStart, match="Address already in use; choose another address with POSTBACK_LISTEN"
            ):
                stack.enter_context(another(listen, SETTING))  # type: ignore[operator]


def test_a_port_that_one_process_has_is_not_kept_for_several(listen: Address) -> None:
    with listening(listen, SETTING) as taken:
        taken.listen(1)
        with pytest.raises(CannotStart, match="Address already in use"), kept(listen, SETTING):
            pass


def test_of_many_that_want_a_port_at_once_one_gets_it(listen: Address) -> None:
    for _ in range(20):
        winners, losers = [], []
        all_have_tried = threading.Barrier(4)

        def want(
            winners: list[object] = winners, losers: list[object] = losers, tried: threading.Barrier = all_have_tried
        ) -> None:
            try:
                with kept(listen, SETTING) as door:
                    winners.append(door)
                    tried.wait(10)
            except CannotStart as error:
                losers.append(error)
                tried.wait(10)

        threads = [threading.Thread(target=want) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(winners), len(losers)) == (1, 3)


def test_connections_that_ended_a_moment_ago_keep_nobody_from_the_port(listen: Address) -> None:
    """Whoever closes first keeps the port's name for a minute."""
    with listening(listen, SETTING) as taken:
        taken.listen(1)
        [client] = connected(listen, 1)
        taken.setblocking(True)
        connection, _ = taken.accept()
        connection.close()
        client.close()

    for _ in range(2):
        with kept(listen, SETTING) as door, shared(door) as one:
            one.listen(1)
            [client] = connected(listen, 1)
            one.setblocking(True)
            connection, _ = one.accept()
            connection.close()
            client.close()
    with listening(listen, SETTING):
        pass


def test_a_port_that_the_system_chooses_is_the_same_for_all() -> None:
    with kept(Address("127.0.0.1", 0), SETTING) as door, shared(door) as one, shared(door) as other:
        assert one.getsockname() == other.getsockname() == door.address
