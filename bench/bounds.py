"""Makes the page `docs/bounds.md`: each thing that comes from outside, its bound, and what happens beyond the bound.

    python -m bench.bounds --write

The values are the constants themselves, so the page is never older than the code; a test compares the two.
"""

import argparse
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PAGE = Path(__file__).parents[1] / "docs" / "bounds.md"

Unit = Literal["bytes", "seconds", "characters", "levels", "", "part"]


@dataclass(frozen=True, slots=True)
class Bound:
    """One row: a thing, the constant that bounds it (module and name), its unit, and what happens beyond it."""

    thing: str
    constant: str
    unit: Unit
    beyond: str

    def value(self) -> str:
        """Return the constant as a person reads it."""
        module, _, name = self.constant.rpartition(".")
        value = getattr(importlib.import_module(f"zinc_mcp.{module}"), name)
        if self.unit == "bytes":
            for size, sign in ((1024 * 1024, "MB"), (1024, "KB")):
                if value >= size and value % size == 0:
                    return f"{value // size} {sign}"
            return f"{value:,} bytes"
        if self.unit == "part":
            return f"one in {value}"
        return f"{value:,g} {self.unit}".rstrip() if isinstance(value, float) else f"{value:,} {self.unit}".rstrip()


_TOLD = "the number of rows left out is told; it is never taken for less money or for an end"

