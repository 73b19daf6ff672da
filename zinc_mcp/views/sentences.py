"""The sentences about an order: for a model in a tool result, and for the person who was asked about the order.

They are our own words with amounts and ids, never foreign text.
"""

import re
from collections.abc import Sequence
from typing import Literal

from zinc_mcp.invocation import command
from zinc_mcp.text import printed
from zinc_mcp.views.order import OrderView, UnaskedView

Call = Literal["place", "look"]

# Zinc's ids are UUIDs, or 32 hexadecimal digits (v1). Any other id could hold words, so it is shown in its field only.
# A key is ours, or the model's own.
_ORDER_ID = re.compile(r"[0-9A-Fa-f-]{1,64}")
_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,36}")

_EARLIER = "This is an earlier order for the same thing: nothing new was bought by this call."

_WRONG_ANSWER = (
    "WARNING: Zinc answered it with another order, which was not taken for this one; the user should ask Zinc about it."
)

_PRACTICE = {
    "sandbox": "Practice in the sandbox: no real money, no real goods.",
    "test": "Practice with a test key: no real money, no real goods.",
}

_FAILURES: dict[str, tuple[str, str]] = {
    "max_price_exceeded": (
        "the total came out above max_price",
        "Ask the user whether a higher max_price is all right; then place a new order.",
    ),
    "product_out_of_stock": ("a product is out of stock", "Offer the user another product or seller."),
    "product_unavailable": ("a product cannot be bought just now", "Offer the user another product or seller."),
    "product_not_found": ("the product page does not lead to a product", "Find the right product page."),
    "invalid_product_url": ("the product page does not lead to a product", "Find the right product page."),
    "product_variant_required": (
        "the page asks for a variant",
        "Give the variant with labels and values exactly as on the page.",
    ),
    "product_variant_unavailable": ("that variant is not to be had", "Ask the user for another variant."),
    "product_quantity_unavailable": ("there are not enough pieces", "Ask the user whether fewer are all right."),
    "quantity_limit_exceeded": (
        "the retailer sells fewer pieces per order",
        "Ask the user whether fewer are all right.",
    ),
    "shipping_address_invalid": ("the address was not accepted", "Ask the user to check the address."),
    "shipping_unavailable": (
        "it cannot be shipped to that address",
        "Ask the user for another address or product.",
    ),
    "gift_option_unavailable": (
        "the retailer has no free gift option",
        'Ask the user whether to order without it, or set fulfillment {"gift": "best_effort"}.',
    ),
    "payment_declined": ("the payment was declined", "Tell the user to check how the order is paid."),
    "retailer_unavailable": ("the retailer could not be reached", "It may work later; ask the user first."),
    "retailer_rate_limited": ("the retailer was too busy", "It may work later; ask the user first."),
    "checkout_failed": ("the retailer's checkout did not go through", "It may work later; ask the user first."),
    "checkout_blocked": ("the retailer's checkout did not go through", "It may work later; ask the user first."),
    "add_to_cart_failed": ("the product could not be put in the cart", "It may work later; ask the user first."),
    "retailer_not_supported": ("Zinc does not support this retailer", "Find the product at another retailer."),
}
"""The reason and the next step for each of Zinc's job error types (SDK 2026.10.16, "Error handling")."""

_ALSO_CALLED = {
    "out_of_stock": "product_out_of_stock",
    "product_quantity_not_available": "product_quantity_unavailable",
    "invalid_variant": "product_variant_unavailable",
    "invalid_shipping_address": "shipping_address_invalid",
    "unsupported_retailer": "retailer_not_supported",
}
"""The names of Zinc's HTTP errors, which its sandbox uses for failed orders as well."""


def add_sentences(view: OrderView, call: Call) -> OrderView:
    """Return the view with its summary and next step, for a placing call or a look-up."""
    summary, next_step = _sentences(view)
    may_have_moved = view.outcome in ("signing", "sending", "unknown") and view.why_in_doubt != "placed_before"
    if may_have_moved and call == "place":
        summary = f"{summary} Money may have moved."
    if view.answered_wrongly:
        summary = f"{summary} {_WRONG_ANSWER}"
    before = [_EARLIER] if view.new_order is False else []
    if view.mode != "live":
        before.append(_PRACTICE[view.mode])
    if view.unasked is not None:
        summary, next_step = _as_last_known(view, view.unasked, summary, next_step)
    after: list[str] = []
    if view.new_orders is not None:
        after.append(f"A new order would be refused just now: {view.new_orders.reason}")
        next_step = f"{next_step} About new orders: {view.new_orders.next_step}"
    return view.model_copy(update={"summary": " ".join([*before, summary, *after]), "next_step": next_step})


