"""One entry being sent by this process, and the answer that a call about an intention gets."""

from dataclasses import dataclass, field

import anyio

from zinc_mcp.errors import RefusedError, ZincMcpError
from zinc_mcp.journal.entry import Entry
from zinc_mcp.journal.payment import Payment
from zinc_mcp.zinc.responses import Order


@dataclass(slots=True)
class Attempt:
    """One entry being sent by this process. It outlives the call that started it."""

    entry: Entry
    left: bool = False
    """Whether the first byte of a purchase may have left, or a wallet may have been asked: now, or earlier."""
    payment: Payment | None = None
    """What its wallet gave for it, as this process has it."""
    done: anyio.Event = field(default_factory=anyio.Event)
    order: Order | None = None
    error: ZincMcpError | None = None
    wanted: int = 0
    """How many placing calls still wait: identical bytes go again only while one does."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an intention, as far as is known now."""

    entry: Entry | None
    """None only for an order that was not placed through this journal."""
    order: Order | None = None
    """As Zinc showed it during this call, if it was read."""
    earlier: bool = False
    """An earlier order is the answer: this call bought nothing new."""
    refusal: RefusedError | None = None
    """Why nothing new would be ordered just now, where an earlier order is the answer all the same."""
    unasked: ZincMcpError | None = None
    """Why Zinc could not say how the order stands: the entry is as the journal last had it."""
