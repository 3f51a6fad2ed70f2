"""How a page may be looked at: light or dark, on a desk or on a telephone."""

from typing import Final, Literal, NamedTuple

WIDE: Final = 1280
NARROW: Final = 390


class Look(NamedTuple):
    theme: Literal["light", "dark"]
    width: int

    @property
    def is_narrow(self) -> bool:
        return self.width == NARROW

    @property
    def is_inspected(self) -> bool:
        """Whether axe is asked too. Two looks have both themes and both widths, and it takes as long as all else together."""
        return self in (Look("light", WIDE), Look("dark", NARROW))

    @property
    def name(self) -> str:
        return f"{self.theme}-{'narrow' if self.is_narrow else 'wide'}"


LOOKS: Final = [Look("light", WIDE), Look("light", NARROW), Look("dark", WIDE), Look("dark", NARROW)]
