"""A round's verdict, and the evidence for it: out of Zinc's ledger, the journal and what was told."""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from bench.agents import Told
from bench.classes import PRACTICE
from bench.plan import Intention, Round

BROKEN = (
    "duplicated",
    "lost",
    "limit overruns",
    "wrong endings",
    "false twins",
    "changed bodies",
    "told wrongly",
    "answers about another order believed",
    "told that nothing was sent, and it was",
    "sent without a yes to these bytes",
    "bought or spent by a wrong clock",
    "bought or paid by a stopped process",
    "two owners within one lease",
    "POSTs of one key at once",
    "reservations that do not count",
    "opened beside one in doubt",
    "duplicates where keys are ignored, and no pause",
    "POSTs after the pause",
    "rounds of questions that nobody answered",
)
"""Rows that count broken promises: all must be zero. The last one counts rounds that proved nothing. The two before it
are about a Zinc that ignores keys, the four before those come from `bench.record_judge`, and the five before them from
`bench.class_judge`."""
BROKEN_BY_WALLET = (
    "second credentials",
    "paid twice",
    "paid another amount",
    "lies paid",
    "order keys lost",
    "paid past a limit",
    "money told to come back, and not proved",
    "wallets started again or too late",
    "credentials kept after the end",
)
"""What besides breaks one where a wallet pays."""
PRACTISED = "practised: "
"""Before keys of the built-in sandbox: one key may stand for an order there and for another one here."""
_BUILT_IN = "https://sandbox.invalid"
_MOST_FINDINGS = 15
"""Of each kind in a round, so many are said in words."""
_MOST_SAID = 200


@dataclass(frozen=True, slots=True)
class Unknown:
    """An intention whose end is not known when the campaign ends, and what the truth is."""

    fault: str
    dialect: str
    kill: str
    behaviour: str
    at_zinc: bool
    posts: tuple[str, ...]
    """What Zinc's ledger says of each POST."""

    @property
    def why(self) -> str:
        """Say why nobody can know better."""
        if self.at_zinc:
            return "it landed, and no look-up of this dialect finds it"
        if not self.posts:
            return "journalled as sent and killed, or Zinc was away, before it arrived; nobody asked again in time"
        if len(self.posts) == 1:
            return "its answer was lost, and nobody asked again in time"
        if self.posts[-1].startswith(("rejected", "not_accepted_rate", "not_accepted_unauth")):
            return "its answer was lost, and a no to a repeat proves nothing"
        return "every answer was lost"


@dataclass(slots=True)
class Verdict:
    """What one round, or all of them together, came to."""

    counts: Counter[str] = field(default_factory=Counter[str])
    keys: Counter[int] = field(default_factory=Counter[int])
    """Intentions by how many idempotency keys of theirs reached Zinc."""
    posts: Counter[int] = field(default_factory=Counter[int])
    """Intentions by how many POSTs of theirs reached Zinc."""
    unknown: list[Unknown] = field(default_factory=list[Unknown])
    findings: list[str] = field(default_factory=list[str])
    credentials: Counter[int] = field(default_factory=Counter[int])
    """Intentions by how many payment credentials of theirs reached Zinc."""
    settlements: Counter[int] = field(default_factory=Counter[int])
    """Intentions by how many payments of theirs were taken."""

    @property
    def broken(self) -> bool:
        """Whether a promise was broken."""
        return any(self.counts[name] for name in (*BROKEN, *BROKEN_BY_WALLET))

    def add(self, other: "Verdict") -> None:
        """Take another verdict into this one."""
        self.counts += other.counts
        self.keys += other.keys
        self.posts += other.posts
        self.credentials += other.credentials
        self.settlements += other.settlements
        self.unknown += other.unknown
        self.findings += other.findings[: max(0, _MOST_SAID - len(self.findings))]

    def found(self, kind: str, what: str) -> None:
        """Count something, and say what it was."""
        self.counts[kind] += 1
        if self.counts[kind] <= _MOST_FINDINGS:
            self.findings.append(f"{kind}: {what}")


@dataclass(slots=True)
class Evidence:
    """One intention: what Zinc has of it, what the journal says, what its agent was told."""

    intention: Intention
    orders: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    posts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    entries: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    told: Sequence[Told] = ()


def read_ledgers(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Read a sandbox's ledger and, where somebody has practised beside it, that of the built-in one."""
    orders, attempts = read_ledger(path)
    built_in = path.with_name("sandbox.db")
    if built_in.exists():
        more_orders, more_attempts = read_ledger(built_in)
        for row in (*more_orders, *more_attempts):
            row["idempotency_key"] = f"{PRACTISED}{row['idempotency_key']}"
        orders, attempts = orders + more_orders, attempts + more_attempts
    return orders, attempts


def read_ledger(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Read the orders and the POSTs of a sandbox's ledger."""
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        orders = [dict(row) for row in database.execute("select * from orders order by seq")]
        attempts = [dict(row) for row in database.execute("select * from attempts order by seq")]
    for order in orders:
        order["body"] = json.loads(order["body"])
        order["identity"] = _identity(order["body"])
    return orders, attempts


def read_journal(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bool]:
    """Read the entries and events of a journal, and whether it is paused."""
    if not path.exists():
        return [], [], False
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        entries = [dict(row) for row in database.execute("select * from zinc_entries order by id")]
        # In the order in which they were written, whatever each writer's clock said.
        events = [dict(row) for row in database.execute("select * from zinc_events order by rowid")]
        paused = database.execute("select value from zinc_meta where name = 'paused'").fetchone()
    for entry in entries:
        entry["identity"] = _identity(json.loads(entry["body"]))
        if entry["origin"] == _BUILT_IN:
            entry["key"] = f"{PRACTISED}{entry['key']}"
    return entries, events, paused is not None


def _identity(body: Mapping[str, Any]) -> str:
    product: Mapping[str, Any] = body["products"][0]
    item = dict(parse_qsl(urlsplit(str(product["url"])).query)).get("item", "?")
    return f"{item}/{product.get('quantity', 1)}/{body['shipping_address'].get('address_line2') or ''}"


def could_buy(post: Mapping[str, Any]) -> bool:
    """Say whether a POST was more than the question for a price."""
    return bool(post["rail"] == "account" or post["credential"] is not None)


def sorted_out(
    each: Round,
    orders: Sequence[dict[str, Any]],
    attempts: Sequence[dict[str, Any]],
    entries: Sequence[dict[str, Any]],
    told: Mapping[int, Sequence[Told]],
) -> dict[str, Evidence]:
    """Return everything there is about each intention, by its identity."""
    found = {wish.identity: Evidence(wish, told=_told_to(wish, told)) for wish in each.intentions}
    whose: dict[str, str] = {}
    for order in orders:
        found[order["identity"]].orders.append(order)
        whose[order["idempotency_key"]] = order["identity"]
    for entry in entries:
        found[entry["identity"]].entries.append(entry)
        whose[entry["key"]] = entry["identity"]
    of = {order["order_id"]: order["identity"] for order in orders}
    for attempt in attempts:
        identity = whose.get(attempt["idempotency_key"]) or of.get(attempt["order_id"])
        if identity is not None:
            found[identity].posts.append(attempt)
    return found


def _told_to(wish: Intention, told: Mapping[int, Sequence[Told]]) -> Sequence[Told]:
    calls = told.get(wish.number, ())
    if wish.line2 != PRACTICE:
        return calls
    return [
        replace(call, said={**call.said, "key": f"{PRACTISED}{call.said['key']}"})
        if call.said is not None and call.said.get("key") is not None
        else call
        for call in calls
    ]
