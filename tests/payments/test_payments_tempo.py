"""The Tempo wallet pays end to end on a loopback node, and pympp's payee verifies it independently."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from payments.fake_tempo import MODERATO, FakeTempo
from payments.offers import NOW, offer, rfc3339, tempo_request, terms
from payments.payees import TempoPayee, offered
from pydantic import SecretStr

from zinc_mcp.errors import SettingsError
from zinc_mcp.payments.failures import PaymentRefusedError
from zinc_mcp.payments.headers import Challenge, Credential
from zinc_mcp.payments.tempo import TempoWallet, load
from zinc_mcp.payments.tempo_chain import FEE_TOKENS, NETWORKS, PATH_USD, TRANSFER_WITH_MEMO, inspect
from zinc_mcp.payments.terms import Charge, choose
from zinc_mcp.payments.wallet import OPEN, UNPAID, Fate, Paid

# web3, which pytempo imports, uses websockets.legacy, deprecated upstream; nothing of ours touches either.
pytestmark = pytest.mark.filterwarnings("ignore:websockets.legacy is deprecated:DeprecationWarning")

KEY = "0x" + "11" * 32
SPONSOR = "0x" + "22" * 32


@pytest.fixture(scope="module", autouse=True)
def tempo_extra() -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pytest.importorskip("pytempo", reason="the extra zinc-mcp[tempo] is not installed")


@pytest.fixture
async def node() -> FakeTempo:
    return FakeTempo()


@pytest.fixture
async def rpc(node: FakeTempo) -> AsyncGenerator[str]:
    async with node.listening() as url:
        yield url


def _wallet(rpc: str, **how: Any) -> TempoWallet:
    return TempoWallet(SecretStr(KEY), chain_id=MODERATO, rpc_url=rpc, **how)


async def _pay(wallet: TempoWallet, values: list[str]) -> tuple[Charge, Paid]:
    now = time.time()
    challenges = Challenge.from_www_authenticate(values)
    challenge, charge = choose(challenges, terms(methods=wallet.terms), now, status=402)
    return charge, await wallet.pay(challenge, charge, now=now)


def test_every_symbol_of_the_signer_is_there() -> None:
    signer = load()
    assert signer.account(KEY).address.startswith("0x")
    assert signer.keccak(b"TransferWithMemo(address,address,uint256,bytes32)").hex() == TRANSFER_WITH_MEMO[2:]
    # conformance/vectors, known answer
    memo = signer.memo("challenge-123", "api.example.com")
    assert memo == "0xef1ed712011ece072f76bd8b82350e00000000000000000000eb18f2d4402269"


def test_with_the_signer_loaded_an_answer_that_is_nested_too_deeply_still_cannot_end_the_process() -> None:
    program = (
        "import json, sys\n"
        "from zinc_mcp.payments.tempo import load\n"
        "depth = sys.getrecursionlimit()\n"
        "load()\n"
        "assert sys.getrecursionlimit() == depth\n"
        "try:\n    json.loads('[' * 1_000_000)\n"
        "except RecursionError:\n    print('not read')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, encoding="utf-8")
    assert (ended.returncode, ended.stdout) == (0, "not read\n"), ended.stderr


def test_our_networks_are_those_of_the_signer() -> None:
    from mpp.methods.tempo import OUSD, TESTNET_CHAIN_ID, USDC, default_currencies_for_chain, fee_tokens_for_chain

    assert TESTNET_CHAIN_ID == MODERATO and USDC in NETWORKS[4217].currencies
    for chain_id, network in NETWORKS.items():
        assert set(default_currencies_for_chain(chain_id)) <= set(network.currencies)
        assert set(fee_tokens_for_chain(chain_id)) <= set(FEE_TOKENS)
        assert OUSD in network.currencies


async def test_an_independent_payee_accepts_the_payment_and_its_hash_was_known(node: FakeTempo, rpc: str) -> None:
    wallet, payee = _wallet(rpc), TempoPayee(rpc)
    charge, paid = await _pay(wallet, await offered(payee))
    assert node.settled == {} and charge.amount_cents == 2600
    answer = await payee.ask([(paid.header, paid.authorization.get_secret_value())])
    assert answer.status == 200
    assert answer.reference == paid.reference and list(node.settled) == [paid.reference]
    assert await wallet.fate(paid.recovery, now=time.time()) == Fate("settled", paid.reference)
    again = await payee.ask([(paid.header, paid.authorization.get_secret_value())])
    assert again.status == 403 and len(node.settled) == 1
    await wallet.aclose()


async def test_a_sponsored_payment_is_signed_and_found_by_its_memo(node: FakeTempo, rpc: str) -> None:
    from mpp.methods.tempo import TempoAccount

    wallet, payee = _wallet(rpc), TempoPayee(rpc, fee_payer=TempoAccount.from_key(SPONSOR))
    node.gas_price = 10_000_000_000
    charge, paid = await _pay(wallet, await offered(payee))
    assert charge.sponsored and paid.reference is None
    assert await wallet.fate(paid.recovery, now=time.time()) == OPEN
    answer = await payee.ask([(paid.header, paid.authorization.get_secret_value())])
    assert answer.status == 200, answer
    assert await wallet.fate(paid.recovery, now=time.time()) == Fate("settled", answer.reference)
    await wallet.aclose()


async def test_an_access_key_signs_for_its_root_account(node: FakeTempo, rpc: str) -> None:
    root = "0x" + "ab" * 20
    wallet = _wallet(rpc, root_account=root)
    _, paid = await _pay(wallet, await offered(TempoPayee(rpc)))
    credential = Credential.from_authorization(paid.authorization.get_secret_value())
    assert credential.source == f"did:pkh:eip155:{MODERATO}:{root}"
    node.settle(bytes.fromhex(credential.payload["signature"][2:]))
    assert (await wallet.fate(paid.recovery, now=time.time())).ending == "settled"
    await wallet.aclose()


async def test_unpaid_is_proved_by_a_block_past_the_end_and_by_nothing_less(node: FakeTempo, rpc: str) -> None:
    wallet = _wallet(rpc)
    _, paid = await _pay(wallet, await offered(TempoPayee(rpc)))
    assert paid.settle_by - time.time() < 121
    late = float(paid.recovery["valid_before"]) + 31
    for ahead, expected in ((0.0, OPEN), (61.0, OPEN), (75.0, UNPAID)):
        node.ahead = ahead
        assert await wallet.fate(paid.recovery, now=late) == expected
    for by_our_clock in (time.time(), late - 31, late - 2):
        assert await wallet.fate(paid.recovery, now=by_our_clock) == OPEN, "a chain that is ahead proves nothing alone"
    for broken in (
        "eth_chainId",
        "eth_blockNumber",
        "eth_getBlockByNumber",
        "eth_getTransactionReceipt",
        "eth_getLogs",
    ):
        node.broken = {broken}
        assert await wallet.fate(paid.recovery, now=late) == OPEN
    node.broken, node.chain_id = set(), 4217
    assert await wallet.fate(paid.recovery, now=late) == OPEN
    node.chain_id = MODERATO
    for facts in ({}, {**paid.recovery, "from_block": None}, {**paid.recovery, "memo": 7}):
        assert await wallet.fate(facts, now=late) == OPEN
    await wallet.aclose()


async def test_a_settled_payment_is_found_by_either_trace_and_never_called_unpaid(node: FakeTempo, rpc: str) -> None:
    wallet = _wallet(rpc)
    _, paid = await _pay(wallet, await offered(TempoPayee(rpc)))
    credential = Credential.from_authorization(paid.authorization.get_secret_value())
    node.settle(bytes.fromhex(credential.payload["signature"][2:]))
    node.head, node.ahead = 10**6, 10**6
    assert await wallet.fate({**paid.recovery, "tx_hash": None}, now=NOW) == Fate("settled", paid.reference)
    node.hides_logs = True
    assert await wallet.fate(paid.recovery, now=NOW) == Fate("settled", paid.reference)
    await wallet.aclose()


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"gas_price": 10**15}, "gas"),
        ({"gas_price": 50_000_000_001}, "gas"),
        ({"balance": 25_999_999}, "funds"),
        ({"chain_id": 4217}, "chain"),
        ({"broken": {"eth_gasPrice"}}, "wallet_unavailable"),
        ({"broken": {"eth_blockNumber"}}, "wallet_unavailable"),
    ],
)
async def test_a_node_that_lies_or_fails_gets_nothing_signed(
    node: FakeTempo, rpc: str, trouble: dict[str, Any], reason: str
) -> None:
    values = await offered(TempoPayee(rpc))
    for name, value in trouble.items():
        setattr(node, name, value)
    wallet = _wallet(rpc)
    with pytest.raises(PaymentRefusedError) as caught:
        await _pay(wallet, values)
    assert caught.value.reason == reason
    shown = f"{caught.value!r} {caught.value.facts} {caught.value.__context__!r}"
    assert "planted" not in shown.replace("ChainError", "")
    await wallet.aclose()


async def test_a_node_that_raises_the_price_after_our_look_is_caught_after_signing(node: FakeTempo, rpc: str) -> None:
    class Turning(FakeTempo):
        def answer(self, method: str, parameters: list[Any]) -> Any:
            if self.calls.count("eth_gasPrice") == 1:
                self.gas_price = 10**15
            return super().answer(method, parameters)

    turning = Turning()
    async with turning.listening() as url:
        wallet = _wallet(url)
        with pytest.raises(PaymentRefusedError) as caught:
            await _pay(wallet, await offered(TempoPayee(rpc)))
        assert caught.value.reason == "gas" and turning.settled == {}
        await wallet.aclose()


async def test_without_a_node_there_is_no_payment_and_no_doubt() -> None:
    wallet = _wallet("http://127.0.0.1:9/")
    challenge = offer(
        request=tempo_request(currency=PATH_USD, methodDetails={"chainId": MODERATO}), expires=rfc3339(time.time() + 60)
    )
    with pytest.raises(PaymentRefusedError) as caught:
        await _pay(wallet, [challenge.to_www_authenticate()])
    assert caught.value.reason == "wallet_unavailable"
    assert await wallet.fate({"chain_id": MODERATO}, now=NOW) == OPEN


async def test_a_signed_transaction_must_be_the_charge_in_every_field(node: FakeTempo, rpc: str) -> None:
    wallet = _wallet(rpc)
    charge, paid = await _pay(wallet, await offered(TempoPayee(rpc)))
    signed = Credential.from_authorization(paid.authorization.get_secret_value()).payload["signature"]
    now = time.time()

    def look(text: str, asked: Charge = charge, when: float = now, lifetime_seconds: float = 120) -> int:
        return inspect(text, asked, when, fee_tokens=(PATH_USD,), lifetime_seconds=lifetime_seconds).valid_before

    assert look(signed) == paid.settle_by
    other: list[tuple[Any, ...]] = [
        (signed, replace(charge, amount="26000001")),
        (signed, replace(charge, recipient="0x" + "1" * 40)),
        (signed, replace(charge, currency="0x" + "1" * 40)),
        (signed, replace(charge, chain_id=4217)),
        (signed, replace(charge, sponsored=True)),
        (signed, replace(charge, expires_at=now + 30)),
        (signed, charge, now + 61),
        (signed, charge, now, 30),
        ("0x78" + signed[4:],),
        ("0x02" + signed[4:],),
        (signed[:-2],),
        (signed + "00",),
        ("",),
        ("0x",),
        ("0xzz",),
        ("0x76" + "f8" * 4000,),
    ]
    for arguments in other:
        with pytest.raises(PaymentRefusedError) as caught:
            look(*arguments)
        assert caught.value.reason == "transaction"
    with pytest.raises(PaymentRefusedError):
        inspect(signed, charge, now, fee_tokens=(), lifetime_seconds=120)
    await wallet.aclose()


async def test_no_field_of_the_transaction_can_be_changed_unseen(node: FakeTempo, rpc: str) -> None:
    import importlib

    rlp: Any = importlib.import_module("rlp")
    wallet = _wallet(rpc)
    charge, paid = await _pay(wallet, await offered(TempoPayee(rpc)))
    signed = bytes.fromhex(
        Credential.from_authorization(paid.authorization.get_secret_value()).payload["signature"][2:]
    )
    fields: list[Any] = rlp.decode(signed[1:])
    now = time.time()
    call = fields[4][0]
    changed: dict[int, list[Any]] = {
        0: [b"", b"\x01"],
        2: [b"\xff" * 8],
        3: [b"\xff" * 8],
        4: [[], [call, call], [[call[0], b"\x01", call[2]]], [[call[0], b"", call[2] + b"\0"]], [[call[0], b""]], b""],
        5: [[[b"\x01" * 20, []]]],
        6: [b"", b"\x01"],
        7: [b"\x01"],
        8: [b"", b"\xff" * 5],
        9: [b"\xff" * 4],
        10: [b"", b"\x01" * 20],
        11: [b"\0", [b"\x01", b"\x01", b"\x01"]],
        12: [[b"\x01"]],
        13: [b"", b"\x01" * 64],
    }
    for at, values in changed.items():
        for value in values:
            forged = [*fields[:at], value, *fields[at + 1 :]]
            with pytest.raises(PaymentRefusedError):
                inspect("0x76" + rlp.encode(forged).hex(), charge, now, fee_tokens=(PATH_USD,), lifetime_seconds=120)
    with pytest.raises(PaymentRefusedError):
        forged = [*fields[:13], [b"a key authorization"], fields[13]]
        inspect("0x76" + rlp.encode(forged).hex(), charge, now, fee_tokens=(PATH_USD,), lifetime_seconds=120)
    await wallet.aclose()


async def test_nothing_shows_the_private_key_or_the_nodes_address(
    node: FakeTempo, rpc: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (None, "httpx", "httpcore", "zinc_mcp", "mpp"):
        caplog.set_level(logging.DEBUG, logger=name)
    wallet = _wallet(rpc)
    _, paid = await _pay(wallet, await offered(TempoPayee(rpc)))
    credential = Credential.from_authorization(paid.authorization.get_secret_value())
    facts = json.dumps(dict(paid.recovery))
    await wallet.fate(paid.recovery, now=time.time())
    for shown in (repr(wallet), repr(wallet.__dict__), repr(paid), facts, caplog.text):
        assert "11" * 32 not in shown and "planted-node-key" not in shown
        assert credential.payload["signature"][10:60] not in shown
    await wallet.aclose()


@pytest.mark.parametrize(
    ("how", "setting"),
    [
        ({"private_key": SecretStr("0xplanted")}, "ZINC_TEMPO_PRIVATE_KEY"),
        ({"private_key": SecretStr("planted" * 9)}, "ZINC_TEMPO_PRIVATE_KEY"),
        ({"root_account": "planted"}, "ZINC_TEMPO_ROOT_ACCOUNT"),
        ({"chain_id": 1}, "ZINC_TEMPO_CHAIN_ID"),
        ({"rpc_url": "http://planted.example"}, "ZINC_TEMPO_RPC_URL"),
        ({"rpc_url": "https://user:planted@node.example"}, "ZINC_TEMPO_RPC_URL"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_not_shown(how: dict[str, Any], setting: str) -> None:
    given: dict[str, Any] = {"private_key": SecretStr(KEY), **how}
    with pytest.raises(SettingsError, match=setting) as caught:
        TempoWallet(**given)
    assert "planted" not in str(caught.value)
