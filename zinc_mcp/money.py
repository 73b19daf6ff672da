"""Money in whole cents, and how a person reads it."""

from typing import Annotated

from pydantic import Field

Cents = Annotated[int, Field(strict=True)]
"""US cents. Strict: without it `true` would be 1 cent and `"100"` would be 100."""

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "CAD": "CA$", "AUD": "A$", "MXN": "MX$", "NZD": "NZ$"}
_NO_MINOR_UNIT = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split())
_THOUSANDTHS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())


def printed(cents: int, currency: str = "USD") -> str:
    """Return an amount as a person reads it: `$1,234.50`, `-$3.00`, `CHF 12.00`.

    `cents` are minor units of `currency` (ISO 4217). What is not a currency code is not printed: it may be prose.
    """
    code = currency.upper() if len(currency) == 3 and currency.isascii() and currency.isalpha() else "XXX"
    sign = "-" if cents < 0 else ""
    symbol = _SYMBOLS.get(code, f"{code} ")
    if code in _NO_MINOR_UNIT:
        return f"{sign}{symbol}{abs(cents):,}"
    digits = 3 if code in _THOUSANDTHS else 2
    whole, rest = divmod(abs(cents), 10**digits)
    return f"{sign}{symbol}{whole:,}.{rest:0{digits}d}"
