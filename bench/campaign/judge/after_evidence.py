"""The evidence of a round about orders after their purchase, by intention: Zinc's ledger, the journal, the calls.

Filed requests and the journal's entries belong to an intention by the order and the words that were sent.
"""

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from email import message_from_string
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from bench.campaign.agents.agent import Call
from bench.campaign.judge.evidence import Row, rows_of
from bench.campaign.judge.record import read_record
from bench.campaign.plan.after_sale import AfterRound, Wish, first_words

Content = tuple[str, str, int, str]
"""The content of a request without notes: its kind (`return`, `said`, `close`), reason, pieces and words."""

_CLOSES = re.compile(r"/cases/([^/]+)/close")


@dataclass(frozen=True, slots=True)
class Filed:
    """Something at Zinc: a return, a message of a case, or the closing of one."""

    id: str
    """The id of the return or the case."""
    at: float
    content: Content
    notes: str
    order_id: str


_ABOUT_TO_CANCEL = "cancellation asked for"
"""The journal's event before a request to cancel leaves."""


@dataclass(slots=True)
class AfterEvidence:
    """One intention: what Zinc has of it, what the journal says, and the calls of its agent."""

    wish: Wish
    order: Row | None
    """Zinc's order; it has `cancelled_at`."""
    filed: list[Filed] = field(default_factory=list[Filed])
    entries: list[Row] = field(default_factory=list[Row])
    """The entries of the change, or for a cancellation those of the order itself."""
    posts: list[Row] = field(default_factory=list[Row])
    """Every POST about the order, also those of its siblings."""
    siblings: list[Row] = field(default_factory=list[Row])
    """The entries of all changes of the order, its own included."""
    calls: Sequence[Call] = ()
    family_calls: Sequence[Call] = ()
    """The calls of its own agent and of its siblings' agents."""
    begun: list[float] = field(default_factory=list[float])
    """The times at which processes wrote down that they were about to ask for the cancellation of the order."""


@dataclass(slots=True)
class AfterRoundEvidence:
    """All evidence of a round."""

    orders: list[Row]
    attempts: list[Row]
    filed: list[Filed]
    posts: list[Row]
    entries: list[Row]
    record: list[Row]
    """Every version of every entry, by the database's own clock: `at` as leases count, and since the `epoch`."""
    events: list[Row]
    intentions: list[AfterEvidence]


def read_after_round(
    each: AfterRound, folder: Path, calls: Mapping[int, Sequence[Call]], behind: float
) -> AfterRoundEvidence:
    """Read the ledger and the journal of a round. `behind`: the epoch minus the clock of the leases, in seconds."""
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        orders = rows_of(database, "SELECT * FROM orders ORDER BY seq")
        attempts = rows_of(database, "SELECT * FROM attempts ORDER BY seq")
        posts = rows_of(database, "SELECT * FROM changes ORDER BY seq")
        filed = [*_returns(database), *_messages(database), *_closings(database)]
    for order in orders:
        order["family"] = _family(json.loads(order["body"]))
    entries, events, record = _journal(folder / "journal.db", behind)
    found = sorted_out(each.wishes, orders, filed, posts, entries, calls)
    for one in found:
        ids = {entry["id"] for entry in one.entries}
        one.begun = [event["at"] for event in events if event["entry_id"] in ids and event["what"] == _ABOUT_TO_CANCEL]
    return AfterRoundEvidence(orders, attempts, filed, posts, entries, record, events, found)


def _journal(path: Path, behind: float) -> tuple[list[Row], list[Row], list[Row]]:
    if not path.exists():  # of a client that keeps none
        return [], [], []
    with closing(sqlite3.connect(path)) as database:
        entries = rows_of(database, "SELECT * FROM zinc_entries ORDER BY id")
        events = rows_of(database, "SELECT * FROM zinc_events ORDER BY rowid")
    for entry in entries:
        body: dict[str, Any] = json.loads(entry["body"])
        entry["family"] = _family(body) if entry["kind"] == "order" else None
        entry["content"] = None if entry["kind"] == "order" else content_of(body)
    return entries, events, [{**row, "epoch": row["at"] + behind} for row in read_record(path)]


