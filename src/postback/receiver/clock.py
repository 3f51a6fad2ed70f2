"""The one place where the receiver's part reads the time."""

import time


def now_s() -> float:
    """Unix seconds."""
    return time.time()
