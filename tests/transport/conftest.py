"""Every test of the transport runs on both loops."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest

from postback.domain.addresses import AddressRules, networks
from postback.transport.guard import Guard
from postback.transport.resolver import CaresResolver, Resolver
from postback.transport.sender import HttpSender
from postback.transport.tls import client_context
from tests.transport.posting import OpenSender

LOOPBACK = AddressRules(networks(["127.0.0.0/8", "::1"]))


@pytest.fixture(params=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return ("asyncio", {"use_uvloop": request.param == "uvloop"})


@pytest.fixture(scope="session")
def system_context() -> ssl.SSLContext:
    """One for all tests: reading the system's CAs takes longer than most of them."""
    return client_context()


@pytest.fixture
async def open_sender(system_context: ssl.SSLContext) -> AsyncIterator[OpenSender]:
    """Makes senders that may call loopback, and closes them at the end."""
    senders: list[HttpSender] = []

    def open_one(
        *,
        resolver: Resolver | None = None,
        rules: AddressRules = LOOPBACK,
        context: ssl.SSLContext | None = None,
        keep_answer: int = 4096,
    ) -> HttpSender:
        sender = HttpSender(
            resolver or CaresResolver(), Guard(rules), context=context or system_context, keep_answer=keep_answer
        )
        senders.append(sender)
        return sender

    yield open_one
    for sender in senders:
        await sender.close(0)


@pytest.fixture
async def sender(open_sender: OpenSender) -> HttpSender:
    return open_sender()


@pytest.fixture
async def loud() -> AsyncIterator[list[BaseException]]:
    """The errors that reach the loop: where a test expects some, they do not fail it."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    errors: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    yield errors
    loop.set_exception_handler(before)
