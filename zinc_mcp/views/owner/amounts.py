"""The money of one entry as the owner's receipt and export tell it: authorised, charged, credited, still expected."""

from dataclasses import dataclass, fields

from zinc_mcp.journal.records.entry import NOTHING_SENT, Entry
from zinc_mcp.journal.records.money import NOT_BOUGHT, told_of


@dataclass(frozen=True, slots=True)
class Amounts:
    """Amounts in US cents, Zinc's fee included."""

    authorised_cents: int
    """The most that Zinc was allowed to take for what was sent: from the balance, or by what the wallet signed."""
    charged_cents: int | None
    """The price that was really paid; 0 if nothing was bought, None while that is not known."""
    credited_cents: int
    """The cents that are proved to have come back."""
    expected_cents: int
    """Paid up front by wallet, due back, and not proved to have come back."""
    unsettled_cents: int
    """The most that may still turn out to be charged, where `charged_cents` is not known."""


NAMES = tuple(each.name for each in fields(Amounts))


def amounts_of(entry: Entry) -> Amounts:
    """Return the money of an entry as the journal has it."""
    if entry.kind == "look_up":
        spent = entry.spent_cents
        return Amounts(entry.ceiling_cents, spent, 0, 0, 0 if spent is not None else entry.counts_cents)
    told = told_of(entry)
    credited = told.refunded_cents or 0
    if told.up_front_cents is not None:
        return _paid_up_front(entry, told.up_front_cents, credited, told.expected_back_cents or 0)
    is_without = entry.attempts == 0 or entry.state in NOTHING_SENT or entry.state in ("waiting", "rejected")
    if is_without:
        may_have_paid = entry.state in ("signing", "unknown")  # a wallet that was asked may have paid
        return Amounts(0, None if may_have_paid else 0, credited, 0, entry.counts_cents if may_have_paid else 0)
    charged = told.paid_cents
    return Amounts(entry.reserved_cents, charged, credited, 0, entry.counts_cents if charged is None else 0)


def _paid_up_front(entry: Entry, authorised: int, credited: int, expected: int) -> Amounts:
    if entry.state in NOT_BOUGHT:
        return Amounts(authorised, 0, credited, expected, 0)
    if entry.state == "placed" and entry.spent_cents is not None:
        return Amounts(authorised, entry.spent_cents, credited, expected, 0)
    return Amounts(authorised, None, credited, 0, max(0, authorised - credited))
