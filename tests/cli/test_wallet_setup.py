"""`zinc-mcp login --wallet` asks for a payment wallet, checks it, and keeps its key apart from the rest."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from keyboard import at_a_terminal
from started import Started

from zinc_mcp.owner.secrets.store import SecretStore
from zinc_mcp.owner.settings import load_settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

STRIPE_KEY = "rk_test_planted0123456789"
TEMPO_KEY = "0x" + "5e" * 32
STRIPE = [("Wallet", "stripe"), ("What pays", "pm_1planted"), ("not shown", STRIPE_KEY)]
TEMPO = [("Wallet", "tempo"), ("empty for none", ""), ("Practise", "y"), ("not shown", TEMPO_KEY)]
COMMAND = [("Wallet", "command"), ("The program", f"{sys.executable} pay.py"), ("What it can pay", "tempo, stripe")]


@pytest.fixture
def started(tmp_path: Path) -> Started:
    return Started(tmp_path)


def set_up(started: Started, typed: Sequence[tuple[str, str]], *words: str, **variables: str) -> tuple[int, str]:
    code, screen = at_a_terminal(["login", "--wallet", *words], {**started.environment, **variables}, typed)
    assert STRIPE_KEY not in screen and TEMPO_KEY not in screen and "Traceback" not in screen
    return code, screen


def secret(started: Started, name: str) -> str | None:
    found = SecretStore(started.home).get(name)
    return None if found is None else found.value.get_secret_value()


def test_a_stripe_wallet_is_kept_and_pays_from_the_next_start_on(started: Started) -> None:
    started.configure("# mine\n[policy]\nmax_order = 4000\n")
    code, screen = set_up(started, STRIPE)
    assert code == 0, screen
    assert "It pays for real." in screen and "$40.00 an order" in " ".join(screen.split())
    assert secret(started, "stripe_secret_key") == STRIPE_KEY
    toml = started.config.read_text()
    assert STRIPE_KEY not in toml and toml.startswith("# mine\n") and 'stripe_payment_method = "pm_1planted"' in toml
    settings = load_settings({"ZINC_MCP_HOME": str(started.home)})
    assert (settings.wallet, settings.sources["stripe_secret_key"]) == ("stripe", "secret store, file")
    told = started.run("doctor", ZINC_API_URL="http://127.0.0.1:9").stdout
    assert "ok    place_agent_order: pays for real with the wallet stripe" in told
    assert STRIPE_KEY not in told


@pytest.mark.skipif(importlib.util.find_spec("pytempo") is None, reason="needs the extra tempo")
def test_a_tempo_wallet_that_practises_is_kept(started: Started) -> None:
    code, screen = set_up(started, TEMPO)
    assert code == 0, screen
    assert "It practises: nothing is bought with it." in screen
    assert secret(started, "tempo_private_key") == TEMPO_KEY
    settings = load_settings({"ZINC_MCP_HOME": str(started.home)})
    assert (settings.wallet, settings.tempo_chain_id, settings.tempo_root_account) == ("tempo", 42431, None)


@pytest.mark.skipif(importlib.util.find_spec("pytempo") is None, reason="needs the extra tempo")
def test_settings_that_only_the_earlier_wallet_had_are_gone(started: Started) -> None:
    started.configure('wallet = "tempo"\ntempo_chain_id = 42431\ntempo_root_account = "0x1"\nsandbox = false\n')
    real = [("Replace it?", "y"), *TEMPO[:2], ("Practise", "n"), TEMPO[3]]
    code, screen = set_up(started, real)
    assert code == 0 and "It pays for real." in screen
    assert started.config.read_text() == 'wallet = "tempo"\nsandbox = false\n'


def test_a_command_needs_no_secret(started: Started) -> None:
    code, screen = set_up(started, COMMAND)
    assert code == 0, screen
    settings = load_settings({"ZINC_MCP_HOME": str(started.home)})
    assert (settings.wallet, settings.wallet_command) == ("command", f"{sys.executable} pay.py")
    assert settings.wallet_methods == ("tempo", "stripe")
    assert not (started.home / "secrets").exists()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ([("Wallet", "command"), ("The program", "no-such-program"), ("can pay", "")], "cannot be found or started"),
        ([*STRIPE[:2], ("not shown", "zn_live_not_of_stripe")], "ZINC_STRIPE_SECRET_KEY"),
        ([STRIPE[0], ("What pays", "4242 4242 4242 4242"), STRIPE[2]], "ZINC_STRIPE_PAYMENT_METHOD"),
        ([*TEMPO[:3], ("not shown", "0x12")], "ZINC_TEMPO_PRIVATE_KEY"),
    ],
)
def test_a_wallet_that_could_not_pay_is_not_kept(started: Started, typed: Sequence[tuple[str, str]], told: str) -> None:
    code, screen = set_up(started, typed)
    screen = " ".join(screen.split())
    assert code == 2 and told in screen and "The wallet could not pay, so nothing was kept." in screen
    assert not started.config.exists()
    assert SecretStore(started.home).names() == []


def test_a_wallet_is_replaced_only_after_a_yes(started: Started) -> None:
    set_up(started, STRIPE)
    before = started.config.read_text()
    code, screen = set_up(started, [("Replace it?", "n")])
    assert (code, started.config.read_text()) == (1, before), screen
    code, _ = set_up(started, [("Replace it?", "y"), *COMMAND])
    assert code == 0 and load_settings({"ZINC_MCP_HOME": str(started.home)}).wallet == "command"
    code, _ = set_up(started, [("Replace it?", "y"), *STRIPE[:2], ("One is kept already", "n")])
    assert (code, secret(started, "stripe_secret_key")) == (1, STRIPE_KEY)
    assert load_settings({"ZINC_MCP_HOME": str(started.home)}).wallet == "command"
    code, _ = set_up(started, [*STRIPE[:2], ("not shown", "rk_test_second0123456789")], "--force")
    assert (code, secret(started, "stripe_secret_key")) == (0, "rk_test_second0123456789")


def test_a_key_that_comes_first_elsewhere_is_said_before_one_is_asked_for(started: Started) -> None:
    code, screen = set_up(started, STRIPE[:2], ZINC_STRIPE_SECRET_KEY=STRIPE_KEY)
    assert code == 2 and "environment ZINC_STRIPE_SECRET_KEY has the wallet's key already" in " ".join(screen.split())
    assert not started.config.exists()


def test_without_a_terminal_nothing_is_asked(started: Started) -> None:
    ended = started.quickly("login", "--wallet")
    assert ended.returncode == 1 and "needs a terminal" in ended.stderr


def test_logout_forgets_a_wallets_key(started: Started) -> None:
    set_up(started, STRIPE)
    ended = started.quickly("logout", "--wallet")
    assert ended.returncode == 0 and "Forgot the Stripe wallet's key." in ended.stdout
    assert secret(started, "stripe_secret_key") is None
    told = started.run("doctor", ZINC_API_URL="http://127.0.0.1:9").stdout
    assert "WRONG place_agent_order: ZINC_WALLET is stripe, but ZINC_STRIPE_SECRET_KEY is not set." in told