def _returns(database: sqlite3.Connection) -> Iterable[Filed]:
    for row in rows_of(database, "SELECT * FROM returns ORDER BY seq"):
        body: dict[str, Any] = json.loads(row["body"])
        yield Filed(
            row["return_id"], row["created_at"], _return_of(body), str(body.get("notes") or ""), row["order_id"]
        )


def _messages(database: sqlite3.Connection) -> Iterable[Filed]:
    joined = "SELECT m.*, c.order_id FROM case_messages AS m JOIN cases AS c ON c.case_id = m.case_id ORDER BY m.seq"
    for row in rows_of(database, joined):
        yield Filed(row["case_id"], row["created_at"], ("said", "", 0, row["body"]), "", row["order_id"])


def _closings(database: sqlite3.Connection) -> Iterable[Filed]:
    """Return the first closing of each case. Later closings change nothing."""
    closed: set[str] = set()
    for row in rows_of(database, "SELECT * FROM changes WHERE outcome = 'closed' ORDER BY seq"):
        found = _CLOSES.fullmatch(row["path"])
        if found is not None and found[1] not in closed:
            closed.add(found[1])
            yield Filed(found[1], row["at"], ("close", "", 0, ""), "", row["order_id"])


def content_of(change: Mapping[str, Any]) -> Content:
    """Return the content of a change, from the request that the journal keeps."""
    path, kind, content = str(change["path"]), str(change["content_type"]), str(change["content"])
    if path == "/returns":
        return _return_of(json.loads(content))
    if path.endswith("/close"):
        return ("close", "", 0, "")
    read = message_from_string(f"Content-Type: {kind}\n\n{content}")
    fields = {str(part.get_param("name", header="content-disposition")): part.get_payload() for part in read.walk()}
    return ("said", "", 0, str(fields.get("body", "")))


def _return_of(body: Mapping[str, Any]) -> Content:
    return ("return", str(body["reason"]), sum(int(item["quantity"]) for item in body["items"]), "")


def wanted(wish: Wish) -> Content:
    """Return the content that an intention is to send."""
    match wish.action:
        case "return":
            return ("return", wish.reason, wish.quantity, "")
        case "close":
            return ("close", "", 0, "")
        case _:
            return ("said", "", 0, wish.words)


def _family(body: Mapping[str, Any]) -> int:
    url = str(body["products"][0]["url"])
    return int(dict(parse_qsl(urlsplit(url).query)).get("item", "0"))


def sorted_out(
    wishes: Sequence[Wish],
    orders: Sequence[Row],
    filed: Sequence[Filed],
    posts: Sequence[Row],
    entries: Sequence[Row],
    calls: Mapping[int, Sequence[Call]],
) -> list[AfterEvidence]:
    of_family = {order["family"]: order for order in orders}
    found: list[AfterEvidence] = []
    for wish in wishes:
        order = of_family.get(wish.family)
        order_id = None if order is None else order["order_id"]
        one = AfterEvidence(wish, order, calls=calls.get(wish.number, ()))
        one.family_calls = [
            call for each in wishes if each.family == wish.family for call in calls.get(each.number, ())
        ]
        if wish.kind == "cancel":
            one.entries = [entry for entry in entries if entry["family"] == wish.family]
            one.siblings = one.entries
        else:
            first = ("said", "", 0, first_words(wish.family))
            changes = [entry for entry in entries if entry["kind"] != "order" and entry["order_id"] == order_id]
            one.siblings = [entry for entry in changes if entry["content"] != first]
            one.entries = [entry for entry in changes if entry["content"] == wanted(wish)]
            one.filed = [each for each in filed if each.order_id == order_id and each.content == wanted(wish)]
        one.posts = [post for post in posts if order_id is not None and post["order_id"] == order_id]
        if wish.needs_a_case:
            one.posts = one.posts[1:]  # the first one has opened the case, before the round began
        found.append(one)
    return found
