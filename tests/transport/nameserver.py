"""A name server on 127.0.0.1 that answers, lies, fails or is silent, by name."""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

A: Final = 1
CNAME: Final = 5
AAAA: Final = 28

NXDOMAIN: Final = 3
SERVFAIL: Final = 2

Zone = Mapping[str, Sequence[str] | int | None]
"""Name → addresses or names (CNAMEs), or an error code, or None for silence. Unknown names do not exist."""


@dataclass(slots=True)
class NameServer:
    address: str
    zone: Zone
    ttl: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)


@asynccontextmanager
async def name_server(zone: Zone, *, ttl: int = 0) -> AsyncIterator[NameServer]:
    """Answers over UDP. An answer with names in it first walks that chain of CNAMEs."""
    loop = asyncio.get_running_loop()
    server = NameServer("", zone, ttl)
    transport, _ = await loop.create_datagram_endpoint(lambda: _Protocol(server), ("127.0.0.1", 0))
    server.address = f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    try:
        yield server
    finally:
        transport.close()
        await asyncio.sleep(0)


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        name, kind, end = _question(data)
        self._server.asked.append((name, kind))
        known = self._server.zone.get(name, NXDOMAIN)
        if known is None:
            return
        code = known if isinstance(known, int) else 0
        records = [] if isinstance(known, int) else _records(name, kind, known, self._server.ttl)
        head = data[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        self._transport.sendto(head + data[12:end] + b"".join(records), sender)  # type: ignore[attr-defined]


def _question(data: bytes) -> tuple[str, int, int]:
    at, labels = 12, []
    while length := data[at]:
        labels.append(data[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), struct.unpack("!H", data[at + 1 : at + 3])[0], at + 5


def _records(owner: str, kind: int, answers: Sequence[str], ttl: int) -> list[bytes]:
    records = []
    for text in answers:
        if text.replace(".", "").isdigit() or ":" in text:
            address = ip_address(text)
            if kind == (A if address.version == 4 else AAAA):
                records.append(_record(owner, kind, ttl, address.packed))
        else:
            records.append(_record(owner, CNAME, ttl, _name(text)))
            owner = text
    return records


def _record(owner: str, kind: int, ttl: int, data: bytes) -> bytes:
    return _name(owner) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def _name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
