"""The Tempo wallet: it signs a token transfer, with pympp as the signer. Needs the extra `zinc-mcp[tempo]`.

Only this module imports pympp, and lazily: the first import takes about a second, so `warm` does it in a thread. The
signer gets one checked challenge. Its signed transaction is decoded and checked before it is used.
"""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from pydantic import SecretStr

from zinc_mcp.errors import SettingsError
from zinc_mcp.invocation import install_command
from zinc_mcp.payments.failures import PaymentRefusedError
from zinc_mcp.payments.headers import Challenge, Credential
from zinc_mcp.payments.tempo_chain import FEE_TOKENS, MAX_GAS_ATTODOLLARS, NETWORKS, ChainError, TempoNode, inspect
from zinc_mcp.payments.terms import Charge, MethodTerms, is_confidential_address
from zinc_mcp.payments.wallet import OPEN, Fate, Paid, PaymentWallet

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.proxies import Route

METHOD = "tempo"
_GAS = 1_000_000
"""The least gas that pympp allows for a transfer."""
_LIFETIME_SECONDS = 120.0
_SIGNING_SECONDS = 25.0
_PRIVATE_KEY = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


_NODE: ContextVar[TempoNode] = ContextVar("node")
"""The node that the signer asks, in the thread that signs."""


@dataclass(frozen=True, slots=True)
class _Signer:
    """The functions and classes of pympp that are used here; `tests/payments` imports each."""

    account: Callable[[str], Any]
    charge: Callable[..., Any]
    parameters: Callable[..., Any]
    challenge: Callable[..., Any]
    credential: Callable[[str], Any]
    memo: Callable[[str, str], str]
    keccak: Callable[[bytes], bytes]
    failures: tuple[type[Exception], ...]


def load() -> _Signer:
    """Import the signer, and replace its request to a node with ours. The first call is slow.

    Raises:
        SettingsError: if the extra is not installed.
    """
    depth = sys.getrecursionlimit()
    try:
        # These two have no types and are absent without the extra. They make the import slow.
        importlib.import_module("pytempo")
        keccak = importlib.import_module("eth_hash.auto").keccak
        from mpp import Challenge as SignersChallenge
        from mpp import Credential as SignersCredential
        from mpp.errors import PaymentError as SignersPaymentError
        from mpp.methods.tempo import TempoAccount, attribution
        from mpp.methods.tempo import client as signer
        from mpp.runtime import CredentialParams

        rpc: Any = importlib.import_module("mpp.methods.tempo._rpc")
        client: Any = importlib.import_module("mpp.methods.tempo.client")
        if not callable(getattr(rpc, "_rpc_call", None)) or not callable(getattr(client, "_rpc_call", None)):
            raise SettingsError(
                "ZINC_WALLET is tempo, but the installed pympp is not one that this program knows.",
                f"Install it again and start again: {install_command('tempo')}",
            )
        rpc._rpc_call = client._rpc_call = _through_our_exchange
    except ImportError:
        raise SettingsError(
            "ZINC_WALLET is tempo, but its signer is not installed.",
            f"Install it and start again: {install_command('tempo')}",
        ) from None
    finally:
        # A dependency (py_ecc) sets it to 100,000 for the whole process. A deeply nested answer would then end the
        # process instead of being unreadable. Signing does not need it.
        sys.setrecursionlimit(depth)
    return _Signer(
        account=TempoAccount.from_key,
        charge=signer.charge,
        parameters=CredentialParams,
        challenge=SignersChallenge,
        credential=SignersCredential.from_authorization,
        memo=attribution.encode,
        keccak=keccak,
        # A violated policy is a ValueError; trouble with the node is one of the others.
        failures=(
            signer.TransactionError,
            SignersPaymentError,
            ChainError,
            ValueError,
            KeyError,
            TypeError,
            RuntimeError,
            TimeoutError,
        ),
    )


async def _through_our_exchange(rpc_url: str, method: str, params: list[Any], *, client: object = None) -> Any:
    """Replace pympp's own request to a node, which has no bounds and ignores our proxy.

    pympp takes no client for that request, so `load` puts this function in the place of pympp's.
    """
    return await _NODE.get().ask(method, params)


