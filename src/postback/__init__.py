"""postback: accepts a platform's events and delivers each to whoever asked for it, as an HTTP POST."""

__version__ = "0.1.0"
