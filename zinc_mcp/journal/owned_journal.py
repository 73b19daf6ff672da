"""The changes to a journal that only the owner makes.

They are pauses, the clock, addresses, purges, the ends of doubts, other keys, and the end of an upgrade.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from zinc_mcp.errors import RefusedError
from zinc_mcp.invocation import command
from zinc_mcp.journal.records.clocks import FREE, FUTURE_SECONDS, Clock, may_still_run
from zinc_mcp.journal.records.decision import pause_of
from zinc_mcp.journal.records.entry import (
    CHANGES,
    FOREVER,
    LEFT_TO_PEOPLE,
    NAMES,
    PLACED_BEFORE,
    Entry,
    Mode,
    UnreadableEntryError,
)
from zinc_mcp.journal.records.money import is_unproved, refunded_by_owner, was_paid_up_front, without_order
from zinc_mcp.journal.storage import purge, rows, schema
from zinc_mcp.journal.storage.database import Database
from zinc_mcp.journal.storage.statements import NO_LOCK, write
from zinc_mcp.journal.storage.tables import (
    ADDRESSES,
    ANY_MODE,
    COUNTING,
    ENTRIES,
    EVENTS,
    IS_LOOK_UP,
    META,
    PINS,
    SCHEMA_VERSION,
    UNFINISHED,
    VISITS,
    entries_of,
    entry_of,
    number,
)
from zinc_mcp.journal.storage.totals import TOTALS

_PAUSES = (META.c.name >= "paused", META.c.name < "pausee")
"""All names that begin with the word, as a range of the index."""
_NO_PAUSES = sa.delete(META).where(*_PAUSES)
_NEWEST = sa.select(sa.func.coalesce(sa.func.max(ENTRIES.c.counted_at), 0.0)).where(COUNTING)
_SEALED_AT_ONCE = 100
"""Entries whose secrets are sealed anew in one transaction."""
SEEN_SECONDS = 300.0
"""A program of an earlier version counts as running for this time after its last change."""
_BY_EARLIER = sa.or_(EVENTS.c.writer.is_(None), EVENTS.c.writer < SCHEMA_VERSION)
_LAST_BY_EARLIER = sa.select(sa.func.coalesce(sa.func.max(EVENTS.c.at), 0.0)).where(_BY_EARLIER)
_LEASED_BY_EARLIER = sa.select(ENTRIES).where(
    UNFINISHED,
    ANY_MODE,
    ENTRIES.c.lease_owner.is_not(None),
    sa.exists().where(EVENTS.c.entry_id == ENTRIES.c.id, EVENTS.c.version == ENTRIES.c.version, _BY_EARLIER),
)
_MOST_PUT_RIGHT = 10_000
"""The number of entries whose times are put right when the owner says that the clock is right."""
_LATEST: sa.BindParameter[float] = sa.bindparam("latest", type_=sa.Double())
_FROM_THE_FUTURE = (
    sa.select(ENTRIES)
    .where(sa.or_(ENTRIES.c.opened_at > _LATEST, ENTRIES.c.counted_at > _LATEST))
    .order_by(ENTRIES.c.id.desc())
    .limit(_MOST_PUT_RIGHT)
    .with_for_update()
)


class OwnedJournal(Database):
    """The part of a journal that only the owner's commands and pages change."""

    def pause(self, reason: str, of: Entry | None = None) -> None:
        """Stop all placing and sending by every process on this journal, until `resume`.

        With the entry `of`, only its caller on its rail is stopped.
        """
        with self._writing() as connection:
            name = "paused" if of is None else pause_of(of.caller, of.mode, of.rail)
            rows.set_meta(connection, name, reason[:500])

    def resume(self) -> None:
        """End every pause."""
        with self._writing() as connection:
            write(connection, _NO_PAUSES, {})

    def try_to_write(self) -> None:
        """Write something that changes nothing, to see whether an order could be written down.

        Raises:
            JournalError: it cannot.
        """
        with self._writing() as connection:
            rows.set_meta(connection, "tried_to_write", repr(self._clock()))

    def note_clock(self) -> None:
        """Write down the difference of the clocks, so that the owner can accept it in a terminal."""
        with self._writing() as connection:
            newest = number(connection.execute(_NEWEST).scalar_one())
            rows.set_meta(connection, "clock_noted", Clock(self._times.apart_seconds(), newest).kept())

    def accept_clock(self) -> bool:
        """Accept this machine's clock as right; say whether it was in doubt.

        An entry that a wrong clock has put into the future counts from then on from the time that Zinc gave it.
        """
        now = self._clock()
        with self._writing() as connection:
            noted = rows.meta(connection, "clock_noted")
            if noted is None:
                return False
            rows.set_meta(connection, "clock_noted", None)
            rows.set_meta(connection, "clock_accepted", noted)
            for entry in entries_of(connection, _FROM_THE_FUTURE, {"latest": now + FUTURE_SECONDS}):
                if entry.zinc_at is not None and entry.zinc_at <= now + FUTURE_SECONDS:
                    times = {"opened_at": entry.opened_at, "counted_at": entry.counted_at}
                    right = {name: min(at, entry.zinc_at) for name, at in times.items()}
                    rows.change(connection, entry, entry.state, "clock put right by the owner", times, right, now)
        return True

    def paused(self) -> str | None:
        """Return why the whole journal is paused, or None."""
        with self._reading() as connection:
            return rows.meta(connection, "paused")

    def pauses(self) -> list[str]:
        """Return the reasons of all pauses, of the whole journal or of one caller on one rail."""
        with self._reading() as connection:
            return list(connection.execute(sa.select(META.c.value).where(*_PAUSES).order_by(META.c.name)).scalars())

    def addresses(self) -> dict[str, Mapping[str, Any]]:
        """Return the addresses the owner saved here, by name, as they were given; without those that are unreadable."""
        with self._reading() as connection:
            return rows.addresses(connection)

    def address_names(self) -> list[str]:
        """Return the names of all addresses saved here, readable or not."""
        with self._reading() as connection:
            return list(connection.execute(sa.select(ADDRESSES.c.name)).scalars())

    def save_address(self, name: str, fields: Mapping[str, Any]) -> bool:
        """Save an address under a name; False when one is saved under it, in upper or lower case."""
        with self._writing() as connection:
            taken = {kept.casefold() for kept in connection.execute(sa.select(ADDRESSES.c.name)).scalars()}
            if name.casefold() in taken:
                return False
            connection.execute(sa.insert(ADDRESSES), {"name": name, "fields": json.dumps(dict(fields))})
        return True

    def remove_address(self, name: str) -> bool:
        """Remove a saved address; False when there was none."""
        with self._writing() as connection:
            return connection.execute(sa.delete(ADDRESSES).where(ADDRESSES.c.name == name)).rowcount > 0

    def purge(self, older_than_seconds: float) -> int:
        """Forget the content of finished entries that are this old, and return their number; digests and money stay.

        Other processes can place orders meanwhile. On SQLite the journal's files hold nothing of that content
        afterwards, unless another process goes on reading the log: then a warning is logged.
        """
        forgotten = self._forget(self._clock() - older_than_seconds)
        if forgotten:
            self._empty_log()
        return forgotten

    def forget_caller(self, caller: str) -> tuple[int, int]:
        """Forget a caller: the content of all their finished entries, their PIN, their visits, and their name.

        Digests, keys, money and states stay, under a caller that no member has. Returns the number of entries whose
        content it forgot, and the number of the caller's entries that are not over and stay until a later call.
        """
        renamed = f"forgotten#{caller.rpartition('#')[2]}"
        forgotten, after = self._forget(None, caller), 0
        while True:
            with self._writing() as connection:
                last = purge.rename_slice(connection, caller, renamed, self._clock(), after)
            if last is None:
                break
            after = last
            time.sleep(purge.PAUSE_SECONDS)
        with self._writing() as connection:
            connection.execute(sa.delete(PINS).where(PINS.c.caller == caller))
            connection.execute(sa.delete(VISITS).where(VISITS.c.visitor == caller))
            empty = (TOTALS.c.cents == 0, TOTALS.c.orders == 0)
            connection.execute(sa.delete(TOTALS).where(TOTALS.c.caller == caller, *empty))
            left = connection.execute(sa.select(sa.func.count()).where(ENTRIES.c.caller == caller)).scalar_one()
        self._empty_log()
        return forgotten, int(left)

    def _forget(self, before: float | None, caller: str | None = None) -> int:
        now, forgotten = self._clock(), 0
        while True:
            with self._writing() as connection:
                count = purge.forget_slice(connection, before, now, caller)
            forgotten += count
            if count < purge.SLICE:
                return forgotten
            time.sleep(purge.PAUSE_SECONDS)

    def resolve(
        self,
        key: str,
        *,
        order_id: str | None,
        holder_ended: bool = False,
        mode: Mode | None = None,
        caller: str | None = None,
    ) -> Entry:
        """Take the owner's last word on an order in doubt: bought as `order_id`, or not bought at all.

        Args:
            key: the order's; of several that share it, the one in doubt is meant.
            order_id: Zinc's id of the order; None if it was not bought.
            holder_ended: the owner states that the process which was sending it has ended.
            mode: of the order, where several with this key are in doubt.
            caller: likewise.

        Raises:
            RefusedError: no such entry, or several; it is not in doubt, it is still being sent, or it is said not to
                be bought while the process that was sending it may still run, and send it.
        """
        now = self._clock()
        with self._writing() as connection:
            entry = _meant(connection, key, mode, caller, lambda entry: entry.state in FOREVER)
            if entry.state not in FOREVER:
                raise RefusedError(
                    f"This order is not in doubt: it is {entry.state}.", owner_step="Nothing needs to be resolved."
                )
            if entry.state in ("signing", "sending") and self._leases.is_held(entry):
                raise RefusedError("This order is being sent just now.", owner_step="Try again in two minutes.")
            same_machine = self._engine.dialect.name == "sqlite"  # a journal of SQLite is never in a network folder
            if order_id is None and entry.sender is not None and not holder_ended:
                if may_still_run(entry.sender, same_machine=same_machine):
                    raise RefusedError(
                        "The process that was sending this order may still run, and could send it after all.",
                        owner_step="Stop that server, or, if it ran elsewhere and has ended, say so with "
                        "--holder-ended.",
                    )
            what, detail = "resolved by the owner", {"bought": order_id}
            if entry.rail == "agent":
                rows.forget_credential(connection, entry.id)
            if entry.kind in CHANGES:
                return _resolved_change(connection, entry, order_id, now)
            if order_id is not None and (entry.problem or {}).get("code") == LEFT_TO_PEOPLE:
                # Zinc goes on to say that it does not know, so this is the last word; the id is the retailer's.
                facts = {**entry.facts, "bought_as": order_id}
                known = {**FREE, "sender": None, "facts": facts, "problem": None}
                return rows.change(connection, entry, "placed", what, detail, known, now)
            if order_id is not None:
                bought = {**FREE, "sender": None, "order_id": order_id, "problem": None}
                return rows.change(connection, entry, "accepted", what, detail, bought, now)
            problem = {"code": "resolved_not_bought", "summary": "The owner stated that this was not bought."}
            # If Zinc had the order before anything was paid, its payment's row holds at most the order's own key.
            had_before = (entry.problem or {}).get("code") == PLACED_BEFORE
            was_asked = not had_before and rows.read_payment(connection, entry.id, self.sealing) is not None
            money = without_order(entry, wallet_was_asked=was_asked)
            not_bought = {**FREE, "sender": None, **money, "problem": problem}
            return rows.change(connection, entry, "rejected", what, detail, not_bought, now)

    def seal_anew(self) -> tuple[int, list[int]]:
        """Seal all secrets with the first key, also those that were kept plain. Servers with all keys go on meanwhile.

        Returns:
            The number of these secrets, and the ids of entries with a secret that cannot be read and stays as it is.

        Raises:
            JournalError: a secret is sealed with a key that is not known here. The secrets before it are sealed anew.
        """
        count, unreadable, after = 0, list[int](), 0
        while True:
            with self._writing(NO_LOCK) as connection:
                more, damaged, last = rows.seal_payments_anew(connection, after, _SEALED_AT_ONCE, self.sealing)
            count += more
            unreadable += damaged
            if last is None:
                return count, unreadable
            after = last

    def kept_schema(self) -> schema.Kept:
        """Return the version that a program must have to use the journal, and what was added for this one."""
        with self._reading() as connection:
            return schema.kept(connection)

    def finish_upgrade(self, *, others_ended: bool = False) -> None:
        """Let only programs of this version, and later ones, use the journal from now on. There is no way back.

        Args:
            others_ended: the owner states that all programs of earlier versions have ended. One that has not writes
                nothing more in any case; an order that it is sending then stays in doubt until it is looked up.

        Raises:
            RefusedError: a program of an earlier version has just changed the journal, or holds an order. One that only
                looks, or waits for orders, leaves no trace.
        """
        if not others_ended:
            with self._reading() as connection:
                self._refuse_beside_earlier(connection)
        with self._writing() as connection:
            schema.finish(connection)

    def _refuse_beside_earlier(self, connection: sa.Connection) -> None:
        step = "Stop every server and host that runs it, and try again. If all of them have ended, add --others-ended."
        for entry in entries_of(connection, _LEASED_BY_EARLIER.order_by(ENTRIES.c.id)):
            if left := self._leases.left(entry):
                raise RefusedError(
                    f"A program of an earlier version holds the order {entry.key} for {left:.0f} more seconds, so "
                    "nothing was changed.",
                    owner_step=step,
                )
        ago = self._clock() - number(connection.execute(_LAST_BY_EARLIER).scalar_one())
        if ago < SEEN_SECONDS:
            raise RefusedError(
                f"A program of an earlier version changed the journal {max(0.0, ago):.0f} seconds ago, so nothing was "
                "changed.",
                owner_step=step,
            )

    def refunded(self, key: str, cents: int, *, mode: Mode | None = None, caller: str | None = None) -> Entry:
        """Take the owner's word that `cents` in all have come back of the money that a wallet paid for an order.

        If several orders share the key, the one is meant whose money is not proved to have come back. `mode` and
        `caller` choose among several such orders.

        Raises:
            RefusedError: no such entry, or several; it has not ended, or more is said to have come back than was paid.
        """
        with self._writing() as connection:
            entry = _meant(connection, key, mode, caller, is_unproved, was_paid_up_front)
            changes, detail = refunded_by_owner(entry, cents), {"refunded_cents": cents}
            what = "the owner says what has come back"
            return rows.change(connection, entry, entry.state, what, detail, changes, self._clock())


