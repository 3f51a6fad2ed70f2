"""Names to addresses by c-ares: a silent name never makes another wait, as the loop's own getaddrinfo does."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol
from weakref import WeakValueDictionary

import aiodns
import pycares

from postback.domain.wire import Reason
from postback.transport.failures import CannotReach

LOOKUP_S: Final = 5.0
LOOKUPS_MAX: Final = 64
LOOKUPS_OF_ONE: Final = 32
"""Half of them: one account with many silent names cannot keep the names of another waiting."""
ADDRESSES_MAX: Final = 16
NAMES_MAX: Final = 10_000
TTL_MIN_S: Final = 5.0
TTL_MAX_S: Final = 60.0
FAILURE_S: Final = 5.0
STALE_S: Final = 60.0
"""How long after its end an answer still serves: an older address may be somebody else's by now."""

# c-ares shortens its first wait to what the server usually takes, and doubles it each time: so many fill LOOKUP_S.
_TRY_S: Final = 1.0
_TRIES: Final = 5


class Resolver(Protocol):
    """Names to addresses."""

    async def resolve(self, name: str, asker: str) -> Sequence[str]:
        """The addresses of a fully qualified name, at most ADDRESSES_MAX; CannotReach (`dns_error`) where there are none."""

    async def close(self) -> None: ...


class Families(StrEnum):
    """Which kinds of addresses are called (setting IP)."""

    IPV4 = "4"
    IPV6 = "6"
    BOTH = "both"


_FAMILY: Final = {
    Families.IPV4: socket.AF_INET,
    Families.IPV6: socket.AF_INET6,
    Families.BOTH: socket.AF_UNSPEC,
}


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a look-up came to, until when it holds (the loop's clock)."""

    addresses: tuple[str, ...]
    failure: str | None
    until: float


class CaresResolver:
    """Asks the system's name servers, or `nameservers` ("127.0.0.1:5353"); /etc/hosts and localhost are honoured.

    One look-up per name at a time, at most LOOKUPS_MAX in all and LOOKUPS_OF_ONE for each asker, so that nobody's
    silent name servers keep the others waiting. Answers are kept for their TTL, within
    TTL_MIN_S and TTL_MAX_S; one that has just run out still serves while it is renewed.
    """

    def __init__(self, families: Families = Families.BOTH, nameservers: Sequence[str] | None = None) -> None:
        self._family = _FAMILY[families]
        self._nameservers = nameservers
        self._loop = asyncio.get_running_loop()
        self._channel: aiodns.DNSResolver | None = None
        self._retired: set[aiodns.DNSResolver] = set()
        self._channel_until = 0.0
        self._answers: dict[str, _Answer] = {}
        self._lookups: dict[str, asyncio.Task[_Answer]] = {}
        self._places = asyncio.Semaphore(LOOKUPS_MAX)
        # While somebody asks: forgotten with the last who does.
        self._places_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def resolve(self, name: str, asker: str) -> Sequence[str]:
        now = self._loop.time()
        answer = self._answers.get(name)
        if answer is None or answer.until < now:
            lookup = self._lookups.get(name) or self._look_up(name, asker)
            if answer is None or answer.failure is not None or answer.until + STALE_S < now:
                # Shielded: who waits may be cancelled by its deadline, while others wait for the same name.
                answer = await asyncio.shield(lookup)
        if answer.failure is not None:
            raise CannotReach(Reason.DNS_ERROR, f"{name}: {answer.failure}")
        return answer.addresses

    async def close(self) -> None:
        lookups = list(self._lookups.values())
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)
        channels = [*self._retired, *([self._channel] if self._channel is not None else [])]
        self._retired.clear()
        self._channel = None
        for channel in channels:
            await channel.close()

    def _look_up(self, name: str, asker: str) -> asyncio.Task[_Answer]:
        places = self._places_of.get(asker)
        if places is None:
            places = self._places_of[asker] = asyncio.Semaphore(LOOKUPS_OF_ONE)
        task = self._loop.create_task(self._ask(name, places))
        self._lookups[name] = task
        task.add_done_callback(lambda _: self._lookups.pop(name))
        return task

    async def _ask(self, name: str, places_of_the_asker: asyncio.Semaphore) -> _Answer:
        async with places_of_the_asker, self._places:
            try:
                async with asyncio.timeout(LOOKUP_S):
                    found = await self._current_channel().getaddrinfo(name, family=self._family)
            except TimeoutError:
                answer = self._failed(f"the name servers did not answer within {LOOKUP_S:.0f} s")
            except aiodns.error.DNSError as error:
                answer = self._failed(_words(error))
            else:
                answer = self._found(found)
        self._answers.pop(name, None)
        self._answers[name] = answer
        if len(self._answers) > NAMES_MAX:
            del self._answers[next(iter(self._answers))]
        return answer

    def _found(self, found: pycares.AddrInfoResult) -> _Answer:
        addresses = dict.fromkeys(node.addr[0].decode() for node in found.nodes)
        if not addresses:
            return self._failed("the name has no address")
        ttl = min((node.ttl for node in found.nodes), default=0)
        until = self._loop.time() + min(max(ttl, TTL_MIN_S), TTL_MAX_S)
        return _Answer(tuple(addresses)[:ADDRESSES_MAX], None, until)

    def _failed(self, why: str) -> _Answer:
        return _Answer((), why, self._loop.time() + FAILURE_S)

    def _current_channel(self) -> aiodns.DNSResolver:
        """A channel no older than TTL_MAX_S: c-ares keeps answers too, for their whole TTL, and so for no longer than we do."""
        now = self._loop.time()
        if self._channel is None or self._channel_until <= now:
            if self._channel is not None:
                self._retired.add(self._channel)
                self._loop.call_later(LOOKUP_S + 1, self._end, self._channel)
            self._channel = aiodns.DNSResolver(
                nameservers=self._nameservers,
                loop=self._loop,
                timeout=_TRY_S,
                tries=_TRIES,
                # Not `lookups`: pycares frees that string before c-ares reads it. The order is that of nsswitch.conf.
                # No search domains: a name is what it says, whatever the machine's resolv.conf would add to it.
                flags=pycares.ARES_FLAG_NOSEARCH | pycares.ARES_FLAG_EDNS,
            )
            self._channel_until = now + TTL_MAX_S
        return self._channel

    def _end(self, channel: aiodns.DNSResolver) -> None:
        """Its look-ups have all ended by now; dropping the last reference closes it."""
        self._retired.discard(channel)


def _words(error: aiodns.error.DNSError) -> str:
    number, text = error.args
    if number == aiodns.error.ARES_ENOTFOUND:
        return "there is no such name"
    if number == aiodns.error.ARES_ENODATA:
        return "the name has no address"
    return f"the look-up failed: {text}"
