"""The mutants, each of which is one change of a line by an operator of cosmic-ray, and a sample of them."""

import ast
import importlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.mutations import ROOT

OPERATORS = (
    *(f"ReplaceComparisonOperator_{each}" for each in (
        "Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Is_IsNot", "IsNot_Is",
    )),
    *(f"ReplaceBinaryOperator_{each}" for each in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "Mod_Mul")),
    "ReplaceAndWithOr", "ReplaceOrWithAnd", "AddNot", "ReplaceUnaryOperator_Delete_Not", "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue", "NumberReplacer", "ExceptionReplacer", "ZeroIterationForLoop", "ReplaceContinueWithBreak",
    "ReplaceBreakWithContinue",
)  # fmt: skip
"""The operators of cosmic-ray that are used: one for each kind of mistake."""

_SHOWN_ONLY = frozenset({"__repr__", "__str__"})
_LOGS = frozenset({"logger"})

Place = tuple[int, int]
"""A line, and a column in it."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the occurrence of an operator in a file."""

    room: str
    file: str
    """Relative to the tree."""
    line: int
    operator: str
    occurrence: int

    @property
    def name(self) -> str:
        """A name that is the same in each run over the same tree."""
        return f"{self.file}:{self.line} {self.operator} {self.occurrence}"


def mutants(rooms: Sequence[str]) -> list[Mutant]:
    """Return every mutant of these rooms, in the order of files and lines, except in parts that are left out."""
    syntax: Any = importlib.import_module("cosmic_ray.ast")
    found: list[Mutant] = []
    for room in rooms:
        for file in sorted((ROOT / "zinc_mcp" / room).rglob("*.py")):
            source = file.read_text(encoding="utf-8")
            nodes = list(syntax.ast_nodes(syntax.get_ast(source)))
            tree = ast.parse(source)
            left_out, calculated = list(_left_out(tree)), list(_calculated(tree))
            name = file.relative_to(ROOT).as_posix()
            of_file = [
                Mutant(room, name, place[0], operator, occurrence)
                for operator in OPERATORS
                for occurrence, place in enumerate(_places(operator, nodes))
                if not _is_in(place, left_out)
                and (not operator.startswith("ReplaceBinary") or _is_in(place, calculated))
            ]
            found += sorted(of_file, key=lambda each: each.line)
    return found


def sample(found: Sequence[Mutant], number: int, seed: int) -> list[Mutant]:
    """Draw lines at random, and one mutant of each line. So a room's share is its share of the lines."""
    chance = random.Random(seed)
    lines: dict[tuple[str, int], list[Mutant]] = {}
    for each in found:
        lines.setdefault((each.file, each.line), []).append(each)
    drawn = chance.sample(list(lines), min(number, len(lines)))
    return [chance.choice(lines[line]) for line in drawn]


def mutated(source: str, mutant: Mutant) -> tuple[str, str]:
    """Return the changed source of a file, and the changed line before and after."""
    mutating: Any = importlib.import_module("cosmic_ray.mutating")
    changed = str(mutating.mutate_code(source, _changer(mutant.operator), mutant.occurrence))
    pairs = zip(source.splitlines(), changed.splitlines(), strict=False)
    before, after = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
    return changed, f"{before.strip()}  ->  {after.strip()}"


def _changer(operator: str) -> Any:
    plugins: Any = importlib.import_module("cosmic_ray.plugins")
    return plugins.get_operator(f"core/{operator}")()


def _places(operator: str, nodes: Sequence[Any]) -> Iterator[Place]:
    changer = _changer(operator)
    for node in nodes:
        for start, _ in changer.mutation_positions(node):
            yield start


def _is_in(place: Place, ranges: Sequence[tuple[Place, Place]]) -> bool:
    return any(start <= place < end for start, end in ranges)


def _calculated(tree: ast.AST) -> Iterator[tuple[Place, Place]]:
    """Yield the places of operators between two values, because a star can also mark arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp):
            yield _range(node.left)[1], _range(node.right)[0]


def _left_out(tree: ast.AST) -> Iterator[tuple[Place, Place]]:
    """Yield the parts that no test must notice: annotations, decorators of classes, logging, and sentences."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) if name in _SHOWN_ONLY:
                yield _range(node)
            case (
                ast.FunctionDef(returns=ast.expr() as annotation)
                | ast.AsyncFunctionDef(returns=ast.expr() as annotation)
            ):
                yield _range(annotation)
            case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
                yield _range(annotation)
            case ast.ClassDef(decorator_list=decorators):
                yield from map(_range, decorators)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield _range(node)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name))) if name in _LOGS:
                yield _range(node)
            case ast.JoinedStr(values=values) if any(_is_of_a_sentence(each) for each in values):
                yield _range(node)
            case _:
                pass


def _is_of_a_sentence(part: ast.expr) -> bool:
    return isinstance(part, ast.Constant) and " " in str(part.value).strip()


def _range(node: ast.stmt | ast.expr) -> tuple[Place, Place]:
    return (node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or 0)
