"""The dialect of the practised Zinc v1: its behaviour where the documents of v1 are silent or disagree.

S2 is Zinc's page of `POST /v1/orders`; V1P its newer pages of v1, V1 its older ones (last changed in February 2025).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from zinc_mcp.sandbox.dialects.switches import Switches


@dataclass(frozen=True, slots=True)
class V1Dialect(Switches):
    """Each field is an open question, and its values are the possible answers. The defaults are the best supported."""

    prefix: ClassVar[str] = "v1_"

    keys: Literal["honoured", "ignored"] = "honoured"
    """19.9: the same key always returns the same response; or `ignored`, which breaks Zinc's promise."""

    concurrent: Literal["serialised", "both_accepted"] = "serialised"
    """A second POST with a key while the first is being processed (open, 22.22): it returns the response of the first;
    or both are accepted, which breaks Zinc's promise and which a client must never bring about."""

    error_status: Literal["status_200", "status_4xx", "status_500"] = "status_200"
    """The HTTP status of error objects (22.22): 200; or 400, 401, 403 or 404; or these, and 500 for the code
    `internal_error`, also as the final result of an order."""

    listing: Literal["array", "wrapped", "placed_only", "lags"] = "array"
    """`GET /v1/orders` (19.7): an array (V1P) of what a GET of each order shows, also of errors, as in Zinc's own
    sample code; `{orders: [...]}` as that code reads it; only placed orders, as "array of order_response" can be
    read; or new orders are missing for 5 s."""

    list_order: Literal["newest_first", "oldest_first"] = "newest_first"
    """The order of that list, which is not documented. A page has 10 orders by default."""

    request_ids: Literal["present", "absent"] = "present"
    """`request_id` in what a GET or a list shows: present, as in Zinc's example of an abort and in its sample code; or
    absent, as in the documented fields of `order_response` (19.6)."""

    running: Literal["bare", "full"] = "bare"
    """A GET of an order that is being processed: type, code, message and empty data alone (19.6), or also its request,
    its id and its time, as in a list (Zinc's sample code reads the address of every element)."""

    echo: Literal["plain", "masked", "with_token", "absent"] = "plain"
    """`request` (19.6): the original one with address, credentials and card; the same with the secrets masked; the
    original one with the client token, as third parties have captured it; or none."""

    notes: Literal["echoed", "absent"] = "echoed"
    """`client_notes` in `request`: passed back (S2), or missing."""

    tracking: Literal["v1p", "v1"] = "v1p"
    """An element of `tracking` (19.6): for each product (V1P), or for each parcel with `product_ids`,
    `delivery_status` and the retailer's own number (V1)."""

    merchant_ids: Literal["v1p", "v1"] = "v1p"
    """An element of `merchant_order_ids` (19.6): four fields (V1P), or with tracking, product ids and dates (V1)."""

    account_status: Literal["object", "array", "absent"] = "object"
    """`account_status` (19.6): an object (V1P, and V1's example), an array of one (V1's table), or none."""

    debit: Literal["converted", "total", "hidden"] = "converted"
    """Where `price_components` show the cost of a managed order, which is its price, the part above face value and the
    bid: in `converted_payment_total` ("total payment"); also in `total`; or nowhere, so that only the transactions
    show it. The documents say "ZMA cost" and name no field."""

    managed_shops: Literal["amazon", "all"] = "amazon"
    """Managed orders (19.2): only at Amazon.com (V1, dated), or at every retailer."""

    balance: Literal["balance", "available_balance"] = "balance"
    """The field of `GET /v1/addax/balance` (19.7), whose shape is not documented; third parties read both names."""

    transactions: Literal["wrapped", "array"] = "wrapped"
    """`GET /v1/addax/transactions` (19.7), whose shape is not documented: `{transactions: [...]}`, or an array."""