def _resolved_change(connection: sa.Connection, entry: Entry, zinc_id: str | None, now: float) -> Entry:
    """Take the owner's word on a return or report in doubt: Zinc has it under this id, or (None) does not have it."""
    what, detail = "resolved by the owner", {"bought": zinc_id}
    changes: dict[str, Any] = {**FREE, "sender": None, "problem": None}
    if zinc_id is not None:
        changes["facts"] = {**entry.facts, "zinc_id": zinc_id}
        return rows.change(connection, entry, "placed", what, detail, changes, now)
    summary = f"The owner stated that Zinc has not got this {NAMES[entry.kind][0]}."
    changes["problem"] = {"code": "resolved_not_bought", "summary": summary}
    return rows.change(connection, entry, "rejected", what, detail, changes, now)


def _meant(
    connection: sa.Connection, key: str, mode: Mode | None, caller: str | None, *may_be: Callable[[Entry], bool]
) -> Entry:
    """Return the order that the owner means by a key: the only one of which the first of `may_be` is true.

    If that is true of none, the next of `may_be` decides. If all of them are true of none, the newest order is
    returned, so that the caller can say why it is not possible for that one.

    Raises:
        RefusedError: there is none with this key, or several may be meant.
        UnreadableEntryError: one with this key cannot be read, and no other may be meant.
    """
    query = sa.select(ENTRIES).where(ENTRIES.c.key == key, ~IS_LOOK_UP)
    query = query if mode is None else query.where(ENTRIES.c.mode == mode)
    query = query if caller is None else query.where(ENTRIES.c.caller == caller)
    found: list[Entry] = []
    unreadable: UnreadableEntryError | None = None
    for row in connection.execute(query.order_by(ENTRIES.c.id.desc()).with_for_update()).all():
        try:
            found.append(entry_of(row))
        except UnreadableEntryError as error:
            unreadable = error
    for is_one in may_be:
        meant = [entry for entry in found if is_one(entry)]
        if len(meant) > 1:
            shared = "; ".join(f"--mode {entry.mode} --caller {entry.caller}" for entry in meant[:10])
            raise RefusedError(
                f"{len(meant)} orders with this key may be meant, so nothing was changed.",
                owner_step=f"Say which one with one of these beside the key: {shared}",
            )
        if meant:
            return meant[0]
    if unreadable is not None:
        raise unreadable
    if not found:
        raise RefusedError(
            "No such order with this key is in the journal.", owner_step=f"{command('orders')} lists the keys."
        )
    return found[0]
