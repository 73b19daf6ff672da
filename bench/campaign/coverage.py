"""Counts the faults that were planned and reached, by dialect and step, and names those that were missed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from bench.campaign.plan.classes import CLASSES
from bench.campaign.plan.intentions import Intention, Round
from bench.campaign.plan.rails import Plan

Cell = tuple[str, str, str]
"""Fault, dialect, and the kill point (`STEP:N`) or the host's behaviour."""


class Coverage:
    """Counts intentions by cell: those for which it was planned, and those for which it happened."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.planned: Counter[Cell] = Counter()
        self.reached: Counter[Cell] = Counter()
        self.planned_cases: Counter[tuple[str, str]] = Counter()
        """By class and case (`plan.classes`)."""
        self.reached_cases: Counter[tuple[str, str]] = Counter()

    def note(self, each: Round, reached: Path) -> None:
        """Count a round; the file `reached` has the numbers of the intentions whose process came to its step."""
        wishes = {wish.number: wish for wish in each.intentions}
        if each.kind in CLASSES:
            at_steps = _numbers(reached)
            for wish in each.intentions:
                self.planned_cases[each.kind, wish.case] += 1
                self.reached_cases[each.kind, wish.case] += not wish.step or wish.number in at_steps
            return
        for wish in each.intentions:
            self.planned[_cell(each, wish)] += 1
            if not wish.kill:
                self.reached[_cell(each, wish)] += 1
        for number in _numbers(reached):
            self.reached[_cell(each, wishes[number])] += 1

    @property
    def missed(self) -> Mapping[str, Sequence[tuple[str, str]]]:
        """The faults and steps at which a process should have died and none did, by dialect."""
        found: dict[str, list[tuple[str, str]]] = {}
        for fault, dialect, what in sorted(self.planned):
            if self._is_passed(fault, what) and not self.reached[fault, dialect, what]:
                found.setdefault(dialect, []).append((fault, what))
        return found

    @property
    def unforeseen(self) -> Sequence[Cell]:
        """The cells that were reached although the plan says that no order passes that step."""
        return sorted(cell for cell in self.reached if self._is_foreseen(cell[2]) and not self._is_passed(*cell[::2]))

    def summary(self) -> list[str]:
        """Return sentences about the covered part of the plan; none where the plan does not foresee the steps."""
        if self._plan.passes is None:
            return []
        foreseen = [cell for cell in self.planned if self._is_foreseen(cell[2])]
        passed = [cell for cell in foreseen if self._is_passed(*cell[::2])]
        reached = sum(1 for cell in passed if self.reached[cell])
        dialects = len({dialect for _, dialect, _ in self.planned})
        every = product(self._plan.faults, self._plan.kill_points)
        there_are = dialects * sum(1 for fault, what in every if self._is_passed(fault, what))
        lines = [
            f"Kill points: of {there_are} cells (fault, dialect, step) that an order can reach, {len(passed)} were "
            f"planned and {reached} reached. Of {len(foreseen) - len(passed)} planned cells that no order can reach, "
            f"{len(self.unforeseen)} were reached."
        ]
        missed = [(fault, dialect, what) for dialect, some in self.missed.items() for fault, what in some]
        lines += [f"  missed: {', '.join(cell)}" for cell in missed]
        return lines + [f"  not foreseen: {', '.join(cell)}" for cell in self.unforeseen]

    def table(self, *, full: bool) -> list[str]:
        """Return rows of faults with the number of times that each cell was reached, `missed`, or `-` if it cannot be.

        With `full` there is also a row for each fault in each dialect.
        """
        dialects = sorted({dialect for _, dialect, _ in self.planned})
        behaviours = sorted({what for _, _, what in self.planned if not self._is_foreseen(what)})
        points = [point for point in self._plan.kill_points if any(what == point for _, _, what in self.planned)]
        columns = [*points, *behaviours]
        head = f"{'fault':25} {'dialect':34}" + "".join(f"{each.replace(':1', ''):>13}" for each in columns)
        lines = ["Coverage: intentions by fault, by dialect, and by the kill point reached or the host's behaviour"]
        if full:
            lines += ["", head]
            for fault, dialect in product(self._plan.faults, dialects):
                cells = [self._hit([(fault, dialect, what)]) for what in columns]
                lines.append(f"{fault:25} {dialect:34}" + "".join(f"{cell:>13}" for cell in cells))
        lines += ["", head]
        for fault in self._plan.faults:
            cells = [self._hit([(fault, dialect, what) for dialect in dialects]) for what in columns]
            lines.append(f"{fault:25} {f'all {len(dialects)}':34}" + "".join(f"{cell:>13}" for cell in cells))
        return [*lines, "", *self.summary(), *self._classes()]

    def _classes(self) -> list[str]:
        found: list[str] = []
        for kind in CLASSES:
            cells = sorted(cell for cell in self.planned_cases if cell[0] == kind)
            if cells:
                planned, reached = (sum(of[cell] for cell in cells) for of in (self.planned_cases, self.reached_cases))
                found += ["", f"Class {kind}: {planned} intentions, {reached} reached"]
                found += [
                    f"  {cell[1]:40} {self.reached_cases[cell]:6} of {self.planned_cases[cell]}" for cell in cells
                ]
        return found

    def _hit(self, cells: Sequence[Cell]) -> str:
        reached = sum(self.reached[cell] for cell in cells)
        if reached or not any(self.planned[cell] for cell in cells):
            return str(reached or "")
        return "missed" if self._is_passed(*cells[0][::2]) else "-"

    def _is_foreseen(self, what: str) -> bool:
        return what in self._plan.kill_points

    def _is_passed(self, fault: str, what: str) -> bool:
        passes = self._plan.passes
        return passes is not None and self._is_foreseen(what) and passes(fault, what)


def _numbers(reached: Path) -> list[int]:
    lines = reached.read_text(encoding="ascii").splitlines() if reached.exists() else []
    return [int(line.split()[0]) for line in lines]


def _cell(each: Round, wish: Intention) -> Cell:
    return wish.fault, each.dialect, wish.kill or wish.behaviour
