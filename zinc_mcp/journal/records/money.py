"""The money of an entry: its payment by wallet, its part of the limits, and the amounts that people are told.

Only this module decides the part of the limits that an entry takes. It goes by facts, and by the source of each fact.
On the account rail Zinc debits a balance that it holds. So Zinc's own record of our order proves the charge, or proves
that there was none. On the agent rail the wallet's credential gives the money away before anything is bought. The
authorised amount counts until it is too old for the limits, or until a proof shows that it came back. A proof is a
credit that was observed, the chain (the payment was never taken), or the owner's word in a terminal. A price that
contradicts itself settles nothing. Amounts are US cents.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, get_args

from pydantic import SecretStr

from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.records.entry import OPEN, WITHOUT_ORDER, Entry, State
from zinc_mcp.text import printed
from zinc_mcp.zinc.responses import Order

Doubt = Literal["price_unclear", "ending_unclear", "above_ceiling"]

OWNERS_WORD = "refunded_by_owner_cents"
"""The name of one of an entry's facts: the cents that have come back in all, by the owner's word. A purge keeps it."""
CREDITED_THEN = "credited_when_owner_spoke_cents"
"""The name of one of an entry's facts: the part of `OWNERS_WORD` that Zinc had credited for goods. A purge keeps it."""

NOT_BOUGHT: frozenset[State] = frozenset({"failed", "cancelled", "rejected", "refused", "declined"})
_ENDED: frozenset[State] = frozenset(get_args(State)) - OPEN

_SENTENCES: Mapping[Doubt, str] = {
    "price_unclear": "The price that Zinc shows contradicts itself, so nothing is settled on it.",
    "ending_unclear": "Zinc's report of the order's ending contradicts itself, so nothing is settled on it.",
    "above_ceiling": "Zinc says that more was charged than the order's max_price allows.",
}

RESEND_MARGIN_SECONDS = 5.0
"""A credential is not sent again in so many seconds before its end."""
SETTLED_MARGIN_SECONDS = 5.0
"""A proof that a credential was never taken counts only from so many seconds after its end, by our own clock."""


@dataclass(frozen=True, slots=True)
class Payment:
    """The journal's record of one entry's payment by wallet. Times are seconds since the epoch.

    A credential is opaque here. It is kept while it may have to be sent again, byte for byte, and forgotten once the
    order is known or it can no longer settle. Payments have a table of their own, so that no list of entries carries a
    secret.
    """

    entry_id: int
    asked_at: float
    """The time at which the wallet was asked. It is asked once per entry."""
    credential: SecretStr | None = None
    settle_by: float | None = None
    """The credential's end: after it the credential can no longer settle, and may not be sent again."""
    recovery: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Facts with which the wallet can look up the fate of the payment; no secret."""
    order_key: SecretStr | None = None
    """The API key that came with the order and reads it."""

    def with_headers(self, order_key: SecretStr | None, receipt: str | None, *, accepted: bool) -> Self:
        """Return the payment with an answer's headers; a key that came with an accepted order is never replaced."""
        recovery: dict[str, Any] = {**self.recovery, **({"receipt": receipt} if receipt else {})}
        if order_key is None or (self.is_key_proof and not accepted):
            return replace(self, recovery=recovery)
        return replace(self, recovery={**recovery, "key_of_conflict": not accepted}, order_key=order_key)

    @property
    def named(self) -> tuple[str, ...]:
        """The ids of the order that a 409 named."""
        return tuple(str(order_id) for order_id in self.recovery.get("named") or ())

    @property
    def is_key_proof(self) -> bool:
        """Whether the order's own key is here, which proves that Zinc has accepted the order."""
        return self.order_key is not None and not self.recovery.get("key_of_conflict")

    def may_settle(self, now: float) -> bool:
        """Say whether the credential may still be taken, as far as this machine's clock can tell."""
        return self.settle_by is not None and now <= self.settle_by + SETTLED_MARGIN_SECONDS

    def may_go_again(self, now: float) -> bool:
        """Say whether the credential may still be sent, byte for byte."""
        return (
            self.credential is not None and self.settle_by is not None and now < self.settle_by - RESEND_MARGIN_SECONDS
        )


