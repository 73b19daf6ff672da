"""Compares the answers that hosts got with Zinc's ledger and the journal at the end."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.replicas.intentions import Intention
from zinc_mcp.journal.records.entry import Entry

OVER_MEMBER, OVER_TEAM = "overruns of a member's limit", "overruns of the team's limit"
ROWS = ("duplicated", "lost", OVER_MEMBER, OVER_TEAM, "wrong member", "told wrongly")


@dataclass
class Verdict:
    """The broken promises of each kind, in words."""

    broken: dict[str, list[str]] = field(default_factory=lambda: {name: list[str]() for name in ROWS})

    def add(self, name: str, what: str) -> None:
        """Add one broken promise."""
        self.broken[name].append(what)


def judge(
    intentions: Sequence[Intention],
    orders: Sequence[tuple[str, str, float]],
    entries: Sequence[Entry],
    *,
    most_of_member: int,
    most_of_team: int,
) -> Verdict:
    """Compare all answers with the orders and the entries.

    Args:
        intentions: the intentions with all answers.
        orders: Zinc's orders: id, number of the product, and time of creation by the machine's clock.
        entries: the journal's entries.
        most_of_member: the number of orders that each member may have.
        most_of_team: the number of orders that all members together may have.
    """
    verdict = Verdict()
    by_product: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for order_id, product, at in orders:
        by_product[product].append((order_id, at))
    known = {entry.order_id: entry for entry in entries if entry.order_id}
    product_of = {order_id: product for order_id, product, _ in orders}
    counted: Counter[str] = Counter()
    for wanted in intentions:
        there = by_product.get(wanted.product, [])
        counted[wanted.member] += len(there)
        if len(there) > 1:
            verdict.add("duplicated", f"{wanted.product}: {len(there)} orders")
        for order_id, _ in there:
            entry = known.get(order_id)
            if entry is None:
                verdict.add("lost", f"{wanted.product}: the journal does not know {order_id}")
            elif entry.caller.partition("#")[0] != wanted.member:
                verdict.add("wrong member", f"{wanted.product} of {wanted.member} is {entry.caller}'s")
        ids = {order_id for order_id, _ in there}
        for began, facts in wanted.told:
            told = facts.get("order_id")
            if told and told not in product_of:
                verdict.add("lost", f"{wanted.product}: {told} was told, and Zinc does not have it")
            elif told and told not in ids:
                verdict.add("told wrongly", f"{wanted.product}: told {told}, which is {product_of[told]}")
            elif not told and _denies_it(facts) and any(at < began for _, at in there):
                verdict.add("told wrongly", f"{wanted.product}: {facts.get('code')} though it was ordered before")
        last = wanted.told[-1][1] if wanted.told else {}
        if there and last.get("order_id") not in ids:
            verdict.add("told wrongly", f"{wanted.product}: at last told {last.get('code')} {last.get('summary')}")
        if not there and last.get("code") != "limit_exceeded":
            verdict.add("lost", f"{wanted.product}: never ordered, at last told {last.get('code')}")
    for member, number in counted.items():
        if number > most_of_member:
            verdict.add(OVER_MEMBER, f"{member}: {number} of {most_of_member}")
    if len(orders) > most_of_team:
        verdict.add(OVER_TEAM, f"{len(orders)} of {most_of_team}")
    return verdict


def _denies_it(facts: Mapping[str, Any]) -> bool:
    """Say whether an answer claims that the intention was not ordered before."""
    return facts.get("money_may_have_moved") is False and "earlier call" not in facts["summary"]


def ledger(path: Path) -> list[tuple[str, str, float]]:
    """Return the orders of the practice Zinc, as `judge` takes them."""
    with closing(sqlite3.connect(path, timeout=20)) as database:
        rows = database.execute("SELECT order_id, body, created_at FROM orders ORDER BY seq").fetchall()
    return [
        (order_id, json.loads(body)["products"][0]["url"].partition("/dp/")[2].partition("?")[0], at)
        for order_id, body, at in rows
    ]
