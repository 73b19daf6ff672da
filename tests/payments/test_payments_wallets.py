"""The wallet that the owner chose opens from settings at little cost and shows no secret."""

import subprocess
import sys
from typing import get_args

import httpx
import pytest
from payments.offers import NOW
from pydantic import SecretStr

from zinc_mcp.errors import RefusedError, SettingsError, ZincMcpError
from zinc_mcp.payments import failures
from zinc_mcp.payments.command import CommandWallet
from zinc_mcp.payments.failures import (
    InvalidChallengeError,
    PaymentOutcomeUnknownError,
    PaymentRefusedError,
    RefusalReason,
)
from zinc_mcp.payments.stripe import StripeWallet
from zinc_mcp.payments.tempo import TempoWallet
from zinc_mcp.payments.tempo_chain import OUSD, PATH_USD, USDC
from zinc_mcp.payments.wallet import OPEN, Fate, PracticeWallet, WalletSettings, wallet_from

KEY = SecretStr("0x" + "5e" * 32)
STRIPE_KEY = SecretStr("rk_live_planted0123")


def _silent(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"nothing may be contacted: {request.url}")


@pytest.mark.parametrize(
    ("settings", "kind", "methods", "mode"),
    [
        (WalletSettings("sandbox"), PracticeWallet, ("sandbox",), "sandbox"),
        (WalletSettings("tempo", tempo_private_key=KEY), TempoWallet, ("tempo",), "live"),
        (WalletSettings("tempo", tempo_private_key=KEY, tempo_chain_id=42431), TempoWallet, ("tempo",), "test"),
        (
            WalletSettings("stripe", stripe_secret_key=STRIPE_KEY, stripe_payment_method="pm_1"),
            StripeWallet,
            ("stripe",),
            "live",
        ),
        (WalletSettings("command", command="pay --now"), CommandWallet, ("stripe",), "live"),
        (
            WalletSettings("command", command="pay", methods=("tempo", "stripe", "card")),
            CommandWallet,
            ("tempo", "stripe", "card"),
            "live",
        ),
    ],
)
def test_each_kind_of_wallet_opens(settings: WalletSettings, kind: type, methods: tuple[str, ...], mode: str) -> None:
    wallet = wallet_from(settings, transport=httpx.MockTransport(_silent))
    assert isinstance(wallet, kind) and (wallet.methods, wallet.mode) == (methods, mode)
    assert tuple(wallet.terms) == methods


def test_the_tokens_of_the_main_network_are_pinned_with_the_common_one_first() -> None:
    terms = wallet_from(WalletSettings("tempo", tempo_private_key=KEY)).terms["tempo"]
    assert (list(terms.currencies), terms.chain_id) == ([USDC, PATH_USD, OUSD], 4217)
    command = wallet_from(WalletSettings("command", command="pay", methods=("tempo",), tempo_chain_id=42431))
    assert command.terms["tempo"].chain_id == 42431


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (WalletSettings("tempo"), "ZINC_TEMPO_PRIVATE_KEY"),
        (WalletSettings("stripe", stripe_payment_method="pm_1"), "ZINC_STRIPE_SECRET_KEY"),
        (WalletSettings("stripe", stripe_secret_key=STRIPE_KEY), "ZINC_STRIPE_PAYMENT_METHOD"),
        (WalletSettings("command"), "ZINC_WALLET_COMMAND"),
        (WalletSettings("command", command="pay", methods=("sandbox",)), "ZINC_WALLET_METHODS"),
        (WalletSettings("command", command="pay", methods=("Tempo, stripe",)), "ZINC_WALLET_METHODS"),
        (WalletSettings("command", command="pay", methods=("tempo",), tempo_chain_id=1), "ZINC_TEMPO_CHAIN_ID"),
    ],
)
def test_a_missing_setting_is_named(settings: WalletSettings, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        wallet_from(settings)


def test_no_setting_shows_a_secret() -> None:
    settings = WalletSettings(
        "tempo", tempo_private_key=KEY, stripe_secret_key=STRIPE_KEY, command="pay --token planted"
    )
    assert "5e5e" not in repr(settings) and "planted" not in repr(settings)


async def test_a_wallet_that_never_paid_knows_nothing_and_closes() -> None:
    for settings in (
        WalletSettings("sandbox"),
        WalletSettings("tempo", tempo_private_key=KEY),
        WalletSettings("stripe", stripe_secret_key=STRIPE_KEY, stripe_payment_method="pm_1"),
        WalletSettings("command", command="pay"),
    ):
        wallet = wallet_from(settings, transport=httpx.MockTransport(_silent))
        if settings.kind != "tempo":
            await wallet.warm()
        assert await wallet.fate({}, now=NOW) == await wallet.release({}, now=NOW) == OPEN == Fate("open")
        await wallet.aclose()


def test_opening_a_wallet_imports_nothing_slow() -> None:
    program = (
        "import sys\n"
        "from pydantic import SecretStr\n"
        "from zinc_mcp.payments.wallet import wallet_from\n"
        "from zinc_mcp.payments.wallet import WalletSettings\n"
        "wallet_from(WalletSettings('tempo', tempo_private_key=SecretStr('0x' + '11' * 32)))\n"
        "slow = {'mpp', 'pytempo', 'web3', 'eth_account', 'rlp', 'stripe'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_room_imports_no_other_room_of_ours() -> None:
    program = (
        "import importlib, pkgutil, sys\n"
        "import zinc_mcp.payments as room\n"
        "for module in pkgutil.iter_modules(room.__path__, 'zinc_mcp.payments.'):\n"
        "    importlib.import_module(module.name)\n"
        "ours = {name.split('.')[1] for name in sys.modules if name.startswith('zinc_mcp.')}\n"
        "leaves = {'errors', 'text', 'network', 'proxies', 'invocation', 'known_settings', 'private_files'}\n"
        "leaves.add('secret_body')\n"
        "assert ours <= {'payments', *leaves}, ours\n"
        "assert 'mpp' not in sys.modules and 'pytempo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_every_refusal_has_a_sentence_and_stands_in_the_tree() -> None:
    for reason in get_args(RefusalReason):
        error = PaymentRefusedError(reason)
        assert isinstance(error, RefusedError) and error.summary.endswith("Nothing was paid.")
        assert error.facts == {"reason": reason} and error.next_step
    assert issubclass(InvalidChallengeError, RefusedError)
    assert not issubclass(PaymentOutcomeUnknownError, RefusedError)
    assert PaymentOutcomeUnknownError("x").money_may_have_moved
    tree = [value for value in vars(failures).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert all(issubclass(error, ZincMcpError) for error in tree)
