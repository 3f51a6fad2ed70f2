"""What can go wrong for a publisher: one kind for each thing that its reader can do about it."""

from collections.abc import Mapping, Sequence


class ClientError(Exception):
    """Whatever the client raises because of the server, the network or the values it was given."""


class NotReachable(ClientError):
    """Nobody answered, or the connection broke. `may_have_arrived`: the request may have been carried out all the same."""

    def __init__(self, url: str, why: object, *, may_have_arrived: bool = False) -> None:
        super().__init__(f"the server at {url} cannot be reached: {why}")
        self.url = url
        self.may_have_arrived = may_have_arrived


class TimedOut(NotReachable):
    """There was no whole answer in time."""


class NotTrusted(NotReachable):
    """Who answered is not who was asked for, by its certificate; asking again changes nothing."""


class BadAnswer(ClientError):
    """Whoever answered is no postback: not HTTP, not JSON, or longer than was allowed. Look at the address."""


class Refused(ClientError):
    """The server said no. `status` is None where an event of a batch was refused, or the client itself refused it.

    `code` is the word for programs, from the table of errors in the documentation; the message is the server's own.
    """

    code = ""

    def __init__(
        self, message: str, *, status: int | None = None, code: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or type(self).code
        self.retry_after_s = retry_after_s


class InvalidValue(Refused):
    """Fix the named fields and ask again. `errors` is field → messages."""

    code = "invalid"

    def __init__(self, errors: Mapping[str, Sequence[str]], *, status: int | None = None) -> None:
        self.errors = errors
        super().__init__("; ".join(self.messages), status=status)

    @property
    def messages(self) -> Sequence[str]:
        """A sentence each, beginning with the field where it does not name it itself."""
        return [_named(field, text) for field, texts in self.errors.items() for text in texts]


class Malformed(Refused):
    """The server could not read the request."""

    code = "malformed"


class Unauthorized(Refused):
    """No key, an unknown one, or one that has expired."""

    code = "unauthorized"


class Forbidden(Refused):
    """The key is known and may not do this; another key may."""

    code = "forbidden"


class NotFound(Refused):
    """There is no such thing, or it belongs to another account: the two cannot be told apart."""

    code = "not_found"


class Conflict(Refused):
    """What is asked contradicts the present state, such as an idempotency key that was used with something else."""

    code = "conflict"


class TooLarge(Refused):
    """Send less at once."""

    code = "too_large"


class RateLimited(Refused):
    """The account has used up its allowance for now; nothing was accepted, ask again after `retry_after_s`."""

    code = "rate_limited"


class Unavailable(Refused):
    """Nothing was accepted; ask again after `retry_after_s`."""

    code = "unavailable"


class ServerFailed(Refused):
    """Something broke at the server or at a proxy before it; what was asked may have been done or not."""


def _named(field: str, text: str) -> str:
    """Most texts begin with the name of their field."""
    return text if text.startswith(f"{field} ") else f"{field}: {text}"
