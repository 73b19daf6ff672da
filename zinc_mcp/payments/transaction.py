"""Decode a signed Tempo transaction and check that it is exactly the payment that was asked for.

Two envelopes carry the same list of fields (draft-tempo-charge-01, "Transaction Payload" and "Fee Payment"):

    0x76 || RLP([chain, tip, max fee, gas, calls, access list, nonce key, nonce, valid before, valid after,
                 fee token, fee payer's signature, authorizations, sender's signature])        the payer pays the fee
    0x78 || RLP([... no fee token, sender's address, authorizations, sender's signature])      the payee sponsors it

This is plain Python, so that a command wallet's transaction can be checked without the `tempo` extra.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

from zinc_mcp.payments.failures import PaymentRefusedError
from zinc_mcp.payments.terms import Charge

MAX_GAS_ATTODOLLARS = 5 * 10**16
"""$0.05. Gas is priced in attodollars. The node names the price, and the owner pays it, so it needs a bound."""

_PLAIN, _SPONSORED = 0x76, 0x78
_FIELDS = 14
_TRANSFER = bytes.fromhex("a9059cbb")
_TRANSFER_WITH_MEMO = bytes.fromhex("95777d59")
_EXPIRING_NONCE_KEY = (1 << 256) - 1
_MAX_BYTES = 16 * 1024
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
    # A sponsor signs the payer's envelope later, so it may be a sponsored one only if the payee offered that.
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
        if not raw or len(raw) > _MAX_BYTES or raw[0] not in (_PLAIN, _SPONSORED):
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
