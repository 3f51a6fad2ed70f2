"""For those who publish: events in batches, accepted once however often they are sent, with the standard library alone."""

from postback.client.async_publisher import AsyncPublisher
from postback.client.asynchronous import AsyncClient
from postback.client.errors import (
    BadAnswer,
    ClientError,
    Conflict,
    Forbidden,
    InvalidValue,
    Malformed,
    NotFound,
    NotReachable,
    NotTrusted,
    RateLimited,
    Refused,
    ServerFailed,
    TimedOut,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from postback.client.events import Event, Published, all_published
from postback.client.publisher import Publisher
from postback.client.steps import Retrying
from postback.client.sync import Client
from postback.client.wire import Answer, segment

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncPublisher",
    "BadAnswer",
    "Client",
    "ClientError",
    "Conflict",
    "Event",
    "Forbidden",
    "InvalidValue",
    "Malformed",
    "NotFound",
    "NotReachable",
    "NotTrusted",
    "Published",
    "Publisher",
    "RateLimited",
    "Refused",
    "Retrying",
    "ServerFailed",
    "TimedOut",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "all_published",
    "segment",
]