def _as_last_known(view: OrderView, unasked: UnaskedView, summary: str, next_step: str) -> tuple[str, str]:
    """Return the sentences if Zinc could not be asked about the order: why, and the last known state with its time."""
    since = f"{unasked.ago} ({unasked.as_of})" if unasked.ago else f"at {unasked.as_of}"
    summary = f"How the order stands now could not be found out: {unasked.reason} As last known {since}: {summary}"
    if view.is_final and view.outcome != "placed":
        return summary, next_step  # no answer of Zinc could change the next step
    again = "Do not order again. " if view.outcome in ("signing", "sending", "unknown", "paid_no_order") else ""
    return summary, f"{again}{unasked.next_step}"


def handle_of(view: OrderView) -> str | None:
    """Return the id or key for `get_order`, if it is safe in a sentence."""
    for text, form in ((view.order_id, _ORDER_ID), (view.key, _KEY)):
        if text and form.fullmatch(text):
            return text
    return None


def _sentences(view: OrderView) -> tuple[str, str]:
    handle = handle_of(view)
    order = f"order {handle}" if handle else "the order"
    first_word_up = order[0].upper() + order[1:]
    look = f"get_order with order_id {handle}" if handle else "get_order with its order_id"
    match view.outcome:
        case "accepted":
            most = _amount(view, "held")
            ceiling = f" At most {most} is debited, Zinc's fee included." if most else ""
            if view.price is not None and view.price.doubt == "ending_unclear":
                return (
                    f"How {order} ended is unclear: what Zinc says of it contradicts itself.{ceiling}",
                    f"Do not order again. Tell the user to ask Zinc about it; call {look} another day.",
                )
            return (
                f"Zinc has accepted {order} and is placing it with the retailer.{ceiling}{_not_coming(view)}",
                f"Placing takes some minutes. Call {look} and wait_seconds 25 until is_final is true.",
            )
        case "placed":
            summary = f"The retailer has {order}.{_not_coming(view)}{_cost(view)}{_shipping(view)}"
            return f"{summary}{_warning(view)}", _after_placing(view, look)
        case "failed":
            reason, next_step = _failure(view)
            return f"Nothing was bought: {order} failed because {reason}.{_given_back(view)}", next_step
        case "cancelled":
            return (
                f"{first_word_up} was cancelled.{_given_back(view)}",
                "Tell the user. Order again only if they want that.",
            )
        case "signing":
            return (
                "The payment for the order is being prepared; the order has not been sent with it yet.",
                f"Do not order again. Call {look} and wait_seconds 25.",
            )
        case "paid_no_order":
            return (
                f"The payment{_of_up_front(view)} was taken and no order is known for it: money has moved.",
                "Do not order again. Tell the user to ask Zinc with the key and the payment's reference; "
                f"{_details(view)} then says how to settle it here.",
            )
        case "sending":
            return (
                f"{first_word_up} is on its way to Zinc; no answer yet.",
                f"Do not order again. Call {look} and wait_seconds 25.",
            )
        case "unknown" if view.why_in_doubt == "placed_before":
            return (
                "Zinc says that it has had this order before, by the same key, and shows it to nobody here. Nothing "
                "was paid or sent this time: it may have been bought from another machine, or from a journal that is "
                "lost.",
                f"Do not order again. Tell the user to look whether it was bought; {_details(view)} then says how to "
                "settle it here.",
            )
        case "unknown":
            next_step = f"Do not order again. Call {look} and wait_seconds 25 to find out."
            if view.payment is not None:
                next_step = (
                    f"Call {look} and wait_seconds 25 to find out. If it stays unknown, call place_agent_order again "
                    "with exactly the same arguments: only the same payment is sent again, which never pays twice."
                )
            if view.why_in_doubt == "not_sent":
                return (
                    "The order was not sent, and it is not known whether the payment wallet has moved money for it.",
                    f"{next_step} The user can look into the wallet; {_details(view)} then says how to settle it here.",
                )
            return "The order was sent and its outcome is not known: it may or may not have been placed.", next_step
        case "waiting":
            return (
                "The order waits for the user's approval; nothing has been sent and nothing was bought.",
                f"{view.decide_at or 'Ask the user to decide.'} Then call {look} and wait_seconds 25.",
            )
        case "rejected":
            next_step = "Change what failure names, then order again." if _says_why(view) else "Tell the user."
            return f"Zinc did not accept the order: nothing was bought.{_given_back(view)}", next_step
        case "refused":
            next_step = "See failure for the reason." if _says_why(view) else "Tell the user."
            return "The order was not sent: nothing was bought.", next_step
        case "declined":
            return "The user said no: nothing was bought.", "Do not order it again unless the user asks."


