"""Credentials and receipts are echoed exactly, read back alike, and show no secret in a repr."""

import base64
import json
from typing import Any

import mpp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from payments.offers import NOW, offer, rfc3339

from zinc_mcp.payments.failures import InvalidChallengeError
from zinc_mcp.payments.headers import (
    MAX_CREDENTIAL_BYTES,
    Challenge,
    Credential,
    Receipt,
    encoded_object,
    to_payment_receipt,
)


def _decoded(authorization: str) -> dict[str, Any]:
    encoded = authorization.removeprefix("Payment ")
    members: dict[str, Any] = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    return members


def test_the_credential_echoes_the_challenge_and_nothing_more() -> None:
    challenge = offer(opaque="eyJ6IjoiMSIsICJhIjoiMiJ9", description="for people")
    decoded = _decoded(Credential(challenge, {"type": "transaction", "signature": "0x76"}, "did:x").to_authorization())
    assert decoded == {
        "challenge": challenge.to_parameters(),
        "payload": {"type": "transaction", "signature": "0x76"},
        "source": "did:x",
    }
    assert "header" not in decoded["challenge"] and "digest" not in decoded["challenge"]


def test_a_published_credential_is_read_and_written_again() -> None:
    # conformance/vectors/authorization.json, "credential_with_payment_authorization_header"
    wire = (
        "Payment eyJjaGFsbGVuZ2UiOnsiaWQiOiJjaF9oZWFkZXIiLCJyZWFsbSI6ImFwaS5leGFtcGxlLmNvbSIsIm1ldGhvZCI6InRlbXBvIiwia"
        "W50ZW50IjoiY2hhcmdlIiwicmVxdWVzdCI6ImUzMCIsImhlYWRlciI6IlBheW1lbnQtQXV0aG9yaXphdGlvbiJ9LCJwYXlsb2FkIjp7fX0"
    )
    credential = Credential.from_authorization(wire)
    assert credential.challenge == Challenge(
        "ch_header", "api.example.com", "tempo", "charge", "e30", header="Payment-Authorization"
    )
    assert _decoded(credential.to_authorization()) == _decoded(wire)


@pytest.mark.parametrize(
    "wire",
    [
        "Bearer eyJjaGFsbGVuZ2UiOnt9fQ",
        "Payment not-valid!!!",
        "Payment eyJwYXlsb2FkIjp7InR5cGUiOiJ0cmFuc2FjdGlvbiIsInNpZ25hdHVyZSI6IjB4MTIzNCJ9fQ",
        "Payment " + encoded_object({"challenge": {"realm": "api"}, "payload": {}}),
        "Payment W10",
        "Payment",
        "Payment " + encoded_object({"challenge": offer().to_parameters(), "payload": []}),
        "Payment " + encoded_object({"challenge": offer().to_parameters(), "payload": {}, "source": 7}),
        "Payment " + "A" * (MAX_CREDENTIAL_BYTES + 4),
    ],
)
def test_a_malformed_credential_is_refused(wire: str) -> None:
    with pytest.raises(InvalidChallengeError):
        Credential.from_authorization(wire)


def test_a_credential_too_long_for_a_header_is_not_written() -> None:
    with pytest.raises(ValueError, match="too long"):
        Credential(offer(), {"signature": "0x" + "7" * MAX_CREDENTIAL_BYTES}).to_authorization()


_PAYLOADS = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=9), st.text(max_size=40))


@given(_PAYLOADS, st.none() | st.from_regex(r"did:[a-z]{1,20}", fullmatch=True))
def test_a_credential_survives_the_wire(payload: dict[str, str], source: str | None) -> None:
    credential = Credential(offer(digest="sha-256=:AA==:"), payload, source)
    assert Credential.from_authorization(credential.to_authorization()) == credential


def test_pympp_reads_our_credential_and_we_read_its() -> None:
    ours = Credential(offer(), {"spt": "spt_1"}, "did:x")
    theirs = mpp.Credential.from_authorization(ours.to_authorization())
    assert theirs.challenge.request == ours.challenge.request and theirs.payload == {"spt": "spt_1"}
    assert Credential.from_authorization(theirs.to_authorization()) == ours


def test_no_repr_shows_a_credential_or_a_raw_receipt() -> None:
    credential = Credential(offer(id="planted-id"), {"spt": "spt_planted"}, "did:planted")
    receipt = Receipt.from_payment_receipt(to_payment_receipt("tempo", "0xabc", "2026-01-01T00:00:00Z"))
    assert receipt is not None
    assert "planted" not in repr(credential)
    assert to_payment_receipt("tempo", "0xabc", "2026-01-01T00:00:00Z") not in repr(receipt)


def test_a_receipt_of_the_draft_is_read() -> None:
    written = to_payment_receipt("tempo", "0x" + "ab" * 32, rfc3339(NOW))
    receipt = Receipt.from_payment_receipt(written)
    assert receipt is not None and receipt.status == "success"
    assert (receipt.method, receipt.reference, receipt.timestamp) == ("tempo", "0x" + "ab" * 32, rfc3339(NOW))
    assert mpp.Receipt.from_payment_receipt(written).reference == receipt.reference


def test_a_receipt_of_pympp_is_read() -> None:
    theirs = mpp.Receipt.success(reference="pi_1", method="stripe").to_payment_receipt()
    receipt = Receipt.from_payment_receipt(theirs)
    assert receipt is not None and receipt.reference == "pi_1" and receipt.status == "success"


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        ("tempo receipt=rcpt_1AbC", "rcpt_1AbC"),
        ('stripe; receipt="pi_3Q"', "pi_3Q"),
        ("rcpt_1AbCdEf", "rcpt_1AbCdEf"),
        ("0x" + "ab" * 32, "0x" + "ab" * 32),
        (encoded_object({"type": "charge", "chargeId": "ch_1"}), None),
        (encoded_object({"status": "success", "reference": 7}), None),
        (encoded_object({"status": "success", "reference": "pi_1"}) + "==", "pi_1"),
        ("%%%", None),
        ("[]", None),
    ],
)
def test_the_reference_of_an_odd_receipt_is_found(value: str, reference: str | None) -> None:
    receipt = Receipt.from_payment_receipt(value)
    assert receipt is not None and receipt.reference == reference


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_receipt_is_no_failure(value: str | None) -> None:
    assert Receipt.from_payment_receipt(value) is None


@given(st.text(max_size=400) | st.binary(max_size=300).map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_no_text_in_place_of_a_receipt_causes_a_crash(value: str) -> None:
    receipt = Receipt.from_payment_receipt(value)
    assert receipt is None or receipt.reference is None or 0 < len(receipt.reference) <= 400


def test_a_receipt_without_end_is_cut() -> None:
    assert Receipt.from_payment_receipt("receipt=r" + " " * 16 * 1024) == Receipt(reference="r")
    assert Receipt.from_payment_receipt("A" * 10**6 + " receipt=r") == Receipt()
