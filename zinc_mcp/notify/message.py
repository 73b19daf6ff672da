"""The message about one event: a sentence in `text`, as chats take it, and the same facts as fields.

It holds no secret, no link that decides, no name and no street. Foreign words are in fields of their own and never in
the sentence. Commands are named without this machine's folders, which a chat should not show.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.journal.records.money import told_of
from zinc_mcp.owner.notify import Notable
from zinc_mcp.text import plain, printed

MAX_TITLES = 5
MAX_REASONS = 5
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_PRACTICE: Mapping[str, str] = {
    "test": "[test key: nothing is bought] ",
    "sandbox": "[practice: nothing is bought] ",
}
_NAMES: Mapping[str, str] = {"return": "A return", "case": "A report"}
"""The words by kind of entry; every other entry is an order."""


def about_entry(entry: Entry, event: Notable, journal: str, now: float) -> dict[str, Any]:
    """Return the message about an event of an entry. `journal` tells journals apart, in the message's id."""
    money = told_of(entry)
    fields: dict[str, Any] = {
        "key": plain(entry.key, 64),
        "kind": entry.kind,
        "order_id": plain(entry.order_id, 100) if entry.order_id is not None else None,
        "state": entry.state,
        "rail": entry.rail,
        "retailer": _retailer(entry),
        "products": _products(entry),
        "most_cents": entry.reserved_cents,
        "paid_cents": money.paid_cents,
        "refunded_cents": money.refunded_cents,
        "expected_back_cents": money.expected_back_cents if entry.authorised_cents is not None else None,
        "problem": _problem(entry),
    }
    return {
        "text": f"{_PRACTICE.get(entry.mode, '')}{_SENTENCES[event](entry)}",
        "event": event,
        "id": _id(journal, str(entry.id), event),
        "at": _moment(now),
        "mode": entry.mode,
        "order": {name: value for name, value in fields.items() if value is not None},
    }


def about_pauses(reasons: Sequence[str], journal: str, since: object, now: float) -> dict[str, Any]:
    """Return the message about a pause."""
    return {
        "text": "Ordering is paused: nothing is sent until you end the pause. zinc-mcp resume ends it, in a terminal.",
        "event": "paused",
        "id": _id(journal, "paused", str(since)),
        "at": _moment(now),
        "reasons": [plain(reason, 200) for reason in reasons[:MAX_REASONS]],
    }


def of_a_test(now: float) -> dict[str, Any]:
    """Return the message that `zinc-mcp notify test` sends."""
    return {
        "text": "[test] zinc-mcp can tell you about your orders here. Nothing was ordered.",
        "event": "test",
        "id": _id("test", str(now)),
        "at": _moment(now),
    }


def _waiting(entry: Entry) -> str:
    until = (entry.consent or {}).get("until")
    end = f" until {datetime.fromtimestamp(float(until), UTC):%H:%M} UTC" if isinstance(until, int | float) else ""
    how = f"Decide where you are asked, or in a terminal: {_command('approve', entry)} or {_command('decline', entry)}."
    return f"{_name(entry)} waits for your yes{end}{_most(entry)}. {how}"


def _in_doubt(entry: Entry) -> str:
    if entry.state == "paid_no_order":
        said = f"The wallet has paid for {_name(entry).lower()}{_most(entry)}, and no order is known for it."
    else:
        said = f"It is not known what became of {_name(entry).lower()}{_most(entry)}; it may have gone through."
    return f"{said} It stands in the way of a second one. {_command('orders show', entry)} says more."


def _placed(entry: Entry) -> str:
    if entry.kind in _NAMES:
        return f"{_name(entry)} is at Zinc now."
    paid = told_of(entry).paid_cents
    cost = f" for {printed(paid)} at {_retailer(entry) or 'the retailer'}" if paid is not None else _most(entry)
    return f"An order was placed{cost}."


def _failed(entry: Entry) -> str:
    back = told_of(entry).expected_back_cents if entry.authorised_cents is not None else None
    money = f" {printed(back)} should come back; that is not proved yet." if back else ""
    name = f"{_name(entry)}{_most(entry)}"
    said = {
        "failed": f"{name} failed at Zinc or the retailer.",
        "cancelled": f"{name} was cancelled.",
        "rejected": f"{name} was rejected: nothing was bought.",
        "refused": f"{name} was closed without your yes, or refused: nothing was sent.",
    }[entry.state]
    return f"{said}{money} {_command('orders show', entry)} says more."


def _delivered(entry: Entry) -> str:
    return f"An order{_at(entry)} was delivered, as its carrier says."


def _refund_proved(entry: Entry) -> str:
    return f"{printed(entry.refunded_cents or 0)} has come back for an order{_at(entry)}."


def _refund_overdue(entry: Entry) -> str:
    due = printed(told_of(entry).expected_back_cents or 0)
    paid = datetime.fromtimestamp(entry.counted_at, UTC)
    return (
        f"{due} should have come back for an order{_at(entry)} that the wallet paid on {paid:%Y-%m-%d}, and nothing "
        f"proves that it did. Look at the wallet; {_command('orders refunded', entry)} and the cents record what came."
    )


_SENTENCES: Mapping[Notable, Callable[[Entry], str]] = {
    "waiting": _waiting,
    "in_doubt": _in_doubt,
    "placed": _placed,
    "failed": _failed,
    "delivered": _delivered,
    "refund_proved": _refund_proved,
    "refund_overdue": _refund_overdue,
}


def _name(entry: Entry) -> str:
    return _NAMES.get(entry.kind, "An order")


def _at(entry: Entry) -> str:
    retailer = _retailer(entry)
    return f" at {retailer}" if retailer else ""


def _most(entry: Entry) -> str:
    return f" ({f'at most {printed(entry.reserved_cents)}' if entry.reserved_cents else 'costs nothing'}{_at(entry)})"


def _command(words: str, entry: Entry) -> str:
    """Return a command about an entry. A key that a chat or a shell could misread is left to its field."""
    key = entry.key if _PLAIN_KEY.fullmatch(entry.key) else "KEY"
    return f"`zinc-mcp {words} {key}`"


def _retailer(entry: Entry) -> str | None:
    retailer: object = entry.facts.get("retailer")
    return plain(retailer, 60) if isinstance(retailer, str) and retailer else None


def _products(entry: Entry) -> list[dict[str, Any]] | None:
    """Return the products as the question showed them; None where nobody was asked, or it was forgotten."""
    question: object = (entry.consent or {}).get("question")
    lines: object = cast(Mapping[str, object], question).get("lines") if isinstance(question, dict) else None
    shown: list[dict[str, Any]] = []
    for line in cast(list[object], lines)[:MAX_TITLES] if isinstance(lines, list) else []:
        if isinstance(line, dict):
            said = cast(Mapping[str, object], line)
            quantity = said.get("quantity")
            title = plain(said.get("title") or "", 120)
            shown.append({"title": title or None, "quantity": quantity if isinstance(quantity, int) else None})
    return shown or None


def _problem(entry: Entry) -> str | None:
    summary: object = (entry.problem or {}).get("summary")
    return plain(summary, 300) if isinstance(summary, str) else None


def _moment(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")


def _id(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:32]
