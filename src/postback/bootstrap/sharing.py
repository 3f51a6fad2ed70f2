"""One port for several processes: their parent keeps it for them, and each answers on a socket of its own."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

from postback.bootstrap.listening import found_at, refused
from postback.settings import Address


class Door(NamedTuple):
    """Where several processes listen, as sockets are told; `keeper` is their parent's, and only it is to hold it."""

    family: socket.AddressFamily
    address: Any
    keeper: socket.socket


@contextlib.contextmanager
def kept(listen: Address, setting: str) -> Iterator[Door]:
    """Take the port for processes of ours and nobody else, until the end of the block. CannotStart where another has it.

    SO_REUSEPORT lets every process of this user in, also those of another server. So it is taken as one process would
    take it, by listening, of which the system lets only one be first; then it is kept by a socket that takes no
    connections and lets only those in that say SO_REUSEPORT, which whoever takes it for himself does not.
    """
    family, address = found_at(listen)
    with socket.socket(family, socket.SOCK_STREAM) as keeper:
        with socket.socket(family, socket.SOCK_STREAM) as taker:
            taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taker.bind(address)
                taker.listen(1)
            except OSError as error:
                raise refused(listen, setting, error) from error
            taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            address = taker.getsockname()
            _share(keeper)
            keeper.bind(address)
            # With it set, a second server that has not come to listen yet would be let in.
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        yield Door(family, address, keeper)


@contextlib.contextmanager
def shared(door: Door) -> Iterator[socket.socket]:
    """A socket of this process's own on the port that is kept; the system spreads the connections over all that listen."""
    with socket.socket(door.family, socket.SOCK_STREAM) as found:
        _share(found)
        found.bind(door.address)
        found.setblocking(False)
        yield found


def _share(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
