"""The check of an order before Zinc has told the time: it may go out only if nothing about it depends on the time."""

from collections.abc import Collection

import sqlalchemy as sa

from zinc_mcp.errors import LimitExceededError, TimeUnknownError
from zinc_mcp.journal.checks import opening
from zinc_mcp.journal.records.entry import Draft, Entry, Limits

_EVER = 0.0
"""The present time of a check that leaves nothing out for its age."""


def check_without_time(connection: sa.Connection, draft: Draft, limits: Limits, again: Collection[int]) -> None:
    """Check that an order may be opened however recent all earlier orders are, because Zinc did not tell the time.

    This machine's clock may be wrong: by it alone, a standing twin and the orders that fill a limit might look old.

    Raises:
        TimeUnknownError: it depends on the time.
    """
    asking = opening.ask_before(connection, draft, limits, _EVER)
    if opening.standing_twin(connection, draft, _EVER, again) is not None:
        raise time_unknown("The same goods were ordered for the same address before")
    try:
        counted = opening.looked_up(connection, asking, draft, limits).counted
        opening.check_limits(connection, draft, limits, counted, _EVER)
    except LimitExceededError:
        raise time_unknown("Earlier orders may still count against a limit") from None


def check_limits_without_time(connection: sa.Connection, entry: Entry, limits: Limits) -> None:
    """Check that the limits admit an entry however recent all earlier orders are; see `check_without_time`.

    Raises:
        TimeUnknownError: it depends on the time.
    """
    try:
        opening.check_limits_again(connection, entry, limits, _EVER)
    except LimitExceededError:
        raise time_unknown("Earlier orders may still count against a limit") from None


def time_unknown(why: str) -> TimeUnknownError:
    """Return the refusal of an order that depends on the time, which Zinc did not tell. `why` begins its sentence."""
    again = "Check the network and ZINC_API_URL, and try again in a minute."
    return TimeUnknownError(
        f"{why}, and Zinc did not answer the question for the time: this machine's clock may be wrong, so it does not "
        "decide that alone. Nothing was sent.",
        owner_step=again,
    )
