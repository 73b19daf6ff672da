"""Changes one operator, keyword or number of the rooms that move money, and runs the tests that must notice."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("journal", "consent", "spending", "checkout", "payments")
"""The rooms of `zinc_mcp` that move money or remember it."""

COVERING = (
    "tests/journal", "tests/consent", "tests/spending", "tests/checkout", "tests/payments", "tests/find", "tests/views",
    "tests/aftercare/test_after_sale_news.py", "tests/aftercare/test_cancel.py", "tests/aftercare/test_cases.py",
    "tests/aftercare/test_changes_property.py", "tests/aftercare/test_deciding.py",
    "tests/aftercare/test_failing_journal.py", "tests/aftercare/test_false_answers.py",
    "tests/aftercare/test_returns.py", "tests/aftercare/test_told_truly.py", "tests/aftercare/test_wallet_orders.py",
    "tests/campaign/test_campaign_findings.py", "tests/cli/test_evidence_command.py", "tests/notify/test_told.py",
    "tests/server/test_list_orders.py", "tests/server/test_order_timeline.py", "tests/server/test_serving_money.py",
    "tests/server/test_serving_orders.py", "tests/server/test_serving_wallets.py", "tests/test_money.py",
)  # fmt: skip
"""The tests that run once, to learn the lines that each of them runs. Long campaigns are not among them."""
