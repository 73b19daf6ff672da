"""A sabotage: one broken line of the program, the promise that it breaks, and the proof that must notice it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ByCampaign:
    """The fault campaign on one rail must notice it. Rounds of the kinds in `first` come first."""

    rail: Literal["account", "agent", "v1"]
    rows: tuple[str, ...]
    """The rows of `bench.campaign.judge.verdict` about this promise. One of them must turn red; others do not count."""
    first: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    """If any, only rounds of these classes are played, because a class has few rounds among 300 intentions."""


@dataclass(frozen=True, slots=True)
class ByTests:
    """These tests must notice it. They are named as pytest takes them."""

    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sabotage:
    """One line of the program, and its replacement."""

    name: str
    promise: str
    file: str
    text: str
    """The text to replace, which stands exactly once in the file. It may be more than the broken line for that."""
    replacement: str
    by: ByCampaign | ByTests
