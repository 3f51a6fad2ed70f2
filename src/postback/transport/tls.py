"""TLS over ssl.MemoryBIO, by hand: half the CPU of the loop's own TLS, and the handshakes can be paced."""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from postback.domain.wire import Note, Reason
from postback.transport.connection import Connection, HostKey, Owner
from postback.transport.failures import CannotReach, bad_tls
from postback.transport.turns import Turns

SESSIONS_MAX: Final = 2000
RENEW_S: Final = 60.0
"""A host's session is kept no more often than this, and not of a connection that nobody needed for so long: to keep one
and to begin with it costs about half of a whole handshake."""

_ENDED: Final = "the connection ended during the TLS handshake"
_RECORD: Final = 16 * 1024
_SYSTEM_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def client_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Certificates and names are verified, always; TLS 1.2 or later; `ca_file` is trusted beside the system's CAs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _trust_system(context)
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


class Sessions:
    """What a host gave us to shorten the next handshake with it, and when it was kept (seconds of the loop's clock)."""

    def __init__(self) -> None:
        self._by_host: OrderedDict[HostKey, tuple[ssl.SSLSession, float]] = OrderedDict()

    def of(self, key: HostKey) -> ssl.SSLSession | None:
        kept = self._by_host.get(key)
        return None if kept is None else kept[0]

    def keep(self, key: HostKey, tls: ssl.SSLObject, now: float) -> None:
        kept = self._by_host.get(key)
        if kept is not None and now < kept[1] + RENEW_S:
            return
        session = tls.session
        if session is None:
            return
        self._by_host[key] = session, now
        self._by_host.move_to_end(key)
        if len(self._by_host) > SESSIONS_MAX:
            self._by_host.popitem(last=False)


class TlsConnection(Connection):
    """A connection whose bytes go through TLS; it carries requests once it has shaken hands."""

    __slots__ = (
        "_handshake",
        "_incoming",
        "_is_ready",
        "_outgoing",
        "_sessions",
        "_step_waits",
        "_tls",
        "_turns",
    )

    def __init__(
        self,
        owner: Owner,
        key: HostKey,
        keep_answer: int,
        time: Callable[[], float],
        *,
        context: ssl.SSLContext,
        sessions: Sessions,
        turns: Turns,
    ) -> None:
        super().__init__(owner, key, keep_answer, time)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._sessions = sessions
        self._turns = turns
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=key[1], session=sessions.of(key))
        self._is_ready = False
        self._step_waits = False
        self._handshake: asyncio.Future[None] | None = None

    async def shake_hands(self) -> None:
        """Once, before the first request; CannotReach (`tls_error`) where the receiver is not whom it should be."""
        if not self.is_usable():
            raise CannotReach(Reason.TLS_ERROR, _ENDED)
        self._handshake = asyncio.get_running_loop().create_future()
        self._want_step()
        try:
            await self._handshake
        except BaseException:
            self.abort()
            raise
        finally:
            # An error leads back to here.
            self._handshake = None

    def certificate_ends_ms(self) -> int | None:
        """When the receiver's certificate expires (unix); None where it was not shown, since an earlier handshake counts."""
        if self._tls.session_reused:
            return None
        said = (self._tls.getpeercert() or {}).get("notAfter")
        return ssl.cert_time_to_seconds(said) * 1000 if isinstance(said, str) else None

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        if not self._is_ready:
            self._want_step()
            return
        plain, said_goodbye, failure = self._decrypt()
        if plain:
            super().data_received(plain)
        if failure is not None:
            self._broken(failure)
        elif said_goodbye:
            self.close()  # connection_lost follows and decides
        elif self._outgoing.pending:
            self._transport.write(self._outgoing.read())

    def connection_lost(self, error: Exception | None) -> None:
        self._keep_session()
        if self._handshake is not None and not self._handshake.done():
            words = f": {error}" if error is not None else ""
            self._handshake.set_exception(CannotReach(Reason.TLS_ERROR, f"{_ENDED}{words}"))
        super().connection_lost(error)

    def _write(self, data: bytes) -> None:
        try:
            written = self._tls.write(data)
            while written < len(data):  # it may take less than all, as any write
                written += self._tls.write(memoryview(data)[written:])
        except ssl.SSLError as error:
            asyncio.get_running_loop().call_soon(self._broken, error)
            return
        self._transport.write(self._outgoing.read())

    def _decrypt(self) -> tuple[bytes, bool, ssl.SSLError | None]:
        """All that can be decrypted by now, at once: what follows an answer must be seen before the next request is sent."""
        records: list[bytes] = []
        try:
            while self._incoming.pending or self._tls.pending():
                record = self._tls.read(_RECORD)
                if not record:
                    return b"".join(records), True, None
                records.append(record)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            return b"".join(records), False, error
        return b"".join(records), False, None

    def _keep_session(self) -> None:
        """At its end: tickets of TLS 1.3 arrive after the handshake, and only a connection that follows needs one."""
        now = self._time()
        if self._answers and now < self.idle_since + RENEW_S:
            self._sessions.keep(self.key, self._tls, now)

    def _want_step(self) -> None:
        if not self._step_waits:
            self._step_waits = True
            self._turns.take(self._step)

    def _step(self) -> None:
        self._step_waits = False
        handshake = self._handshake
        if handshake is None or handshake.done() or self._transport.is_closing():
            return
        failure = None
        try:
            self._tls.do_handshake()
            self._is_ready = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            failure = bad_tls(error)
        if self._is_ready:
            # The last words of the handshake go out with the request: one packet less for both.
            handshake.set_result(None)
            return
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())
        if failure is not None:
            self._transport.close()  # after the alert that tells the receiver why
            handshake.set_exception(failure)

    def _broken(self, error: ssl.SSLError) -> None:
        exchange = self.exchange
        self.abort()
        if exchange is None:
            return
        if self._status:
            exchange.note(Note.BODY_INCOMPLETE)
            self._end(exchange)
        else:
            self._fail(exchange, bad_tls(error))


def _trust_system(context: ssl.SSLContext) -> None:
    """Trust the system's CAs, from where it keeps them: SSL_CERT_FILE of the environment is not our setting."""
    compiled_in = ssl.get_default_verify_paths()
    for bundle in (compiled_in.openssl_cafile, *_SYSTEM_BUNDLES):
        if Path(bundle).is_file():
            context.load_verify_locations(cafile=bundle)
            return
    if Path(compiled_in.openssl_capath).is_dir():
        context.load_verify_locations(capath=compiled_in.openssl_capath)
