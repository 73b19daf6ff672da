"""How long things may take and how long they count, in seconds. The defaults are the product's promise."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clocks:
    """One place for every waiting time, so that a fault campaign can run the same code faster."""

    answer: float = 25.0
    """A placing tool answers within this: hosts stop listening after 60 s and progress does not extend it."""
    wire: float = 60.0
    """The most one request that may spend money takes."""
    sign: float = 60.0
    """How long a payment wallet that asks nobody may take to sign."""
    lease_margin: float = 15.0
    """A sending lease outlives the wire by this much; nobody guesses before that whether a process is dead."""
    opening_lease: float = 30.0
    """How long opening and deciding may take before somebody else may clear the entry away."""
    form: float = 20.0
    """How long the older protocol's dialogue may stand: hosts give up after 60 s, and the page comes after it."""
    approval: float = 600.0
    """How long a person may take to decide, and how long a yes waits for a process that can send."""
    looking_lease: float = 30.0
    """How long one process looks an order in doubt up before another may."""
    refresh: float = 3.0
    """How long a refusal waits for fresher news from Zinc about what is in its way."""
    repeat: float = 600.0
    """Within this a call for the same goods is a repeat, and identical bytes may be sent again."""
    twin: float = 86_400.0
    """Within this an order for the same goods is the answer, or needs a yes."""
    sweep: float = 60.0
    """How often a running process looks up what is in doubt."""
    heed: float = 1.0
    """How often a running process looks for a decision made elsewhere, while people have something to decide."""
    poll: float = 2.0
    """How often a waiting look asks Zinc."""
    peek: float = 0.2
    """How often a call looks whether another process has moved an entry on."""
