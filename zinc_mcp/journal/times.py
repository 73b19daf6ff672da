"""What time it is, by two witnesses: this machine's clock, which anybody can set, and Zinc's answers.

Zinc's time is what its last answer said (`Date`: RFC 9110, section 6.6.1) plus what has gone by since on a clock that
only runs. While no answer carries a time, the time at which this process began, plus what has gone by since on that
clock, stands in for it: so at least a clock that is set meanwhile is noticed. Whatever guards money goes by whichever
of the two says that less time has gone by.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

APART_SECONDS = 600.0
"""From here on Zinc's clock and ours are too far apart to be both right. A clock that nobody sets drifts by seconds a
day, and an answer is a minute old at most; a wrong zone, a flat battery or a mistyped date is half an hour or more."""

FUTURE_SECONDS = 300.0
"""By how much an entry may be ahead: the machines of a team differ by seconds."""


class Times:
    """The clocks of one process. Times are seconds since the epoch."""

    def __init__(self, clock: Callable[[], float], steady: Callable[[], float] | None = None) -> None:
        """`steady` shows seconds from some moment on and cannot be set: the machine's, where a test has no clocks."""
        self.clock = clock
        steady = steady or (time.monotonic if clock is time.time else clock)
        self._steady = steady
        self._heard: tuple[float, float] | None = None
        self._began = clock(), steady()
        self.answered = False
        """Whether Zinc has answered anything yet, with a time or without one."""

    def heard(self, date: float | None) -> None:
        """Take the time that an answer of Zinc's carries, where it carries one."""
        self.answered = True
        if date is not None:
            self._heard = date, self._steady()

    def zinc(self) -> float | None:
        """Return Zinc's time; None while no answer has told it."""
        return None if self._heard is None else self._second()

    def earliest(self) -> float:
        """Return the time by which less has gone by: what stands by it, stands."""
        return min(self.clock(), self._second())

    def latest(self) -> float:
        """Return the time by which more has gone by: what has run out by it, has run out."""
        return max(self.clock(), self._second())

    def apart_seconds(self) -> float:
        """Return by how much the second witness is ahead of our clock."""
        return self._second() - self.clock()

    def _second(self) -> float:
        """Return the time by the second witness: Zinc's, else this process's own since it began."""
        told, at = self._heard or self._began
        return told + self._steady() - at

    def doubt(self, newest: float, accepted: str | None) -> str | None:
        """Say why it is uncertain what time it is; None when it is not.

        Args:
            newest: the latest time in the journal.
            accepted: what the owner has accepted (`Clock.kept`).
        """
        now = Clock.read(accepted)
        apart = self.apart_seconds()
        if abs(apart) > APART_SECONDS and abs(apart - now.apart_seconds) > APART_SECONDS:
            by = _long(abs(apart))
            if self._heard is None:
                return f"this machine's clock was set {by} {'back' if apart > 0 else 'ahead'} while the server ran"
            return f"this machine's clock is {by} {'behind' if apart > 0 else 'ahead of'} Zinc's"
        if newest > self.latest() + FUTURE_SECONDS and newest > now.newest:
            return "the journal has an order from the future"
        return None


@dataclass(frozen=True, slots=True)
class Clock:
    """A difference of clocks that was noticed, or that the owner has accepted."""

    apart_seconds: float = 0.0
    newest: float = 0.0

    def kept(self) -> str:
        """Return it as the journal keeps it."""
        return json.dumps([self.apart_seconds, self.newest])

    @classmethod
    def read(cls, kept: str | None) -> "Clock":
        """Return what the journal has kept; nothing where that cannot be read."""
        try:
            apart, newest = json.loads(kept or "[0, 0]")
            return cls(float(apart), float(newest))
        except (ValueError, TypeError):
            return cls()


def _long(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3_600, "hours")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {name}"
    return f"{int(seconds // 60)} minutes"
