"""Questions in the journal: asked, answered, closed. Each function is one step inside a writing transaction."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from zinc_mcp.errors import RefusedError
from zinc_mcp.journal import opening, rows
from zinc_mcp.journal.clocks import FREE
from zinc_mcp.journal.decision import Admission, QuestionRef, Taken, closed, how_far, reference_of
from zinc_mcp.journal.entry import Entry
from zinc_mcp.journal.records import entries_of, entry_of
from zinc_mcp.journal.tables import ANY_MODE, ENTRIES, UNFINISHED

_MOST_READ = 1000
_ASKED = (
    sa.select(ENTRIES)
    .where(
        ENTRIES.c.caller == sa.bindparam("caller"),
        ENTRIES.c.state == sa.literal_column("'waiting'"),
        ENTRIES.c.consent.is_not(None),
        # Where the index of unfinished entries finds them: without them every question would cost a look at all.
        UNFINISHED,
        ANY_MODE,
    )
    .order_by(ENTRIES.c.id)
    .limit(_MOST_READ)
)


def waiting(connection: sa.Connection, caller: str, now: float) -> list[Entry]:
    """Return the entries of a caller whose question stands, oldest first."""
    asked = entries_of(connection, _ASKED, {"caller": caller})
    return [entry for entry in asked if reference_of(entry) is not None and _until(entry) > now]


def ask(connection: sa.Connection, entry: Entry, consent: Mapping[str, Any], most: int, now: float) -> Entry:
    """Freeze a question in its entry.

    Raises:
        StaleEntryError: somebody else moved the entry first.
        RefusedError: `too_many_waiting`, the caller has `most` questions before the person already.
    """
    others = [each for each in waiting(connection, entry.caller, now) if each.id != entry.id]
    if len(others) >= most:
        raise RefusedError(
            f"{len(others)} orders wait for the user's decision already, so nothing more is put before them.",
            "Ask the user to decide about those first, then call again.",
            code="too_many_waiting",
            facts={"waiting": [each.key for each in others]},
        )
    return rows.change(connection, entry, "waiting", "asked", {}, {"consent": dict(consent), **FREE}, now)


def asked_about(
    connection: sa.Connection, about: QuestionRef, caller: str | None, *, to_change: bool = False
) -> Entry | None:
    """Return the entry that waits for an answer to exactly this question, or None; `to_change` as `rows.one`."""
    row = connection.execute(*rows.one(about.entry_id, to_change=to_change)).first()
    if row is None:
        return None
    entry = entry_of(row)
    theirs = caller is None or entry.caller == caller
    return entry if theirs and reference_of(entry) == about else None


def decline(
    connection: sa.Connection,
    about: QuestionRef,
    caller: str | None,
    said: Mapping[str, Any],
    now: float,
) -> Entry:
    """Take a no.

    Raises:
        RefusedError: `question_closed`.
    """
    entry = _standing(connection, about, caller)
    changes: dict[str, Any] = {"consent": {**(entry.consent or {}), "decision": dict(said)}, **FREE}
    what = f"declined ({said['how']})"
    return rows.change(connection, entry, "declined", what, {}, {**changes, "counts_cents": 0, "spent_cents": 0}, now)


def approve(
    connection: sa.Connection,
    about: QuestionRef,
    caller: str | None,
    said: Mapping[str, Any],
    until: Mapping[str, Any],
    admission: Admission,
    *,
    now: float,
    earliest: float,
) -> Taken:
    """Take a yes: look for orders like it that have come since, check the whole policy, and mark the entry.

    Args:
        connection: of a writing transaction.
        about: the question that was answered.
        caller: whose it must be; None for the owner, who decides about everybody's.
        said: the decision, as the journal keeps it.
        until: what a consent keeps about when the yes is over.
        admission: the policy as it stands.
        now: seconds since the epoch, by our clock.
        earliest: the same by whichever witness says that less time has gone by; limits and twins go by it.

    Raises:
        RefusedError: `question_closed`, `approval_expired`; `approval_required`: no dialogue is an answer any more.
    """
    entry = _standing(connection, about, caller)
    if _until(entry) <= now:
        raise RefusedError(
            "The time to approve this order is over, so nothing was sent.",
            "Place the order again to be asked again.",
            code="approval_expired",
        )
    consent = entry.consent or {}
    noted = consent.get("noted") or {}
    near = opening.near_twins(connection, entry, earliest - admission.window_seconds)
    if unnoted := tuple(each for each in near if noted.get(str(each.id)) not in (how_far(each), "sent")):
        return Taken(entry, unnoted=unnoted)
    if said["how"] == "elicitation" and not admission.takes_dialogues():
        raise RefusedError(
            "The owner's policy takes answers on the page or in a terminal only, so this one was not taken.",
            "Nothing was sent; the question still stands.",
            code="approval_required",
        )
    try:
        rows.refuse_when_paused(rows.why_paused(connection, entry))
        opening.check_limits_again(connection, entry, admission.admit(entry), earliest)
    except RefusedError as error:
        problem = {"code": error.code, "summary": error.summary}
        changes = {"counts_cents": 0, "spent_cents": 0, "problem": problem, **FREE}
        refused = rows.change(connection, entry, "refused", f"refused: {error.code}", {}, changes, now)
        return Taken(refused, refusal=error)
    approved = {"consent": {**consent, "decision": dict(said), **until}}
    return Taken(rows.change(connection, entry, "waiting", f"approved ({said['how']})", {}, approved, now))


def _standing(connection: sa.Connection, about: QuestionRef, caller: str | None) -> Entry:
    entry = asked_about(connection, about, caller, to_change=True)
    if entry is None:
        raise closed()
    return entry


def _until(entry: Entry) -> float:
    return float((entry.consent or {}).get("until") or 0.0)
