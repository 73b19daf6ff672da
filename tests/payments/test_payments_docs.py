"""The programs in docs/wallets.md do what the page says, against stand-ins."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from payments.fake_tempo import MODERATO, FakeTempo
from payments.offers import NOW, STRIPE, offer, terms

from zinc_mcp.payments.command import CommandWallet
from zinc_mcp.payments.failures import PaymentOutcomeUnknownError, PaymentRefusedError
from zinc_mcp.payments.headers import Credential
from zinc_mcp.payments.tempo_chain import PATH_USD
from zinc_mcp.payments.terms import check
from zinc_mcp.payments.wallet import Paid

_PAGE = Path(__file__).parents[2] / "docs" / "wallets.md"

_LINK_CLI = """#!{python}
import json, os, sys
arguments, state = sys.argv[1:], {state!r}
assert arguments[-2:] == ["--format", "json"], arguments
options = dict(zip(arguments[2:], arguments[3:]))
answer = {{"id": "lsrq_1", "status": "pending_approval"}}
if arguments[1] == "create":
    assert options["--amount"] == "2600" and options["--network-id"] == "profile_1" and len(options["--context"]) >= 100
if arguments[1] == "retrieve":
    answer["status"] = state
    if options.get("--include"):
        answer["shared_payment_token"] = {{"id": "spt_planted1"}}
if state == "broken":
    sys.exit(1)
print(json.dumps(answer))
"""


def _program(name: str) -> str:
    found = re.search(rf"```python\n(# {re.escape(name)}: .*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None, name
    return found[1]


async def _pay_with_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> Paid:
    cli = tmp_path / "link-cli"
    cli.write_text(_LINK_CLI.format(python=sys.executable, state=state), encoding="utf-8")
    cli.chmod(0o700)
    script = tmp_path / "link_wallet.py"
    script.write_text(_program("link_wallet.py").replace("time.sleep(3)", "time.sleep(0.01)"), encoding="utf-8")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    wallet = CommandWallet(f"{sys.executable} {script}", {"stripe": STRIPE})
    challenge = offer("stripe")
    return await wallet.pay(challenge, check(challenge, terms(), NOW), now=NOW)


async def test_the_link_script_pays_when_the_person_confirms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paid = await _pay_with_link(tmp_path, monkeypatch, "approved")
    assert Credential.from_authorization(paid.authorization.get_secret_value()).payload == {"spt": "spt_planted1"}


async def test_the_link_script_says_no_when_the_person_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PaymentRefusedError) as caught:
        await _pay_with_link(tmp_path, monkeypatch, "denied")
    assert caught.value.reason == "wallet_refused"


@pytest.mark.parametrize("state", ["broken", "something new"])
async def test_the_link_script_claims_nothing_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    with pytest.raises(PaymentOutcomeUnknownError):
        await _pay_with_link(tmp_path, monkeypatch, state)


async def test_the_access_key_script_authorises_a_key_with_limits(tmp_path: Path) -> None:
    node = _node()
    root, access, script = tmp_path / "root.key", tmp_path / "access.key", tmp_path / "access_key.py"
    root.write_text("0x" + "11" * 32)
    script.write_text(_program("access_key.py"), encoding="utf-8")
    async with node.listening() as url:
        run = await anyio.run_process(
            [sys.executable, str(script), str(root), str(access), "500"],
            env={**os.environ, "TEMPO_RPC": url, "TEMPO_TOKEN": PATH_USD},
            stderr=subprocess.STDOUT,
        )
    assert b"status 0x1" in run.stdout, run.stdout
    assert access.stat().st_mode & 0o077 == 0 and len(node.settled) == 1
    assert node.chain_id == MODERATO


def _node() -> FakeTempo:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pytest.importorskip("pytempo", reason="the extra zinc-mcp[tempo] is not installed")
    return FakeTempo()


def test_the_contract_on_the_page_is_the_contract() -> None:
    blocks = re.findall(r"```json\n(.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)
    asked = json.loads(blocks[0])
    assert set(asked) == {"challenge", "amount_cents"}
    assert set(asked["challenge"]) == {"id", "realm", "method", "intent", "request", "expires"}
    assert [set(json.loads(line)) for line in blocks[1].splitlines()] == [{"payload"}, {"refused"}]
