"""The settings of the server."""

from postback.settings.loading import SettingsError, load_settings, source_of
from postback.settings.model import PREFIX, Settings, described, shown
from postback.settings.values import Address

__all__ = ["PREFIX", "Address", "Settings", "SettingsError", "described", "load_settings", "shown", "source_of"]
