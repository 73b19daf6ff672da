"""Faults on demand, for the campaign: lost, late, cut and false answers, and lies in the challenges of a 402.

A test writes them into the first product's URL of an order, so they work across processes and transports.
`?fault=drop_after,http_500_after,none` acts on the first, second and third POST with the order's idempotency key (with
its body, if it has no key), and on no later one. `?read_fault=` acts on reads of the order; `?list_fault=` on lists
that would show it; `?return_fault=` and `?case_fault=` on POSTs about its returns and cases; `?returns_fault=` and
`?cases_fault=` on their lists; `?cancel_fault=` on cancellations, where `false_204` answers 204 and cancels nothing.

Not accepted (this attempt creates no order):
    refuse           the connection is refused; on a port it is dropped instead, since the fault is in the body
    drop_before, reset_before  the request is read and the connection closed, or reset (TCP)
    http_500_before  500 in the error envelope; `http_500` is the same
    html_502         502 with HTML, as a proxy before Zinc writes it
    redirect_307     a redirect to another host
    rate_limited     429
    unauthorized_once  401
Accepted (the order stands, or the repeat was seen), and the answer is lost or spoilt:
    drop_after (or drop), reset_after  the connection is closed without a byte, or reset (TCP)
    http_500_after   500 in the error envelope
    html_502_after, html_200  HTML as a proxy before Zinc writes it, with 502 or with 200
    redirect_after   a redirect to another host
    slow_N           the answer comes after N seconds (divided by the pace); `slow_0.5` works too
    hang             no answer ever comes
    truncated        the head and half of the body, then the connection is closed
    huge             the head of the answer and 8 MB of JSON that never ends
Accepted, and the answer shows another order than the one asked for. An answer without an order is unchanged. A 201 has
another id than the order's, unless the fault says otherwise; a read has the id that was asked for, and shows a failed
order (`show_other_orders`):
    other_order      another order under its own id
    other_content    all of another order, with its metadata, under the id of the right order
    other_goods, other_price, other_address  no metadata, and other products, another `max_price`, another place

On the agent rail `?fault=` acts on the paid POSTs ("not accepted": nothing is settled; "accepted": settled and
ordered), and has two more:
    second_402       a fresh challenge over twice the amount; nothing is settled
    settled_no_order  the payment is settled, no order is created, and the answer is 500
`?pay_fault=` acts on the unpaid POSTs. All faults above spoil the answer. These put a lie into every challenge
(`falsify`, `garble`):
    wrong_amount     a cent more than the right amount, which no limit stops
    odd_amount_underscore (or odd_amount), odd_amount_minus, odd_amount_number  "5_100", "-5100", and a number
    wrong_currency   euros, or another token
    wrong_chain, no_chain  the test network instead of the main one, or none named; only tempo has chains
    no_expiry, expired, expires_far  no expiry, one a minute ago, one in ten years
    wrong_digest     the digest of another body
    other_realm      another realm, which is harmless: a realm is not a host
    other_intent     a session instead of a charge
    other_origin_header  the credential should travel as a Cookie
    splits           half goes to another recipient
    push_only        the payer is to pay first and to report the payment afterwards
    duplicate_keys   the request has two amounts, the right one and ten times that
    malformed, unknown_method_only  a quote that never closes; only a method that no wallet knows
And these are not challenges:
    unpaid_201       the order is created without a payment
    html_402, redirect (or redirect_307)  402 with HTML and no challenge, or a redirect to another host
"""
