"""One intention as the journal holds it, and the states it goes through.

waiting → sending → accepted → placed / failed / cancelled        the usual way
waiting → refused / declined                                      nothing was sent
sending → rejected                                                Zinc said no to the first attempt
sending → unknown → accepted ...                                  sent and unanswered, then found again
waiting → signing → sending ...                                   paid by wallet: the wallet is asked once
unknown → paid_no_order                                           money moved, and no order is known for it
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from zinc_mcp.errors import JournalError
from zinc_mcp.invocation import command
from zinc_mcp.known_settings import RailName, Role

logger = logging.getLogger(__name__)

DAY_SECONDS = 86_400.0
MONTH_SECONDS = 30 * DAY_SECONDS

Mode = Literal["live", "test", "sandbox"]
Kind = Literal["order", "look_up", "return", "case"]
"""The subject of an entry. All kinds follow the same rules. A twin is of the same kind, and a list holds one kind."""
State = Literal[
    "waiting",
    "signing",
    "sending",
    "unknown",
    "accepted",
    "placed",
    "failed",
    "cancelled",
    "rejected",
    "refused",
    "declined",
    "paid_no_order",
]

STANDING: frozenset[State] = frozenset(
    {"waiting", "signing", "sending", "unknown", "accepted", "placed", "paid_no_order"}
)
"""An entry in one of these states is the answer to a later call for the same thing."""

DOUBTFUL: frozenset[State] = frozenset({"signing", "sending", "unknown"})
"""An entry in one of these states is signed or sent, and it is not known whether Zinc has the order."""

FOREVER: frozenset[State] = frozenset({"signing", "sending", "unknown", "paid_no_order"})
"""An entry in one of these states blocks its twin for ever: money may have moved, and no order is known for it."""

NOTHING_SENT: frozenset[State] = frozenset({"refused", "declined"})
"""An entry in one of these states ended before anything left this process, so only we have seen its key."""

WITHOUT_ORDER: frozenset[State] = frozenset({"rejected", "refused", "declined"})
"""An entry in one of these states ended without an order, as far as we knew. An order may exist all the same: the owner
may have been wrong, or a backup may have been put back."""

ORDERS: frozenset[Kind] = frozenset({"order"})
CHANGES: frozenset[Kind] = frozenset({"return", "case"})
"""The kinds that change a placed order, buy nothing and cost nothing. One of them that is `placed` is at Zinc."""

NAMES: Mapping[Kind, tuple[str, str]] = {
    "order": ("order", "Place the order again"),
    "look_up": ("look-up", "Look it up again"),
    "return": ("return", "Call return_order again"),
    "case": ("report", "Call report_problem again"),
}
"""By kind: our word for it, and the way to ask for it again."""

ADOPTED = "adopted"
"""The name of a fact of an entry that was made from Zinc's list of orders. It has only what that list shows."""

PLACED_BEFORE = "order_exists"
"""The problem's code of an entry in doubt that paid nothing: Zinc already had an order with its key."""

LEFT_TO_PEOPLE = "left_to_people"
"""The problem's code of an entry in doubt of which Zinc itself does not know whether the retailer has it. Only the
owner can look, so only the owner's word ends it (v1, "Errors")."""

LANDED: frozenset[State] = frozenset({"accepted", "placed", "failed", "cancelled"})
"""In these states Zinc has the order."""

OPEN: frozenset[State] = frozenset({"waiting", "signing", "sending", "unknown", "accepted"})
"""A process or a person still has to move on an entry in one of these states."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the journal. Money is US cents; times are seconds since the epoch."""

    id: int
    key: str
    """The idempotency key that goes to Zinc, and the caller's handle for this order."""
    caller: str
    mode: Mode
    origin: str
    account: str
    """Fingerprint of the API key. An entry is sent again only with the API key of its first sending."""
    rail: RailName
    kind: Kind
    twin: str
    """Digest of caller, ship-to and {normalised URL, variant, quantity}: equal for the same intention."""
    body_digest: str
    """Digest of the whole order without idempotency key and our own metadata."""
    body: bytes | None = field(repr=False)
    """The exact bytes that go on the wire; None after a purge."""
    state: State
    version: int
    lease_owner: str | None
    lease_until: float | None
    """The end of the lease, by the wall clock of the process that took it. The next three fields say the same by a
    steady clock."""
    lease_boot: str | None
    lease_taken: float | None
    lease_seconds: float | None
    sender: str | None
    """The process that was about to send it and has not yet written down the result (`clocks.this_process`)."""
    ceiling_cents: int
    fee_cents: int
    reserved_cents: int
    """The cents that count against the limits until the entry is settled: ceiling plus fee."""
    spent_cents: int | None
    """The cents really paid, fee included; None while unknown."""
    order_id: str | None
    """Zinc's id of the order; of a change, the order that it changes."""
    status: str | None
    """The last status Zinc gave, in Zinc's word."""
    attempts: int
    first_sent_at: float | None
    opened_at: float
    counted_at: float
    """The time by which rolling limits count the money: first that of the opening, later that of the sending."""
    updated_at: float
    zinc_at: float | None
    """The time at which the order was created, by Zinc's own clock; None until Zinc has told it."""
    counts_cents: int
    """The cents that this entry takes from the limits now."""
    authorised_cents: int | None
    """The cents that a wallet's credential allows Zinc to take. None on the account rail, and until that credential may
    have left."""
    refunded_cents: int | None
    """The cents that are proved to have come back, or never to have been taken: by a credit that was observed, by the
    chain, or by the owner's word. `journal.records.money` decides it."""
    seen: str | None
    """Digest of what Zinc last showed: a look-up compares it to see whether anything is new."""
    consent: Mapping[str, Any] | None
    problem: Mapping[str, Any] | None
    """For rejected, refused and failed: our code, sentence and facts. Never a secret."""
    facts: Mapping[str, Any]
    """A summary of the order that is shown without the body: retailer, items, ship-to name and city."""
    role: Role | None = None
    """The role in a team that the caller had when it was opened; None for the owner, and before version 13."""

    @property
    def fee_is_known(self) -> bool:
        """Whether `fee_cents` is Zinc's fee. v1 tells none, so an order there holds none, and may cost one."""
        return self.rail != "v1"


