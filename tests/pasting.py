"""Commands pasted into a bare terminal, what each of them does, and a home with orders to try them on."""

import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from keyboard import at_a_terminal
from wanted import ADDRESS, order

from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Draft, Entry, Limits
from zinc_mcp.journal.records.twin import to_bytes
from zinc_mcp.journal.storage.tables import SCHEMA_VERSION
from zinc_mcp.owner.settings import Settings
from zinc_mcp.wiring import open_process

PRODUCT = "https://zinc.com/shop/products/test-success"

Typed = Sequence[tuple[str, str]]


def pasted(
    line: str,
    typed: Typed = (),
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    passed_on: bool = False,
) -> tuple[int, str]:
    """Paste a line into a terminal with a bare environment, and return how it ended and what the screen showed."""
    bare = {"PATH": "/usr/bin:/bin", **(environ or {})}
    return at_a_terminal(["-c", line], bare, typed, program=["/bin/sh"], cwd=cwd, passed_on=passed_on)


@dataclass(frozen=True)
class Expected:
    """The expected result of a pasted command."""

    shows: str
    typed: Typed = ()
    code: int = 0
    about: str = ""
    """The order of the home that `KEY` stands for."""


_ASKED = ("First name", "Last name", "Street", "More of it", "City", "State", "Postal", "Country", "Telephone")
_GIVEN = ("Ada", "Buyer", "12 Planted Street", "", "New York", "NY", "10001", "", "2125550147")

COMMANDS: Mapping[tuple[str, ...], Expected] = {
    ("addresses", "add", "home"): Expected("Saved home: New York, US.", list(zip(_ASKED, _GIVEN, strict=True))),
    ("addresses", "list"): Expected("No address is saved."),
    ("addresses", "remove", "KEY"): Expected("No address is saved as waits", code=1, about="waits"),
    ("approve", "KEY"): Expected("the question still stands", [("Type yes", "no")], 1, about="waits"),
    ("decline", "KEY"): Expected("The answer was no.", about="waits"),
    ("doctor",): Expected("Nothing is wrong."),
    ("journal", "finish-upgrade"): Expected(f"There is nothing to finish: the journal is of version {SCHEMA_VERSION}."),
    ("login",): Expected("the built-in sandbox takes no sign-in", code=1),
    ("login", "--v1"): Expected("the built-in sandbox takes no sign-in", code=1),
    ("reconcile", "--rail", "account"): Expected("No difference in"),
    ("reconcile", "--rail", "v1"): Expected("There is no client token of v1", code=2),
    ("webhooks", "show"): Expected("the built-in sandbox, which sends no events", code=1),
    ("logout",): Expected("Nothing to forget"),
    ("logout", "--v1"): Expected("Nothing to forget"),
    ("install", "--sandbox"): Expected("No known host was used on this machine.", code=1),
    ("install", "KEY"): Expected("Codex was not used on this machine", code=1, about="codex"),
    ("members", "add", "NAME"): Expected("This is the token of ada."),
    ("members", "change", "NAME", "--identity", "ISSUER", "SUBJECT"): Expected("There is no member ada.", code=1),
    ("members", "list"): Expected("No members yet."),
    ("members", "import"): Expected("Members are kept in the journal's database on PostgreSQL alone", code=1),
    ("members", "rotate", "KEY"): Expected("There is no member nobody.", code=1, about="nobody"),
    ("notify", "test"): Expected("There is no [notify] in zinc.toml", code=2),
    ("orders",): Expected("doubtful"),
    ("orders", "refunded", "KEY", "CENTS"): Expected("$0.05 has come back", about="failed"),
    ("orders", "resolve", "--bought", "ID", "KEY"): Expected("doubtful is now accepted.", about="doubtful"),
    ("orders", "resolve", "--not-bought", "KEY"): Expected("doubtful is now rejected.", about="doubtful"),
    ("orders", "show", "KEY"): Expected("What happened", about="waits"),
    ("pin", "forget"): Expected("No PIN is set."),
    ("policy",): Expected("max_order"),
    ("policy", "publish"): Expected("The journal is a file", code=1),
    ("uninstall", "KEY"): Expected("Codex has no server zinc; nothing was changed.", about="codex"),
    ("retailer-accounts", "add", "KEY"): Expected("no keyring that could be used here", code=2, about="work"),
    ("retailer-accounts", "list"): Expected("No account at a retailer is kept."),
    ("retailer-accounts", "remove", "KEY"): Expected("is kept under that name.", code=1, about="work"),
    ("resume",): Expected("Resumed. It was paused: for a look."),
    ("whoami",): Expected("This practises (zinc.toml sandbox): no key is used."),
}
"""Every command of ours that a running program prints, with what it does in `home_with_orders`."""

PLACEHOLDERS = {"NAME": "ada", "CENTS": "5", "ID": "ord-1", "ISSUER": "https://id.example.com", "SUBJECT": "8f1c"}
"""Values for the placeholders of printed commands, besides KEY."""


def furnish(home: Path) -> None:
    """Make such a home and let go of it."""
    anyio.run(home_with_orders, home)
    gc.collect()  # the sandbox's ledger is closed with the last that knows it


async def home_with_orders(home: Path) -> None:
    """Make a home that practises: an order that waits, one in doubt, one that a wallet paid for and that failed."""
    home.mkdir(parents=True)
    (home / "zinc.toml").write_text('sandbox = true\nbrowser = false\n[policy]\napproval = "page"\n', encoding="utf-8")
    settings = Settings(home=home, config=home / "zinc.toml", sandbox=True, browser=False)
    async with open_process(settings) as process:
        wanted = order(products=[{"url": PRODUCT}], idempotency_key="waits", shipping_address=ADDRESS)
        await place(process, Intent("local", "account", wanted))
    with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=time.time) as journal:
        sending = journal.move(opened(journal, "doubtful"), "sending", "sent", attempts=1)
        journal.move(sending, "unknown", "no answer", detail={"reason": "timeout"}, lease_until=None)
        paid = journal.move(opened(journal, "failed"), "sending", "sent", authorised_cents=5100, rail="agent")
        journal.move(paid, "failed", "Zinc says order_failed")
        journal.pause("for a look")


def opened(journal: Journal, key: str) -> Entry:
    """Open an entry that was never asked about."""
    facts: Mapping[str, Any] = {"retailer": "zinc.com", "items": [{"url": PRODUCT, "quantity": 1}]}
    draft = Draft(
        caller="local",
        mode="sandbox",
        origin="sandbox",
        account="fingerprint",
        rail="account",
        twin=key,
        body_digest=key,
        given_key=key,
        to_bytes=lambda wire_key: to_bytes(order(products=[{"url": PRODUCT}]), wire_key, key),
        ceiling_cents=5000,
        fee_cents=100,
        facts=facts,
    )
    entry = journal.open_entry(draft, Limits(), owner="test", lease_seconds=60.0, window_seconds=86_400.0)
    assert isinstance(entry, Entry)
    return entry
