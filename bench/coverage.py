"""Which fault met which Zinc at which step: what was meant to strike, what did, and what nobody ever comes by."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from bench.classes import CLASSES
from bench.plan import Intention, Plan, Round

Cell = tuple[str, str, str]
"""Fault, dialect, and the kill point (`STEP:N`) or what the host does."""


class Coverage:
    """Counts intentions by cell: those that were to go wrong so, and those that did."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.armed: Counter[Cell] = Counter()
        self.struck: Counter[Cell] = Counter()
        self.meant: Counter[tuple[str, str]] = Counter()
        """By class and what it does to an intention (`bench.classes`): what was to befall one."""
        self.befell: Counter[tuple[str, str]] = Counter()

    def note(self, each: Round, struck: Path) -> None:
        """Count a round; in the file `struck` stand the numbers of the intentions whose process died."""
        wishes = {wish.number: wish for wish in each.intentions}
        if each.kind in CLASSES:
            at_steps = _numbers(struck)
            for wish in each.intentions:
                self.meant[each.kind, wish.hazard] += 1
                self.befell[each.kind, wish.hazard] += not wish.step or wish.number in at_steps
            return
        for wish in each.intentions:
            self.armed[_cell(each, wish)] += 1
            if not wish.kill:
                self.struck[_cell(each, wish)] += 1
        for number in _numbers(struck):
            self.struck[_cell(each, wishes[number])] += 1

    @property
    def missed(self) -> Mapping[str, Sequence[tuple[str, str]]]:
        """By dialect the faults and steps at which a process was to die and should have, and none did."""
        found: dict[str, list[tuple[str, str]]] = {}
        for fault, dialect, what in sorted(self.armed):
            if self._is_passed(fault, what) and not self.struck[fault, dialect, what]:
                found.setdefault(dialect, []).append((fault, what))
        return found

    @property
    def unforeseen(self) -> Sequence[Cell]:
        """Cells that were struck although the plan says that nobody comes by."""
        return sorted(cell for cell in self.struck if self._is_foreseen(cell[2]) and not self._is_passed(*cell[::2]))

    def summary(self) -> list[str]:
        """Return in words how much of the plan was covered; nothing where the plan does not say who comes by."""
        if self._plan.passes is None:
            return []
        foreseen = [cell for cell in self.armed if self._is_foreseen(cell[2])]
        passed = [cell for cell in foreseen if self._is_passed(*cell[::2])]
        struck = sum(1 for cell in passed if self.struck[cell])
        dialects = len({dialect for _, dialect, _ in self.armed})
        every = product(self._plan.faults, self._plan.kill_points)
        there_are = dialects * sum(1 for fault, what in every if self._is_passed(fault, what))
        lines = [
            f"Kill points: of {there_are} cells (fault, dialect, step) that the road comes by, {len(passed)} were "
            f"armed and {struck} struck; {len(foreseen) - len(passed)} that it never comes by were armed, "
            f"{len(self.unforeseen)} struck."
        ]
        missed = [(fault, dialect, what) for dialect, some in self.missed.items() for fault, what in some]
        lines += [f"  missed: {', '.join(cell)}" for cell in missed]
        return lines + [f"  not foreseen: {', '.join(cell)}" for cell in self.unforeseen]

    def table(self, *, full: bool) -> list[str]:
        """Return rows of fault by dialect: how often it struck; `-` where nobody came by, `missed` where one should."""
        dialects = sorted({dialect for _, dialect, _ in self.armed})
        behaviours = sorted({what for _, _, what in self.armed if not self._is_foreseen(what)})
        points = [point for point in self._plan.kill_points if any(what == point for _, _, what in self.armed)]
        columns = [*points, *behaviours]
        head = f"{'fault':25} {'dialect':34}" + "".join(f"{each.replace(':1', ''):>13}" for each in columns)
        lines = ["Coverage: intentions by fault, dialect and kill point (struck) or what the host did"]
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
            cells = sorted(cell for cell in self.meant if cell[0] == kind)
            if cells:
                meant, befell = (sum(of[cell] for cell in cells) for of in (self.meant, self.befell))
                found += ["", f"Class {kind}: {meant} intentions, {befell} struck"]
                found += [f"  {what:40} {self.befell[kind, what]:6} of {self.meant[kind, what]}" for _, what in cells]
        return found

    def _hit(self, cells: Sequence[Cell]) -> str:
        struck = sum(self.struck[cell] for cell in cells)
        if struck or not any(self.armed[cell] for cell in cells):
            return str(struck or "")
        return "missed" if self._is_passed(*cells[0][::2]) else "-"

    def _is_foreseen(self, what: str) -> bool:
        return what in self._plan.kill_points

    def _is_passed(self, fault: str, what: str) -> bool:
        passes = self._plan.passes
        return passes is not None and self._is_foreseen(what) and passes(fault, what)


def _numbers(struck: Path) -> list[int]:
    lines = struck.read_text(encoding="ascii").splitlines() if struck.exists() else []
    return [int(line.split()[0]) for line in lines]


def _cell(each: Round, wish: Intention) -> Cell:
    return wish.fault, each.dialect, wish.kill or wish.behaviour
