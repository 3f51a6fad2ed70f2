"""Foreign errors become reasons here, and nowhere else."""

import errno
import os
import ssl
from collections.abc import Sequence
from typing import Final

from postback.domain.wire import Reason


class CannotReach(Exception):
    """No request could be sent, or no answer be read, for a reason that a person understands."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


_REASON_OF_ERRNO: Final = {
    errno.ECONNREFUSED: Reason.CONNECTION_REFUSED,
    errno.ETIMEDOUT: Reason.CONNECT_TIMEOUT,
    errno.ECONNRESET: Reason.CONNECTION_RESET,
    errno.ECONNABORTED: Reason.CONNECTION_RESET,
    errno.EPIPE: Reason.CONNECTION_RESET,
    # Ours, not the receiver's: the attempt counts, and the log says what to raise.
    errno.EMFILE: Reason.INTERNAL_ERROR,
    errno.ENFILE: Reason.INTERNAL_ERROR,
    errno.ENOBUFS: Reason.INTERNAL_ERROR,
    errno.ENOMEM: Reason.INTERNAL_ERROR,
}

_MOST_TELLING: Final = (
    Reason.INTERNAL_ERROR,
    Reason.CONNECTION_REFUSED,
    Reason.CONNECTION_RESET,
    Reason.CONNECT_TIMEOUT,
    Reason.NO_ROUTE,
)


def not_connected(address: str, port: int, error: OSError) -> CannotReach:
    """What connecting to one address came to; what is neither refused nor silent has no route."""
    reason = _REASON_OF_ERRNO.get(error.errno or 0, Reason.NO_ROUTE)
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    words = f"{where}: {_words(error)}"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        words += "; raise the limit of open files (ulimit -n)"
    return CannotReach(reason, words)


def none_connected(failures: Sequence[CannotReach]) -> CannotReach:
    """All addresses of a name failed: the most telling reason, and the details of each."""
    reasons = [failure.reason for failure in failures]
    reason = next(reason for reason in _MOST_TELLING if reason in reasons)
    return CannotReach(reason, "; ".join(failure.detail for failure in failures))


def lost(error: BaseException | None) -> CannotReach:
    """The connection ended before the answer's head was complete."""
    if error is None:
        return CannotReach(Reason.CONNECTION_RESET, "the receiver closed the connection without an answer")
    words = _words(error) if isinstance(error, OSError) else str(error)
    return CannotReach(Reason.CONNECTION_RESET, f"the connection broke before the answer: {words}")


def bad_tls(error: ssl.SSLError) -> CannotReach:
    """TLS failed: at the handshake, or after it where a receiver refuses us late."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return CannotReach(Reason.TLS_ERROR, f"the certificate is not accepted: {error.verify_message}")
    if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
        return CannotReach(Reason.TLS_ERROR, "the receiver does not speak TLS on this port")
    words = (error.reason or str(error)).replace("_", " ").lower()
    return CannotReach(Reason.TLS_ERROR, f"TLS failed: {words}")


def _words(error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0)
    return f"{name} ({_strerror(error)})" if name else str(error)


def _strerror(error: OSError) -> str:
    # asyncio puts the address into strerror as well; the plain words are enough beside ours.
    return os.strerror(error.errno or 0).lower()