ANSWERS = (
    Bound(
        "one answer of Zinc, a wallet's provider or an order",
        "network.MAX_ANSWER_BYTES",
        "bytes",
        "a read fails; a placing request is in doubt and looked up",
    ),
    Bound(
        "the answer of the owner's address to a message",
        "notify.delivery.MAX_ANSWER_BYTES",
        "bytes",
        "the rest is not read; only the status counts",
    ),
    Bound("a page of a list of orders", "zinc.placed.order_list.MAX_LIST_BYTES", "bytes", "the list was not read"),
    Bound("messages of a case of v1", "zinc.v1.aftercare.cases.MAX_MESSAGES", "", "the newest are read"),
    Bound("cases in the history of a v1 order", "zinc.v1.aftercare.cases.MAX_CASES", "", "the newest are read"),
    Bound(
        "returns of a v1 order that are asked for",
        "zinc.v1.aftercare.returns.MAX_READ",
        "",
        "the newest are asked for; others are shown as last known",
    ),
    Bound("transactions of managed accounts", "zinc.v1.money.MOST_TRANSACTIONS", "", "the newest are read"),
    Bound("a Tempo node's answer", "payments.tempo_chain.MAX_ANSWER_BYTES", "bytes", "no answer: nothing is proved"),
    Bound("a Tempo node's log entries", "payments.tempo_chain.MAX_LOGS", "", "not looked at: nothing is proved"),
    Bound(
        "the answer of the owner's wallet program",
        "payments.command.MAX_ANSWER_BYTES",
        "bytes",
        "the wallet gave no clear answer",
    ),
    Bound("nesting of JSON in an answer", "network.MAX_DEPTH", "levels", "not read: counts as no JSON"),
    Bound("brackets and commas in an answer", "network.MAX_PARTS", "", "not read: counts as no JSON"),
    Bound("rows of any list in an order", "zinc.answers.MAX_ROWS", "", _TOLD),
    Bound(
        "faulty parts of an answer that are mended", "zinc.answers.MAX_MENDED", "", "whole lists are left out, and told"
    ),
    Bound("a text in an answer", "zinc.answers.MAX_TEXT", "characters", "cut"),
    Bound("a text in metadata or an address", "zinc.answers.MAX_FLAT_TEXT", "characters", "cut"),
    Bound("fields of metadata or of an address", "zinc.answers.MAX_FLAT_MEMBERS", "", "left out"),
    Bound("orders on a page of a list", "zinc.placed.order_list.PAGE", "", "the next page is asked for"),
    Bound("pages of a list", "zinc.placed.order_list.MAX_PAGES", "", "not asked for; an unread list proves nothing"),
    Bound(
        "orders on a page that is asked for after one that could not be read",
        "zinc.placed.order_list.SMALL_PAGE",
        "",
        "the list was not read",
    ),
    Bound("orders looked at in a list", "zinc.placed.order_list.MAX_LISTED", "", "not looked at; that proves nothing"),
    Bound("a timeline", "zinc.placed.timeline.MAX_TIMELINE_BYTES", "bytes", "the order is shown without it, and told"),
    Bound("reading a timeline", "checkout.milestones.TIMELINE_SECONDS", "seconds", "as above"),
    Bound("steps of a timeline that a result shows", "views.delivery.MAX_STEPS", "", "counted in `left_out`"),
    Bound("a link in a result", "views.delivery.MAX_LINK", "characters", "not shown"),
    Bound("Zinc's list for `list_orders`", "checkout.order_list.LIST_SECONDS", "seconds", "told: some may be missing"),
    Bound("entries that `list_orders` looks at", "checkout.order_list.MOST_ENTRIES", "", "told: some may be missing"),
    Bound("Zinc's list for `reconcile`", "checkout.reconcile.LIST_SECONDS", "seconds", "told: not all was compared"),
    Bound("orders that `reconcile` reads one by one", "checkout.reconcile.MOST_READ", "", "told: not all was compared"),
    Bound("entries that `reconcile` compares", "journal.periods.MOST_COMPARED", "", "told: not all was compared"),
    Bound("differences that `reconcile` tells", "views.owner.reconciled.MOST_TOLD", "", "counted"),
    Bound("a text in an export", "views.owner.export.MOST_TEXT", "characters", "cut"),
    Bound("Zinc and the wallet in `get_balance`", "server.mcp.tools.get_balance.BALANCE_SECONDS", "seconds", "told"),
    Bound("payments that `get_balance` adds up", "server.mcp.tools.get_balance.MOST_PAID", "", "the oldest are told"),
    Bound("orders that `get_balance` shows waiting", "views.balance.MAX_WAITING", "", "counted"),
    Bound("items that a result shows", "views.parts.MAX_ITEMS", "", "counted in `left_out`"),
    Bound("parcels that a result shows", "views.parts.MAX_PARCELS", "", "counted in `left_out`"),
    Bound("checkpoints of a parcel that a result shows", "views.delivery.MAX_CHECKPOINTS", "", "counted"),
    Bound("results of a search that are shown", "views.find.search.MAX_RESULTS", "", "`invalid_arguments`"),
    Bound("the address of a result", "views.find.search.MAX_URL", "characters", "left out and counted in `left_out`"),
    Bound("the title of a result", "views.find.search.MAX_TITLE", "characters", "cut"),
    Bound("the title of a result in UTF-8", "views.find.search.MAX_TITLE_BYTES", "bytes", "cut"),
    Bound("the description of a product", "views.find.product.MAX_DESCRIPTION", "characters", "cut"),
    Bound("features of a product that are shown", "views.find.product.MAX_FEATURES", "", "left out"),
    Bound(
        "variants of a product that are shown", "views.find.product.MAX_VARIANTS", "", "counted in `variants_left_out`"
    ),
    Bound("options of one variant", "views.find.product.MAX_OPTIONS", "", "counted in `variants_left_out`"),
    Bound(
        "a label or a value of an option",
        "views.find.product.MAX_OPTION",
        "characters",
        "counted in `variants_left_out`",
    ),
    Bound("offers of a product that are shown", "views.find.product.MAX_OFFERS", "", "counted in `offers_left_out`"),
    Bound("countries that a shop ships to", "views.find.product.MAX_COUNTRIES", "", "left out"),
    Bound("returns, and cases, that a result shows", "views.parts.MAX_RETURNS", "", "counted in `left_out`"),
    Bound("links to a return's labels that a result shows", "views.after_sale.MAX_LABELS", "", "counted"),
    Bound(
        "messages of a case that a result shows", "views.after_sale.MAX_MESSAGES", "", "the newest; the rest is counted"
    ),
    Bound("a message of a case that a result shows", "views.after_sale.MAX_MESSAGE", "characters", "cut"),
    Bound("requests of ours that a result shows beside an order", "views.after_sale.MAX_REQUESTS", "", "the newest"),
    Bound("credits for v1 orders that `get_balance` shows", "views.balance.MAX_CREDITS", "", "the newest"),
    Bound("the notes of a return", "aftercare.return_order.MAX_NOTES", "characters", "refused, and told"),
    Bound("a message to Zinc's support", "aftercare.case.MAX_MESSAGE", "characters", "refused, and told"),
    Bound("items that the question about a case shows", "aftercare.case.MAX_ITEMS", "", "left out"),
    Bound("returns on a page of a list", "zinc.aftercare.returns.PAGE", "", "the next page is asked for"),
    Bound(
        "pages of a list of returns",
        "zinc.aftercare.returns.MAX_PAGES",
        "",
        "not asked for; an unread list proves nothing",
    ),
    Bound(
        "cases of an order that are asked for", "zinc.aftercare.cases.PAGE", "", "not looked at; that proves nothing"
    ),
    Bound(
        "returns and reports of one order that are read from the journal",
        "journal.changes.MOST_CHANGES",
        "",
        "the newest",
    ),
    Bound(
        "returns and reports that one round of a sweep looks at", "aftercare.look_up.MOST_SWEPT", "", "the next round"
    ),
    Bound(
        "a placing request, from connecting to the last byte",
        "zinc.connection.WIRE_SECONDS",
        "seconds",
        "in doubt, if the first byte has left; else nothing was sent",
    ),
    Bound("a read", "zinc.connection.READ_SECONDS", "seconds", "the read failed"),
    Bound(
        "a code to sign in with", "zinc.account.sign_in.MAX_WAIT_SECONDS", "seconds", "it has ended, whatever Zinc says"
    ),
    Bound(
        "the time between two polls of a code",
        "zinc.account.sign_in.MAX_INTERVAL_SECONDS",
        "seconds",
        "not waited longer",
    ),
    Bound(
        "the link to the page of a code", "zinc.account.sign_in.MAX_LINK", "characters", "not shown; nothing is opened"
    ),
    Bound("one request of a sign-in", "cli.login.device.SIGN_IN_SECONDS", "seconds", "asked again, and told"),
    Bound(
        "asking Zinc about a key before it is kept",
        "cli.login.keeping.CHECK_SECONDS",
        "seconds",
        "told that it is not checked",
    ),
)

