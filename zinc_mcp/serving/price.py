"""What an order costs: the retailer's figures, Zinc's fee, what was held and what comes back."""

from zinc_mcp.api.responses import Order, PriceComponents
from zinc_mcp.money import printed
from zinc_mcp.ordering.entry import Entry, State
from zinc_mcp.serving.views import FINAL, NOT_BOUGHT, PriceView


def price_view(entry: Entry | None, order: Order | None, outcome: State) -> PriceView | None:
    """Return what an order costs, as far as it is known; placeholders are left out, not shown as $0.00."""
    components = order.job_result.price_components if order and order.job_result else None
    fee = entry.fee_cents if entry else None
    held = entry.reserved_cents if entry else None
    charged = components.charged_cents if components else None
    paid = entry.spent_cents if entry else None
    if paid is None and outcome == "placed" and charged is not None and fee is not None:
        paid = charged + fee
    if paid is None and outcome in NOT_BOUGHT:
        paid = 0
    back = max(0, held - paid) if held is not None and paid is not None and outcome in FINAL else None
    currency = (components.currency or "USD").upper()[:3] if components else "USD"
    cents: dict[str, int | None] = {
        **(_retailer_cents(components) if components else {}),
        "total_in_usd_cents": charged if currency != "USD" else None,
        "zinc_fee_cents": fee,
        "paid_cents": paid,
        "max_price_cents": entry.ceiling_cents if entry else order.max_price if order else None,
        "held_cents": held,
        "expected_back_cents": back,
        "credited_cents": (order.credited_cents or None) if order else None,
    }
    known = {name: amount for name, amount in cents.items() if amount is not None}
    if not known:
        return None
    as_read = {
        name.removesuffix("_cents"): printed(amount, currency if name in _IN_CURRENCY else "USD")
        for name, amount in known.items()
    }
    return PriceView(currency=currency if components else None, **known, printed=as_read)


_IN_CURRENCY = frozenset(
    {"subtotal_cents", "tax_cents", "shipping_cents", "fees_cents", "discount_cents", "total_cents"}
)


def _retailer_cents(components: PriceComponents) -> dict[str, int | None]:
    # breakdown_recorded false: "subtotal, tax, shipping zeros are placeholders, do not show $0.00 tax" (SDK 9.18).
    itemised = components.breakdown_recorded is not False
    return {
        "subtotal_cents": components.subtotal if itemised else None,
        "tax_cents": components.tax if itemised else None,
        "shipping_cents": components.shipping if itemised else None,
        "fees_cents": components.fees or None,
        "discount_cents": components.discount or None,
        "total_cents": components.total,
    }
