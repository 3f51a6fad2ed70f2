"""What is left to `run.py proof`; and how much of the same: enough to notice what broke, or, as a proof, as much as is promised."""

import os
from fnmatch import fnmatch
from functools import cache
from typing import Final

LEFT: Final = (
    "tests/proof/*",
    "tests/browser/*",
    "tests/simulation/*",
    "tests/cli/several/*",
    "tests/cli/test_bench.py",
    "tests/cli/test_interrupted_starts.py",
    "tests/cli/test_rewrap.py",
    "tests/client/test_client_kills.py",
    "tests/receiver/test_inbox_kills.py",
    "tests/api/test_schemathesis.py",
    "tests/engine/test_*_postgres.py",
    "tests/storage/test_postgres_*.py",
    "tests/storage/test_moving.py",
    "tests/transport/test_memory.py",
    "tests/test_canaries.py",
    "tests/test_docs_answers.py",
    "tests/test_figures.py",
)
"""Several servers, kills, races, a real browser, PostgreSQL, and what takes long. The suite is without them, unless their file
or folder is named."""

MORE: Final = (
    "tests/engine/test_sharing_of_lanes.py",
    "tests/receiver/test_verifying_hostile.py",
)
"""A little of it is in the suite, and as much as is promised in the proofs."""

IS_PROOF: Final = os.environ.get("TESTS_PROOF") == "1"


def times(quick: int, proof: int) -> int:
    return proof if IS_PROOF else quick


@cache
def is_among(path: str, patterns: tuple[str, ...]) -> bool:
    """A path within the project."""
    return any(fnmatch(path, pattern) for pattern in patterns)
