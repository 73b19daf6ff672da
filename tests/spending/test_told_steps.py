"""The journal tells of a payment that came to nothing whether the wallet was asked."""

from pathlib import Path
from typing import Any

import pytest
from checkout.test_promises import PAYS
from checkout.test_promises import by_program as by_program  # a fixture
from conftest import OpenProcess
from fake_zinc import FakeZinc
from journals import journal_of
from wanted import order

from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.journal import Journal

BY_WALLET = Intent("local", "agent", order())
REFUSES = 'import json, sys; sys.stdin.read(); print(json.dumps({"refused": True}))\n'


async def test_a_wallet_that_says_no_is_recorded_as_asked(
    open_test_process: OpenProcess, home: Path, by_program: Any
) -> None:
    async with open_test_process(**by_program(REFUSES)) as process:
        with pytest.raises(RefusedError):
            await place(process, BY_WALLET)
    [entry], events = journal_of(home)
    assert entry.state == "refused"
    assert events[-1].what == "the wallet did not pay"


async def test_a_pause_while_zinc_says_its_price_is_recorded_as_before_the_wallet_was_asked(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, by_program: Any
) -> None:
    async def pause() -> None:
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.pause("the owner looks into it")

    zinc.on_post = pause
    async with open_test_process(**by_program(PAYS)) as process:
        with pytest.raises(RefusedError) as refused:
            await place(process, BY_WALLET)
    assert refused.value.code == "paused"
    [entry], events = journal_of(home)
    assert entry.state == "refused"
    assert events[-1].what == "paused before the wallet was asked"
