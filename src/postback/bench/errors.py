"""What ends a bench."""


class BenchError(Exception):
    """It cannot be measured here; the text says what to do about it."""


class WrongWord(BenchError):
    """The command line says something that means nothing; nothing was started."""
