"""The endings of a cancellation."""

from typing import Literal

How = Literal[
    "withdrawn",
    "cancelled",
    "over",
    "too_late",
    "not_taken",
    "not_proved",
    "not_known",
    "ask_zinc",
    "elsewhere",
    "in_doubt",
    "approved",
    "preparing",
    "no_time",
    "stopping",
    "attempting",
    "retailer_cancelled",
    "partly",
    "retailer_refused",
    "not_there",
    "no_number",
]
"""The ending of a cancellation.

`withdrawn`: the question was withdrawn, and nothing had been sent. `cancelled`: Zinc shows the order as cancelled.
`over`: the order had ended or was placed before. `too_late`: Zinc said that it is not pending any more. `not_taken`:
Zinc said no for another reason. `not_proved`: Zinc took it and shows the order otherwise. `not_known`: no answer, and
the order is still pending. `ask_zinc`: the key may not cancel it, or is not kept here. `elsewhere`: the order was
placed by a key or wallet that is not set up here. `in_doubt`: it is not known whether there is an order. `approved`,
`preparing`: it is about to be sent. `no_time`: finding the order took all the time, so that Zinc was not asked.

Of v1 alone: `stopping`: Zinc was asked to stop the order, and works on it still. `attempting`: the retailer was asked
to cancel a placed order, and has not decided. `retailer_cancelled`, `retailer_refused`: Zinc says that the retailer
cancelled it, or refused to. `partly`: the retailer cancelled a part of the order. `not_there`: v1 cancels nothing at
this retailer. `no_number`: Zinc does not show the retailer's number of the order.
"""

PARTS = "cancellations"
"""The name of an entry's fact that keeps what was asked of the retailer, and what became of it (`at_retailer`)."""
MAX_PARTS = 20
"""The most retailer's orders of one order at Zinc that are cancelled at once, and shown."""
