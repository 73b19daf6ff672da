"""The errors of payments, each with a sentence of ours.

PaymentError
├── InvalidChallengeError        the 402 cannot be read; nothing was signed          (also a RefusedError)
├── PaymentRefusedError          we or the wallet said no; nothing can settle        (also a RefusedError)
└── PaymentOutcomeUnknownError   the wallet was asked and may have authorised something

`reason` is from a closed list and safe to show. No sentence here repeats the words of a server or a wallet.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from zinc_mcp.errors import ErrorCode, RefusedError, ZincMcpError

RefusalReason = Literal[
    "status",
    "not_https",
    "origin",
    "method",
    "intent",
    "header",
    "amount_syntax",
    "amount",
    "currency",
    "chain",
    "splits",
    "push_only",
    "recipient",
    "network",
    "no_expiry",
    "expiry_syntax",
    "expires_too_soon",
    "expires_too_late",
    "digest",
    "transaction",
    "gas",
    "funds",
    "wallet_refused",
    "wallet_unavailable",
]

_SENTENCES: dict[RefusalReason, str] = {
    "status": "Zinc did not ask for a payment, so none was made.",
    "not_https": "The payment was asked for over an unencrypted connection.",
    "origin": "The payment was asked for by another server than the configured one.",
    "method": "Zinc offers no payment method that the configured payment wallet can pay.",
    "intent": "Zinc asked for another kind of payment than a single charge.",
    "header": "Zinc wants the payment in a header that is not for payments.",
    "amount_syntax": "The amount asked for is not written as a whole number.",
    "amount": "The amount asked for is not the price ceiling plus the expected fee.",
    "currency": "The payment was asked for in a currency that is not allowed.",
    "chain": "The payment was asked for on another chain than the configured one, or on none.",
    "splits": "The payment would be split among several recipients.",
    "push_only": "Zinc wants to be paid before it takes the order, which is never done.",
    "recipient": "The recipient of the payment is missing, malformed or not one that is allowed.",
    "network": "The payment does not name a usable seller profile.",
    "no_expiry": "The payment was asked for without an end of validity.",
    "expiry_syntax": "The end of validity of the payment cannot be read.",
    "expires_too_soon": "The payment has expired or is about to.",
    "expires_too_late": "The payment would stay valid for too long.",
    "digest": "The payment was asked for another order than the one that was sent.",
    "transaction": "The payment wallet signed another payment than the one that was asked for; it was thrown away.",
    "gas": "The network fee of the payment could exceed its limit.",
    "funds": "The payment wallet does not hold enough for the price ceiling and the fee.",
    "wallet_refused": "The payment wallet refused to pay.",
    "wallet_unavailable": "The payment wallet cannot pay just now.",
}
_CODES: Mapping[RefusalReason, ErrorCode] = {
    "method": "wallet_not_configured",
    "wallet_unavailable": "wallet_unavailable",
}
_RETRY = frozenset({"expires_too_soon", "wallet_unavailable", "gas"})


class PaymentError(ZincMcpError):
    """No payment was made, or it is not known whether one was made."""


class InvalidChallengeError(PaymentError, RefusedError):
    """The 402 holds no readable `Payment` challenge. `reason` says why, in our words."""

    default_code: ClassVar[ErrorCode] = "payment_refused"
    default_next_step = "Nothing was paid. Tell the user that Zinc's payment request could not be read."

    def __init__(self, reason: str) -> None:
        super().__init__("Zinc's payment request cannot be read, so nothing was signed.", facts={"reason": reason})
        self.reason = reason


class PaymentRefusedError(PaymentError, RefusedError):
    """No payment was authorised, and nothing exists that could settle."""

    default_code: ClassVar[ErrorCode] = "payment_refused"
    default_next_step = "Nothing was paid. Tell the user; the same order will be refused again."

    def __init__(self, reason: RefusalReason, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(
            f"{_SENTENCES[reason]} Nothing was paid.",
            "Nothing was paid. The same order may be tried again in a minute." if reason in _RETRY else None,
            code=_CODES.get(reason),
            facts={"reason": reason, **(facts or {})},
        )
        self.reason: RefusalReason = reason


class PaymentOutcomeUnknownError(PaymentError):
    """The wallet was asked and gave no usable answer, so a credential that can settle may exist. Never ask it again.

    `recovery` holds the facts that `PaymentWallet.fate` needs, and no secret.
    """

    default_code: ClassVar[ErrorCode] = "outcome_unknown"
    default_next_step = "Do not order again. Call get_order with the key to find out what happened."
    money_may_have_moved = True

    def __init__(self, reason: str, recovery: Mapping[str, Any] | None = None) -> None:
        super().__init__(
            "The payment wallet was asked to pay and did not answer clearly: a payment may have been authorised.",
            facts={"reason": reason},
        )
        self.reason = reason
        self.recovery: dict[str, Any] = dict(recovery or {})
