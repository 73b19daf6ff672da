"""The Tempo networks, and the questions that a wallet asks a Tempo node before and after a transfer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

from zinc_mcp.network import Exchange, NoAnswerError, NotSentError
from zinc_mcp.payments.encoding import strict_object
from zinc_mcp.payments.failures import InvalidChallengeError
from zinc_mcp.payments.wallet import OPEN, UNPAID, Fate

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.proxies import Route


PATH_USD = "0x20c0000000000000000000000000000000000000"
USDC = "0x20C000000000000000000000b9537d11c60E8b50"
OUSD = "0x20c0000000000000000000006a37DA5C996874BE"

FEE_TOKENS = (PATH_USD, USDC)
"""Tokens that may pay the network fee, besides the token that is paid."""


@dataclass(frozen=True, slots=True)
class Network:
    """One chain. Every TIP-20 stablecoin here has six decimals (draft-tempo-charge-01, "Terminology").

    `currencies` maps each token to its decimals, the preferred token first.
    """

    name: str
    chain_id: int
    rpc_url: str
    currencies: Mapping[str, int]
    is_test: bool


NETWORKS: Mapping[int, Network] = MappingProxyType(
    {
        4217: Network("Tempo", 4217, "https://rpc.tempo.xyz", {USDC: 6, PATH_USD: 6, OUSD: 6}, is_test=False),
        42431: Network("Moderato", 42431, "https://rpc.moderato.tempo.xyz", {PATH_USD: 6, OUSD: 6}, is_test=True),
    }
)


# keccak256("TransferWithMemo(address,address,uint256,bytes32)"): from, to and memo are indexed, the amount is data.
TRANSFER_WITH_MEMO = "0x57bc7354aa85aed339e000bccffabbc529466af35f0772c8f8ee1145927de7f0"

_GRACE_SECONDS = 10
"""The newest block must be this far past the end of validity, because a node behind a balancer may lag."""
_OWN_GRACE_SECONDS = 30.0
"""Our own clock must be this far past it, because a node's clock may be wrong."""
_BLOCKS = 5_000
"""More blocks than a chain makes in the minutes that a transaction is valid; nodes accept this range for logs."""
_ANSWER_SECONDS = 10.0
MAX_ANSWER_BYTES = 1024 * 1024
"""A block lists its transactions, and there may be thousands."""
MAX_LOGS = 1_000
"""Logs that are read to find one transfer, which makes one log."""
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")


class ChainError(Exception):
    """The node gave no usable answer. The error holds neither the node's address nor its words."""


class TempoNode:
    """One JSON-RPC node. Its address may hold a key and is never shown."""

    def __init__(
        self, url: SecretStr, route: Route | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._exchange = Exchange(url.get_secret_value(), route, transport=transport)

    async def chain_id(self) -> int:
        """Return the node's chain id."""
        return _number(await self.ask("eth_chainId", []))

    async def gas_price(self) -> int:
        """Return attodollars per gas."""
        return _number(await self.ask("eth_gasPrice", []))

    async def head(self) -> int:
        """Return the number of the newest block."""
        return _number(await self.ask("eth_blockNumber", []))

    async def balance(self, token: str, account: str) -> int:
        """Return a TIP-20 balance in base units."""
        data = "0x70a08231" + account.removeprefix("0x").lower().rjust(64, "0")
        return _number(await self.ask("eth_call", [{"to": token, "data": data}, "latest"]))

    async def fate(self, recovery: Mapping[str, Any], now: float) -> Fate:
        """Return what became of a transfer, from the facts that were kept when it was signed.

        The newest block is read first, so that a transfer in it or before it can be found afterwards. A transfer is
        `unpaid` if that block and our own clock (`now`) are past the end of validity and neither a receipt nor a log
        shows the transfer.

        Raises:
            ChainError: the node cannot be asked, or the facts are another wallet's.
        """
        facts = _facts(recovery)
        if await self.chain_id() != facts["chain_id"]:
            raise ChainError("another chain")
        last = min(await self.head(), facts["from_block"] + _BLOCKS)
        block = await self.ask("eth_getBlockByNumber", [hex(last), False])
        stamp = _number(cast(Mapping[str, Any], block).get("timestamp") if isinstance(block, dict) else None)
        end = facts["valid_before"]
        is_over = stamp > end + _GRACE_SECONDS and now > end + _OWN_GRACE_SECONDS
        reference = recovery.get("tx_hash")
        if isinstance(reference, str) and _HASH.fullmatch(reference):
            receipt = await self.ask("eth_getTransactionReceipt", [reference])
            if isinstance(receipt, dict) and cast(Mapping[str, Any], receipt).get("status") == "0x1":
                return Fate("settled", reference)
        found = await self._logged(recovery, facts["from_block"], last)
        if found is not None:
            return Fate("settled", found)
        return UNPAID if is_over else OPEN

    async def aclose(self) -> None:
        """Close the connection."""
        await self._exchange.aclose()

    async def _logged(self, recovery: Mapping[str, Any], first: int, last: int) -> str | None:
        """Find the transfer by its memo, which names the challenge. The hash of a sponsored transfer is not known."""
        payer, recipient = (_word(str(recovery[name])) for name in ("payer", "recipient"))
        wanted = {
            "address": recovery["token"],
            "topics": [TRANSFER_WITH_MEMO, payer, recipient, recovery["memo"]],
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        asked = [str(topic).lower() for topic in wanted["topics"]]
        logs = await self.ask("eth_getLogs", [wanted])
        if not isinstance(logs, list):
            raise ChainError("not a list of logs")
        for row in cast(list[object], logs)[:MAX_LOGS]:
            log: Mapping[str, Any] = cast(Mapping[str, Any], row) if isinstance(row, dict) else {}
            # The node may have ignored the filter and listed a stranger's transfer.
            topics = log.get("topics")
            if not isinstance(topics, list) or log.get("removed") is True:
                continue
            if [str(topic).lower() for topic in cast(list[object], topics)] != asked:
                continue
            if str(log.get("address")).lower() == str(recovery["token"]).lower():
                reference = log.get("transactionHash")
                return reference if isinstance(reference, str) and _HASH.fullmatch(reference) else ""
        return None

    async def ask(self, method: str, parameters: list[Any]) -> object:
        """Call one JSON-RPC method and return its result.

        Raises:
            ChainError: there is no answer, or the answer is an error.
        """
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        try:
            answer = await self._exchange.ask(
                "POST",
                "",
                {"Content-Type": "application/json"},
                seconds=_ANSWER_SECONDS,
                content=json.dumps(question).encode(),
                most_bytes=MAX_ANSWER_BYTES,
            )
            told = strict_object(answer.content.decode())
        except (NotSentError, NoAnswerError, UnicodeDecodeError, InvalidChallengeError):
            raise ChainError("no answer") from None
        if "result" not in told or told.get("error") is not None:
            raise ChainError("an error")
        return cast(object, told["result"])


def _facts(recovery: Mapping[str, Any]) -> dict[str, int]:
    numbers = {name: recovery.get(name) for name in ("chain_id", "from_block", "valid_before")}
    texts = (recovery.get(name) for name in ("token", "payer", "recipient", "memo"))
    if not all(type(number) is int for number in numbers.values()) or not all(isinstance(text, str) for text in texts):
        raise ChainError("facts of another wallet")
    return cast(dict[str, int], numbers)


def _number(value: object) -> int:
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise ChainError("not a quantity")
    return int(value, 16)


def _word(address: str) -> str:
    return "0x" + address.removeprefix("0x").lower().rjust(64, "0")
