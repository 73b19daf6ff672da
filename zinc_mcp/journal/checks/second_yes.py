"""The yes of another person, which a caller's orders of 24 hours need above a sum.

An order is added to those that were opened before it and still count. So of many small orders the first that passes the
sum needs that yes, and each one after it. It makes no difference which of them is decided first.
"""

from collections.abc import Mapping

import sqlalchemy as sa

from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.records.entry import DAY_SECONDS, Draft, Entry, Limits
from zinc_mcp.journal.storage import totals
from zinc_mcp.journal.storage.statements import ask, is_sqlite
from zinc_mcp.text import printed

_EVER = -1.0
_NEWEST_ID = 2**62
_EARLIER = totals.counted_before("since", "before", "sqlite")
_EARLIER_ON_POSTGRESQL = totals.counted_before("since", "before", "postgresql")


def opens_above(connection: sa.Connection, draft: Draft, limits: Limits, day_cents: int | None) -> bool:
    """Say whether an order that is being opened needs the yes of another person.

    `day_cents` is the sum that counts of the caller's last 24 hours. It is None where Zinc has not told the time: then
    every earlier order counts, however old it seems by this machine's clock.
    """
    if limits.second_yes_cents is None or draft.kind != "order":
        return False
    earlier = _earlier_cents(connection, draft, _NEWEST_ID, None) if day_cents is None else day_cents
    return _is_above(earlier, draft, limits.second_yes_cents)


def is_due(connection: sa.Connection, entry: Entry, limits: Limits, now: float | None) -> bool:
    """Say whether an order needs the yes of another person.

    `now` is None where Zinc has not told the time: then every earlier order counts, as in `opens_above`.
    """
    if limits.second_yes_cents is None or entry.kind != "order":
        return False
    return _is_above(_earlier_cents(connection, entry, entry.id, now), entry, limits.second_yes_cents)


def _is_above(earlier_cents: int, order: Draft | Entry, second_yes_cents: int) -> bool:
    return earlier_cents + order.reserved_cents > second_yes_cents


def _earlier_cents(connection: sa.Connection, order: Draft | Entry, before: int, now: float | None) -> int:
    window = totals.window("since", _EVER if now is None else now - DAY_SECONDS)
    given = {"mode": order.mode, "caller": order.caller, **window, "before": before}
    [(cents, _)] = ask(connection, _EARLIER if is_sqlite(connection) else _EARLIER_ON_POSTGRESQL, given).rows()
    return int(cents)


def check_given(connection: sa.Connection, entry: Entry, limits: Limits, now: float | None) -> None:
    """Check that an order which is going to be sent has that yes if it needs one; `now` is as in `is_due`.

    Raises:
        RefusedError: `not_allowed`.
    """
    decision: Mapping[str, object] = (entry.consent or {}).get("decision") or {}
    if is_due(connection, entry, limits, now) and not decision.get("second"):
        raise missing(limits)


def missing(limits: Limits) -> RefusedError:
    """Return the refusal of an order, or of a yes, without the yes of another person.

    Nobody is another person for an order of their own, however they sign in and whatever PIN they know. A person does
    not count either if their access was made or changed in the last day, or if they changed the caller's access in that
    time: they may act for both. If only the issuer knows the caller, the other person has to be known there as well.
    """
    above = printed(limits.second_yes_cents or 0)
    return RefusedError(
        f"Another person has to say yes: the orders of 24 hours come to more than {above} (second_yes_above).",
        "Nothing was sent. An admin of this server decides about it on the approval page, with an access that is a day "
        "old at least, and with an identity at the issuer where the caller is no member; or the owner in a terminal, "
        "unless they added or changed the member in the last day.",
        code="not_allowed",
        owner_step="Have an admin of the team decide on the approval page. Here the owner can, unless they added or "
        "changed the member in the last day.",
    )