def _amount(view: OrderView, name: str) -> str | None:
    return (view.price.printed or {}).get(name) if view.price else None


def _cost(view: OrderView) -> str:
    price = view.price
    most = _amount(view, "held")
    if price is not None and price.doubt in ("price_unclear", "ending_unclear"):
        ceiling = f" {most}, the most it may cost, counts until that is clear." if most else ""
        what = "price" if price.doubt == "price_unclear" else "ending"
        return f" The {what} is unclear: what Zinc says of it contradicts itself.{ceiling}"
    if price is None or price.paid_cents is None:
        unreported = "The price is not reported yet; at" if view.was_read else "At"
        return f" {unreported} most {most} is debited." if most else ""
    back = price.expected_back_cents
    returned = f"; {printed(back)} of what was held comes back" if back else ""
    if back and price.paid_up_front_cents is not None:
        returned = f"; {printed(back)} of what was paid up front should come back, which is not proved yet"
    return f" Paid: {_amount(view, 'paid')}, Zinc's fee included{returned}."


def _warning(view: OrderView) -> str:
    """Return a warning if more was charged than was allowed, or an empty text."""
    price = view.price
    if price is None or price.doubt != "above_ceiling":
        return ""
    return (
        f" WARNING: that is more than max_price allows ({_amount(view, 'max_price')}, without Zinc's fee). Further "
        f"orders paid this way are paused until the user has looked into it ({command('resume')})."
    )


def _given_back(view: OrderView) -> str:
    price = view.price
    if price is None:
        return ""
    back = price.expected_back_cents
    if price.paid_up_front_cents is None:
        return f" The {printed(back)} that was held comes back." if back else ""
    refunded = f"; {_amount(view, 'refunded')} of it has come back" if price.refunded_cents else ""
    due = f"; {printed(back)} should come back, which is not proved" if back else ""
    return f" {_amount(view, 'paid_up_front')} was paid up front by wallet{refunded}{due}."


def _of_up_front(view: OrderView) -> str:
    amount = _amount(view, "paid_up_front")
    return f" of {amount}" if amount else ""


def _details(view: OrderView) -> str:
    return command("orders", "show", given=[view.key]) if view.key else command("orders")


def _not_coming(view: OrderView) -> str:
    """Return a sentence with the numbers of the items that were cancelled, failed or skipped."""
    named = [
        f"{_item_numbers(numbers)} {'was' if len(numbers) == 1 else 'were'} {status}"
        if status != "failed"
        else f"{_item_numbers(numbers)} failed"
        for status, numbers in sorted(view.not_coming.items())
    ]
    if not named:
        return ""
    count = sum(map(len, view.not_coming.values())) + view.left_out.get("not_coming", 0)
    all_of_them = count >= len(view.items) + (view.items_left_out or 0)
    more = f", and {left_out} more" if (left_out := view.left_out.get("not_coming")) else ""
    return f" {'Nothing of it comes' if all_of_them else 'Not everything comes'}: {', '.join(named)}{more}."


def _item_numbers(numbers: Sequence[int]) -> str:
    return f"item{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"


def _says_why(view: OrderView) -> bool:
    failure = view.failure
    return failure is not None and failure.model_dump(exclude_defaults=True) != {}


_DELIVERED = frozenset({"delivered"})


def _shipping(view: OrderView) -> str:
    statuses = view.parcel_statuses
    if not statuses and not view.was_read:
        return ""
    if not statuses:
        return " It has no tracking number yet."
    if statuses == _DELIVERED:
        return " Everything was delivered."
    if "undeliverable" in statuses:
        return " A parcel could not be delivered."
    if "available_for_pickup" in statuses:
        return " A parcel waits to be picked up."
    if "in_transit" in statuses:
        return " It is in transit."
    return " A tracking number exists; the parcel has not moved yet."


def _after_placing(view: OrderView, look: str) -> str:
    statuses = view.parcel_statuses
    if statuses == _DELIVERED:
        return "Nothing more to do."
    if view.price is not None and view.price.doubt == "above_ceiling":
        return "Tell the user at once. Do not order anything else."
    if view.new_order is False:
        return f"Tell the user that it was ordered before. Call {look} for news of the delivery."
    return f"Tell the user. Call {look} another day for news of the delivery."


def _failure(view: OrderView) -> tuple[str, str]:
    code = (view.failure.code if view.failure else None) or ""
    what = "what failure says" if _says_why(view) else "that no reason was given"
    unknown = ("the retailer or Zinc could not carry it out", f"Tell the user {what}.")
    reason, next_step = _FAILURES.get(_ALSO_CALLED.get(code, code), unknown)
    return reason, f"{next_step} A new order is a new purchase: give no idempotency_key, or a new one."
