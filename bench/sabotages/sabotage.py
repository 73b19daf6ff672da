"""A sabotage: one broken line of the program, the promise that it breaks, and the proof that must notice it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ByCampaign:
    """The fault campaign on one rail notices it; rounds of the kinds in `first` come first."""

    rail: Literal["account", "agent", "v1"]
    rows: tuple[str, ...]
    """The rows of `bench.campaign.judge.verdict` about this promise: one of them must turn red, no other one counts."""
    first: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    """If any, there are rounds of these classes alone: a class has few rounds among 300 intentions."""


@dataclass(frozen=True, slots=True)
class ByTests:
    """These tests notice it, named as pytest takes them."""

    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sabotage:
    """One line of the program, and its replacement."""

    name: str
    promise: str
    file: str
    text: str
    """It stands exactly once in the file; more than the broken line, where that alone stands more often."""
    replacement: str
    by: ByCampaign | ByTests