REQUESTS = (
    Bound(
        "connections of one process",
        "server.http.connections.MOST_CONNECTIONS",
        "",
        "503 for a request with a token; fewer where the system allows fewer files",
    ),
    Bound(
        "connections that are left to clients without a known token, of all",
        "server.http.connections.WAITING_PART",
        "part",
        "where all are in use, the one that has waited longest is closed: idle ones first, then unread ones",
    ),
    Bound(
        "silent connections kept for one member, of all",
        "server.http.connections.KEPT_PART",
        "part",
        "the oldest counts among those without a known token",
    ),
    Bound(
        "connections to the page of a stdio server",
        "server.http.connections.MOST_ON_LOOPBACK",
        "",
        "the one that has waited longest is closed",
    ),
    Bound("an access token", "server.http.oauth.tokens.MOST_TOKEN_CHARACTERS", "characters", "401"),
    Bound("one request to the issuer of access tokens", "server.http.oauth.issuer.ASK_SECONDS", "seconds", "401"),
    Bound("keys of the issuer", "server.http.oauth.issuer.MOST_KEYS", "", "the first are known"),
    Bound(
        "time between two looks for unknown keys of the issuer",
        "server.http.oauth.issuer.UNKNOWN_SECONDS",
        "seconds",
        "401",
    ),
    Bound("codes of the issuer that are exchanged at once", "server.http.oauth.sign_in.MOST_AT_ONCE", "", "403"),
    Bound("a code of the issuer", "server.http.oauth.sign_in.MOST_CODE_CHARACTERS", "characters", "403"),
    Bound("a sign-in with the issuer", "server.http.oauth.sign_in.BEGUN_SECONDS", "seconds", "the browser forgets it"),
    Bound("identities of a member", "owner.team.member.MOST_IDENTITIES", "", "the command says so"),
    Bound("a TLS handshake, and the head of a request", "server.http.connections.HEAD_SECONDS", "seconds", "closed"),
    Bound("the body of a request", "server.http.connections.BODY_SECONDS", "seconds", "closed"),
    Bound("silence after an answer", "server.http.connections.KEEP_ALIVE_SECONDS", "seconds", "closed"),
    Bound("an answer that nobody reads", "server.http.connections.UNREAD_SECONDS", "seconds", "closed"),
    Bound("bytes of a body that arrive after its answer", "server.http.connections.MAX_LATE_BYTES", "bytes", "closed"),
    Bound(
        "bytes of a chunked body that arrive after its answer",
        "server.http.connections.MAX_LATE_CHUNKED_BYTES",
        "bytes",
        "closed",
    ),
    Bound("the head of a request", "server.http.connections.MAX_HEAD_BYTES", "bytes", "400"),
    Bound("header fields", "server.http.requests.MOST_HEADERS", "", "431"),
    Bound("path and query", "server.http.requests.MAX_TARGET_BYTES", "bytes", "414"),
    Bound("path and query of a redirect from the issuer", "server.http.requests.MAX_REDIRECT_BYTES", "bytes", "414"),
    Bound(
        "a message: a body, or a line on stdin",
        "server.messages.MOST_MESSAGE_BYTES",
        "bytes",
        "413, or an error with its id where that can be read",
    ),
    Bound("nesting in a message", "server.messages.MOST_LEVELS", "levels", "an error of the protocol"),
    Bound(
        "brackets, commas, colons and quotes inside text",
        "server.messages.MOST_MARKS",
        "",
        "an error of the protocol",
    ),
    Bound("a number in a message", "server.messages.MOST_WORD_CHARACTERS", "characters", "an error of the protocol"),
    Bound(
        "the name of a field in a message",
        "server.messages.MOST_NAME_BYTES",
        "bytes",
        "an error of the protocol",
    ),
    Bound("messages in one batch, or on one line", "server.messages.MOST_AT_ONCE", "", "one answer without an id"),
    Bound("an id that is sent back", "server.messages.MOST_ID_CHARACTERS", "characters", "the error has no id"),
    Bound("a form of the approval page", "server.pages.forms.MAX_FORM_BYTES", "bytes", "400"),
    Bound("requests of one visitor to the approval page at once", "server.pages.approval.MOST_VIEWS", "", "429"),
    Bound("requests for `/readyz` that wait for one check", "server.http.readiness.MOST_ASKING", "", "503"),
    Bound("requests of one caller at once, beside its streams", "server.http.shares.MOST_REQUESTS", "", "429"),
    Bound("looks at the journal for metrics", "telemetry.measures.LOOK_EVERY_SECONDS", "seconds", "as last known"),
    Bound(
        "the end of a server whose collector is silent", "telemetry.watching.END_SECONDS", "seconds", "it is not sent"
    ),
    Bound("an event of Zinc's webhooks", "server.http.webhooks.MAX_EVENT_BYTES", "bytes", "413"),
    Bound("events that are received at once", "server.http.webhooks.MOST_EVENTS", "", "503"),
    Bound("orders with hints of news in ten seconds", "checkout.hints.MOST_HINTED", "", "look-ups ask by themselves"),
    Bound("streams of one caller", "server.http.shares.MOST_STREAMS", "", "429"),
    Bound(
        "streams of all callers, of the connections that may serve them",
        "server.http.connections.STREAMS_PART",
        "part",
        "503: idle streams leave room for calls",
    ),
    Bound(
        "sessions of one caller",
        "server.http.shares.MOST_SESSIONS",
        "",
        "the one unused for longest ends; 429 where all are at work",
    ),
    Bound("messages of one member in a minute", "server.http.shares.MOST_A_MINUTE", "", "429, and when to come again"),
    Bound("a session without use", "server.http.shares.SESSION_IDLE_SECONDS", "seconds", "it ends"),
    Bound(
        "dialogues of one caller that are open",
        "server.mcp.dialogue.MOST_DIALOGUES",
        "",
        "it is asked on the page or in a terminal",
    ),
    Bound("tool calls of one caller at once", "server.mcp.tools.tool.MOST_CALLS", "", "`too_many_calls`"),
    Bound(
        "time since a server could last ask the database for the members",
        "owner.team.places.CONFIRMED_SECONDS",
        "seconds",
        "nobody is let in: 503, `members_unconfirmed`",
    ),
    Bound("secrets that open the owner's page", "server.pages.visits.MOST_SECRETS", "", "the oldest end"),
    Bound(
        "visits of one visitor to the approval page",
        "server.pages.visits.MOST_VISITS",
        "",
        "those unused for longest end",
    ),
    Bound(
        "visits to the approval page that are looked up at once",
        "server.pages.visits.MOST_LOOKED_UP",
        "",
        "the others wait",
    ),
    Bound("a visit without use", "server.pages.visits.IDLE_SECONDS", "seconds", "it ends"),
    Bound("a visit by a sign-in with the issuer", "server.pages.visits.SIGNED_IN_SECONDS", "seconds", "it ends"),
)

