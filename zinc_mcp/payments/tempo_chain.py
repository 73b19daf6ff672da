"""The Tempo chain: its networks, a node's answers about a transfer, and the check of a signed transaction.

Two envelopes carry the same list of fields (draft-tempo-charge-01, "Transaction Payload" and "Fee Payment"):

    0x76 || RLP([chain, tip, max fee, gas, calls, access list, nonce key, nonce, valid before, valid after,
                 fee token, fee payer's signature, authorizations, sender's signature])        the payer pays the fee
    0x78 || RLP([... no fee token, sender's address, authorizations, sender's signature])      the payee sponsors it

This is plain Python, so that a command wallet's transaction can be checked without the `tempo` extra.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

from zinc_mcp.network import Exchange, NoAnswerError, NotSentError
from zinc_mcp.payments.failures import InvalidChallengeError, PaymentRefusedError
from zinc_mcp.payments.headers import strict_object
from zinc_mcp.payments.terms import Charge
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
        return _quantity(await self.ask("eth_chainId", []))

    async def gas_price(self) -> int:
        """Return attodollars per gas."""
        return _quantity(await self.ask("eth_gasPrice", []))

    async def head(self) -> int:
        """Return the number of the newest block."""
        return _quantity(await self.ask("eth_blockNumber", []))

    async def balance(self, token: str, account: str) -> int:
        """Return a TIP-20 balance in base units."""
        data = "0x70a08231" + account.removeprefix("0x").lower().rjust(64, "0")
        return _quantity(await self.ask("eth_call", [{"to": token, "data": data}, "latest"]))

    async def fate(self, recovery: Mapping[str, Any], now: float) -> Fate:
        """Return the ending of a transfer, from the facts that were kept when it was signed.

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
        stamp = _quantity(cast(Mapping[str, Any], block).get("timestamp") if isinstance(block, dict) else None)
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


def _quantity(value: object) -> int:
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise ChainError("not a quantity")
    return int(value, 16)


def _word(address: str) -> str:
    return "0x" + address.removeprefix("0x").lower().rjust(64, "0")


MAX_GAS_ATTODOLLARS = 5 * 10**16
"""$0.05. Gas is priced in attodollars. The node names the price, and the owner pays it, so it needs a bound."""

_PLAIN, _SPONSORED = 0x76, 0x78
_FIELDS = 14
_TRANSFER = bytes.fromhex("a9059cbb")
_TRANSFER_WITH_MEMO = bytes.fromhex("95777d59")
_EXPIRING_NONCE_KEY = (1 << 256) - 1
_MAX_TRANSACTION_BYTES = 16 * 1024
_MAX_DEPTH = 8

Rlp = bytes | list["Rlp"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """The one transfer in a transaction that passed all checks."""

    valid_before: int
    """Seconds since the epoch: no block from then on can include it."""
    memo: str | None
    sponsored: bool


def inspect(
    signed: str, charge: Charge, now: float, *, fee_tokens: Collection[str], lifetime_seconds: float
) -> Transfer:
    """Decode a signed transaction and check it field by field.

    Raises:
        PaymentRefusedError: `transaction`, or `gas` if the network fee could exceed its bound.
    """
    envelope, fields = _decoded(signed)
    sponsored = envelope == _SPONSORED
    calls, access_list, authorizations = fields[4], fields[5], fields[12]
    # The sponsor signs the payer's envelope later, so a sponsored envelope is allowed only if the payee offered that.
    _require(sponsored == charge.sponsored)
    _require(_number(fields[0]) == charge.chain_id)
    _require(access_list == [] and authorizations == [])
    _require(_number(fields[6]) == _EXPIRING_NONCE_KEY and _number(fields[7]) == 0)
    _require(_number(fields[9]) <= now)
    valid_before = _number(fields[8])
    _require(now < valid_before <= min(now + lifetime_seconds, charge.expires_at + 1))
    _require(isinstance(calls, list) and len(calls) == 1)
    memo = _checked_call(cast(list[Rlp], calls)[0], charge)
    _require(len(_bytes(fields[13])) in (65, 86))
    fee_token = _bytes(fields[10])
    if sponsored:
        _require(fee_token == b"" and len(_bytes(fields[11])) == 20)
    else:
        _require(fields[11] == b"")
        _require("0x" + fee_token.hex() in {token.lower() for token in fee_tokens})
        if _number(fields[2]) * _number(fields[3]) > MAX_GAS_ATTODOLLARS:
            raise PaymentRefusedError("gas")
    return Transfer(valid_before, memo, sponsored)


def _checked_call(call: Rlp, charge: Charge) -> str | None:
    _require(isinstance(call, list) and len(call) == 3)
    to, value, data = (_bytes(part) for part in cast(list[Rlp], call))
    _require("0x" + to.hex() == charge.currency.lower() and _number(value) == 0)
    selector, arguments = data[:4], data[4:]
    _require((selector, len(arguments)) in ((_TRANSFER, 64), (_TRANSFER_WITH_MEMO, 96)))
    recipient = bytes.fromhex((charge.recipient or "").removeprefix("0x"))
    _require(arguments[:32] == recipient.rjust(32, b"\0"))
    _require(int.from_bytes(arguments[32:64]) == int(charge.amount))
    return "0x" + arguments[64:].hex() if selector == _TRANSFER_WITH_MEMO else None


def _decoded(signed: str) -> tuple[int, list[Rlp]]:
    try:
        raw = bytes.fromhex(signed.removeprefix("0x"))
        if not raw or len(raw) > _MAX_TRANSACTION_BYTES or raw[0] not in (_PLAIN, _SPONSORED):
            raise ValueError
        fields = decode_rlp(raw[1:])
    except ValueError:
        raise PaymentRefusedError("transaction") from None
    # A fifteenth field would authorise another key to spend.
    if not isinstance(fields, list) or len(fields) != _FIELDS:
        raise PaymentRefusedError("transaction")
    return raw[0], fields


def decode_rlp(data: bytes) -> Rlp:
    """Decode exactly one RLP item (Ethereum Yellow Paper, appendix B), in its one canonical form.

    Raises:
        ValueError: if it is anything else.
    """
    item, end = _item(data, 0, 0)
    if end != len(data):
        raise ValueError("more than one item")
    return item


def _item(data: bytes, at: int, depth: int) -> tuple[Rlp, int]:
    if depth > _MAX_DEPTH or at >= len(data):
        raise ValueError("cut short or too deep")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    is_list = first >= 0xC0
    start, end = _span(data, at, first - (0xC0 if is_list else 0x80))
    if not is_list:
        content = data[start:end]
        if len(content) == 1 and content[0] < 0x80:
            raise ValueError("not canonical")
        return content, end
    items: list[Rlp] = []
    while start < end:
        item, start = _item(data[:end], start, depth + 1)
        items.append(item)
    return items, end


def _span(data: bytes, at: int, length: int) -> tuple[int, int]:
    start = at + 1
    if length > 55:
        size = length - 55
        digits = data[start : start + size]
        length = int.from_bytes(digits)
        if len(digits) != size or digits[0] == 0 or length <= 55:
            raise ValueError("not canonical")
        start += size
    if start + length > len(data):
        raise ValueError("cut short")
    return start, start + length


def _bytes(item: Rlp) -> bytes:
    if not isinstance(item, bytes):
        raise PaymentRefusedError("transaction")
    return item


def _number(item: Rlp) -> int:
    return int.from_bytes(_bytes(item))


def _require(fine: bool) -> None:
    if not fine:
        raise PaymentRefusedError("transaction")
