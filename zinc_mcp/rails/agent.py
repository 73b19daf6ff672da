"""The agent rail: `POST /agent/orders`, paid by a payment wallet, no Zinc account."""

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any, cast

import anyio
from pydantic import SecretStr

from zinc_mcp.errors import (
    OrderNotFoundError,
    OrderOutcomeUnknownError,
    OrderRejectedError,
    UnreadableAnswerError,
    ZincMcpError,
    ZincUnreachableError,
)
from zinc_mcp.journal.records.entry import Mode
from zinc_mcp.known_settings import RailName
from zinc_mcp.network import Leaving
from zinc_mcp.payments.failures import PaymentOutcomeUnknownError
from zinc_mcp.payments.headers import Challenge, Receipt
from zinc_mcp.payments.terms import Charge, Terms, check, choose
from zinc_mcp.payments.wallet import PaymentWallet
from zinc_mcp.rails import Ending, Quote, Signed, WalletSilentError
from zinc_mcp.rails.account import ORDER_FEE_CENTS
from zinc_mcp.rails.after_sale import ZincAfterSale
from zinc_mcp.zinc.account.account import get_health
from zinc_mcp.zinc.aftercare.cancellation import CancelAnswer, cancel_order
from zinc_mcp.zinc.client import OnPaidHeaders, PaymentAsked, ZincClient, agent_path, json_of
from zinc_mcp.zinc.find.products import A, DataCall, ask_as_agent
from zinc_mcp.zinc.placed.order_list import find_orders
from zinc_mcp.zinc.placed.timeline import Timeline, get_timeline
from zinc_mcp.zinc.responses import Order

_TIME_SECONDS = 3.0


@contextmanager
def _by_its_own_key() -> Generator[None]:
    """Say which key it is that Zinc does not take: the one that came with the order, and no key of the owner's.

    Raises:
        OrderRejectedError: Zinc answered no.
    """
    try:
        yield
    except OrderRejectedError as error:
        if error.status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise
        raise OrderRejectedError(
            f"Zinc does not take the key that came with this order (HTTP {error.status}).",
            "Tell the user to ask Zinc about the order, with its id.",
            status=error.status,
            zinc_code=error.zinc_code,
            facts=error.facts,
        ) from error


