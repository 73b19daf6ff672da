"""Changes one operator, keyword or number of the rooms that move money, and runs the tests that must notice."""

from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS: Mapping[str, Sequence[str]] = {
    "journal": ("tests/journal", "tests/spending", "tests/consent", "tests/checkout"),
    "consent": ("tests/consent", "tests/checkout"),
    "spending": ("tests/spending", "tests/checkout", "tests/payments"),
    "checkout": ("tests/checkout", "tests/spending", "tests/consent", "tests/campaign/test_campaign_findings.py"),
    "payments": ("tests/payments", "tests/spending", "tests/checkout"),
}
"""Rooms of `zinc_mcp`, each with the tests that must notice a change in it: its own first, then those of its users."""

COVERING = (
    "tests/journal", "tests/consent", "tests/spending", "tests/checkout", "tests/payments", "tests/aftercare",
    "tests/find", "tests/views", "tests/notify", "tests/owner", "tests/test_money.py",
    "tests/campaign/test_campaign_findings.py", "tests/server/test_consent.py", "tests/server/test_dialogues.py",
    "tests/server/test_page.py", "tests/server/test_serving_money.py", "tests/server/test_serving_orders.py",
    "tests/server/test_serving_wallets.py", "tests/server/test_list_orders.py", "tests/server/test_order_timeline.py",
    "tests/cli/test_evidence_command.py", "tests/cli/test_change_evidence.py", "tests/cli/test_owners_side.py",
    "tests/cli/test_orders_command.py", "tests/cli/test_approve.py",
)  # fmt: skip
"""The tests that are looked at once, to learn which lines each of them runs."""
