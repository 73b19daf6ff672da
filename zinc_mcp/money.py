"""Money in whole cents, and how a person reads it."""

from typing import Annotated

from pydantic import Field

Cents = Annotated[int, Field(strict=True)]
"""US cents. Strict: without it `true` would be 1 cent and `"100"` would be 100."""

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "CAD": "CA$", "AUD": "A$", "MXN": "MX$", "NZD": "NZ$"}
_NO_MINOR_UNIT = {"JPY", "KRW", "VND", "CLP"}


def printed(cents: int, currency: str = "USD") -> str:
    """Return an amount as a person reads it: `$1,234.50`, `-$3.00`, `CHF 12.00`.

    `cents` are minor units of `currency` (ISO 4217); a currency without minor units is printed whole.
    """
    code = currency.upper()
    sign = "-" if cents < 0 else ""
    symbol = _SYMBOLS.get(code, f"{code} ")
    if code in _NO_MINOR_UNIT:
        return f"{sign}{symbol}{abs(cents):,}"
    whole, rest = divmod(abs(cents), 100)
    return f"{sign}{symbol}{whole:,}.{rest:02d}"
