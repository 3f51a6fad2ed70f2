"""What a process of ours is for: to take events in and deliver them, or only to deliver."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp

from postback.api.app import build, build_watched
from postback.api.publish import Publish
from postback.api.services import Services
from postback.settings import Address, Settings
from postback.settings.values import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """`listens_on` is None where it answers nobody, `setting` what is changed where that is taken; `networks` are the
    private ones that it may call, and `prepares` says whether it makes what a new database needs to be of use. `publish`
    answers what is published, where that is taken; `has_portal` says whether people are answered too.
    """

    app: Callable[[Services], ASGIApp]
    publish: Callable[[Services], Publish | None]
    listens_on: Callable[[Settings], Address | None]
    setting: str
    networks: Callable[[Settings], Sequence[Network]]
    prepares: bool
    has_portal: bool


SERVER: Final = Role(
    app=build,
    publish=Publish,
    listens_on=lambda settings: settings.listen,
    setting="POSTBACK_LISTEN",
    networks=lambda settings: settings.networks,
    prepares=True,
    has_portal=True,
)

WORKER: Final = Role(
    app=build_watched,
    publish=lambda _: None,
    listens_on=lambda settings: settings.worker_listen,
    setting="POSTBACK_WORKER_LISTEN",
    # That POSTBACK_LISTEN is a loopback address says nothing here: a worker does not listen there.
    networks=lambda settings: settings.allow_networks or (),
    prepares=False,
    has_portal=False,
)
