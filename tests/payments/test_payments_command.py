"""A program as a wallet pays as its contract says, and each way to fail is told apart."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from payments.offers import NOW, STRIPE, TEMPO, offer, stripe_request, terms

from zinc_mcp.errors import SettingsError
from zinc_mcp.payments.command import CommandWallet
from zinc_mcp.payments.failures import PaymentOutcomeUnknownError, PaymentRefusedError
from zinc_mcp.payments.headers import Credential
from zinc_mcp.payments.terms import MethodTerms, check
from zinc_mcp.payments.wallet import OPEN, Paid

Program = Callable[..., CommandWallet]

_READ = "import json, os, sys, time; asked = json.load(sys.stdin)\n"
_PAY = "print(json.dumps({'payload': {'spt': 'spt_planted1'}}))\n"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    def written(source: str, *arguments: str, seconds: float = 20.0, **accepted: MethodTerms) -> CommandWallet:
        script = tmp_path / "a wallet.py"
        script.write_text(_READ + source, encoding="utf-8")
        command = " ".join([sys.executable, f'"{script}"', *arguments])
        return CommandWallet(command, accepted or {"stripe": STRIPE}, seconds=seconds)

    return written


async def _pay(wallet: CommandWallet, method: str = "stripe", **request: Any) -> Paid:
    challenge = offer(method, stripe_request(**request) if request else None)
    return await wallet.pay(challenge, check(challenge, terms(methods=wallet.terms), NOW), now=NOW)


async def test_the_program_is_asked_as_the_contract_says_and_its_payload_is_the_credential(
    program: Program, tmp_path: Path
) -> None:
    asked = tmp_path / "asked.json"
    wallet = program(
        f"json.dump(asked, open({str(asked)!r}, 'w'))\n"
        "print(json.dumps({'payload': {'spt': 'spt_1'}, 'source': 'did:key:z6'}))\n"
    )
    paid = await _pay(wallet)
    challenge = offer("stripe")
    assert json.loads(asked.read_text()) == {
        "challenge": {
            "id": challenge.id,
            "realm": challenge.realm,
            "method": "stripe",
            "intent": "charge",
            "request": stripe_request(),
            "expires": challenge.expires,
        },
        "amount_cents": 2600,
    }
    credential = Credential.from_authorization(paid.authorization.get_secret_value())
    assert credential == Credential(challenge, {"spt": "spt_1"}, "did:key:z6")
    assert (paid.settle_by, paid.reference) == (NOW + 300, None)
    assert await wallet.fate(paid.recovery, now=NOW + 9000) == await wallet.release(paid.recovery, now=NOW) == OPEN


async def test_the_sellers_reference_is_echoed(program: Program) -> None:
    paid = await _pay(program(_PAY), externalId="order_7")
    payload = Credential.from_authorization(paid.authorization.get_secret_value()).payload
    assert payload == {"spt": "spt_planted1", "externalId": "order_7"}


async def test_no_shell_reads_the_command(program: Program, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    arguments = [f"; touch {trace}", "$(id)", "`id`", "&&", "|"]
    wallet = program("assert '$(id)' in sys.argv and '&&' in sys.argv\n" + _PAY, *arguments[:1], *arguments[1:])
    await _pay(wallet)
    assert not trace.exists()


async def test_the_program_sees_none_of_our_secrets(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ZINC_API_KEY", "ZINC_STRIPE_SECRET_KEY", "ZINC_TEMPO_PRIVATE_KEY", "ZINC_MCP_JOURNAL", "zinc_x"):
        monkeypatch.setenv(name, "planted-secret")
    monkeypatch.setenv("LINK_TOKEN", "its own")
    seen = tmp_path / "seen.json"
    await _pay(program(f"json.dump([dict(os.environ), sys.argv], open({str(seen)!r}, 'w'))\n" + _PAY))
    environment, arguments = json.loads(seen.read_text())
    assert "planted-secret" not in json.dumps([environment, arguments])
    assert environment["LINK_TOKEN"] == "its own" and "PATH" in environment


async def test_a_program_that_refuses_has_authorised_nothing(program: Program) -> None:
    with pytest.raises(PaymentRefusedError) as caught:
        await _pay(program("print('{\"refused\": true}')\n"))
    assert caught.value.reason == "wallet_refused"


async def test_a_program_that_is_not_there_has_authorised_nothing(tmp_path: Path) -> None:
    plain = tmp_path / "not-executable"
    plain.write_text("")
    for command in ("/nowhere/at/all pay", str(plain)):
        with pytest.raises(PaymentRefusedError) as caught:
            await _pay(CommandWallet(command, {"stripe": STRIPE}))
        assert caught.value.reason == "wallet_unavailable"


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("sys.exit(3)\n", "wallet_failed"),
        (_PAY + "sys.exit(1)\n", "wallet_failed"),
        ("os.kill(os.getpid(), 9)\n", "wallet_failed"),
        ("pass\n", "unreadable_answer"),
        ("print('paid!')\n", "unreadable_answer"),
        ("print('[]')\n", "unreadable_answer"),
        ("sys.stdout.buffer.write(b'\\xff\\xfe')\n", "unreadable_answer"),
        ('print(\'{"payload": {"spt": "spt_1"}, "payload": {"spt": "spt_2"}}\')\n', "unreadable_answer"),
        ("print('{}')\n", "no_payload"),
        ("print(json.dumps({'payload': {}}))\n", "no_payload"),
        ("print(json.dumps({'payload': 'spt_1'}))\n", "no_payload"),
        ("print(json.dumps({'refused': True, 'payload': {'hash': '0x1'}}))\n", "push_payload"),
        ("print(json.dumps({'payload': {'type': 'hash', 'hash': '0x' + 'ab' * 32}}))\n", "push_payload"),
        ("print(json.dumps({'payload': {'shared_payment_granted_token': 'spt_1'}}))\n", "malformed_payload"),
        ("print(json.dumps({'payload': {'spt': 7}}))\n", "malformed_payload"),
        ("print(json.dumps({'payload': {'spt': 'spt_1 and more'}}))\n", "malformed_payload"),
        ("print(json.dumps({'payload': {'spt': 'spt_1', 'x': 'y' * 50000}}))\n", "unreadable_answer"),
        ("print('x' * 10**6); time.sleep(60)\n", "answer_too_long"),
        ("sys.stdout.close(); os.close(1); time.sleep(60)\n", "wallet_timed_out"),
        ("time.sleep(60)\n", "wallet_timed_out"),
    ],
)
async def test_anything_else_leaves_the_outcome_unknown(program: Program, source: str, reason: str) -> None:
    started = time.monotonic()
    with pytest.raises(PaymentOutcomeUnknownError) as caught:
        await _pay(program(source, seconds=1.0 if reason == "wallet_timed_out" else 20.0))
    assert (caught.value.reason, caught.value.money_may_have_moved) == (reason, True)
    assert caught.value.recovery["challenge_id"] == "ch_1"
    assert time.monotonic() - started < 15
    assert "spt_" not in f"{caught.value!r} {caught.value.facts} {caught.value.recovery}"


async def test_a_program_that_reads_nothing_causes_no_crash(tmp_path: Path) -> None:
    script = tmp_path / "deaf.py"
    script.write_text('print(\'{"payload": {"spt": "spt_1"}}\')')
    paid = await _pay(CommandWallet(f"{sys.executable} {script}", {"stripe": STRIPE}))
    assert paid.header == "Authorization"


async def test_a_transaction_that_the_program_signs_for_tempo_is_decoded(program: Program) -> None:
    for payload in ({"type": "transaction", "signature": "0x76c0"}, {"type": "transaction"}, {"signature": "0x76"}):
        wallet = program(f"print(json.dumps({{'payload': {payload!r}}}))\n", tempo=TEMPO)
        with pytest.raises(PaymentOutcomeUnknownError) as caught:
            await _pay(wallet, "tempo")
        assert caught.value.reason in ("wrong_transaction", "malformed_payload")


async def test_the_program_and_its_children_end_when_the_time_is_over(program: Program, tmp_path: Path) -> None:
    child = tmp_path / "child"
    wallet = program(
        "import subprocess\n"
        "process = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(child)!r}, 'w').write(str(process.pid)); time.sleep(60)\n",
        seconds=1.5,
    )
    with pytest.raises(PaymentOutcomeUnknownError):
        await _pay(wallet)
    await _gone(int(child.read_text()))


async def test_cancellation_ends_the_program_and_is_passed_on(program: Program, tmp_path: Path) -> None:
    mine = tmp_path / "pid"
    wallet = program(f"open({str(mine)!r}, 'w').write(str(os.getpid())); time.sleep(60)\n")
    with anyio.move_on_after(1.5) as scope:
        await _pay(wallet)
    assert scope.cancelled_caught
    await _gone(int(mine.read_text()))


async def _gone(pid: int) -> None:
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        try:
            os.kill(pid, 0)
            if state.exists() and state.read_text().split()[2] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        await anyio.sleep(0.05)
    raise AssertionError("the program still runs")


async def test_no_program_is_asked_about_a_challenge_that_is_about_to_expire(program: Program, tmp_path: Path) -> None:
    trace = tmp_path / "asked"
    wallet = program(f"open({str(trace)!r}, 'w')\n" + _PAY)
    challenge = offer("stripe")
    charge = check(challenge, terms(methods=wallet.terms), NOW)
    with pytest.raises(PaymentRefusedError) as caught:
        await wallet.pay(challenge, charge, now=NOW + 290)
    assert caught.value.reason == "expires_too_soon" and not trace.exists()


@pytest.mark.parametrize("command", ["", "   ", "pay 'planted"])
def test_a_command_that_names_no_program_is_a_setting_to_correct(command: str) -> None:
    with pytest.raises(SettingsError, match="ZINC_WALLET_COMMAND") as caught:
        CommandWallet(command, {"stripe": STRIPE})
    assert "planted" not in str(caught.value)
