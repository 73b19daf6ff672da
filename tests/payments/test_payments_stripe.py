"""The Stripe wallet pays end to end against a stand-in, and pympp's payee verifies it independently."""

import json
import logging
import time
from typing import Any
from urllib.parse import parse_qs

import pytest
from payments.fake_stripe import FakeStripe
from payments.offers import NOW, offer, stripe_request, terms
from payments.payees import StripePayee, offered
from pydantic import SecretStr

from zinc_mcp.errors import SettingsError
from zinc_mcp.payments.failures import PaymentOutcomeUnknownError, PaymentRefusedError
from zinc_mcp.payments.headers import Challenge, Credential
from zinc_mcp.payments.stripe import StripeWallet
from zinc_mcp.payments.terms import check, choose
from zinc_mcp.payments.wallet import OPEN, UNPAID, Fate, Paid

KEY = "rk_test_planted0123456789"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stripe(clock: Clock) -> FakeStripe:
    return FakeStripe(clock)


@pytest.fixture
def wallet(stripe: FakeStripe) -> StripeWallet:
    return StripeWallet(SecretStr(KEY), "pm_card_visa", transport=stripe.transport())


async def _pay(wallet: StripeWallet, **request: Any) -> Paid:
    challenge = offer("stripe", stripe_request(**request))
    return await wallet.pay(challenge, check(challenge, terms(), NOW), now=NOW)


def _token(paid: Paid) -> str:
    return str(Credential.from_authorization(paid.authorization.get_secret_value()).payload["spt"])


async def test_the_token_is_for_this_seller_this_amount_and_until_the_challenge_ends(
    stripe: FakeStripe, wallet: StripeWallet
) -> None:
    paid = await _pay(wallet, currency="USD", externalId="order_7")
    (request,) = stripe.requests
    assert parse_qs(request.content.decode()) == {
        "payment_method": ["pm_card_visa"],
        "usage_limits[currency]": ["usd"],
        "usage_limits[max_amount]": ["2600"],
        "usage_limits[expires_at]": [str(int(NOW) + 300)],
        "seller_details[network_business_profile]": ["profile_1"],
    }
    assert str(request.url) == "https://api.stripe.com/v1/shared_payment/issued_tokens"
    assert request.headers["authorization"] == f"Bearer {KEY}" and request.headers["idempotency-key"]
    assert Credential.from_authorization(paid.authorization.get_secret_value()).payload == {
        "spt": "spt_planted0",
        "externalId": "order_7",
    }
    assert paid.settle_by == NOW + 300 and wallet.mode == "test"


async def test_an_independent_payee_accepts_the_token_and_it_can_be_taken_once(
    clock: Clock, stripe: FakeStripe, wallet: StripeWallet
) -> None:
    clock.now = time.time()
    payee = StripePayee(stripe)
    challenges = Challenge.from_www_authenticate(await offered(payee))
    challenge, asked = choose(challenges, terms(methods=wallet.terms), clock(), status=402)
    assert challenge.digest is not None and asked.network_id == "profile_1"
    paid = await wallet.pay(challenge, asked, now=clock())
    answer = await payee.ask([(paid.header, paid.authorization.get_secret_value())])
    assert answer.status == 200 and answer.reference == "pi_1"
    assert await wallet.fate(paid.recovery, now=clock(), credential=paid.authorization) == Fate("settled")
    assert await wallet.release(paid.recovery, now=clock(), credential=paid.authorization) == Fate("settled")


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(stripe: FakeStripe, wallet: StripeWallet) -> None:
    for fault in ("lost before", "lost after", "500", "html"):
        stripe.faults, stripe.requests = [fault], []
        paid = await _pay(wallet)
        assert len({request.headers["idempotency-key"] for request in stripe.requests}) == 1
        assert len(stripe.requests) == 2 and _token(paid) == "spt_planted0" and len(stripe.tokens) == 1


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (["refused connection"], "wallet_unavailable"),
        (["429"], "wallet_unavailable"),
    ],
)
async def test_where_nothing_can_have_been_issued_the_payment_is_refused(
    stripe: FakeStripe, wallet: StripeWallet, faults: list[str], reason: str
) -> None:
    stripe.faults = faults
    with pytest.raises(PaymentRefusedError) as caught:
        await _pay(wallet)
    assert caught.value.reason == reason and stripe.tokens == {}