@dataclass(frozen=True, slots=True)
class Settlement:
    """The money of an entry as the journal keeps it."""

    spent_cents: int | None
    """The cents really paid, Zinc's fee included; None while unknown."""
    counts_cents: int
    refunded_cents: int | None
    doubt: Doubt | None = None

    @property
    def columns(self) -> dict[str, int | None]:
        """The values of the journal's columns, by name."""
        return {name: getattr(self, name) for name in ("spent_cents", "counts_cents", "refunded_cents")}


@dataclass(frozen=True, slots=True)
class Told:
    """The facts about an entry's money that people are told. None: unknown, or it does not apply."""

    held_cents: int
    """The most that it could have cost."""
    up_front_cents: int | None = None
    """The cents that a wallet's credential authorised before anything was bought."""
    paid_cents: int | None = None
    refunded_cents: int | None = None
    """The cents that are proved to have come back."""
    expected_back_cents: int | None = None
    """The cents that still have to come back. For money that was paid up front, their return is not proved yet."""
    doubt: Doubt | None = None


def settled(entry: Entry, state: State, order: Order) -> Settlement:
    """Return the money of an entry that is now in `state`, by the order as Zinc shows it."""
    refunded, let_go = _refunded(entry, order), entry.authorised_cents
    if order.ending_is_unclear:
        held = max(entry.reserved_cents, let_go or 0)
        return Settlement(None, held, entry.refunded_cents, "ending_unclear")
    if state in ("failed", "cancelled"):
        if let_go is None:
            return Settlement(0, 0, refunded)
        if order.credits_are_unclear or order.credited_cents > let_go:
            return replace(_unbought(let_go, entry.refunded_cents), doubt="price_unclear")
        return _unbought(let_go, refunded)
    priced = order.job_result.price_components if order.job_result is not None and state == "placed" else None
    if priced is None:
        spent = entry.spent_cents if state == "placed" and entry.state == "placed" else None
        doubt = doubt_of(entry) if spent is not None else None
    else:
        charged = None if priced.is_unclear else priced.charged_cents
        spent = None if charged is None else charged + entry.fee_cents
        above = charged is not None and charged > entry.ceiling_cents
        doubt = "price_unclear" if priced.is_unclear else "above_ceiling" if above else None
    most = spent if spent is not None else let_go if let_go is not None else entry.reserved_cents
    if order.credits_are_unclear or order.credited_cents > most:
        refunded, doubt = entry.refunded_cents, "price_unclear"
        spent = None  # more came back than was paid, or an amount is impossible: such figures are not believed
    held = entry.reserved_cents if let_go is None else max(let_go, spent or 0)
    counts = held if let_go is not None or spent is None else spent
    back = 0 if spent is None and let_go is None else refunded or 0
    return Settlement(spent, max(0, counts - back), refunded, doubt)


def nothing_taken(entry: Entry) -> Mapping[str, int | None]:
    """Return the columns of an entry that is proved to have cost nothing: not sent, rejected, or never taken."""
    return Settlement(0, 0, entry.authorised_cents).columns


def without_order(entry: Entry, *, wallet_was_asked: bool) -> Mapping[str, int | None]:
    """Return the columns of an entry that, by the owner's word, bought nothing. It proves no return of money."""
    authorised = entry.authorised_cents
    if authorised is None and wallet_was_asked:
        authorised = entry.reserved_cents
    if authorised is None:
        return nothing_taken(entry)
    return {**_unbought(authorised, entry.refunded_cents).columns, "authorised_cents": authorised}


def was_paid_up_front(entry: Entry) -> bool:
    """Say whether a wallet paid for an order that is over. Then the owner can say how much has come back."""
    return entry.authorised_cents is not None and entry.state in _ENDED


def is_unproved(entry: Entry) -> bool:
    """Say whether money that was paid up front and bought nothing still counts, because its return is not proved."""
    return was_paid_up_front(entry) and entry.state != "placed" and entry.counts_cents > 0


