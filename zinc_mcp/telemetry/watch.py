"""The one value to which the parts of a process report their steps and metrics."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from zinc_mcp.telemetry.measures import CALL_SECONDS, CALLS, WIRE_SECONDS, JournalFigures, Measure

Facts = Mapping[str, str | int]
"""Facts of a step, by the names that OpenTelemetry gives them. None of them is personal or secret."""


class Step(Protocol):
    """A step that is being taken."""

    def set(self, facts: Facts) -> None:
        """Add facts that are known only now."""
        ...


class Tracing(Protocol):
    """Takes the steps of calls."""

    def step(self, name: str, facts: Facts, *, alone: bool = False) -> AbstractContextManager[Step]:
        """Begin a step of the current call, and end it on leaving; `alone`: also where there is no call."""
        ...

    def mark(self, facts: Facts) -> None:
        """Add facts to the current call."""
        ...


class Sink(Protocol):
    """Takes what happens, for metrics."""

    def add(self, measure: Measure, labels: Sequence[str], value: float) -> None:
        """Add a value to a metric of `HAPPENING`: to a counter its rise, to a histogram one observation."""
        ...


class Shown(Sink, Protocol):
    """Shows what happens, and the figures of the journal."""

    figures: JournalFigures


class _Unseen:
    def set(self, facts: Facts) -> None:
        """Do nothing."""


_UNSEEN = _Unseen()


@dataclass(frozen=True, slots=True)
class Watch:
    """The receivers of the metrics and spans of one process."""

    figures: JournalFigures
    sinks: tuple[Sink, ...] = ()
    tracing: Tracing | None = None

    def step(self, name: str, facts: Facts | None = None, *, alone: bool = False) -> AbstractContextManager[Step]:
        """Report a step of the current call while inside; with `alone` also where there is no call."""
        return nullcontext(_UNSEEN) if self.tracing is None else self.tracing.step(name, facts or {}, alone=alone)

    def called(self, line: Mapping[str, Any], seconds: float) -> None:
        """Report a call of a tool: the facts of its line in the log, and its duration."""
        self._add(CALLS, (line["tool"], line.get("ending") or "unknown"), 1)
        self._add(CALL_SECONDS, (line["tool"],), seconds)
        if self.tracing is not None:
            named = {f"zinc_mcp.{name}": line.get(name) for name in ("ending", "code", "reference")}
            self.tracing.mark({name: value for name, value in named.items() if value is not None})

    def asked_zinc(self, service: str, request: str, answer: str, seconds: float) -> None:
        """Report a request to Zinc, and the time to its answer."""
        self._add(WIRE_SECONDS, (service, request, answer), seconds)

    def _add(self, measure: Measure, labels: Sequence[str], value: float) -> None:
        for sink in self.sinks:
            sink.add(measure, labels, value)
