"""A transaction signed for Tempo is the payment and nothing else, field by field, without any extra.

The two transactions were signed by pympp 0.16 with a key that pays for nothing: one whose payer pays the network's fee,
one that its payee sponsors. Every other one here is made of them by changing one field.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from payments.offers import RECIPIENT

from zinc_mcp.payments.failures import PaymentRefusedError
from zinc_mcp.payments.tempo_chain import MAX_GAS_ATTODOLLARS, PATH_USD, Rlp, Transfer, decode_rlp, inspect
from zinc_mcp.payments.terms import Charge

_PAYMENT = (
    "f87ef87c9420c000000000000000000000000000000000000080b86495777d59000000000000000000000000742d35cc6634c0532925a3b844"
    "bc9e7595f8fe0000000000000000000000000000000000000000000000000000000000018cba80"
)
_NONCE = "c0a0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff80"
PLAIN = (
    f"0x76f9011682a5bf8504a817c8008504a817c800830f4240{_PAYMENT}"
    f"ef1ed7120112ae4effade42685f136000000000000000000008902c97220f055{_NONCE}846b08f3b680"
    "9420c000000000000000000000000000000000000080c0b841079118eee21722bf2eb7b87749c887d2df5f93332da0d35eb8ffdb4a1b9f5fd8"
    "182b1825619f8b4967ba69bcf0da283fbd28ae1df628b908a4d91803c2f0856c1b"
)
SPONSORED = (
    f"0x78f9011682a5bf8504a817c8008504a817c800830f4240{_PAYMENT}"
    f"ef1ed7120112ae4effade42685f13600000000000000000000f1cdb72f459c1e{_NONCE}846b08f3b780"
    "809419e7e376e7c213b7e7e7e46cc70a5dd086daff2ac0b8415d66ca43ab3c5b81c27ed96b898a58faa35ee8f2f01f42be4a2b04f166b3b34b"
    "062a03afd93eb7105adb954237e9b42b363828897d5d9cc908cc35928277cce91c"
)
NOW = 1_795_748_730.0
ENDS = 1_795_748_790
CHARGE = Charge(
    method="tempo",
    amount_cents=2600,
    fee_cents=100,
    amount="26000000",
    currency=PATH_USD,
    recipient=RECIPIENT,
    expires_at=NOW + 297,
    header="Authorization",
    chain_id=42431,
)
STRANGER = b"\x01" * 20
CHAIN, FEE, GAS, CALLS, ACCESS, NONCE_KEY, NONCE, BEFORE, AFTER, FEE_TOKEN, PAYER, AUTHORIZATIONS, SIGNATURE = (
    0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
)  # fmt: skip
Fields = list[Rlp]


def look(signed: str, charge: Charge = CHARGE, now: float = NOW, tokens: Sequence[str] = (PATH_USD,)) -> Transfer:
    return inspect(signed, charge, now, fee_tokens=tokens, lifetime_seconds=120)


def refused(signed: str, charge: Charge = CHARGE, now: float = NOW, tokens: Sequence[str] = (PATH_USD,)) -> str:
    with pytest.raises(PaymentRefusedError) as caught:
        look(signed, charge, now, tokens)
    return caught.value.reason


def fields_of(signed: str) -> Fields:
    found = decode_rlp(bytes.fromhex(signed[4:]))
    assert isinstance(found, list)
    return found


def encoded(item: Rlp) -> bytes:
    """Encode as the Yellow Paper's appendix B says, apart from the program's own decoder."""
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _length(len(item), 0x80) + item
    content = b"".join(map(encoded, item))
    return _length(len(content), 0xC0) + content


def _length(length: int, offset: int) -> bytes:
    if length < 56:
        return bytes([offset + length])
    digits = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([offset + 55 + len(digits)]) + digits


def number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8)


def changed(signed: str, at: int, value: Rlp) -> str:
    fields = fields_of(signed)
    return signed[:4] + encoded([*fields[:at], value, *fields[at + 1 :]]).hex()


def data(call: Fields) -> bytes:
    """Return what a call hands over: the function, and its arguments."""
    return text(call[2])


def text(item: Rlp) -> bytes:
    assert isinstance(item, bytes)
    return item


def transfer(change: Callable[[Fields], Rlp]) -> list[Rlp]:
    """Return the calls of the plain transaction with its one call changed."""
    calls = fields_of(PLAIN)[CALLS]
    assert isinstance(calls, list)
    call = calls[0]
    assert isinstance(call, list)
    return [change(call)]


def test_the_transaction_that_was_asked_for_passes() -> None:
    plain, sponsored = look(PLAIN), look(SPONSORED, replace(CHARGE, sponsored=True))
    assert (plain.valid_before, plain.sponsored) == (ENDS, False)
    assert (sponsored.valid_before, sponsored.sponsored) == (ENDS + 1, True)
    assert str(plain.memo).startswith("0xef1ed7120112ae4e") and plain.memo != sponsored.memo
    assert PLAIN[:4] + encoded(fields_of(PLAIN)).hex() == PLAIN, "the encoder here says what was signed"


@pytest.mark.parametrize(
    "charge",
    [
        replace(CHARGE, amount="26000001"),
        replace(CHARGE, amount="25999999"),
        replace(CHARGE, recipient="0x" + "1" * 40),
        replace(CHARGE, currency="0x" + "1" * 40),
        replace(CHARGE, chain_id=4217),
        replace(CHARGE, sponsored=True),
        replace(CHARGE, expires_at=ENDS - 2),
    ],
    ids=["more", "less", "recipient", "currency", "chain", "sponsor", "end"],
)
def test_a_payment_of_anything_else_is_refused(charge: Charge) -> None:
    assert refused(PLAIN, charge) == "transaction"


_WRONG: list[tuple[int, list[Rlp]]] = [
    (CHAIN, [b"", number(4217), [number(42431)]]),
    (ACCESS, [[[STRANGER, []]], b"", [b"\x01"]]),
    (NONCE_KEY, [b"", b"\x01", b"\xff" * 31]),
    (NONCE, [b"\x01", number(7)]),
    (BEFORE, [b"", number(int(NOW)), number(int(NOW) + 121), number(ENDS + 86_400)]),
    (AFTER, [number(int(NOW) + 1), number(ENDS)]),
    (FEE_TOKEN, [b"", STRANGER, bytes.fromhex(PATH_USD[2:]) + b"\0"]),
    (PAYER, [b"\0", STRANGER, [b"\x01", b"\x01", b"\x01"]]),
    (AUTHORIZATIONS, [[b"\x01"], [[number(42431), STRANGER, b"\x01"]], b""]),
    (SIGNATURE, [b"", b"\x01" * 64, b"\x01" * 66, [b"\x01" * 65]]),
]


@pytest.mark.parametrize(
    ("at", "values"),
    _WRONG,
    ids=lambda given: str(given) if isinstance(given, int) else "",
)
def test_each_field_is_what_a_payment_needs_and_nothing_else(at: int, values: Sequence[Rlp]) -> None:
    for value in values:
        assert refused(changed(PLAIN, at, value)) == "transaction", value


@pytest.mark.parametrize(
    "calls",
    [
        [],
        b"",
        [*transfer(lambda call: call), *transfer(lambda call: call)],
        transfer(lambda call: [STRANGER, *call[1:]]),
        transfer(lambda call: [call[0], b"\x01", call[2]]),
        transfer(lambda call: [call[0], call[1]]),
        transfer(lambda call: [*call, b""]),
        transfer(lambda call: [call[0], call[1], data(call) + b"\0"]),
        transfer(lambda call: [call[0], call[1], data(call)[:-32]]),
        transfer(lambda call: [call[0], call[1], b"\x09\x5e\xa7\xb3" + data(call)[4:68]]),
        transfer(lambda call: [call[0], call[1], data(call)[:4] + STRANGER.rjust(32, b"\0") + data(call)[36:]]),
        transfer(lambda call: [call[0], call[1], data(call)[:4] + b"\x01" + data(call)[5:]]),
        transfer(lambda call: [call[0], call[1], data(call)[:67] + b"\x81" + data(call)[68:]]),
    ],
    ids=[
        "none", "no list", "two", "another token", "value", "two parts", "four parts", "longer", "shorter", "approve",
        "another recipient", "a longer recipient", "a cent more",
    ],
)  # fmt: skip
def test_the_one_call_of_a_payment_is_that_transfer(calls: Any) -> None:
    assert refused(changed(PLAIN, CALLS, calls)) == "transaction"


def test_a_transfer_without_a_memo_is_told_from_one_with() -> None:
    bare = transfer(lambda call: [call[0], call[1], b"\xa9\x05\x9c\xbb" + data(call)[4:68]])
    assert look(changed(PLAIN, CALLS, bare)).memo is None


def test_the_networks_fee_has_a_cap_whatever_the_node_says() -> None:
    gas = int.from_bytes(text(fields_of(PLAIN)[GAS]))
    dearest = MAX_GAS_ATTODOLLARS // gas
    assert look(changed(PLAIN, FEE, number(dearest))).valid_before == ENDS
    for at, value in ((FEE, number(dearest + 1)), (FEE, b"\xff" * 8), (GAS, b"\xff" * 8)):
        assert refused(changed(PLAIN, at, value)) == "gas"


@pytest.mark.parametrize(
    ("at", "values"),
    [(FEE_TOKEN, [STRANGER, bytes.fromhex(PATH_USD[2:])]), (PAYER, [b"", b"\0", STRANGER + b"\0"])],
)
def test_a_sponsored_payment_names_its_payer_and_no_token_for_the_fee(at: int, values: Sequence[Rlp]) -> None:
    for value in values:
        assert refused(changed(SPONSORED, at, value), replace(CHARGE, sponsored=True)) == "transaction"


def test_a_payment_is_not_taken_for_one_of_the_other_kind() -> None:
    assert refused("0x78" + PLAIN[4:], replace(CHARGE, sponsored=True)) == "transaction"
    assert refused("0x76" + SPONSORED[4:]) == "transaction"
    assert refused(SPONSORED) == "transaction"
    assert refused("0x02" + PLAIN[4:]) == "transaction"


@pytest.mark.parametrize("now", [ENDS, ENDS + 1, ENDS - 121, NOW - 86_400])
def test_the_time_of_a_payment_is_neither_over_nor_longer_than_two_minutes(now: float) -> None:
    assert refused(PLAIN, now=now) == "transaction"


def test_the_fee_is_paid_in_one_of_the_owners_tokens() -> None:
    assert refused(PLAIN, tokens=()) == "transaction"
    assert look(PLAIN, tokens=("0x" + "1" * 40, PATH_USD.upper().replace("0X", "0x"))).valid_before == ENDS


def test_there_are_fourteen_fields_and_none_that_lets_another_key_spend() -> None:
    fields = fields_of(PLAIN)
    key: Rlp = [b"a key"]
    others: list[Fields] = [[*fields[:13], key, fields[13]], [*fields, b""], fields[:13], [], [fields]]
    for some in others:
        assert refused("0x76" + encoded(some).hex()) == "transaction"


@pytest.mark.parametrize(
    "signed",
    [
        "", "0x", "0xzz", "0x76", PLAIN[:-2], PLAIN + "00", "0x76" + "f8" * 4000, "0x76" + "c1" * 20,
        "0x7600" + PLAIN[4:], "0x76b9" + f"{17_000:04x}" + "00" * 17_000,
    ],
    ids=[
        "nothing", "no digits", "no hex", "no fields", "cut short", "more behind", "too long", "lists", "a zero before",
        "one text",
    ],
)  # fmt: skip
def test_bytes_that_are_no_transaction_are_refused(signed: str) -> None:
    assert refused(signed) == "transaction"


@pytest.mark.parametrize(
    "data",
    [b"", b"\x81\x05", b"\xb8\x01\x05", b"\xb9\x00\x38" + b"a" * 56, b"\x05\x05", b"\x83ab", b"\xc2\x05", b"\xb8"],
)
def test_only_one_spelling_of_an_item_is_read(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"canonical|cut short|more than one"):
        decode_rlp(data)


_ITEMS: list[Rlp] = [b"", b"\0", b"\x7f", b"\x80", b"a" * 55, b"a" * 56, b"a" * 300, [], [b"", [b"a", []]]]


@pytest.mark.parametrize("item", _ITEMS)
def test_each_item_is_read_as_it_was_written(item: Rlp) -> None:
    assert decode_rlp(encoded(item)) == item