ORDERS = (
    Bound("arguments of a call", "server.mcp.arguments.MAX_ARGUMENTS", "", "`invalid_arguments`"),
    Bound("characters of all arguments", "server.mcp.arguments.MAX_CHARACTERS", "characters", "`invalid_arguments`"),
    Bound("values in arguments", "server.mcp.arguments.MAX_VALUES", "", "`invalid_arguments`"),
    Bound("nesting of arguments", "server.mcp.arguments.MAX_DEPTH", "levels", "`invalid_arguments`"),
    Bound("products of an order", "zinc.orders.MAX_PRODUCTS", "", "`invalid_arguments`"),
    Bound("options of a product's variant", "zinc.orders.MAX_OPTIONS", "", "`invalid_arguments`"),
    Bound("the address of a product", "zinc.product_urls.url_parts.MAX_URL", "characters", "`invalid_arguments`"),
    Bound(
        "parts of a v1 order cancelled at once, and shown",
        "journal.records.cancellation.MAX_PARTS",
        "",
        "not asked for; counted in the summary",
    ),
    Bound("products of an order of v1", "zinc.v1.order.MAX_PRODUCTS", "", "`invalid_arguments`"),
    Bound("a product's number in v1", "zinc.v1.products.MAX_NUMBER", "characters", "`invalid_arguments`"),
    Bound("promotion codes, and a list of criteria", "zinc.v1.request.MAX_LISTED", "", "`invalid_arguments`"),
    Bound("a gift message of v1", "zinc.v1.order.MAX_MESSAGE", "characters", "`invalid_arguments`"),
    Bound("lines of a gift message of v1", "zinc.v1.order.MAX_MESSAGE_LINES", "", "`invalid_arguments`"),
    Bound("words for the carrier", "zinc.v1.address.MAX_INSTRUCTIONS", "characters", "`invalid_arguments`"),
    Bound("the wait for a managed account", "zinc.v1.order.MAX_QUEUE_SECONDS", "seconds", "`invalid_arguments`"),
    Bound("metadata or notes of an order", "zinc.texts.notes.MAX_METADATA_BYTES", "bytes", "`invalid_arguments`"),
    Bound(
        "a question in a host's dialogue",
        "consent.question.DIALOGUE_CHARACTERS",
        "characters",
        "it is asked on the page or in a terminal",
    ),
    Bound("any question", "consent.question.MOST_BYTES", "bytes", "`order_too_large`"),
    Bound("questions of one caller that wait", "checkout.ask.MOST_WAITING", "", "`too_many_waiting`"),
    Bound("products that a question looks up", "find.details.MOST_PRODUCTS", "", "they have no title"),
    Bound("orders on a page of `list_orders`", "server.mcp.tools.list_orders.MAX_LIMIT", "", "`invalid_arguments`"),
    Bound("the look-ups for a question", "find.details.QUESTION_SECONDS", "seconds", "there are no titles"),
    Bound(
        "the check of a shop before a question",
        "find.check.BEFORE_ASKING_SECONDS",
        "seconds",
        "the question is asked without it",
    ),
    Bound("the words of a search", "server.mcp.tools.search_products.MAX_QUERY", "characters", "`invalid_arguments`"),
    Bound("retailers of a search", "server.mcp.tools.search_products.MAX_RETAILERS", "", "`invalid_arguments`"),
    Bound(
        "a caller's wait for questions about products",
        "process.LOOK_UP_SECONDS",
        "seconds",
        "the answer is kept for a later call",
    ),
    Bound(
        "time for which an answer about products is remembered",
        "find.question.REMEMBERED_SECONDS",
        "seconds",
        "it is asked, and paid for, again",
    ),
    Bound("an answer about products that is remembered", "find.question.MOST_KEPT_BYTES", "bytes", "not remembered"),
    Bound(
        "the free check of a product",
        "find.check.CHECK_SECONDS",
        "seconds",
        "told that it is not known whether the shop can be ordered from",
    ),
    Bound(
        "a wait for news in `get_order`",
        "server.mcp.tools.get_order.MAX_WAIT_SECONDS",
        "seconds",
        "`invalid_arguments`",
    ),
)

