"""The evidence of a round: Zinc's ledger, the journal and the answers of the tools, sorted by intention."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from bench.campaign.agents.agent import Call
from bench.campaign.plan import v1_orders
from bench.campaign.plan.intentions import CANCELLED, FAILING, PRACTICE, REJECTED, Intention, Round

PRACTISED = "practised: "
"""The prefix of keys of the built-in sandbox, since the same key may name another order at the practice Zinc."""
LANDED = frozenset({"accepted", "placed", "failed", "cancelled"})
"""States of an entry that say that Zinc has the order."""

BY_KEY = "key:"
"""The beginning of the name of a v1 order that a list shows without its id."""

_BUILT_IN = "https://sandbox.invalid"

Row = dict[str, Any]
"""A row of a database."""
Orders = Mapping[str, Row]
"""Zinc's orders by their ids."""


@dataclass(slots=True)
class Evidence:
    """One intention: what Zinc has of it, what the journal says, and the calls of its agent."""

    intention: Intention
    orders: list[Row] = field(default_factory=list[Row])
    posts: list[Row] = field(default_factory=list[Row])
    entries: list[Row] = field(default_factory=list[Row])
    calls: Sequence[Call] = ()

    @property
    def name(self) -> str:
        """Its name in a finding."""
        wish = self.intention
        return f"#{wish.number} ({wish.scenario}, {'+'.join(wish.faults)}, {wish.kill or wish.behaviour})"

    @property
    def answers(self) -> list[Row]:
        """The answers that came."""
        return [call.answer for call in self.calls if call.answer is not None]

    def posts_of(self, key: str) -> list[Row]:
        """Return the POSTs under a key."""
        return [post for post in self.posts if post["idempotency_key"] == key]

    def can_be(self, state: str) -> bool:
        """Say whether an order of this intention can be in this state."""
        scenario = self.intention.scenario
        if self.intention.by_number:
            return v1_orders.can_be(scenario, state)
        match state:
            case "placed":
                return scenario in ("success", *CANCELLED)
            case "failed":
                return scenario in FAILING
            case "cancelled":
                return scenario in CANCELLED
            case _:
                return scenario not in REJECTED


@dataclass(slots=True)
class RoundEvidence:
    """All evidence of a round."""

    orders: list[Row]
    attempts: list[Row]
    """The POSTs in Zinc's ledger."""
    entries: list[Row]
    events: list[Row]
    """The events in the order in which they were written, whatever the clock of each writer."""
    is_paused: bool
    intentions: list[Evidence]

    @property
    def known(self) -> Orders:
        """Zinc's orders by their ids."""
        return {order["order_id"]: order for order in self.orders}


def read_round(each: Round, folder: Path, calls: Mapping[int, Sequence[Call]]) -> RoundEvidence:
    """Read the ledgers and the journal of a round, and sort them by intention."""
    orders, attempts = read_ledger(folder / "ledger.db")
    if (folder / "sandbox.db").exists():  # somebody has practised beside it
        more_orders, more_attempts = read_ledger(folder / "sandbox.db")
        for row in (*more_orders, *more_attempts):
            row["idempotency_key"] = f"{PRACTISED}{row['idempotency_key']}"
        orders, attempts = orders + more_orders, attempts + more_attempts
    entries, events, is_paused = _read_journal(folder / "journal.db")
    calls = _by_id(orders, entries, calls)
    return RoundEvidence(
        orders, attempts, entries, events, is_paused, sorted_out(each, orders, attempts, entries, calls)
    )


def _by_id(
    orders: Iterable[Row], entries: Iterable[Row], calls: Mapping[int, Sequence[Call]]
) -> Mapping[int, Sequence[Call]]:
    """Replace the names of v1 orders that are made of their keys by their ids, in the entries and in the calls."""
    named = {f"{BY_KEY}{order['idempotency_key']}": order["order_id"] for order in orders if order["rail"] == "v1"}
    for entry in entries:
        entry["order_id"] = named.get(entry["order_id"], entry["order_id"])
    return {
        number: [
            replace(call, answer={**call.answer, "order_id": named[call.answer["order_id"]]})
            if call.answer is not None and call.answer.get("order_id") in named
            else call
            for call in some
        ]
        for number, some in calls.items()
    }