class AgentRail:
    """Buys with one payment wallet at one origin."""

    name: RailName = "agent"
    on_balance: None = None
    on_v1: None = None
    lists: None = None

    def __init__(
        self,
        client: ZincClient,
        wallet: PaymentWallet,
        mode: Mode,
        clock: Callable[[], float] = time.time,
        *,
        fees_cents: tuple[int, int] = (ORDER_FEE_CENTS, ORDER_FEE_CENTS),
        sign_seconds: float = 60.0,
        signs_only: bool = True,
        payer: str = "",
    ) -> None:
        """Set up the rail.

        Args:
            client: sends the requests to Zinc.
            wallet: signs the payments.
            mode: whether real money moves.
            clock: returns seconds since the epoch.
            fees_cents: the least and the most that a 402 may ask for above the ceiling.
            sign_seconds: how long the wallet may take. Some wallets ask a person.
            signs_only: whether the wallet moves no money by itself, so that a credential that was never sent can never
                settle.
            payer: the digest that identifies the wallet; see `WalletSettings.payer`.
        """
        self._client = client
        self._wallet = wallet
        self._clock = clock
        self._fees_cents = fees_cents
        self.paying = self
        self.mode: Mode = mode
        self.sign_seconds = sign_seconds
        self.signs_only = signs_only
        self.origin = client.origin
        self.former_account = f"wallet {'+'.join(wallet.methods)}"[:64]
        self.account = f"{self.former_account[:47]} {payer}" if payer else self.former_account
        # Many HTTP servers and clients fold repeated headers. With one method there is only one challenge to read.
        self._path = agent_path(wallet.methods[0] if len(wallet.methods) == 1 else None)

    @property
    def pays_by(self) -> list[str]:
        """The payment methods of the wallet, each with its chain if it has one."""
        return [
            method if terms.chain_id is None else f"{method} (chain {terms.chain_id})"
            for method, terms in self._wallet.terms.items()
        ]

    async def fee_cents(self) -> int:
        """Return the most that a 402 may ask for above the price ceiling."""
        return self._fees_cents[1]

    async def quote(self, body: bytes, ceiling_cents: int, fee_cents: int, on_headers: OnPaidHeaders) -> Quote | Order:
        """Send the order unpaid, and check the one challenge that this wallet would pay.

        An order means that Zinc asked for no payment.

        Raises:
            RefusedError: the payment asked for is not the expected one; nothing was signed.
            OrderAlreadyExistsError: there is an order with this key already; nothing was paid for it this time.
            ZincUnreachableError, OrderRejectedError, OrderOutcomeUnknownError: as `Rail.send`; nothing was paid.
        """
        asked = await self._client.create_agent_order(self._path, body, None, _with_reference(on_headers))
        if not isinstance(asked, PaymentAsked):
            return asked
        terms = Terms(
            origin=self.origin,
            url=self.origin + self._path,
            body=body,
            max_price_cents=ceiling_cents,
            methods=self._wallet.terms,
            fee_range_cents=(min(self._fees_cents[0], fee_cents), fee_cents),
        )
        challenges = Challenge.from_www_authenticate(asked.challenges)
        challenge, charge = choose(challenges, terms, self._clock(), status=402)
        if asked.at is not None:  # check the expiry by Zinc's clock as well: ours may be wrong
            check(challenge, terms, asked.at)
        return Quote(
            method=charge.method,
            amount_cents=charge.amount_cents,
            fee_cents=charge.fee_cents,
            recovery={"method": charge.method, "challenge_id": challenge.id, "expires_at": charge.expires_at},
            challenge=(challenge, charge, terms),
        )

    async def sign(self, quote: Quote) -> Signed:
        """Check the challenge once more, and ask the wallet for its one credential.

        Raises:
            RefusedError: nothing was authorised.
            WalletSilentError: something may have been authorised.
        """
        challenge, charge, terms = _checked_parts(quote)
        check(challenge, terms, self._clock())
        try:
            with anyio.fail_after(self.sign_seconds):
                paid = await self._wallet.pay(challenge, charge, now=self._clock())
        except TimeoutError as error:
            raise WalletSilentError("The payment wallet did not answer in time.", {}, "wallet_timed_out") from error
        except PaymentOutcomeUnknownError as error:
            raise WalletSilentError(error.summary, error.recovery, error.reason) from error
        value = json.dumps([paid.header, paid.authorization.get_secret_value()])
        recovery = {**quote.recovery, **paid.recovery, "reference": paid.reference}
        return Signed(SecretStr(value), paid.settle_by, recovery)

    async def send_paid(self, body: bytes, credential: SecretStr, on_headers: OnPaidHeaders, leaving: Leaving) -> Order:
        """Send the same bytes to the same URL, with the credential; raises as `Rail.send`."""
        header, value = json.loads(credential.get_secret_value())
        paid = (str(header), SecretStr(str(value)))
        order = await self._client.create_agent_order(self._path, body, paid, _with_reference(on_headers), leaving)
        if isinstance(order, PaymentAsked):  # only an unpaid request has this answer
            raise AssertionError
        return order

    async def fate(self, recovery: Mapping[str, Any], credential: SecretStr | None) -> Ending:
        """Ask the wallet what can be proved about the payment. Nothing is changed."""
        kept = _authorization(credential)
        return (await self._wallet.fate(recovery, now=self._clock(), credential=kept)).ending

    async def release(self, recovery: Mapping[str, Any], credential: SecretStr | None) -> Ending:
        """Ask the wallet to take back an authorisation that will not be used, if it can; return as `fate`."""
        kept = _authorization(credential)
        return (await self._wallet.release(recovery, now=self._clock(), credential=kept)).ending

    async def read_paid(self, order_id: str, order_key: SecretStr) -> Order:
        """Read one order with the key that came with it."""
        with _by_its_own_key():
            return await self._client.get_order(order_id, order_key)

    async def find_paid(self, metadata_key: str, value: str, order_key: SecretStr) -> list[Order]:
        """List the orders that the order's own key can read."""
        with _by_its_own_key():
            return await find_orders(self._client, metadata_key, value, order_key)

    async def timeline_paid(self, order_id: str, order_key: SecretStr) -> Timeline:
        """Read the milestones of one order with the key that came with it."""
        with _by_its_own_key():
            return await get_timeline(self._client, order_id, order_key)

    async def cancel_paid_order(self, order_id: str, order_key: SecretStr) -> CancelAnswer:
        """Ask Zinc once to cancel an order, with the key that came with it. For `aftercare` only."""
        return await cancel_order(self._client, order_id, order_key)

    async def check_wallet(self) -> None:
        """Check that the wallet could pay, as far as that can be told without paying; see `PaymentWallet.check`."""
        await self._wallet.check()

    async def ask_the_time(self) -> None:
        """Ask `GET /health`, which is public and free."""
        with suppress(ZincMcpError), anyio.move_on_after(_TIME_SECONDS):
            await get_health(self._client)

    async def send(self, body: bytes, leaving: Leaving) -> Order:
        """Refuse: this rail sends nothing without a payment."""
        raise OrderRejectedError("This rail sends nothing without a payment.", status=402, zinc_code="payment_required")

    async def find(self, metadata_key: str, value: str) -> list[Order]:
        """Return no orders: none can be listed without an order's own key."""
        return []

    async def read(self, order_id: str) -> Order:
        """Refuse: no order can be read without its own key."""
        raise OrderNotFoundError("An order paid by wallet is read with its own key.")

    async def look_up(self, call: DataCall[A]) -> A:
        """Refuse: a question about products needs a payment of its own on this rail."""
        raise UnreadableAnswerError("This rail answers nothing without a payment.")

    async def quote_answer(self, call: DataCall[A], price_cents: int) -> Quote | A:
        """Ask a question about products unpaid, and check the one challenge that this wallet would pay.

        An answer means that Zinc asked for no payment.

        Raises:
            RefusedError: the payment asked for is not the expected one; nothing was signed.
            OrderRejectedError: Zinc refused to answer; nothing was paid.
            ZincUnreachableError: no price came; nothing was paid.
        """
        try:
            answer = await ask_as_agent(self._client, call.agent_path)
        except OrderOutcomeUnknownError as error:  # without a payment it cannot have cost anything
            raise ZincUnreachableError("Zinc told no price for the question.") from error
        if answer.status != HTTPStatus.PAYMENT_REQUIRED:
            try:
                return call.read(json_of(answer, has_key=False))
            except UnreadableAnswerError as error:
                raise ZincUnreachableError("Zinc told no price for the question.") from error
        terms = Terms(
            origin=self.origin,
            url=self.origin + call.agent_path,
            body=b"",
            max_price_cents=price_cents,
            methods=self._wallet.terms,
            fee_range_cents=(0, 0),
        )
        challenges = Challenge.from_www_authenticate(tuple(answer.headers.get_list("www-authenticate")))
        challenge, charge = choose(challenges, terms, self._clock(), status=answer.status)
        recovery = {"method": charge.method, "challenge_id": challenge.id, "expires_at": charge.expires_at}
        return Quote(charge.method, charge.amount_cents, charge.fee_cents, recovery, (challenge, charge, terms))

    async def send_paid_question(self, call: DataCall[A], credential: SecretStr, leaving: Leaving) -> A:
        """Ask the same question at the same address, with the credential.

        Raises:
            ZincUnreachableError: nothing was sent.
            UnreadableAnswerError: it was sent with the payment, and not answered.
        """
        header, value = json.loads(credential.get_secret_value())
        try:
            paid = (str(header), SecretStr(str(value)))
            answer = await ask_as_agent(self._client, call.agent_path, paid, leaving)
            return call.read(json_of(answer))
        except (OrderOutcomeUnknownError, OrderRejectedError) as error:  # a no after the payment proves nothing
            raise UnreadableAnswerError("Zinc did not answer the question that was paid for.") from error

    def after_sale(self, order_key: SecretStr | None) -> ZincAfterSale | None:
        """Return the requests about an order that its own key can make, as far as Zinc lets it."""
        return None if order_key is None else ZincAfterSale(self._client, order_key)


def _with_reference(on_headers: OnPaidHeaders) -> OnPaidHeaders:
    """Return a call that passes on only the payment's reference of a receipt."""

    async def read(order_key: SecretStr | None, receipt: str | None, accepted: bool) -> None:
        known = Receipt.from_payment_receipt(receipt)
        await on_headers(order_key, None if known is None else known.reference, accepted)

    return read


def _checked_parts(quote: Quote) -> tuple[Challenge, Charge, Terms]:
    return cast(tuple[Challenge, Charge, Terms], quote.challenge)  # what `quote` put there


def _authorization(credential: SecretStr | None) -> SecretStr | None:
    return None if credential is None else SecretStr(str(json.loads(credential.get_secret_value())[1]))
