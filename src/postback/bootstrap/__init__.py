"""The one place that joins the parts: everything else is given what it uses."""

from postback.bootstrap.server import serve, work
from postback.bootstrap.started import CannotStart, KeyMade, Restored, Started

__all__ = ["CannotStart", "KeyMade", "Restored", "Started", "serve", "work"]