class TempoWallet(PaymentWallet):
    """Pays in dollar tokens with one key: an account's own key, or an access key that signs for a root account.

    A signed transfer cannot be taken back, but ends by itself within two minutes.
    """

    def __init__(
        self,
        private_key: SecretStr,
        *,
        chain_id: int = 4217,
        root_account: str | None = None,
        rpc_url: str | None = None,
        recipients: frozenset[str] | None = None,
        route: Route | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if not _PRIVATE_KEY.fullmatch(private_key.get_secret_value()):
            raise SettingsError("ZINC_TEMPO_PRIVATE_KEY is not a private key: 64 hexadecimal digits after 0x.")
        if root_account is not None and not _ADDRESS.fullmatch(root_account):
            raise SettingsError("ZINC_TEMPO_ROOT_ACCOUNT is not an address: 40 hexadecimal digits after 0x.")
        network = NETWORKS.get(chain_id)
        if network is None:
            raise SettingsError("ZINC_TEMPO_CHAIN_ID must be 4217 (Tempo) or 42431 (the test network Moderato).")
        if rpc_url is not None and not is_confidential_address(rpc_url):
            raise SettingsError("ZINC_TEMPO_RPC_URL must be an https address (plain http only on this machine).")
        self._private_key = SecretStr("0x" + private_key.get_secret_value().removeprefix("0x"))
        self._root_account = root_account
        self._network = network
        self._rpc_url = SecretStr(rpc_url or network.rpc_url)
        self._open_node = partial(TempoNode, self._rpc_url, route, transport)
        self._node = self._open_node()
        self.terms = {METHOD: MethodTerms(network.currencies, network.chain_id, recipients)}
        self.mode = "test" if network.is_test else "live"  # tokens of a test network are free

    async def warm(self) -> None:
        """Import the signer in a thread."""
        await to_thread.run_sync(load)

    async def check(self) -> None:
        """Load the signer and make the key's account.

        Raises:
            SettingsError: the extra is not installed, or nothing can be signed with the key.
        """
        signer = await to_thread.run_sync(load)
        try:
            await to_thread.run_sync(self._address, signer)
        except (ValueError, TypeError):
            raise SettingsError("ZINC_TEMPO_PRIVATE_KEY is not a private key that can sign.") from None

    async def pay(self, challenge: Challenge, charge: Charge, *, now: float) -> Paid:
        """Sign one transfer. Nothing is broadcast, so a transfer that is discarded here can never settle.

        Raises:
            PaymentRefusedError: nothing was signed, or the signed transfer was discarded.
        """
        try:
            signer = await to_thread.run_sync(load)
        except SettingsError:
            raise PaymentRefusedError("wallet_unavailable") from None
        payer = self._root_account
        if payer is None:
            payer = await to_thread.run_sync(self._address, signer)
        from_block = await self._ready(charge, payer)
        signed = await to_thread.run_sync(self._signed, signer, challenge, charge)
        transfer = inspect(
            signed, charge, now, fee_tokens=(charge.currency, *FEE_TOKENS), lifetime_seconds=_LIFETIME_SECONDS
        )
        memo = signer.memo(challenge.id, challenge.realm)
        # A look-up finds the transfer by its memo.
        if transfer.memo != memo:
            raise PaymentRefusedError("transaction")
        # The sponsor's signature, added later, changes the hash.
        reference = None if transfer.sponsored else _transaction_hash(signer, signed)
        credential = Credential(
            challenge,
            {"type": "transaction", "signature": signed},
            f"did:pkh:eip155:{self._network.chain_id}:{payer}",
        )
        return Paid(
            authorization=SecretStr(credential.to_authorization()),
            header=charge.header,
            settle_by=float(transfer.valid_before),
            reference=reference,
            recovery={
                "wallet": "tempo",
                "method": METHOD,
                "challenge_id": challenge.id,
                "chain_id": self._network.chain_id,
                "tx_hash": reference,
                "memo": memo,
                "payer": payer,
                "token": charge.currency,
                "recipient": charge.recipient,
                "amount": charge.amount,
                "valid_before": transfer.valid_before,
                "from_block": from_block,
            },
        )

    async def fate(self, recovery: Mapping[str, Any], *, now: float, credential: SecretStr | None = None) -> Fate:
        """Ask the chain. A transfer is `unpaid` only if the chain's clock and ours are both past its end."""
        try:
            return await self._node.fate(recovery, now)
        except ChainError:
            return OPEN

    async def aclose(self) -> None:
        """Close the connection to the node."""
        await self._node.aclose()

    def _address(self, signer: _Signer) -> str:
        return str(signer.account(self._private_key.get_secret_value()).address)

    async def _ready(self, charge: Charge, payer: str) -> int:
        """Check chain, gas price and balance before signing; return the newest block's number."""
        try:
            if await self._node.chain_id() != self._network.chain_id:
                raise PaymentRefusedError("chain")
            if not charge.sponsored and await self._node.gas_price() * _GAS > MAX_GAS_ATTODOLLARS:
                raise PaymentRefusedError("gas")
            if await self._node.balance(charge.currency, payer) < int(charge.amount):
                raise PaymentRefusedError("funds")
            return await self._node.head()
        except ChainError:
            raise PaymentRefusedError("wallet_unavailable") from None

    def _signed(self, signer: _Signer, challenge: Challenge, charge: Charge) -> str:
        """Sign in this worker thread, on a separate event loop: signing takes 70 ms of computing."""
        method = signer.charge(
            account=signer.account(self._private_key.get_secret_value()),
            root_account=self._root_account,
            chain_id=self._network.chain_id,
            rpc_url=self._rpc_url.get_secret_value(),
            currencies=[charge.currency],
            max_atomic_amount=int(charge.amount),
            expected_recipients=[charge.recipient],
            allowed_chain_ids=[self._network.chain_id],
        )
        theirs = signer.challenge(
            id=challenge.id,
            method=challenge.method,
            intent=challenge.intent,
            request=dict(challenge.charge_request.members),
            realm=challenge.realm,
            request_b64=challenge.request,
            expires=challenge.expires,
        )

        async def create() -> str:
            node = self._open_node()  # connections belong to the event loop that opened them
            asked = _NODE.set(node)
            try:
                async with asyncio.timeout(_SIGNING_SECONDS):
                    return str(await method.create_credential(signer.parameters(challenge=theirs)))
            finally:
                _NODE.reset(asked)
                await node.aclose()

        try:
            payload = signer.credential(asyncio.run(create())).payload
        except signer.failures:
            # Not chained: an error of the signer may quote the node's address or the transaction.
            raise PaymentRefusedError("wallet_unavailable") from None
        signed = payload.get("signature") if payload.get("type") == "transaction" else None
        if not isinstance(signed, str):
            raise PaymentRefusedError("transaction")
        return signed


def _transaction_hash(signer: _Signer, signed: str) -> str:
    """Return the hash that the receipt will name."""
    return "0x" + signer.keccak(bytes.fromhex(signed.removeprefix("0x"))).hex()