Admits = Callable[[Sequence[Entry]], None]
"""Checks a change against the other changes of its order; raises a refusal."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An intention before it has an entry."""

    caller: str
    mode: Mode
    origin: str
    account: str
    rail: RailName
    twin: str
    body_digest: str
    given_key: str | None
    """The key to use on the wire, if the caller gave one; None: it is derived."""
    to_bytes: Callable[[str], bytes] = field(repr=False)
    """Makes the exact body for a key: the key is known only inside the transaction."""
    ceiling_cents: int
    fee_cents: int
    facts: Mapping[str, Any]
    kind: Kind = "order"
    order_id: str | None = None
    """Of a change of a placed order: that order, by Zinc's id."""
    near: tuple[str, ...] = ()
    """Digests of caller, mode, ship-to and each product: equal for orders that may be one wish in other words."""
    role: Role | None = None
    """The caller's role in a team; None for the owner."""

    @property
    def reserved_cents(self) -> int:
        """The cents that count against the limits until the entry is settled: ceiling plus fee."""
        return self.ceiling_cents + self.fee_cents


@dataclass(frozen=True, slots=True)
class Wanted:
    """The identity of an intention."""

    caller: str
    twin: str
    given_key: str | None
    """The key as it would go on the wire, if the caller gave one."""
    body_digest: str


@dataclass(frozen=True, slots=True)
class Event:
    """One change of an entry: nothing is overwritten without one."""

    entry_id: int
    version: int
    at: float
    state: State
    what: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """Limits over 24 hours and 30 days, in cents and in orders; None does not limit."""

    day_cents: int | None = None
    month_cents: int | None = None
    orders_day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Rolling):
    """The rolling limits that an order of one caller has to keep, in one mode. Its own fields are about that caller."""

    unproved_cents: int | None = None
    """The most that may be paid up front by wallet for orders that came to nothing, until it is proved to be back."""
    second_yes_cents: int | None = None
    """Above it, in 24 hours, another person has to say yes."""
    member: Rolling | None = None
    """Further limits for the same caller, as a member of a team."""
    role: Rolling | None = None
    """For all orders that were opened by somebody with the caller's role, taken together."""
    team: Rolling | None = None
    """For the orders of all callers, taken together."""

    @property
    def of_money(self) -> "Limits":
        """The limits that a look-up has to keep as well: it is no order, and is not paid up front."""

        def without(rolling: Rolling | None) -> Rolling | None:
            return None if rolling is None else replace(rolling, orders_day=None)

        member, role, team = without(self.member), without(self.role), without(self.team)
        return replace(self, orders_day=None, unproved_cents=None, member=member, role=role, team=team)

    @property
    def are_shared(self) -> bool:
        """Whether orders of other callers count, so that they are checked under a lock over all callers."""
        return self.role is not None or self.team is not None


@dataclass(frozen=True, slots=True)
class Standing:
    """An earlier entry that is the answer. `same_key`: the caller named it by its idempotency key."""

    entry: Entry
    same_key: bool


@dataclass(frozen=True, slots=True)
class Resembling:
    """An entry that was opened and not sent, because a person has to be asked all the same: an earlier order for the
    same place holds one of its products, or another person has to say yes."""

    entry: Entry


class UnreadableEntryError(JournalError):
    """The row of one entry holds a value that no version of this program writes. Other entries are not affected."""

    def __init__(self, entry_id: int, column: str) -> None:
        super().__init__(
            f"Entry {entry_id} of the journal cannot be read ({column}).",
            "Tell the user that this one entry is damaged; other orders can be placed and looked up as usual.",
            owner_step=f"{command('doctor')} lists what cannot be read. Put a backup of the journal in its place, or "
            "ask Zinc about that order.",
        )
        self.entry_id = entry_id
        self.column = column


class RailIdentity(Protocol):
    """The identity of a rail. An entry keeps it, and only a rail with the same identity may act on the entry."""

    @property
    def name(self) -> RailName:
        """The rail's name in the journal and the policy."""
        ...

    @property
    def mode(self) -> Mode:
        """Whether real money moves."""
        ...

    @property
    def origin(self) -> str:
        """Zinc's origin. An order that was sent to one origin is never sent to another."""
        ...

    @property
    def account(self) -> str:
        """Identifies the payer: the API key's fingerprint, or the wallet's."""
        ...

    @property
    def former_account(self) -> str:
        """The name of the same payer before version 5 of the schema. Entries with it are looked up, and not decided."""
        ...


_MOST_TOLD = 1000


def tell_unreadable(told: set[object], table: str, row: tuple[object, ...], why: str) -> None:
    """Log once that a row cannot be read, and never its content; `told` holds the rows that were logged before."""
    if (table, row) not in told and len(told) < _MOST_TOLD:
        told.add((table, row))
        named = ", ".join(str(part)[:40] for part in row)
        logger.warning("row %s of %s cannot be read (%s), so it is left out", named, table, why)


class StaleEntryError(Exception):
    """Another process moved the entry first; `current` is the entry as it is now. No tool or command raises it."""

    def __init__(self, current: Entry) -> None:
        super().__init__("the entry has moved on")
        self.current = current
