"""The dialect of the sandbox: its behaviour where Zinc's documents are silent or disagree.

A user practises on the default dialect. The fault campaign repeats its rounds in each other one.
"""

from dataclasses import dataclass, field, replace
from typing import Literal, Self

from zinc_mcp.sandbox.dialects.switches import Switches
from zinc_mcp.sandbox.dialects.v1 import V1Dialect


@dataclass(frozen=True, slots=True)
class Dialect(Switches):
    """Each field is an open question, and its values are the possible answers. The defaults are the best supported."""

    listing: Literal["prompt", "lags", "unpaged", "unfiltered"] = "prompt"
    """`GET /orders`: up to date with `total`, `limit` and `offset` (SDK); new orders appear after 5 s; only `{orders}`
    and no paging (List Orders, February 2026); the metadata filter is ignored (releases before 8.21 had none)."""

    conflict_identifier: Literal["key", "order_id", "details_order_id", "none"] = "key"
    """The content of a 409 `already_exists`: the key (Idempotency page), the order's id (a third-party reading), the
    key and `details.order_id` (the restock agent), or nothing."""

    repeat: Literal["conflict_409", "unauthorized_401", "payment_402", "conflict_500"] = "conflict_409"
    """The answer to a used idempotency key (Idempotency page: 409). The order of checks is not documented, so another
    check may refuse the request first."""

    concurrent: Literal["serialised", "both_in_flight_409", "one_500"] = "serialised"
    """A second POST with a key while the first is being processed: it is a repeat, since check and insert are one step;
    or both are answered 409 although one order exists; or the second is answered 500."""

    keys: Literal["honoured", "ignored"] = "honoured"
    """The idempotency key: honoured, or `ignored`, which breaks Zinc's promise and which a client must notice."""

    validation: Literal["detail_list", "wrapped"] = "detail_list"
    """A 422's body: FastAPI's list (Create Order), or wrapped as `validation_error` in the error envelope."""

    address: Literal["error_400", "detail_422"] = "error_400"
    """An address that cannot be right ("USA", a four-digit ZIP, a line over 60): 400 `invalid_shipping_address`, or
    422 on the field."""

    errors: Literal["nested", "flat"] = "nested"
    """The error envelope: `{"error": {code, message, details}}` (SDK) or flat, as the docs pages print it."""

    insufficient_funds: Literal["status_402", "status_400"] = "status_402"
    """A short balance: 402 (measured), or 400 as the skill says of every synchronous sandbox error."""

    not_cancellable: Literal["status_422", "status_409", "status_400"] = "status_422"
    """The HTTP status of `order_not_cancellable` (Zinc's sample app expects 422)."""

    challenges: Literal["separate", "folded"] = "separate"
    """The challenges of a 402: a header line for each, or one line with another scheme in between, as RFC 9110 allows
    and many proxies write it."""

    challenge_digest: Literal["sdk", "draft", "absent"] = "sdk"
    """The digest of the body in a challenge: `sha-256=…` (the SDKs), `sha-256=:…:` (RFC 9530, the draft), or none (as
    captured in June 2026). Without it a paid request with another body costs its money and brings no order (SDK)."""

    method_query: Literal["honoured", "ignored"] = "honoured"
    """`?method=`: narrows the challenges to one (MPP page; not on the endpoint's own page), or is ignored."""

    payment_errors: Literal["envelope", "problem"] = "envelope"
    """A credential that does not hold: 402 in the error envelope, or as the draft's problem document."""

    agent_repeat: Literal["same_order", "conflict_409", "forbidden_403_replayed", "payment_402_fresh"] = "same_order"
    """The same credential again: the first answer once more, headers included (draft, "SHOULD"); 409; 403 as the SDKs
    answer a replay; or a fresh challenge. It is settled once in all of them."""

    agent_duplicate: Literal["kept_409", "unsettled_409", "early_409"] = "kept_409"
    """A used idempotency key with another payment is always answered 409, but the documents do not say when: after the
    second payment was settled, whose money is then kept; before it is settled; or already to the unpaid request."""

    receipt: Literal["present", "absent", "odd"] = "present"
    """`Payment-Receipt`: the draft's, none, or `sandbox receipt=…` as Zinc's blog prints it."""

    order_key: Literal["present", "absent"] = "present"
    """The `X-Api-Key` of a 201."""

    return_conflict: Literal["status_409", "status_422", "status_400"] = "status_409"
    """The HTTP status of `return_not_allowed` (not documented)."""

    after_sale_listing: Literal["prompt", "lags"] = "prompt"
    """`GET /returns` and `GET /cases`: up to date, or new ones appear after 5 s."""

    case_list: Literal["threads", "summaries"] = "threads"
    """`GET /cases`: with all messages, or without them."""

    order_key_after_sale: Literal["allowed", "unauthorized_401", "forbidden_403"] = "allowed"
    """Returns and cases with the own key of an order that a wallet paid: no document says whether they are allowed."""

    unknown_product: Literal["failed_200", "not_found_404"] = "failed_200"
    """Details and offers of an unknown product: HTTP 200 with `failed` (SDK), or 404."""

    empty_wallet: Literal["detail", "envelope"] = "detail"
    """A data call without money: 402 with a bare `detail` (SDK, measured), or in the error envelope."""

    refused_country: Literal["reason", "not_orderable", "error_400"] = "reason"
    """`GET /retailers/check` for a country to which the shop does not ship (not documented): only the reason is given;
    `orderable` is false as well; or 400."""

    v1: V1Dialect = field(default_factory=V1Dialect)
    """The dialect of Zinc v1. In a text its fields start with `v1_`. `choices` and `named` leave them out."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """See `Switches.parse`; a field of v1 is read as well."""
        parts = [part.strip() for part in text.split(",")]
        ours = [part for part in parts if not part.startswith(V1Dialect.prefix)]
        v1 = [part for part in parts if part.startswith(V1Dialect.prefix)]
        read = super(Dialect, cls).parse(",".join(ours))
        return replace(read, v1=V1Dialect.parse(",".join(v1)))

    def departures(self) -> list[str]:
        """See `Switches.departures`; those of v1 come last."""
        return [*super(Dialect, self).departures(), *self.v1.departures()]
