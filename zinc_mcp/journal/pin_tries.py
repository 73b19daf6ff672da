"""Tries at a PIN: whose is asked for, and how long the next try has to wait after wrong ones."""

from dataclasses import dataclass, field
from typing import Literal

Place = Literal["page", "terminal"]
PLACES: tuple[Place, ...] = ("page", "terminal")

OWNER = "local"
"""The caller whose PIN is the owner's."""
FORGET_SECONDS = 86_400.0
"""How long a PIN that is said to be forgotten stays: so long its owner can see that, if it was somebody else."""
FREE_TRIES = 3
"""So many wrong PINs in a row cost no time."""
LONGEST_WAIT_SECONDS = 900.0


def wait_seconds(wrong: int) -> float:
    """Return how long the next try has to wait after so many wrong PINs: 0, then 1, 2, 4, 8 and 15 minutes."""
    return 0.0 if wrong <= FREE_TRIES else min(LONGEST_WAIT_SECONDS, 60.0 * 2 ** min(wrong - FREE_TRIES - 1, 10))


@dataclass(frozen=True, slots=True)
class PinAsked:
    """The PIN that a caller's yes needs."""

    kept: str = field(repr=False)
    whose: str
    counted_under: str
    """Wrong ones are counted under this name, over all orders."""
    ends: float | None
    """When it ends, where somebody has said that it is forgotten."""
    page_free_at: float | None
    """When the next one is looked at on the page; None for at once."""
    terminal_free_at: float | None

    def free_at(self, place: Place) -> float | None:
        """Return when the next one is looked at there; None for at once."""
        return self.page_free_at if place == "page" else self.terminal_free_at


@dataclass(frozen=True, slots=True)
class PinTry:
    """A try that was written down before anybody looks at it."""

    asked: PinAsked
    place: Place
    free_at: float | None
    """When the next try is looked at; None for at once."""
    looked_at: bool
    """False where this one came before its time, and does not count."""
