"""How many tool calls of one caller run at once.

A call goes on when its client hangs up, so that the bound on requests (`shares`) does not bound calls.
"""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from zinc_mcp.errors import RefusedError

MOST_CALLS = 100
"""Of one caller, in one process."""


class Calls:
    """The tool calls that run in this process."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()

    @contextmanager
    def one_more(self, caller: str) -> Generator[None]:
        """Count a call while inside.

        Raises:
            RefusedError: `too_many_calls`, so many of the caller's run already.
        """
        if self._running[caller] >= MOST_CALLS:
            raise RefusedError(
                f"{MOST_CALLS} calls of yours are still running, so this one did nothing.",
                "Wait until some of them have answered; then call again.",
                code="too_many_calls",
            )
        self._running[caller] += 1
        try:
            yield
        finally:
            self._running[caller] -= 1
            if not self._running[caller]:
                del self._running[caller]
