"""`docs/notify.md` says what the program does: its message, its signature, its events."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from journal.test_journal import draft
from pydantic import SecretStr
from started import ROOT

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry, Limits
from zinc_mcp.notify.delivery import signature
from zinc_mcp.notify.message import about_entry
from zinc_mcp.owner.notify import Notable

PAGE = (ROOT / "docs" / "notify.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_page_lists_every_event() -> None:
    assert re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE) == list(get_args(Notable))


def test_the_message_of_the_page_has_the_form_of_a_real_one(tmp_path: Path) -> None:
    shown = cast(dict[str, Any], json.loads(block("json")))
    with Journal.open(f"sqlite:///{tmp_path / 'journal.db'}") as journal:
        opened = journal.open_entry(draft(), Limits(), owner="t", lease_seconds=1.0, window_seconds=1.0)
        entry = journal.move(
            cast(Any, opened), "placed", "placed", order_id=shown["order"]["order_id"], spent_cents=4300
        )
    real = about_entry(entry, "placed", "a journal", time.time())
    assert list(real) == list(shown)
    assert set(shown["order"]) - set(real["order"]) <= {"retailer"}  # the test's entry has none
    assert {name: type(value) for name, value in shown.items()} == {name: type(value) for name, value in real.items()}


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("waiting", "A return waits for your yes (costs nothing at amazon.com)"),
        ("placed", "A return is at Zinc now."),
        ("in_doubt", "It is not known what became of a return"),
        ("failed", "A return (costs nothing at amazon.com) was rejected"),
    ],
)
def test_a_change_of_an_order_is_named_as_what_it_is(tmp_path: Path, event: Notable, said: str) -> None:
    with Journal.open(f"sqlite:///{tmp_path / 'journal.db'}") as journal:
        found = journal.open_entry(draft(mode="live"), Limits(), owner="t", lease_seconds=1.0, window_seconds=1.0)
    entry = replace(cast(Entry, found), kind="return", reserved_cents=0, state="rejected")
    assert about_entry(entry, event, "a journal", time.time())["text"].startswith(said)


def test_the_code_of_the_page_takes_our_signature_and_no_other() -> None:
    there: dict[str, Any] = {}
    exec(block("python"), there)  # noqa: S102
    stamp, body = str(int(time.time())), b'{"text": "x"}'
    headers = {"X-Zinc-MCP-Timestamp": stamp, "X-Zinc-MCP-Signature": signature(SecretStr("mine"), stamp, body)}
    assert there["is_ours"](headers, body, "mine")
    assert not there["is_ours"](headers, body + b" ", "mine")
    assert not there["is_ours"](headers, body, "another")
    old = str(int(stamp) - 1000)
    signed = signature(SecretStr("mine"), old, body)
    assert not there["is_ours"]({"X-Zinc-MCP-Timestamp": old, "X-Zinc-MCP-Signature": signed}, body, "mine")