STORED = (
    Bound(
        "a time in the journal",
        "journal.storage.tables.MOST_SECONDS",
        "seconds",
        "the row cannot be read: left out, and told",
    ),
    Bound(
        "entries of one rail in a round of looking up",
        "checkout.look_up.MOST_SWEPT",
        "",
        "the next round goes on after them",
    ),
    Bound(
        "entries that a purge forgets in one transaction",
        "journal.storage.purge.SLICE",
        "",
        "the next slice, after a pause",
    ),
    Bound(
        "waiting for another process that writes",
        "journal.storage.sqlite.BUSY_SECONDS",
        "seconds",
        "`journal_unavailable`: nothing was sent",
    ),
    Bound("an evidence file that is checked", "views.evidence.check.MAX_FILE_BYTES", "bytes", "it is no evidence file"),
    Bound("events in an evidence file", "views.evidence.file.MAX_EVENTS", "", "told as a number of events left out"),
    Bound("new entries of one look for something to tell", "journal.notices.MOST_NEW", "", "the next look"),
    Bound("followed entries of one look", "journal.notices.MOST_FOLLOWED", "", "the next look, after these"),
    Bound("a host's file", "hosts.files.MAX_FILE_BYTES", "bytes", "not read and not changed"),
    Bound("nesting in a host's file", "hosts.formats.jsonc.MAX_LEVELS", "levels", "not read and not changed"),
    Bound("brackets in a host's TOML", "hosts.formats.toml_text.MAX_BRACKETS", "", "not read and not changed"),
    Bound("the record of what was installed", "hosts.record.MAX_RECORD_BYTES", "bytes", "counts as none"),
    Bound("what a server says when it is tried", "hosts.trial.MAX_ANSWER_BYTES", "bytes", "told as no answer"),
    Bound("lines of a server that is tried", "hosts.trial.MAX_LINES", "", "told as no answer"),
    Bound("a try to start a server", "hosts.trial.START_SECONDS", "seconds", "it is ended, and told as no answer"),
    Bound("messages to the owner in one round", "notify.notifier.MOST_SENT", "", "the next round"),
    Bound("orders that Zinc is asked about in one round", "notify.notifier.MOST_LOOKS", "", "the next round"),
    Bound("tries to tell the owner one thing", "notify.events.TRIES", "", "it is not told; a warning is logged"),
    Bound("one message to the owner", "notify.delivery.SECONDS", "seconds", "not sent again: it may have been read"),
    Bound("a kept secret, all its parts", "owner.secrets.records.MAX_SECRET", "characters", "not kept, and told"),
    Bound("the record of a kept secret", "owner.secrets.store.MAX_RECORD_BYTES", "bytes", "not believed, and told"),
    Bound("a key on stdin of `login --paste`", "cli.login.login.MAX_PASTED_BYTES", "bytes", "no key: refused"),
    Bound("an account on stdin of `retailer-accounts add`", "owner.account_document.MAX_BYTES", "bytes", "refused"),
    Bound("accounts at retailers that are listed", "owner.retailer_accounts.MOST_ACCOUNTS", "", "the rest is left out"),
    Bound(
        "the keyring, when a server starts",
        "owner.secrets.system_keyring.READ_SECONDS",
        "seconds",
        "there is no key; told",
    ),
    Bound(
        "the keyring, in `login` and `logout`",
        "owner.secrets.system_keyring.PERSON_SECONDS",
        "seconds",
        "nothing changes",
    ),
    Bound("a credential of a wallet", "payments.headers.MAX_CREDENTIAL_BYTES", "bytes", "not sent"),
    Bound("a receipt", "payments.headers.MAX_RECEIPT_BYTES", "bytes", "no receipt"),
    Bound("a `WWW-Authenticate` header", "payments.headers.MAX_HEADER_BYTES", "bytes", "`payment_refused`"),
)

SECTIONS = (
    ("Answers of Zinc, a node, a wallet's provider or a shop", ANSWERS),
    ("Requests and connections of clients", REQUESTS),
    ("Arguments, orders and questions", ORDERS),
    ("Stored data, files, messages and secrets", STORED),
)


def page() -> str:
    """Return the page in Markdown."""
    lines = [
        "# Bounds",
        "",
        "Made by `python -m bench.bounds --write`; nothing here is written by hand. Each thing that comes from outside",
        "has a bound. Nothing is cut or refused silently: the third column says what happens beyond the bound.",
    ]
    for title, bounds in SECTIONS:
        lines += ["", f"## {title}", "", "| thing | at most | beyond it | constant |", "|---|---|---|---|"]
        lines += [f"| {each.thing} | {each.value()} | {each.beyond} | `{each.constant}` |" for each in bounds]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/bounds.md")
    if parser.parse_args().write:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
