"""Counts the steps and faults that intentions reached, in campaigns about other things than purchases."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.campaign.agents.agent import Call
from bench.campaign.agents.stubborn import Pursued

Cell = tuple[str, str, str]
"""The action, the fault, and the step with the interruption there, or the host's behaviour."""


class Planned(Pursued, Protocol):
    """An intention, with the fault that it meets first."""

    @property
    def fault(self) -> str: ...


class StepCoverage:
    """The planned steps, and the reached ones."""

    def __init__(self, by_chance: Collection[str] = ()) -> None:
        """`by_chance`: steps to which a process need not come."""
        self._by_chance = by_chance
        self.slowest_seconds = 0.0
        self.racing = 0
        self.planned: Counter[Cell] = Counter()
        self.reached: Counter[Cell] = Counter()

    @property
    def missed(self) -> list[str]:
        """The steps at which a process should have died or stopped, and none did."""
        planned, reached = _by_step(self.planned), _by_step(self.reached)
        return [
            " ".join(cell)
            for cell in sorted(planned)
            if not reached[cell] and cell[1].partition(" ")[2] not in self._by_chance
        ]

    def table(self) -> list[str]:
        """Return a row for each action and step or behaviour, with the numbers of times it happened and was planned."""
        planned, reached = _by_step(self.planned), _by_step(self.reached)
        faults = Counter[tuple[str, str]]()
        for (action, fault, _), times in self.reached.items():
            faults[action, fault] += times
        actions = sorted({action for action, _ in faults})
        names = sorted({fault for _, fault in faults})
        lines = ["Coverage: intentions by action, and by the step of a kill or stop or the host's behaviour"]
        lines += [f"  {' '.join(cell):40} {reached[cell]:6} of {planned[cell]}" for cell in sorted(planned)]
        lines += ["", f"{'fault':20}" + "".join(f"{action:>10}" for action in actions)]
        lines += [f"{name:20}" + "".join(f"{faults[action, name]:10}" for action in actions) for name in names]
        return lines

    def note(self, wish: Planned, action: str, more: str, reached: Path, calls: Sequence[Call]) -> None:
        """Count the step or behaviour of one intention; `more` is added to its name."""
        lines = reached.read_text(encoding="ascii").splitlines() if reached.exists() else []
        came = {int(line.split()[0]) for line in lines}
        what = f"{wish.how} {wish.step}" if wish.how else wish.behaviour
        cell = (action, wish.fault, f"{what}{more}")
        self.planned[cell] += 1
        self.reached[cell] += not wish.how or wish.number in came
        self.racing += len(wish.askings) > 1
        self.slowest_seconds = max([self.slowest_seconds, *(call.seconds for call in calls)])


def _by_step(cells: Mapping[Cell, int]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for (action, _, what), times in cells.items():
        found[action, what.removesuffix(" asked")] += times
    return found


def write_down(folder: Path, each: object, calls: Mapping[Any, Sequence[Call]]) -> None:
    """Write the calls of a round's agents to a file, by intention, for a person who examines a finding."""
    intentions = {
        wish.number: {
            "intention": repr(wish),
            "calls": [
                [call.tool, call.words, call.server, round(call.at, 3), round(call.seconds, 2), call.answer]
                for call in some
            ],
        }
        for wish, some in calls.items()
    }
    text = json.dumps({"round": repr(each), "intentions": intentions}, indent=1)
    (folder / "calls.json").write_text(text, encoding="utf-8")