def refunded_by_owner(entry: Entry, cents: int) -> Mapping[str, Any]:
    """Return the columns that change when the owner says that `cents` in all have come back of a payment up front.

    Raises:
        RefusedError: nothing was paid up front, the order is not over, or `cents` are more than the payment.
    """
    authorised = entry.authorised_cents
    if authorised is None:
        raise RefusedError(
            "Nothing was paid up front for this order, so nothing was changed.",
            "Only an order that a payment wallet paid for has a refund of its own.",
        )
    if entry.state not in _ENDED:
        raise RefusedError(f"This order is not over: it is {entry.state}.", "Try again once it has ended.")
    if not 0 <= cents <= authorised:
        raise RefusedError(f"At most {printed(authorised)} can come back: that was paid up front. Nothing was changed.")
    facts = {**entry.facts, OWNERS_WORD: cents}
    if entry.state == "placed":
        facts[CREDITED_THEN] = min(cents, _credited(entry))
        most = max(authorised, entry.spent_cents or 0)
        return {"facts": facts, "refunded_cents": cents, "counts_cents": max(0, most - cents)}
    return {"facts": facts, **_unbought(authorised, cents).columns}


def told_of(entry: Entry) -> Told:
    """Return the facts about an entry's money that people are told, as the journal has them."""
    let_go, spent, refunded = entry.authorised_cents, entry.spent_cents, entry.refunded_cents
    held, doubt = entry.reserved_cents, doubt_of(entry)
    if let_go is None or _was_never_taken(entry):
        paid = spent if spent is not None else 0 if entry.state in NOT_BOUGHT else None
        back = max(0, held - paid) if paid is not None and entry.state in _ENDED else None
        return Told(held, None, paid, refunded if let_go is None else None, back, doubt)
    if entry.state not in _ENDED:
        return Told(held, let_go, None, refunded, None, doubt)
    if entry.state != "placed":
        back = max(0, let_go - (refunded or 0))
    else:  # what Zinc credits for goods does not return the rest of the payment
        back = None if spent is None else max(0, let_go - spent - _returned_rest(entry))
    return Told(held, let_go, spent if entry.state == "placed" else None, refunded, back, doubt)


def doubt_of(entry: Entry) -> Doubt | None:
    """Return the doubt about the money of an entry."""
    code = (entry.problem or {}).get("code")
    return code if code in _SENTENCES else None


def problem_of(doubt: Doubt | None) -> Mapping[str, Any] | None:
    """Return the problem that an entry keeps for a doubt."""
    return None if doubt is None else {"code": doubt, "summary": _SENTENCES[doubt]}


def _unbought(authorised: int, refunded: int | None) -> Settlement:
    left = max(0, authorised - (refunded or 0))
    return Settlement(None if refunded is None else left, left, refunded)


def _refunded(entry: Entry, order: Order) -> int | None:
    """Return the cents that are proved to have come back: Zinc's credits, or the owner's word if that is more."""
    word = entry.facts.get(OWNERS_WORD)
    credited = order.credited_cents
    return max(word, credited) if isinstance(word, int) else credited or None


def _credited(entry: Entry) -> int:
    """Return the cents that Zinc has certainly credited for goods of an order that was placed."""
    word, refunded = entry.facts.get(OWNERS_WORD), entry.refunded_cents or 0
    if not isinstance(word, int) or refunded > word:
        return refunded
    return _fact(entry, CREDITED_THEN)


def _returned_rest(entry: Entry) -> int:
    """Return the cents that have come back of a payment beside all credits for goods, by the owner's word."""
    return max(0, _fact(entry, OWNERS_WORD) - _fact(entry, CREDITED_THEN))


def _fact(entry: Entry, name: str) -> int:
    cents = entry.facts.get(name)
    return cents if isinstance(cents, int) else 0


def _was_never_taken(entry: Entry) -> bool:
    return entry.spent_cents == 0 and entry.state in WITHOUT_ORDER and OWNERS_WORD not in entry.facts
