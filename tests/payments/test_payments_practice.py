"""The practice wallet pays a challenge of the real form, and its payee really verifies the payment."""

import json
from dataclasses import replace
from typing import Any

import pytest
from payments.offers import BODY, NOW, offer, rfc3339, terms

from zinc_mcp.payments.failures import PaymentRefusedError
from zinc_mcp.payments.headers import Challenge, Credential, digest_of, encoded_object
from zinc_mcp.payments.terms import Charge, check, choose
from zinc_mcp.payments.wallet import OPEN, Fate, Paid, PaymentWallet, PracticeWallet
from zinc_mcp.sandbox.challenges import VerificationError, bound, challenge_id
from zinc_mcp.sandbox.orders.agent import verify

SECRET = b"a sandbox's own secret of 32 bytes"


def _issued(**changes: Any) -> Challenge:
    parameters: dict[str, Any] = {
        "realm": "sandbox",
        "request": {"amount": "2600", "currency": "usd", "recipient": "acct_practice"},
        "expires": rfc3339(NOW + 300),
        "digest": digest_of(BODY),
    }
    return bound(SECRET, **(parameters | changes))


async def _pay(challenge: Challenge) -> tuple[Charge, Paid]:
    wallet: PaymentWallet = PracticeWallet()
    offered = Challenge.from_www_authenticate([offer().to_www_authenticate(), challenge.to_www_authenticate()])
    chosen, charge = choose(offered, terms(methods=wallet.terms), NOW, status=402)
    return charge, await wallet.pay(chosen, charge, now=NOW)


async def test_a_practice_payment_verifies_and_its_reference_was_known_before() -> None:
    charge, paid = await _pay(_issued(opaque=encoded_object({"order": "7"})))
    challenge, reference = verify(SECRET, paid.authorization.get_secret_value(), body=BODY, now=NOW)
    assert (charge.amount_cents, charge.fee_cents) == (2600, 100)
    assert reference == paid.reference == paid.recovery["reference"]
    assert challenge.id == paid.recovery["challenge_id"]
    assert paid.settle_by == NOW + 300


async def test_the_sandbox_answers_what_became_of_it() -> None:
    _, paid = await _pay(_issued())
    asked: list[str] = []

    async def lookup(challenge: str) -> Fate:
        asked.append(challenge)
        return Fate("settled", "practice_1")

    assert await PracticeWallet().fate(paid.recovery, now=NOW) == OPEN
    assert await PracticeWallet(lookup).fate(paid.recovery, now=NOW) == Fate("settled", "practice_1")
    assert asked == [paid.recovery["challenge_id"]]


async def test_only_the_sandbox_is_paid() -> None:
    with pytest.raises(PaymentRefusedError):
        await PracticeWallet().pay(offer(), check(offer(), terms(), NOW), now=NOW)
    with pytest.raises(PaymentRefusedError):
        choose([offer()], terms(methods=PracticeWallet().terms), NOW, status=402)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": "guessed"}, "invalid-challenge"),
        ({"request": encoded_object({"amount": "1", "currency": "usd"})}, "invalid-challenge"),
        ({"expires": rfc3339(NOW + 9000)}, "invalid-challenge"),
        ({"digest": None}, "invalid-challenge"),
        ({"realm": "elsewhere"}, "invalid-challenge"),
    ],
)
async def test_a_challenge_that_was_changed_does_not_verify(changes: dict[str, Any], problem: str) -> None:
    _, paid = await _pay(_issued())
    credential = Credential.from_authorization(paid.authorization.get_secret_value())
    forged = replace(credential, challenge=replace(credential.challenge, **changes))
    with pytest.raises(VerificationError) as caught:
        verify(SECRET, forged.to_authorization(), body=BODY, now=NOW)
    assert caught.value.problem == problem


async def test_a_payee_refuses_each_damaged_payment() -> None:
    _, paid = await _pay(_issued())
    authorization = paid.authorization.get_secret_value()
    other = Credential(_issued(method="stripe"), {"spt": "spt_1"}).to_authorization()
    forged = Credential(_issued(), {"type": "practice", "proof": "AAAA"}).to_authorization()
    rows: list[tuple[bytes, str, bytes, float, str]] = [
        (SECRET, "Bearer x", BODY, NOW, "malformed-credential"),
        (b"another sandbox's secret", authorization, BODY, NOW, "invalid-challenge"),
        (SECRET, authorization, BODY, NOW + 301, "payment-expired"),
        (SECRET, authorization, BODY + b" ", NOW, "verification-failed"),
        (SECRET, other, BODY, NOW, "verification-failed"),
        (SECRET, forged, BODY, NOW, "verification-failed"),
    ]
    for secret, value, body, now, problem in rows:
        with pytest.raises(VerificationError) as caught:
            verify(secret, value, body=body, now=now)
        assert caught.value.problem == problem


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "6QDs0BmhrI_v67iWeCMvGqQJEFQ6ErWKlk7zi5xL6t0"),
        ({"expires": "2025-01-06T12:00:00Z"}, "ZcHgfEi5_Qyda9NQwUzamsCgCcWXw6N6EH2NLyaSTlg"),
        (
            {"digest": "sha-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE"},
            "vwnOtW2kwdujK9_uC_taI2e6Jwq86Jwogvq9m--i8eQ",
        ),
        ({"opaque": "trace-123"}, "1XJ-Ti0DACNe3E1zHvwH6OdnKlhUx6xKxDbhJyexng4"),
        ({"header": "Payment-Authorization"}, "re8MIMJYpIJ0r_aiizscg6ghtipQM8IpOa_NtpwIU8E"),
        ({"header": "Authorization"}, "6QDs0BmhrI_v67iWeCMvGqQJEFQ6ErWKlk7zi5xL6t0"),
        ({"realm": "payments.other.com"}, "NiwWsOUeZDNPegltJVbOHVKR4hHbZR5tnoQ80DVrqyY"),
        ({"method": "stripe"}, "IPY59YD2ZWmf3yXnZxbQgYoYejrVB9Nh_rpSkrOeSG0"),
    ],
)
def test_the_published_challenge_ids_come_out(changes: dict[str, str], expected: str) -> None:
    # conformance/vectors/challenge-id.json of tempoxyz/mpp-tools
    slots = {
        "id": "not bound",
        "realm": "api.example.com",
        "method": "tempo",
        "intent": "charge",
        "request": encoded_object({"amount": "1000000"}),
        **changes,
    }
    assert challenge_id(b"test-vector-secret-minimum-32-byte-secret", Challenge(**slots)) == expected


async def test_the_recovery_facts_are_json_and_hold_no_proof() -> None:
    _, paid = await _pay(_issued())
    proof = Credential.from_authorization(paid.authorization.get_secret_value()).payload["proof"]
    assert proof not in json.dumps(dict(paid.recovery)) and proof not in repr(paid)
