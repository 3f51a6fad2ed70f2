"""How much of the same: enough to notice what broke, or, for `run.py proof`, as much as is promised."""

import os
from typing import Final

IS_PROOF: Final = os.environ.get("TESTS_PROOF") == "1"


def times(quick: int, proof: int) -> int:
    return proof if IS_PROOF else quick
