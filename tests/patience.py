"""How long a test waits for what must come: the end of a hang, however busy the machine is, and no promise of a time."""

from typing import Final

PATIENCE_S: Final = 60
