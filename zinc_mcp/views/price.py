"""What an order costs: the retailer's figures, Zinc's fee, what was held and what comes back."""

from zinc_mcp.journal.entry import Entry, State
from zinc_mcp.journal.settlement import Told, told_of
from zinc_mcp.money import printed
from zinc_mcp.views.order import PriceView
from zinc_mcp.zinc.prices import PriceComponents
from zinc_mcp.zinc.responses import Order


def price_view(entry: Entry | None, order: Order | None, outcome: State) -> PriceView | None:
    """Return what an order costs, as far as it is known; placeholders are left out, not shown as $0.00."""
    components = order.job_result.price_components if order and order.job_result else None
    charged = components.charged_cents if components else None
    told = told_of(entry) if entry else None
    doubt = told.doubt if told else "price_unclear" if components and components.is_unclear else None
    currency = (components.currency or "USD").upper()[:3] if components else "USD"
    cents: dict[str, int | None] = {
        **(_retailer_cents(components) if components else {}),
        "total_in_usd_cents": charged if currency != "USD" else None,
        "zinc_fee_cents": entry.fee_cents if entry else None,
        "max_price_cents": entry.ceiling_cents if entry else order.max_price if order else None,
        **(_of_money(told) if told else {}),
        "credited_cents": (order.credited_cents or None) if order else None,
    }
    known = {name: amount for name, amount in cents.items() if amount is not None}
    if not known:
        return None
    as_read = {
        name.removesuffix("_cents"): printed(amount, currency if name in _IN_CURRENCY else "USD")
        for name, amount in known.items()
    }
    return PriceView(currency=currency if components else None, doubt=doubt, **known, printed=as_read)


_IN_CURRENCY = frozenset(
    {"subtotal_cents", "tax_cents", "shipping_cents", "fees_cents", "discount_cents", "total_cents"}
)


def _of_money(told: Told) -> dict[str, int | None]:
    return {
        "paid_cents": told.paid_cents,
        "paid_up_front_cents": told.up_front_cents,
        "refunded_cents": told.refunded_cents,
        "held_cents": told.held_cents,
        "expected_back_cents": told.expected_back_cents,
    }


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
