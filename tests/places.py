"""Where the files of tests are: in memory, where there is room. No power is cut here, so no disk is needed."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

ROOM_BYTES: Final = 4 << 30
"""More than the suite has at once, and the proofs: some hundred megabytes."""

_SHARED: Final = Path("/dev/shm")
_DECIDED: Final = "TESTS_FOLDER"
_OF_PYTEST: Final = "PYTEST_DEBUG_TEMPROOT"


def decide() -> None:
    """Once, in the process that all of a run's processes come from."""
    has_room = os.access(_SHARED, os.W_OK | os.X_OK) and shutil.disk_usage(_SHARED).free >= ROOM_BYTES
    os.environ.setdefault(_DECIDED, str(_SHARED) if has_room else tempfile.gettempdir())
    # Some tests start programs from their folders.
    if not has_room or not os.statvfs(_SHARED).f_flag & os.ST_NOEXEC:
        os.environ.setdefault(_OF_PYTEST, os.environ[_DECIDED])


def folder() -> Path:
    """In memory, or where the system has temporary files."""
    return Path(os.environ[_DECIDED])
