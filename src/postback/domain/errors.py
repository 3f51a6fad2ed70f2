"""The few kinds of error, each named by what its reader can do about it.

What a receiver does wrong is not here: that is an outcome (`domain/wire.py`).
"""

from collections.abc import Mapping, Sequence


class PostbackError(Exception):
    """Something that the caller is told, in words, with a code that programs can use."""

    code = "error"


class InvalidValue(PostbackError):
    """Fix the named fields and ask again. `errors` is field → messages, as the API answers it."""

    code = "invalid"

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__("; ".join(f"{field}: {text}" for field, texts in errors.items() for text in texts))
        self.errors = errors

    @classmethod
    def of(cls, field: str, message: str) -> "InvalidValue":
        return cls({field: [message]})


class Malformed(PostbackError):
    """The request cannot be read at all: not JSON, not UTF-8, no such framing."""

    code = "malformed"


class Unauthorized(PostbackError):
    """Say who you are: no key, an unknown one, or one that has expired."""

    code = "unauthorized"


class Forbidden(PostbackError):
    """The key is known and may not do this; another key may."""

    code = "forbidden"


class NotFound(PostbackError):
    """There is no such thing, or it belongs to another account: the two cannot be told apart."""

    code = "not_found"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__("there is no such thing, or it belongs to another account")
        self.kind, self.name = kind, name


class Conflict(PostbackError):
    """What is asked contradicts the present state; look at it, then decide anew."""

    code = "conflict"


class TooLarge(PostbackError):
    """Send less at once."""

    code = "too_large"


class RateLimited(PostbackError):
    """The account has had more than its operator allows it; ask again after `retry_after_s` seconds."""

    code = "rate_limited"

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(PostbackError):
    """Nothing was accepted; ask again after `retry_after_s` seconds."""

    code = "unavailable"

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CannotRender(PostbackError):
    """A format cannot say this event, or a stored row cannot be read: the delivery fails, visibly."""

    code = "cannot_render"


class WorkerDeclaredDead(PostbackError):
    """Others think this worker dead and have taken its claims: take a new id and start afresh."""

    code = "worker_declared_dead"


class RevisionPassed(PostbackError):
    """Another change of the same record came between: read it again and repeat."""

    code = "revision_passed"


class ConfigsPassed(PostbackError):
    """The account's configs changed since the event was matched with them: match it again."""

    code = "configs_passed"
