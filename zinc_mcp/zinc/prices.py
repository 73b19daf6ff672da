"""The price of an order as Zinc tells it, with the check that it can be true.

Amounts are whole minor units. `charged_cents` is None where the figures contradict each other; `is_unclear` says so.
Sources: PriceComponents (SDK 2026.10.16); its prose on `total` differs between releases (with and without fees and
discount), so both formulas are accepted.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

from pydantic import Field

from zinc_mcp.zinc.answers import Amount, Answer, Count, Currency, Rows, Text

_ROUNDING = 5
"""Minor units that the sum of the parts may differ from the total, because each part is rounded."""

_CENTS_PER_UNIT = {
    "AED": 0.272, "ARS": 0.0008, "AUD": 0.65, "BGN": 0.58, "BRL": 0.18, "CAD": 0.72, "CHF": 1.2, "CLP": 0.105,
    "CNY": 0.14, "COP": 0.00025, "CZK": 0.046, "DKK": 0.15, "EUR": 1.12, "GBP": 1.3, "HKD": 0.128, "HUF": 0.0028,
    "IDR": 0.00006, "ILS": 0.28, "INR": 0.0117, "ISK": 0.78, "JPY": 0.67, "KRW": 0.072, "MXN": 0.054, "MYR": 0.23,
    "NOK": 0.097, "NZD": 0.6, "PHP": 0.0175, "PLN": 0.26, "RON": 0.22, "SAR": 0.267, "SEK": 0.1, "SGD": 0.76,
    "THB": 0.03, "TRY": 0.026, "TWD": 0.032, "USD": 1.0, "VND": 0.004, "ZAR": 0.056,
}  # fmt: skip
"""US cents for one minor unit (ISO 4217), roughly, as of 2026: only for noticing amounts that cannot be right."""

_PROPORTION = 2.0
"""The factor by which rates may have changed, with the fee for converting."""


class CartItem(Answer):
    name: Text | None = None
    product_id: Text | None = None
    quantity: Count | None = None
    unit_price: Amount | None = None
    line_total: Amount | None = None


class LineItem(Answer):
    description: Text | None = None
    amount: Amount | None = None
    category: Text | None = None


class PriceComponents(Answer):
    """The retailer's figures in minor units of `currency`."""

    subtotal: Amount | None = None
    tax: Amount | None = None
    shipping: Amount | None = None
    discount: Amount | None = None
    fees: Amount | None = None
    total: Amount | None = None
    converted_payment_total: Amount | None = None
    currency: Currency = None
    payment_currency: Currency = None
    cart_items: Rows[CartItem] | None = None
    line_items: Rows[LineItem] | None = None
    breakdown_recorded: bool | None = None
    """False: subtotal, tax and shipping are placeholders and only the total counts. None means true."""
    unreadable: bool = Field(False, exclude=True)
    """Set by us: an amount was given that is not a whole number."""

    @classmethod
    def _as_documented(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        found = {str(name): part for name, part in cast(Mapping[object, Any], value).items()}
        given = [found.get(name) for name in _AMOUNTS]
        return {**found, "unreadable": any(amount is not None and type(amount) is not int for amount in given)}

    @cached_property
    def charged_cents(self) -> int | None:
        """The amount that was charged for the order, in US cents; None if it is not stated or not clear."""
        return None if self.is_unclear else self._stated_cents

    @property
    def names_a_price(self) -> bool:
        """Whether a price is stated at all: in any currency, and also where no amount of it can be believed."""
        return self.unreadable or bool(self.total or self.converted_payment_total)

    @cached_property
    def is_unclear(self) -> bool:
        """Whether the figures contradict each other, so that no amount can be believed."""
        return (
            self.unreadable
            or "line_items" in self.rows_cut  # not all were read, so they cannot be added up
            or any(amount < 0 for name in _AMOUNTS if (amount := getattr(self, name)) is not None)
            or not self._adds_up
            or self._is_paid_in_other_money
            or not self._is_in_proportion
        )

    @property
    def _stated_cents(self) -> int | None:
        for amount, currency in (
            (self.converted_payment_total, self.payment_currency or self.currency),
            (self.total, self.currency or self.payment_currency),
        ):
            if amount is not None and (currency or "USD") == "USD":
                return amount
        return None

    @property
    def _adds_up(self) -> bool:
        """Whether the total lies between the sum with all reductions and the sum with all additions."""
        total = self.total
        if total is None and (self.payment_currency or self.currency) == self.currency:
            total = self.converted_payment_total
        parts = (self.subtotal, self.tax, self.shipping)
        is_itemised = self.breakdown_recorded is not False and bool(self.subtotal)
        if self._stated_cents == 0 and not (is_itemised and self.discount):
            return False  # a price of zero needs a discount
        if total is None:
            return True
        if not is_itemised:
            return True
        known = sum(part or 0 for part in parts)
        adjustments = [row.amount or 0 for row in self.line_items or []]
        least = known - (self.discount or 0) + sum(amount for amount in adjustments if amount < 0)
        most = known + (self.fees or 0) + sum(amount for amount in adjustments if amount > 0)
        is_whole = all(part is not None for part in parts)
        return total >= least - _ROUNDING and (not is_whole or total <= most + _ROUNDING)

    @property
    def _is_paid_in_other_money(self) -> bool:
        """Whether it was paid in another currency than the total's, and no converted total is given."""
        currencies = {self.currency or "USD", self.payment_currency or self.currency or "USD"}
        return len(currencies) > 1 and "USD" in currencies and self.converted_payment_total is None

    @property
    def _is_in_proportion(self) -> bool:
        """Whether total and converted total can be the same amount in two currencies."""
        total, converted = self.total, self.converted_payment_total
        if total is None or converted is None:
            return True
        currency, paid_in = self.currency or "USD", self.payment_currency or self.currency or "USD"
        if currency == paid_in:
            return total == converted
        if self.currency is None:
            return True  # the total's currency is not given, so nothing can be compared
        one, other = _CENTS_PER_UNIT.get(currency), _CENTS_PER_UNIT.get(paid_in)
        if one is None or other is None:
            return "USD" not in (currency, paid_in)
        return total * one <= converted * other * _PROPORTION and converted * other <= total * one * _PROPORTION


_AMOUNTS = ("subtotal", "tax", "shipping", "discount", "fees", "total", "converted_payment_total")
