"""The sabotages: one broken line each, the promise that it breaks, and who is to notice it.

Whoever changes a line that stands here renews the entry; `bench.sabotage` fails while its text cannot be found.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Campaign:
    """The fault campaign on one rail notices it; rounds of the kinds in `first` come first."""

    rail: Literal["account", "agent"]
    first: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tests:
    """These tests notice it, named as pytest takes them."""

    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sabotage:
    """One line of the program, and what stands there instead."""

    name: str
    promise: str
    file: str
    text: str
    """Stands exactly once in the file; more than the broken line where that alone stands more often."""
    replacement: str
    by: Campaign | Tests


def _account(*first: str) -> Campaign:
    return Campaign("account", first)


def _agent(*first: str) -> Campaign:
    return Campaign("agent", first)


def _tests(*tests: str) -> Tests:
    return Tests(tests)


BY_CAMPAIGN = (
    Sabotage(
        "leases-ignored",
        "an entry is in the hands of one process at a time",
        "zinc_mcp/ordering/lease.py",
        "        return self.left(entry) > 0.0",
        "        return False",
        _account("slow", "hosts"),
    ),
    Sabotage(
        "leases-ignored-by-wallet",
        "an entry is in the hands of one process at a time, paid by wallet as well",
        "zinc_mcp/ordering/lease.py",
        "        return self.left(entry) > 0.0",
        "        return False",
        _agent("slow", "hosts"),
    ),
    Sabotage(
        "open-orders-do-not-count",
        "a reservation counts against the limits while its order is open",
        "zinc_mcp/ordering/rows.py",
        '        "counts_cents": reserved,',
        '        "counts_cents": 0,',
        _account("slow"),
    ),
    Sabotage(
        "limits-of-what-is-there-alone",
        "what is asked for is added to what counts",
        "zinc_mcp/ordering/opening.py",
        "        if cents is not None and held + asked > cents:",
        "        if cents is not None and held > cents:",
        _account("slow"),
    ),
    Sabotage(
        "doubt-of-a-day",
        "doubt stands for ever",
        "zinc_mcp/ordering/opening.py",
        """            ENTRIES.c.zinc_at > sa.bindparam("since"),
            ENTRIES.c.state.in_(FOREVER),
        ),
    )
    .order_by""",
        """            ENTRIES.c.zinc_at > sa.bindparam("since"),
        ),
    )
    .order_by""",
        _account("doubt"),
    ),
    Sabotage(
        "no-compare-and-set",
        "an entry is changed only as it was read",
        "zinc_mcp/ordering/rows.py",
        'ENTRIES.c.version == sa.bindparam("this_version")',
        'ENTRIES.c.version >= sa.bindparam("this_version")',
        _account("slow", "stops", "hosts"),
    ),
    Sabotage(
        "a-no-to-a-repeat-believed",
        "a no to a repeat ends no doubt",
        "zinc_mcp/ordering/sending.py",
        """            self._checkpoint("answered")
            if first:""",
        """            self._checkpoint("answered")
            if True:""",
        _account("kills", "hosts"),
    ),
    Sabotage(
        "any-answer-believed",
        "an answer counts only if it is about our order",
        "zinc_mcp/ordering/same_order.py",
        "    if is_ours and (entry.order_id is None or is_named(order, entry.order_id)):",
        "    if is_ours or entry.order_id is None or is_named(order, entry.order_id):",
        _account("answers"),
    ),
    Sabotage(
        "any-read-believed",
        "a read counts only if it is about the order that was asked for",
        "zinc_mcp/ordering/same_order.py",
        "    if is_named(order, order_id) and (entry is None or may_be(order, wanted(entry))):",
        "    if order_id:",
        _account("answers"),
    ),
    Sabotage(
        "one-clock-alone",
        "a twin and a limit stand if either clock says so",
        "zinc_mcp/ordering/times.py",
        "return self.clock() if zinc is None else min(self.clock(), zinc)",
        "return self.clock()",
        _account("clocks"),
    ),
    Sabotage(
        "any-question-answered",
        "a decision is about exactly the question that was shown",
        "zinc_mcp/ordering/questions.py",
        "    return entry if theirs and reference_of(entry) == about else None",
        "    return entry if theirs else None",
        _account("questions"),
    ),
    Sabotage(
        "failing-journal-told-as-not-sent",
        "after the first byte may have left, a failing journal is told as doubt",
        "zinc_mcp/ordering/sending.py",
        'if attempt.left else error.before_sending()',
        'if False else error.before_sending()',
        _account("journal"),
    ),
    Sabotage(
        "attempts-not-counted",
        "each sending is in the journal before it leaves",
        "zinc_mcp/ordering/sending.py",
        'marks |= {"attempts": entry.attempts + 1, **changes}',
        'marks |= {"attempts": entry.attempts, **changes}',
        _account("hosts"),
    ),
    Sabotage(
        "visitors-parameters-count",
        "one product in another spelling is one intention",
        "zinc_mcp/ordering/twin.py",
        "        line = canonical([read_product_url(product.url).canonical, _variant(product)]).decode()",
        "        line = canonical([product.url, _variant(product)]).decode()",
        _account("slow", "hosts"),
    ),
    Sabotage(
        "wallet-asked-by-a-stopped-process",
        "whoever lost its lease asks no wallet",
        "zinc_mcp/ordering/paying.py",
        "            await self._settling.hold(attempt, rail.sign_seconds)\n",
        "            pass\n",
        _agent("stops"),
    ),
    Sabotage(
        "failed-orders-give-back-what-was-paid",
        "what a wallet let go counts until its return is proved",
        "zinc_mcp/ordering/settle.py",
        "        return _unbought(let_go, refunded)\n",
        "        return Settlement(0, 0, refunded)\n",
        _agent("failing"),
    ),
    Sabotage(
        "order-key-not-kept",
        "the order's own key is on disk before its body is read",
        "zinc_mcp/ordering/payment.py",
        'return replace(self, recovery={**recovery, "key_of_conflict": not accepted}, order_key=order_key)',
        'return replace(self, recovery={**recovery, "key_of_conflict": not accepted})',
        _agent("hosts"),
    ),
    Sabotage(
        "too-early-proved-unpaid",
        "a payment is given up only when it cannot be taken any more",
        "zinc_mcp/ordering/proof.py",
        "            return \"unpaid\", None  # a credential is on disk before it leaves us, and this one never was",
        "            return \"open\", None",
        _agent("stops"),
    ),
)
SABOTAGES = BY_CAMPAIGN
