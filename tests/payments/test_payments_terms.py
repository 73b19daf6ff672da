"""Each lie that a 402 can tell is refused with its own reason, before a wallet is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from payments.offers import (
    BODY,
    NOW,
    ORIGIN,
    RECIPIENT,
    STRIPE,
    TEMPO,
    URL,
    USDC,
    CountingWallet,
    offer,
    rfc3339,
    stripe_request,
    tempo_request,
    terms,
)
from pydantic import SecretStr

from zinc_mcp.errors import RefusedError
from zinc_mcp.payments.failures import InvalidChallengeError, PaymentRefusedError
from zinc_mcp.payments.headers import Challenge, digest_of
from zinc_mcp.payments.terms import Charge, MethodTerms, choose, refuse_other_origin
from zinc_mcp.rails import Quote
from zinc_mcp.rails.agent import AgentRail
from zinc_mcp.zinc.client import ZincClient


async def _paid(wallet: CountingWallet, values: list[str], status: int = 402, **expected: Any) -> Charge:
    """Do what the rail does with a 402: read, choose, check, and only then ask the wallet."""
    challenges = Challenge.from_www_authenticate(values)
    challenge, charge = choose(challenges, terms(methods=wallet.terms, **expected), NOW, status=status)
    await wallet.pay(challenge, charge, now=NOW)
    return charge


def _tempo(**changes: Any) -> list[str]:
    return [offer(request=tempo_request(**changes)).to_www_authenticate()]


def _stripe(**changes: Any) -> list[str]:
    return [offer("stripe", stripe_request(**changes)).to_www_authenticate()]


def _with(**parameters: Any) -> list[str]:
    return [offer(**parameters).to_www_authenticate()]


def _details(**changes: Any) -> list[str]:
    return _tempo(methodDetails={"chainId": 4217, **changes})


_LIES: dict[str, tuple[list[str], str]] = {
    "ten times the price": (_tempo(amount="260000000"), "amount"),
    "one base unit more": (_tempo(amount="26000001"), "amount"),
    "one cent more": (_tempo(amount="26010000"), "amount"),
    "one cent less": (_tempo(amount="25990000"), "amount"),
    "the ceiling without the fee": (_tempo(amount="25000000"), "amount"),
    "cents given as base units": (_tempo(amount="2600"), "amount"),
    "base units given as cents": (_stripe(amount="26000000"), "amount"),
    "an amount of 18 digits": (_tempo(amount="9" * 18), "amount"),
    "an amount of 19 digits": (_tempo(amount="2600000000000000000"), "amount_syntax"),
    "a negative amount": (_tempo(amount="-26000000"), "amount_syntax"),
    "a signed amount": (_tempo(amount="+26000000"), "amount_syntax"),
    "an amount of zero": (_tempo(amount="0"), "amount_syntax"),
    "a leading zero": (_tempo(amount="026000000"), "amount_syntax"),
    "underscores": (_tempo(amount="26_000_000"), "amount_syntax"),
    "spaces": (_tempo(amount=" 26000000 "), "amount_syntax"),
    "a line break": (_tempo(amount="26000000\n"), "amount_syntax"),
    "a decimal point": (_stripe(amount="26.00"), "amount_syntax"),
    "an exponent": (_tempo(amount="26e6"), "amount_syntax"),
    "Arabic digits": (_tempo(amount="٢٦٠٠٠٠٠٠"), "amount_syntax"),
    "a number instead of text": (_tempo(amount=26000000), "amount_syntax"),
    "a fraction instead of text": (_tempo(amount=26000000.0), "amount_syntax"),
    "true instead of an amount": (_tempo(amount=True), "amount_syntax"),
    "null instead of an amount": (_tempo(amount=None), "amount_syntax"),
    "no amount": (_tempo(amount=...), "amount_syntax"),
    "another token": (_tempo(currency="0x20c0000000000000000000006a37DA5C996874BE"), "currency"),
    "another currency": (_stripe(currency="eur"), "currency"),
    "yen, where cents are hundreds": (_stripe(currency="jpy"), "currency"),
    "no currency": (_tempo(currency=...), "currency"),
    "a currency that is a list": (_tempo(currency=[USDC]), "currency"),
    "the test network": (_details(chainId=42431), "chain"),
    "no chain": (_tempo(methodDetails={}), "chain"),
    "no method details": (_tempo(methodDetails=...), "chain"),
    "the chain as text": (_details(chainId="4217"), "chain"),
    "the chain as a fraction": (_details(chainId=4217.0), "chain"),
    "true as a chain": (_details(chainId=True), "chain"),
    "splits": (_details(splits=[{"amount": "1", "recipient": RECIPIENT}]), "splits"),
    "an empty list of splits": (_details(splits=[]), "splits"),
    "splits outside the details": (_tempo(splits=[{"amount": "1", "recipient": RECIPIENT}]), "splits"),
    "push only": (_details(supportedModes=["push"]), "push_only"),
    "no mode at all": (_details(supportedModes=[]), "push_only"),
    "a mode that is text": (_details(supportedModes="pull"), "push_only"),
    "a sponsor that is text": (_details(feePayer="true"), "gas"),
    "no recipient": (_tempo(recipient=...), "recipient"),
    "a recipient cut short": (_tempo(recipient=RECIPIENT[:-1]), "recipient"),
    "a recipient that is a name": (_tempo(recipient="zinc.eth"), "recipient"),
    "nobody": (_tempo(recipient="0x" + "0" * 40), "recipient"),
    "the token itself": (_tempo(recipient=USDC.lower()), "recipient"),
    "a recipient that is no account": (_stripe(recipient="acct 1&x=y"), "recipient"),
    "a recipient that is an object": (_stripe(recipient={}), "recipient"),
    "no seller profile": (_stripe(methodDetails={}), "network"),
    "a seller profile with more in it": (
        _stripe(methodDetails={"networkId": "p&usage_limits[max_amount]="}),
        "network",
    ),
    "no expiry": (_with(expires=None), "no_expiry"),
    "expired": (_with(expires=rfc3339(NOW - 1)), "expires_too_soon"),
    "about to expire": (_with(expires=rfc3339(NOW + 14)), "expires_too_soon"),
    "valid for ten years": (_with(expires=rfc3339(NOW + 10 * 365 * 86400)), "expires_too_late"),
    "valid for sixteen minutes": (_with(expires=rfc3339(NOW + 960)), "expires_too_late"),
    "an expiry without an offset": (_with(expires="2026-11-21T12:00:00"), "expiry_syntax"),
    "an expiry in seconds": (_with(expires=str(int(NOW + 300))), "expiry_syntax"),
    "an expiry in words": (_with(expires="soon"), "expiry_syntax"),
    "an expiry on no day": (_with(expires="2026-13-41T12:00:00Z"), "expiry_syntax"),
    "the digest of another body": (_with(digest=digest_of(b"{}")), "digest"),
    "a digest of another kind": (_with(digest="md5=:AAAA:"), "digest"),
    "an empty digest": (_with(digest=""), "digest"),
    "another intent": (_with(intent="session"), "intent"),
    "a method that is not ours": (_with(method="evm"), "method"),
    "x402": (_with(method="x402"), "method"),
    "a header that is not for payments": (_with(header="Content-Length"), "header"),
    "a header that carries cookies": (_with(header="Cookie"), "header"),
}


@dataclass(frozen=True)
class Row:
    """The result of one order with this 402."""

    wallet_asked: int
    credentials_created: int
    requests_carrying_one: int


class Zinc:
    """Asks for a payment with these challenges, and takes any."""

    def __init__(self, values: list[str], date: str | None = None) -> None:
        self.values = values
        self.date = [("Date", date)] if date else []
        self.carried = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if "authorization" in request.headers or "payment-authorization" in request.headers:
            self.carried += 1
            return httpx.Response(201, json={"id": "order-1", "status": "pending"})
        challenges = [("WWW-Authenticate", value) for value in self.values]
        return httpx.Response(402, headers=[*challenges, *self.date], json={})


async def _row(values: list[str], *, date: str | None = None, clock: float = NOW) -> tuple[Row, Exception | None]:
    """Send an order down the whole rail: unpaid, checked, signed, paid. `date` is when Zinc says that it asked."""

    async def kept(key: SecretStr | None, receipt: str | None, accepted: bool) -> None:
        pass

    zinc, wallet = Zinc(values, date), CountingWallet()
    client = ZincClient(ORIGIN, transport=httpx.MockTransport(zinc))
    rail, refused = AgentRail(client, wallet, "live", lambda: clock), None
    try:
        quote = await rail.quote(BODY, 2500, 100, kept)
        assert isinstance(quote, Quote)
        await rail.send_paid(BODY, (await rail.sign(quote)).credential, kept, lambda: None)
    except (PaymentRefusedError, InvalidChallengeError) as error:
        refused = error
    await client.aclose()
    return Row(wallet.asked, wallet.created, zinc.carried), refused


@pytest.mark.parametrize(("values", "reason"), list(_LIES.values()), ids=list(_LIES))
async def test_a_lie_asks_no_wallet_creates_no_credential_and_sends_none(values: list[str], reason: str) -> None:
    row, refused = await _row(values)
    assert row == Row(wallet_asked=0, credentials_created=0, requests_carrying_one=0)
    assert isinstance(refused, PaymentRefusedError) and isinstance(refused, RefusedError)
    assert (refused.reason, refused.facts["reason"], refused.money_may_have_moved) == (reason, reason, False)


async def test_the_same_road_pays_an_honest_402_once() -> None:
    row, refused = await _row(_tempo())
    assert (row, refused) == (Row(wallet_asked=1, credentials_created=1, requests_carrying_one=1), None)


@pytest.mark.parametrize(
    ("ends_in", "reason"), [(-60, "expires_too_soon"), (14, "expires_too_soon"), (1100, "expires_too_late")]
)
async def test_an_expiry_that_only_our_wrong_clock_accepts_is_refused_by_zincs_time(
    ends_in: float, reason: str
) -> None:
    wrong_by = -700 if ends_in < 300 else 700
    values = _with(expires=rfc3339(NOW + ends_in))
    row, refused = await _row(values, date=formatdate(NOW, usegmt=True), clock=NOW + wrong_by)
    assert row == Row(wallet_asked=0, credentials_created=0, requests_carrying_one=0)
    assert isinstance(refused, PaymentRefusedError)
    assert refused.reason == reason


@pytest.mark.parametrize("date", [formatdate(NOW, usegmt=True), formatdate(NOW - 20), "yesterday", "0", "Sun, 99 Nov"])
async def test_a_right_or_unreadable_date_refuses_no_honest_402(date: str) -> None:
    row, refused = await _row(_tempo(), date=date)
    assert (row.requests_carrying_one, refused) == (1, None)


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        ({"url": "http://api.zinc.com/agent/orders", "origin": "http://api.zinc.com"}, "not_https"),
        ({"url": "https://api.zinc.com.evil.example/agent/orders"}, "origin"),
        ({"url": "https://api.zinc.com:8443/agent/orders"}, "origin"),
        ({"url": "https://api.zinc.com@evil.example/agent/orders"}, "origin"),
        ({"url": "https://user@api.zinc.com/agent/orders"}, "origin"),
        ({"url": "https://api.zinc.com\\@evil.example/"}, "origin"),
        ({"url": "//api.zinc.com/agent/orders"}, "origin"),
        ({"url": "https://\u0430pi.zinc.com/agent/orders"}, "origin"),
        ({"url": "https://api.zinc.com:port/"}, "origin"),
        ({"status": 200}, "status"),
        ({"status": 401}, "status"),
        ({"body": BODY + b" "}, None),
    ],
)
async def test_a_402_from_elsewhere_or_for_another_request_is_refused(
    expected: dict[str, Any], reason: str | None
) -> None:
    wallet = CountingWallet()
    values = _with(digest=digest_of(BODY))
    with pytest.raises(PaymentRefusedError) as caught:
        await _paid(wallet, values, **expected)
    assert (caught.value.reason, wallet.asked) == (reason or "digest", 0)


async def test_a_malformed_challenge_is_refused_before_the_wallet_is_asked() -> None:
    for values in ([], ["Bearer"], ['Payment id="a'], [_tempo()[0].replace('request="', 'request="eyJ')]):
        row, refused = await _row(values)
        assert row == Row(wallet_asked=0, credentials_created=0, requests_carrying_one=0)
        assert isinstance(refused, InvalidChallengeError)


@pytest.mark.parametrize(
    "digest",
    [None, digest_of(BODY), digest_of(BODY).replace(":", "")],
    ids=["none", "as the RFC writes it", "as the SDKs write it"],
)
async def test_an_honest_charge_is_paid_once(digest: str | None) -> None:
    wallet = CountingWallet()
    charge = await _paid(wallet, _with(digest=digest))
    assert (charge.amount_cents, charge.fee_cents, charge.amount, charge.currency) == (2600, 100, "26000000", USDC)
    assert (charge.chain_id, charge.header, charge.expires_at) == (4217, "Authorization", NOW + 300)
    assert wallet.asked == 1


async def test_a_stripe_charge_names_its_seller() -> None:
    charge = await _paid(CountingWallet(stripe=STRIPE), _stripe(recipient=..., currency="USD"))
    assert (charge.network_id, charge.recipient, charge.amount_cents, charge.chain_id) == (
        "profile_1",
        None,
        2600,
        None,
    )


@pytest.mark.parametrize(
    ("header", "name"),
    [("payment-authorization", "Payment-Authorization"), ("Authorization", "Authorization")],
)
async def test_the_two_headers_for_credentials_are_accepted(header: str, name: str) -> None:
    assert (await _paid(CountingWallet(), _with(header=header))).header == name


async def test_the_fee_may_lie_in_a_configured_range_and_nowhere_else() -> None:
    wallet = CountingWallet()
    for cents, fine in ((2500, True), (2600, True), (2650, True), (2499, False), (2651, False)):
        try:
            charge = await _paid(wallet, _stripe(amount=str(cents)), fee_range_cents=(0, 150))
        except PaymentRefusedError as error:
            assert not fine and error.facts["expected_cents"] == [2500, 2650]
        else:
            assert fine and charge.fee_cents == cents - 2500


async def test_a_lie_in_one_method_is_not_avoided_by_paying_with_another() -> None:
    wallet = CountingWallet()
    with pytest.raises(PaymentRefusedError) as caught:
        await _paid(wallet, [*_tempo(amount="99000000"), *_stripe()])
    assert (caught.value.reason, wallet.asked) == ("amount", 0)


async def test_our_order_of_methods_decides_and_a_token_that_is_not_ours_is_passed_over() -> None:
    other_token = _tempo(currency="0x20c0000000000000000000006a37DA5C996874BE")
    charge = await _paid(CountingWallet(), [*_stripe(), *other_token, *_tempo()])
    assert (charge.method, charge.currency) == ("tempo", USDC)
    assert (await _paid(CountingWallet(stripe=STRIPE, tempo=TEMPO), [*_tempo(), *_stripe()])).method == "stripe"


async def test_a_recipient_can_be_pinned() -> None:
    pinned = MethodTerms({USDC: 6}, 4217, recipients=frozenset({RECIPIENT.upper().replace("0X", "0x")}))
    assert (await _paid(CountingWallet(tempo=pinned), _tempo())).recipient == RECIPIENT
    with pytest.raises(PaymentRefusedError) as caught:
        await _paid(CountingWallet(tempo=pinned), _tempo(recipient="0x" + "1" * 40))
    assert caught.value.reason == "recipient"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8402/agent/orders", "http://[::1]:8402/", "http://localhost:8402/x"])
def test_plain_http_goes_to_this_machine_only(url: str) -> None:
    refuse_other_origin(url, url.split("/agent")[0])


def test_the_sentences_hold_nothing_of_the_server() -> None:
    planted: list[Callable[[], list[str]]] = [
        lambda: _tempo(currency="PLANTED"),
        lambda: _tempo(recipient="PLANTED"),
        lambda: _with(description="PLANTED", intent="session"),
        lambda: _with(expires="PLANTED"),
        lambda: _with(method="planted"),
    ]
    for values in planted:
        with pytest.raises(PaymentRefusedError) as caught:
            choose(Challenge.from_www_authenticate(values()), terms(), NOW, status=402)
        assert "planted" not in f"{caught.value} {caught.value.next_step} {caught.value.facts}".lower()


def test_the_terms_do_not_show_the_address_in_the_body() -> None:
    assert "idempotency_key" not in repr(terms()) and URL in repr(terms())
