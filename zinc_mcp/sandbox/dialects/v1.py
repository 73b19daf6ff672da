"""The dialect of the practised Zinc v1: its behaviour where the documents of v1 are silent or disagree.

Docstrings name pages of Zinc's documents. The newer pages stand under www.zinc.com/docs; the older pages are the
repository zincio/apidocs, last changed in February 2025.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from zinc_mcp.sandbox.dialects.switches import Switches


@dataclass(frozen=True, slots=True)
class V1Dialect(Switches):
    """Each field is an open question, and its values are the possible answers. The defaults are the best supported."""

    prefix: ClassVar[str] = "v1_"

    keys: Literal["honoured", "ignored"] = "honoured"
    """The same key always returns the same response ("Idempotency"); or `ignored`, which breaks Zinc's promise."""

    concurrent: Literal["serialised", "both_accepted"] = "serialised"
    """A second POST with a key while the first is being processed, which no page describes: it returns the response of
    the first; or both are accepted, which breaks Zinc's promise and which a client must never bring about."""

    error_status: Literal["status_200", "status_4xx", "status_500"] = "status_200"
    """The HTTP status of error objects, which no page names: 200; or 400, 401, 403 or 404; or these, and 500 for the
    code `internal_error`, also as the final result of an order."""

    listing: Literal["array", "wrapped", "placed_only", "lags"] = "array"
    """`GET /v1/orders`: an array (newer pages) of what a GET of each order shows, also of errors, as in Zinc's own
    sample code; `{orders: [...]}` as that code reads it; only placed orders, as "array of order_response" can be
    read; or new orders are missing for 5 s."""

    list_order: Literal["newest_first", "oldest_first"] = "newest_first"
    """The order of that list, which is not documented. A page has 10 orders by default."""

    request_ids: Literal["present", "absent"] = "present"
    """`request_id` in what a GET or a list shows: present, as in Zinc's example of an abort and in its sample code; or
    absent, as in the documented fields of `order_response` ("Retrieve Order")."""

    running: Literal["bare", "full"] = "bare"
    """A GET of an order that is being processed: type, code, message and empty data alone, or also its request,
    its id and its time, as in a list (Zinc's sample code reads the address of every element)."""

    echo: Literal["plain", "masked", "with_token", "absent"] = "plain"
    """`request`: the original one with address, credentials and card; the same with the secrets masked; the
    original one with the client token, as third parties have captured it; or none."""

    notes: Literal["echoed", "absent"] = "echoed"
    """`client_notes` in `request`: passed back ("Create Order"), or missing."""

    tracking: Literal["v1p", "v1"] = "v1p"
    """An element of `tracking`: for each product (newer pages), or for each parcel with `product_ids`,
    `delivery_status` and the retailer's own number (older pages)."""

    merchant_ids: Literal["v1p", "v1"] = "v1p"
    """An element of `merchant_order_ids`: four fields (newer pages), or also tracking, product ids and dates."""

    account_status: Literal["object", "array", "absent"] = "object"
    """`account_status`: an object (newer pages, and an older example), an array of one (an older table), or none."""

    debit: Literal["converted", "total", "hidden"] = "converted"
    """Where `price_components` show the cost of a managed order, which is its price, the part above face value and the
    bid: in `converted_payment_total` ("total payment"); also in `total`; or nowhere, so that only the transactions
    show it. The documents say "ZMA cost" and name no field."""

    managed_shops: Literal["amazon", "all"] = "amazon"
    """Managed orders: only at Amazon.com (older pages), or at every retailer."""

    balance: Literal["balance", "available_balance"] = "balance"
    """The field of `GET /v1/addax/balance`, whose shape is not documented; third parties read both names."""

    transactions: Literal["wrapped", "array"] = "wrapped"
    """`GET /v1/addax/transactions`, whose shape is not documented: `{transactions: [...]}`, or an array."""