@pytest.mark.parametrize(
    "faults",
    [
        ["lost after", "lost after"],
        ["lost before", "refused connection"],
        ["lost after", "429"],
        ["500", "500"],
        ["html", "html"],
    ],
)
async def test_two_lost_answers_are_an_unknown_outcome_and_the_end_of_the_challenge_ends_the_doubt(
    clock: Clock, stripe: FakeStripe, wallet: StripeWallet, faults: list[str]
) -> None:
    stripe.faults = list(faults)
    with pytest.raises(PaymentOutcomeUnknownError) as caught:
        await _pay(wallet)
    recovery, count = caught.value.recovery, len(stripe.tokens)
    assert json.loads(json.dumps(recovery)) == recovery and "spt_" not in json.dumps(recovery)
    asked = len(stripe.requests)
    assert await wallet.fate(recovery, now=clock()) == OPEN
    assert len(stripe.requests) == asked, "a look-up could have issued a token"
    clock.now += 400
    assert await wallet.fate(recovery, now=clock()) == UNPAID
    assert len(stripe.tokens) == count


async def test_a_token_is_found_again_without_being_noted(
    clock: Clock, stripe: FakeStripe, wallet: StripeWallet
) -> None:
    paid = await _pay(wallet)
    stripe.charge(_token(paid), 2600)
    assert await wallet.fate(paid.recovery, now=clock()) == OPEN
    clock.now += 301
    assert await wallet.fate(paid.recovery, now=clock()) == Fate("settled")
    clock.now += 24 * 3600
    assert await wallet.fate(paid.recovery, now=clock()) == OPEN
    assert await wallet.fate(paid.recovery, now=clock(), credential=paid.authorization) == Fate("settled")


async def test_an_expired_token_proves_non_payment_a_minute_later(
    clock: Clock, stripe: FakeStripe, wallet: StripeWallet
) -> None:
    paid = await _pay(wallet)
    for seconds, expected in ((0, OPEN), (299, OPEN), (301, OPEN), (361, UNPAID)):
        clock.now = NOW + seconds
        assert await wallet.fate(paid.recovery, now=clock(), credential=paid.authorization) == expected


async def test_a_token_that_is_not_used_is_revoked(clock: Clock, stripe: FakeStripe, wallet: StripeWallet) -> None:
    paid = await _pay(wallet)
    assert await wallet.release(paid.recovery, now=clock(), credential=paid.authorization) == OPEN
    assert stripe.tokens[_token(paid)]["deactivated_reason"] == "revoked"
    clock.now += 61
    assert await wallet.fate(paid.recovery, now=clock(), credential=paid.authorization) == UNPAID


@pytest.mark.parametrize("fault", ["refused connection", "lost before", "lost after", "500", "429", "html"])
async def test_a_look_up_that_fails_proves_nothing(
    clock: Clock, stripe: FakeStripe, wallet: StripeWallet, fault: str
) -> None:
    paid = await _pay(wallet)
    clock.now += 9000
    stripe.faults = [fault, fault]
    assert await wallet.fate(paid.recovery, now=clock(), credential=paid.authorization) == OPEN
    stripe.faults = [fault] * 4
    assert await wallet.fate(paid.recovery, now=clock()) == OPEN
    stripe.faults = [fault, fault]
    assert await wallet.release(paid.recovery, now=clock(), credential=paid.authorization) == OPEN


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"deactivated_reason": "resolved", "deactivated_at": 1}, OPEN),
        ({"deactivated_reason": "expired", "deactivated_at": 1, "usage_details": {}}, OPEN),
        ({"deactivated_reason": "expired", "deactivated_at": None}, OPEN),
        ({"deactivated_reason": "something new", "deactivated_at": 1}, OPEN),
        ({"usage_details": {"amount_captured": {"value": 1}}}, Fate("settled")),
        ({"deactivated_reason": "expired", "usage_details": {"amount_captured": {"value": 1}}}, Fate("settled")),
        ({"deactivated_reason": "expired", "deactivated_at": 1}, OPEN),  # by Stripe's clock alone
        ({"deactivated_reason": "revoked", "deactivated_at": 1}, OPEN),  # before it was issued
    ],
)
async def test_a_token_s_own_status_decides_its_fate(
    clock: Clock, stripe: FakeStripe, wallet: StripeWallet, changes: dict[str, Any], expected: Fate
) -> None:
    paid = await _pay(wallet)
    stripe.tokens[_token(paid)] |= {"status": "deactivated", **changes}
    assert await wallet.fate(paid.recovery, now=clock(), credential=paid.authorization) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "requires_action"},
        {"usage_limits": {"currency": "usd", "expires_at": int(NOW) + 300, "max_amount": 260000}},
        {"usage_limits": {"currency": "usd", "expires_at": int(NOW) + 30_000, "max_amount": 2600}},
        {"usage_limits": {"currency": "usd", "expires_at": None, "max_amount": 2600}},
        {"usage_limits": {"currency": "eur", "expires_at": int(NOW) + 300, "max_amount": 2600}},
        {"seller_details": {"network_business_profile": "profile_2"}},
        {"seller_details": {}},
    ],
)
async def test_a_token_that_allows_anything_else_is_revoked_and_not_sent(
    stripe: FakeStripe, wallet: StripeWallet, changes: dict[str, Any]
) -> None:
    stripe.changes = changes
    if "status" not in changes:
        with pytest.raises(PaymentRefusedError):
            await _pay(wallet)
        assert [token["deactivated_reason"] for token in stripe.tokens.values()] == ["revoked"]
    else:  # this stand-in cannot revoke it: then it is not known to be over
        with pytest.raises(PaymentOutcomeUnknownError):
            await _pay(wallet)


