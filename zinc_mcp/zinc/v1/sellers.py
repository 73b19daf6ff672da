"""The seller criteria of a product, which choose the offer that v1 buys."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from zinc_mcp.zinc.v1.request import MAX_LISTED, Count, Days, SomeCents, Switch, V1Request

Condition = Literal[
    "New", "Refurbished", "Used - Like New", "Used - Very Good", "Used - Good", "Used - Acceptable",
    "UsedLikeNew", "UsedVeryGood", "UsedGood", "UsedAcceptable",
]  # fmt: skip
"""No page lists the conditions that v1 takes. "Create Order" shows `New`, and v1's offers have the spellings with
spaces. v2's documents say that its own are the same as v1's. So both spellings are taken, and sent as they are
given."""


class SellerCriteria(V1Request):
    """The conditions that a seller's offer has to meet. They replace `DEFAULT_CRITERIA` as a whole."""

    addon: Switch | None = None
    buy_box: Switch | None = None
    condition_in: Annotated[list[Condition], Field(max_length=MAX_LISTED)] | None = None
    condition_not_in: Annotated[list[Condition], Field(max_length=MAX_LISTED)] | None = None
    first_party_seller: Switch | None = None
    handling_days_max: Days | None = None
    international: Switch | None = None
    max_item_price: SomeCents | None = Field(None, description="US cents")
    merchant_id_in: Annotated[list[str], Field(max_length=MAX_LISTED)] | None = None
    merchant_id_not_in: Annotated[list[str], Field(max_length=MAX_LISTED)] | None = None
    min_seller_num_ratings: Count | None = None
    min_seller_percent_positive_feedback: Annotated[int, Field(strict=True, ge=0, le=100)] | None = None
    prime: Switch | None = None
    allow_oos: Switch | None = Field(None, description="Also offers that are out of stock")

    @field_validator("merchant_id_in", "merchant_id_not_in")
    @classmethod
    def _plain_ids(cls, ids: list[str] | None) -> list[str] | None:
        if ids and any(not each.isascii() or not each.isalnum() or len(each) > 40 for each in ids):
            raise ValueError("must be plain ids of merchants, at most 40 letters and digits each")
        return ids

    @field_validator("condition_in", "condition_not_in", "merchant_id_in", "merchant_id_not_in")
    @classmethod
    def _empty_is_none(cls, listed: list[str] | None) -> list[str] | None:
        return listed or None  # no page says whether an empty list allows everything or nothing

    @model_validator(mode="after")
    def _says_something(self) -> "SellerCriteria":
        # An empty object would take the default away: any condition, any seller.
        if not self.model_dump(exclude_none=True):
            raise ValueError("must say something; leave it out for new, Prime, and at most 6 days until it is shipped")
        return self

    def shown(self) -> dict[str, Any]:
        """Return the criteria that were given."""
        return self.model_dump(mode="json", exclude_none=True)


DEFAULT_CRITERIA = SellerCriteria.model_validate({"prime": True, "handling_days_max": 6, "condition_in": ["New"]})
"""The criteria that Zinc uses if none are given (Create Order, "Default seller selection criteria")."""
