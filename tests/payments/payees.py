"""Payees built from pympp's own server side: they issue challenges and verify what our wallets sign."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

from payments.fake_stripe import FakeStripe
from payments.fake_tempo import MODERATO
from payments.offers import BODY, RECIPIENT, URL

from zinc_mcp.text import printed


@dataclass(frozen=True, slots=True)
class Verdict:
    """A payee's answer to one request: a status, and challenges or the reference of a payment."""

    status: int
    challenges: tuple[str, ...] = ()
    reference: str | None = None


class Payee(Protocol):
    """A payee."""

    async def ask(self, headers: list[tuple[str, str]], body: bytes = BODY, cents: int = 2600) -> Verdict:
        """Judge one request for so many cents."""
        ...


class TempoPayee:
    """Issues challenges for Moderato, verifies credentials and broadcasts."""

    def __init__(self, rpc: str, **how: Any) -> None:
        from mpp.methods.tempo import server
        from mpp.stores import MemoryStore

        from zinc_mcp.payments.tempo_chain import PATH_USD

        charge = server.charge(
            recipient=RECIPIENT,
            rpc_url=rpc,
            chain_id=MODERATO,
            currencies=[PATH_USD],
            store=MemoryStore(),
            **how,
        )
        self._mpp = _mpp(charge)
        self._asks: dict[str, Any] = {"fee_payer": True} if how else {}

    async def ask(self, headers: list[tuple[str, str]], body: bytes = BODY, cents: int = 2600) -> Verdict:
        """See `Payee.ask`."""
        return await _asked(self._mpp, headers, body, cents, **self._asks)


class StripePayee:
    """Takes shared payment tokens at a stand-in for Stripe."""

    def __init__(self, stripe: FakeStripe) -> None:
        from mpp.methods.stripe import server

        class PaymentIntents:
            def create(self, body: dict[str, Any], options: dict[str, Any]) -> SimpleNamespace:
                stripe.charge(body["shared_payment_granted_token"], body["amount"])
                return SimpleNamespace(id="pi_1", status="succeeded", last_response=None)

        charge = server.charge(
            client=SimpleNamespace(payment_intents=PaymentIntents()),
            network_id="profile_1",
            currency="usd",
            external_id="order_7",
            payment_method_types=["card"],
        )
        self._mpp = _mpp(charge)

    async def ask(self, headers: list[tuple[str, str]], body: bytes = BODY, cents: int = 2600) -> Verdict:
        """See `Payee.ask`."""
        return await _asked(self._mpp, headers, body, cents)


async def offered(payee: Payee) -> list[str]:
    """Return the challenges that an unpaid request is answered with."""
    unpaid = await payee.ask([])
    assert unpaid.status == 402
    return list(unpaid.challenges)


def _mpp(charge: Any) -> Any:
    from mpp.server.mpp import Mpp

    return Mpp(methods=[charge], realm="api.zinc.com", secret_key="s" * 40)


async def _asked(mpp: Any, headers: list[tuple[str, str]], body: bytes, cents: int, **how: Any) -> Verdict:
    from mpp.server.http import Request

    request = Request("POST", URL, headers=headers, body=body, route="/agent/orders")
    answer = await mpp.charge(amount=printed(cents).removeprefix("$"), body=body, **how)(request)
    if getattr(answer, "receipt", None) is not None:
        return Verdict(answer.status, reference=answer.receipt.reference)
    refused = answer.challenge
    offered = [value for name, value in refused.headers.multi_items() if name.lower() == "www-authenticate"]
    return Verdict(refused.status, tuple(offered))
