"""What an answer means: a success, or which kind of error; and of a batch, what came of each event."""

from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

from postback.client.errors import (
    BadAnswer,
    ClientError,
    Conflict,
    Forbidden,
    InvalidValue,
    Malformed,
    NotFound,
    RateLimited,
    Refused,
    ServerFailed,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from postback.client.events import Line, Published, Result
from postback.client.wire import Answer

KINDS: Final[Mapping[int, type[Refused]]] = {
    400: Malformed,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    429: RateLimited,
    503: Unavailable,
}
"""By status; 422 has its own form, and what else is 500 or more is ServerFailed."""

_BY_CODE: Final[Mapping[str, type[Refused]]] = {kind.code: kind for kind in KINDS.values()}


def judged(told: Answer | ClientError | None) -> Answer | ClientError:
    """The answer where it is a success, otherwise an error."""
    if told is None:
        raise ValueError("a request was left without an answer")
    if isinstance(told, ClientError) or 200 <= told.status < 300:
        return told
    return _refused(told)


def results_of(lines: Sequence[Line], answer: Answer) -> Sequence[Result]:
    """What came of each event of a batch; BadAnswer where that cannot be said of all of them."""
    match answer.body:
        case {"events": list(said)} if len(said) == len(lines):
            return [_result(line, one) for line, one in zip(lines, said, strict=True)]
    raise BadAnswer("the answer does not say what came of each event; is a postback server at this address?")


def _result(line: Line, said: Any) -> Result:
    match said:
        case {"id": str(id), "deliveries": int(deliveries)}:
            return Published(id, line.type, deliveries, int(said.get("unsayable", 0)), line.key)
        case {"errors": dict(errors)}:
            return InvalidValue(_by_field(errors))
        case {"error": {"code": str(code), "message": str(message)}}:
            return _BY_CODE.get(code, Refused)(message, code=code)
    raise BadAnswer("the answer does not say what came of each event; is a postback server at this address?")


def _refused(answer: Answer) -> Refused:
    status = answer.status
    kind = KINDS.get(status, ServerFailed if status >= 500 else Refused)
    message, code = f"the server answered {status}", kind.code
    match answer.body:
        case {"errors": dict(errors)}:
            return InvalidValue(_by_field(errors), status=status)
        case {"error": {"code": str(code), "message": str(message), **more}}:
            if isinstance(more.get("id"), str):
                # The server's log has more under it.
                message = f"{message} (id {more['id']})"
    return kind(message, status=status, code=code, retry_after_s=_retry_after_s(answer.headers))


def _by_field(errors: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        str(field): [str(text) for text in (texts if isinstance(texts, list) else [texts])]
        for field, texts in errors.items()
    }


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds, or a time; that is measured by the clock of the server, which need not be ours."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        # int() refuses what is too long to be a number of seconds.
        return float(said[:9])
    try:
        wait = parsedate_to_datetime(said) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, wait.total_seconds())
