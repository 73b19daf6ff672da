"""What the fault campaign on the agent rail found, each as the smallest test that shows it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from pydantic import SecretStr

from zinc_mcp.ordering.journal import Journal
from zinc_mcp.ordering.payment import Payment
from zinc_mcp.ordering.proof import forget_credential
from zinc_mcp.ordering.writer import Writer


async def test_a_look_up_that_forgets_the_credential_does_not_lose_a_key_that_arrives_meanwhile(home: Path) -> None:
    """Found as an accepted order without its key: a process looked it up while another one sent it again."""
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        journal.write_payment(Payment(1, 0.0, SecretStr("credential"), 300.0))

        class Overtaken:
            arrived = False

            async def run(self, what: Callable[[Journal], Any]) -> Any:
                found, payment = what(journal), journal.payment(1)
                assert payment is not None
                if not self.arrived:
                    journal.write_payment(dataclasses.replace(payment, order_key=SecretStr("zn_live_order")))
                self.arrived = True
                return found

        await forget_credential(cast(Writer, Overtaken()), 1)
        left = journal.payment(1)
    assert left is not None
    assert left.credential is None
    assert left.order_key == SecretStr("zn_live_order")