async def test_a_no_from_stripe_gives_its_code_and_none_of_its_words(stripe: FakeStripe) -> None:
    wallet = StripeWallet(SecretStr(KEY), "pm_declined", transport=stripe.transport())
    with pytest.raises(PaymentRefusedError) as caught:
        await _pay(wallet)
    assert caught.value.facts == {"reason": "wallet_refused", "stripe_code": "card_declined", "http_status": 402}


async def test_another_account_or_card_cannot_speak_for_the_token(clock: Clock, stripe: FakeStripe) -> None:
    first = StripeWallet(SecretStr(KEY), "pm_card_visa", transport=stripe.transport())
    paid = await _pay(first)
    clock.now += 400
    for key, method in ((KEY + "x", "pm_card_visa"), (KEY, "pm_other")):
        other = StripeWallet(SecretStr(key), method, transport=stripe.transport())
        assert await other.fate(paid.recovery, now=clock()) == OPEN
    assert await first.fate({}, now=clock()) == OPEN
    forged = {**paid.recovery, "token_digest": "0" * 64}
    assert await first.fate(forged, now=clock(), credential=paid.authorization) == OPEN


async def test_nothing_shows_the_key_or_the_token(stripe: FakeStripe, wallet: StripeWallet) -> None:
    paid = await _pay(wallet)
    for shown in (repr(wallet), repr(wallet.__dict__), repr(paid), json.dumps(dict(paid.recovery))):
        assert "planted" not in shown
    for faults in (["lost before", "lost before"], ["refused connection"], ["500", "500"]):
        stripe.faults = faults
        with pytest.raises((PaymentRefusedError, PaymentOutcomeUnknownError)) as caught:
            await _pay(wallet)
        error = caught.value
        assert "planted" not in f"{error!r} {error.facts} {error.next_step} {error.__cause__!r}"
        assert error.__suppress_context__


async def test_no_log_shows_the_key_or_the_token_even_where_all_is_logged(
    clock: Clock, stripe: FakeStripe, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (None, "httpx", "httpcore", "zinc_mcp"):
        caplog.set_level(logging.DEBUG, logger=name)
    wallet = StripeWallet(SecretStr(KEY), "pm_card_visa", transport=stripe.transport())
    paid = await _pay(wallet)
    await wallet.fate(paid.recovery, now=clock(), credential=paid.authorization)
    await wallet.release(paid.recovery, now=clock(), credential=paid.authorization)
    assert len(stripe.requests) == 3 and "planted" not in caplog.text


@pytest.mark.parametrize(
    ("key", "method", "setting"),
    [
        ("planted", "pm_1", "ZINC_STRIPE_SECRET_KEY"),
        ("pk_live_planted01234", "pm_1", "ZINC_STRIPE_SECRET_KEY"),
        ("rk_live_planted\nX: y", "pm_1", "ZINC_STRIPE_SECRET_KEY"),
        (KEY, "4242424242424242", "ZINC_STRIPE_PAYMENT_METHOD"),
        (KEY, "pm_1&usage_limits[max_amount]=1", "ZINC_STRIPE_PAYMENT_METHOD"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_not_shown(key: str, method: str, setting: str) -> None:
    with pytest.raises(SettingsError, match=setting) as caught:
        StripeWallet(SecretStr(key), method)
    assert "planted" not in str(caught.value) and "4242" not in str(caught.value)


def test_a_wallet_with_a_live_key_is_live() -> None:
    assert StripeWallet(SecretStr("sk_live_0123456789"), "pm_1").mode == "live"
