"""Ports for servers that a test starts."""

import random
import socket
from contextlib import suppress

_EPHEMERAL = 32_768
"""From here on the system gives ports to whoever asks for any, and to connections: one that is free now is gone soon."""


def free_port() -> int:
    """One that nobody listens on and that the system gives to nobody by itself."""
    for _ in range(100):
        port = random.SystemRandom().randrange(12_000, _EPHEMERAL)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
