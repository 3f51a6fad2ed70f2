"""The menu on the left: what there is, in the order in which it is used; each sees what their role may."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from postback.domain.users import Permission


class Entry(NamedTuple):
    """`icon` is one of `templates/icons.html`; `also` are beginnings of other paths that belong to it."""

    name: str
    path: str
    icon: str
    needs: Permission = Permission.SEE
    also: tuple[str, ...] = ()
    is_current: bool = False


_MENU: Final = (
    Entry("Overview", "/", "overview"),
    Entry("Locations", "/locations", "location"),
    Entry("Postback configs", "/postbackconfigs", "config"),
    Entry("Callbacks", "/callbacks", "callback"),
    Entry("Postback settings", "/postbacksettings", "settings"),
    Entry("Deliveries", "/deliveries", "delivery", also=("/replays",)),
    Entry("Events", "/events", "event"),
    Entry("Reference", "/reference", "reference"),
    Entry("Account", "/account", "account", also=("/accounts",)),
)

_KNOWN: set[str] = set()


def offer(paths: Sequence[str]) -> None:
    """Told once by the table of routes: only what there is a page for is in the menu."""
    _KNOWN.update(paths)


def menu(path: str, permissions: frozenset[Permission]) -> Sequence[Entry]:
    return [
        entry._replace(is_current=_is_at(entry, path))
        for entry in _MENU
        if entry.needs in permissions and entry.path in _KNOWN
    ]


def _is_at(entry: Entry, path: str) -> bool:
    if entry.path == "/":
        return path == "/"
    return any(path == one or path.startswith(one + "/") for one in (entry.path, *entry.also))
