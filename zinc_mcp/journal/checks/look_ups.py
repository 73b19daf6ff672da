"""The checks before a look-up that costs, inside one transaction: remembered answers, the limits, the budget."""

import sqlalchemy as sa

from zinc_mcp.errors import LimitExceededError, RefusedError
from zinc_mcp.journal.checks import opening, published
from zinc_mcp.journal.records.decision import refuse_when_paused
from zinc_mcp.journal.records.entry import DAY_SECONDS, Draft, Entry, Limits, Mode, State
from zinc_mcp.journal.records.known import Marks, check_known
from zinc_mcp.journal.records.own_policy import OwnPolicy
from zinc_mcp.journal.storage.statements import ask
from zinc_mcp.journal.storage.tables import COUNTING, ENTRIES, IS_LOOK_UP, entries_of, number
from zinc_mcp.text import in_hours, printed

_COUNTED = sa.select(sa.func.coalesce(sa.func.sum(ENTRIES.c.counts_cents), 0), sa.func.min(ENTRIES.c.counted_at)).where(
    ENTRIES.c.mode == sa.bindparam("mode"),
    ENTRIES.c.caller == sa.bindparam("caller"),
    ENTRIES.c.counted_at > sa.bindparam("since"),
    COUNTING,
    IS_LOOK_UP,
)


def remembered(connection: sa.Connection, draft: Draft, since: float, forgotten: frozenset[State]) -> Entry | None:
    """Return the newest entry for the same look-up, of any caller; None if none of them is to be remembered.

    It was opened after `since`, and is in no state of `forgotten`.
    """
    query = (
        sa.select(ENTRIES)
        .where(ENTRIES.c.twin == draft.twin, ENTRIES.c.mode == draft.mode, IS_LOOK_UP)
        .where(ENTRIES.c.opened_at > since, ENTRIES.c.state.not_in(forgotten))
        .order_by(ENTRIES.c.id.desc())
        .limit(1)
    )
    return next(iter(entries_of(connection, query)), None)


def refusal(
    connection: sa.Connection,
    draft: Draft,
    limits: Limits,
    budget_cents: int,
    now: float,
    own_policy: OwnPolicy | None,
    marks: Marks | None,
) -> RefusedError | None:
    """Return the refusal of a look-up that may not cost anything now; None if it may.

    Raises:
        NarrowLockError: the lock is not over all callers, and no policy is published yet.
    """
    asking = opening.ask_before(connection, draft, limits, now)
    before = opening.looked_up(connection, asking, draft, limits)
    try:
        refuse_when_paused(before.paused)
        published.check(connection, own_policy, before.policy)
        check_known(marks, draft.caller, before.member)
        opening.check_limits(connection, draft, limits, before.counted, now)
    except LimitExceededError as full:
        return LimitExceededError(
            f"This question costs {printed(draft.ceiling_cents)}, and {full.limit_in_words} has "
            f"{printed(full.facts['left_cents'])} left. Nothing was asked.",
            "Tell the user which limit it is; only they can raise it, or wait until what counts has aged out.",
            facts=full.facts,
        )
    except RefusedError as refused:
        return refused
    spent_cents, oldest_at = counted(connection, draft.caller, draft.mode, now - DAY_SECONDS)
    left = budget_cents - spent_cents
    if draft.ceiling_cents <= left:
        return None
    ages_out = ""
    if draft.ceiling_cents <= budget_cents and oldest_at is not None:
        ages_out = f" The oldest question that counts ages out in {in_hours(oldest_at + DAY_SECONDS - now)}."
    return LimitExceededError(
        f"This question costs {printed(draft.ceiling_cents)}, and the owner's budget for such questions "
        f"(max_lookups_day, {printed(budget_cents)} in 24 hours) has {printed(max(0, left))} left. Nothing "
        "was asked.",
        f"Tell the user; only they can raise max_lookups_day.{ages_out}",
        facts={"limit_cents": budget_cents, "left_cents": max(0, left), "period": "24 hours"},
    )


def counted(connection: sa.Connection, caller: str, mode: Mode, since: float) -> tuple[int, float | None]:
    """Return the cents of a caller's look-ups that count since `since`, and the time from which the oldest counts."""
    [(cents, oldest_at)] = ask(connection, _COUNTED, {"mode": mode, "caller": caller, "since": since}).rows()
    return int(cents), number(oldest_at) or None