def read_ledger(path: Path) -> tuple[list[Row], list[Row]]:
    """Read the orders and the POSTs of a sandbox's ledger."""
    with closing(sqlite3.connect(path)) as database:
        orders = rows_of(database, "select * from orders order by seq")
        attempts = rows_of(database, "select * from attempts order by seq")
    for order in orders:
        order["body"] = json.loads(order["body"])
        order["identity"] = _identity(order["body"])
    return orders, attempts


def _read_journal(path: Path) -> tuple[list[Row], list[Row], bool]:
    if not path.exists():
        return [], [], False
    with closing(sqlite3.connect(path)) as database:
        entries = rows_of(database, "select * from zinc_entries order by id")
        events = rows_of(database, "select * from zinc_events order by rowid")
        paused = rows_of(database, "select value from zinc_meta where name = 'paused'")
    for entry in entries:
        entry["identity"] = _identity(json.loads(entry["body"]))
        if entry["origin"].startswith(_BUILT_IN):
            entry["key"] = f"{PRACTISED}{entry['key']}"
    return entries, events, bool(paused)


def rows_of(database: sqlite3.Connection, query: str) -> list[Row]:
    """Return the rows of a query."""
    database.row_factory = sqlite3.Row
    return [dict(row) for row in database.execute(query)]


def _identity(body: Mapping[str, Any]) -> str:
    product: Mapping[str, Any] = body["products"][0]
    practice = str(body["client_notes"]["practice"]) if "retailer" in body else urlsplit(str(product["url"])).query
    item = dict(parse_qsl(practice)).get("item", "?")
    return f"{item}/{product.get('quantity', 1)}/{body['shipping_address'].get('address_line2') or ''}"


def sorted_out(
    each: Round,
    orders: Iterable[Row],
    attempts: Iterable[Row],
    entries: Iterable[Row],
    calls: Mapping[int, Sequence[Call]],
) -> list[Evidence]:
    """Return the evidence of each intention."""
    found = {wish.identity: Evidence(wish, calls=_calls_of(wish, calls)) for wish in each.intentions}
    whose: dict[str, str] = {}
    of: dict[str, str] = {}
    for order in orders:
        found[order["identity"]].orders.append(order)
        whose[order["idempotency_key"]] = of[order["order_id"]] = order["identity"]
    for entry in entries:
        found[entry["identity"]].entries.append(entry)
        whose[entry["key"]] = entry["identity"]
    for attempt in attempts:
        identity = whose.get(attempt["idempotency_key"]) or of.get(attempt["order_id"])
        if identity is not None:
            found[identity].posts.append(attempt)
    return list(found.values())


def _calls_of(wish: Intention, calls: Mapping[int, Sequence[Call]]) -> Sequence[Call]:
    own = calls.get(wish.number, ())
    if wish.line2 != PRACTICE:
        return own
    return [
        replace(call, answer={**call.answer, "key": f"{PRACTISED}{call.answer['key']}"})
        if call.answer is not None and call.answer.get("key") is not None
        else call
        for call in own
    ]


# A POST in Zinc's ledger


def could_buy(post: Mapping[str, Any]) -> bool:
    """Say whether a POST was more than the question for a price."""
    return bool(post["rail"] != "agent" or post["credential"] is not None)


def is_a_no(post: Mapping[str, Any]) -> bool:
    """Say whether a POST was answered with a no."""
    outcome = str(post["outcome"])
    if post["rail"] == "v1":
        return v1_orders.is_no(outcome)
    return outcome.startswith("rejected_") or outcome.endswith(("_rate_limited", "_unauthorized_once"))


def outcomes(posts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the outcome and the fault of each POST in the ledger."""
    return [post["outcome"] + (f" then {post['fault']}" if post["fault"] else "") for post in posts]
