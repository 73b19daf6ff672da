"""The answers of v1: sorted by `_type`, and read into the same `Order` as v2's.

`_type` decides, never the HTTP status, which v1 does not document. A status only makes the reading more cautious: an id
without `_type` counts only with a 2xx, and a 4xx or 5xx that may be about the question alone ends no order.

The request that v1 echoes holds the address and, with an account of one's own, its login and card. Only the products
and the notes are read from it, and none of it is kept unchanged. The account of a merchant order is an e-mail
address, and is not read. Both documented shapes of each part are read.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, cast, get_args

from pydantic import ValidationError

from zinc_mcp.errors import (
    OrderAlreadyExistsError,
    OrderNotFoundError,
    OrderOutcomeUnknownError,
    OrderRejectedError,
    Problem,
    UnreadableAnswerError,
)
from zinc_mcp.network import NetworkAnswer
from zinc_mcp.text import plain
from zinc_mcp.zinc.answers import MAX_CENTS, MAX_TEXT
from zinc_mcp.zinc.client import members
from zinc_mcp.zinc.responses import Order, is_a_segment
from zinc_mcp.zinc.v1.codes import CODES, Ending, code_of
from zinc_mcp.zinc.v1.prices import breakdown
from zinc_mcp.zinc.v1.private import holds_card_number
from zinc_mcp.zinc.v1.products import V1Retailer, objection, page_of

BY_KEY = "key:"
"""The beginning of the name that an order gets here if Zinc lists it without a request id; its own key follows."""

_STATUS: Mapping[Ending, tuple[str, str]] = {
    "running": ("in_progress", "processing"),
    "failed": ("order_failed", "failed"),
    "rejected": ("order_failed", "failed"),
    "cancelled": ("cancelled", "cancelled"),
}
"""By the ending that a code proves: the statuses of the order and of its items, in v2's words."""
_PLACED = ("order_placed", "ordered")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,59}")
_MAX_PROBLEMS = 20
_DELIVERY = {"intransit": "in_transit", "outfordelivery": "in_transit", "availableforpickup": "available_for_pickup"}


def placed_order(answer: NetworkAnswer, *, has_secrets: bool = False) -> Order:
    """Return the order in the answer to `POST /v1/orders`: its id, with a status that says only that Zinc has it.

    `has_secrets`: the request held a login, so that words in the answer may quote it.

    Raises:
        OrderRejectedError: Zinc did not take the order.
        OrderAlreadyExistsError: it looks like one that Zinc has had before.
        OrderOutcomeUnknownError: the answer does not prove what became of it.
    """
    body = members(answer.json())
    request_id = request_id_of(body)
    is_error = body.get("_type") == "error"
    code = code_in(body) if is_error else ""
    # The id beside `duplicate_order` may be that of the other order, and one beside a refused token that of the call.
    is_named = code != "duplicate_order" and code_of(code).later != "no_answer"
    if request_id is not None and is_named and (is_error or 200 <= answer.status < 300):
        # An error with an id is about an order that Zinc has, and a later look at the order tells more. With the status
        # of an error and without `_type`, the id may be a gateway's own.
        return Order.read({"id": request_id, "status": "pending"})
    if not is_error:
        raise _unknown("the answer could not be read", "unreadable")
    if code_of(code).post == "rejected":
        raise refusal(answer.status, body, has_secrets=has_secrets)
    if code == "duplicate_order":
        raise OrderAlreadyExistsError(code_of(code).sentence, status=answer.status, zinc_code=code)
    raise _unknown(f"Zinc answered with an error that does not say what became of it ({code})", code)


def refusal(status: int, body: Mapping[str, Any], *, has_secrets: bool = False) -> OrderRejectedError:
    """Return the error for a request that Zinc refused, with the facts of its answer; see `placed_order`."""
    code = code_in(body)
    row = code_of(code)
    message = None if has_secrets else words_of(body.get("message"))
    facts = {"zinc_message": plain(message)} if message else {}
    problems = () if has_secrets else tuple(_problems(body))
    return OrderRejectedError(
        row.sentence, row.next_step, status=status, zinc_code=code, facts=facts, problems=problems
    )


def order_in_answer(answer: NetworkAnswer, request_id: str, sent: Mapping[str, Any] | None = None) -> Order:
    """Return the order in the answer to `GET /v1/orders/{request_id}`. `sent` is the order as it was sent, if known.

    Raises:
        OrderNotFoundError: Zinc knows no such request.
        OrderRejectedError: Zinc does not answer to this token.
        UnreadableAnswerError: the answer cannot be used, or is about another request.
    """
    body = members(answer.json())
    named = request_id_of(body)
    if named is not None and named.casefold() != request_id.casefold():
        raise UnreadableAnswerError("Zinc answered about another request than the one that was asked for.")
    if body.get("_type") == "error":
        code = code_in(body)
        if code == "invalid_request_id":
            raise OrderNotFoundError("Zinc knows no such request for this client token.")
        ending = code_of(code).later
        # With a 4xx or 5xx, a general refusal may be about the question, and an unknown code may mean anything.
        is_general = code == "invalid_request" or code not in CODES
        if ending == "no_answer" or (is_general and answer.status >= HTTPStatus.BAD_REQUEST):
            asked = _may_have_secrets(members(body.get("request")), sent)
            raise refusal(answer.status, body, has_secrets=asked)
        if ending != "running" and answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise unreadable_error()
    return order_of(body, request_id, sent)


def order_of(body: Mapping[str, Any], request_id: str, sent: Mapping[str, Any] | None = None) -> Order:
    """Read v1's answer about a request as an order.

    Raises:
        UnreadableAnswerError: it is no such answer.
    """
    if body.get("_type") not in ("order_response", "error"):
        raise unreadable_error()
    try:
        return Order.read(_parts(body, request_id, sent))
    except ValidationError as error:
        raise unreadable_error() from error


def request_id_of(body: Mapping[str, Any]) -> str | None:
    """Return the id of the request that an answer is about; None if it names none that can be used."""
    # The data of `duplicate_order` names the order that this one is like.
    in_data = () if code_in(body) == "duplicate_order" else (members(body.get("data")),)
    for place in (body, members(body.get("request")), *in_data):
        named: object = place.get("request_id")
        if isinstance(named, str) and named:
            return named if is_a_segment(named) and not named.startswith(BY_KEY) else None
    return None


def code_in(body: Mapping[str, Any]) -> str:
    """Return the code of an error, or `other` for one that is no code."""
    code: object = body.get("code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "other"


def notes_in(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the notes that were sent with a request, as Zinc shows them."""
    for place in (body, members(body.get("request"))):
        notes = members(place.get("client_notes"))
        if notes:
            return notes
    return {}


def unreadable_error() -> UnreadableAnswerError:
    """Return the error for an answer that cannot be used."""
    return UnreadableAnswerError("Zinc did not give a readable answer just now.")


def _unknown(how: str, reason: str) -> OrderOutcomeUnknownError:
    return OrderOutcomeUnknownError(f"The order was sent, but {how}.", facts={"reason": reason})


def _parts(body: Mapping[str, Any], request_id: str, sent: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return an answer of v1 as the members of v2's order."""
    is_placed = body.get("_type") == "order_response"
    code = "" if is_placed else code_in(body)
    status, item_status = _PLACED if is_placed else _STATUS.get(code_of(code).later, (_status_of(code), "pending"))
    request = members(body.get("request"))
    merchant_orders = [
        *_objects(body.get("merchant_order_ids")),
        *_objects(members(body.get("data")).get("merchant_order_ids")),
    ]
    numbers = [number for each in merchant_orders if (number := _merchant_number(each)) is not None]
    components = body.get("price_components") or members(body.get("data")).get("price_components")
    created = next(
        (moment for moment in map(moment_of, (body.get("_created_at"), body.get("created_at"))) if moment), None
    )
    return {
        "id": request_id,
        "status": status,
        "items": _items(request, item_status),
        "created_at": created
        or min((at for each in merchant_orders if (at := moment_of(each.get("placed_at")))), default=None),
        "metadata": dict(notes_in(body)),
        "tracking_numbers": list(_parcels(body, merchant_orders)),
        "merchant_order_ids": numbers,
        "job_result": _result(is_placed, code, body, merchant_orders, has_secrets=_may_have_secrets(request, sent))
        | {"price_components": breakdown(components, sent if sent is not None else request)},
    }


def _status_of(code: str) -> str:
    """Return a status for an order about which a code proves nothing. It is shown, and never read as an ending.

    An unknown code gets a prefix, because it may be spelled like a status of v2, such as `cancelled`.
    """
    return code if code in CODES else f"error_{code}"[:60]


def _may_have_secrets(request: Mapping[str, Any], sent: Mapping[str, Any] | None) -> bool:
    """Say whether the request may have held a login: only one for a managed account surely did not."""
    return (sent if sent is not None else request).get("addax") is not True


def _result(
    is_placed: bool,
    code: str,
    body: Mapping[str, Any],
    merchant_orders: Sequence[Mapping[str, Any]],
    *,
    has_secrets: bool,
) -> dict[str, Any]:
    ending = code_of(code).later if code else None
    result: dict[str, Any] = {
        "success": True if is_placed else False if ending in ("failed", "cancelled") else None,
        "merchant_order_ids": [
            {"merchant": each.get("merchant"), "merchant_order_id": number}
            for each in merchant_orders
            if (number := _merchant_number(each)) is not None
        ],
        "estimated_delivery": _delivery_date(body, merchant_orders),
    }
    if code and code != "request_processing":
        result |= {"error_type": code, "error": None if has_secrets else words_of(body.get("message"))}
        fields = [{"field": each.field, "message": each.reason} for each in _problems(body)]
        if fields and not has_secrets:
            result["error_details"] = {"code": code, "field_errors": fields}
    return result


def _items(request: Mapping[str, Any], status: str) -> list[dict[str, Any]]:
    """Return the products of the echoed request; none if it does not show what they are."""
    retailer: object = request.get("retailer")
    if retailer not in get_args(V1Retailer):
        return []
    code = cast(V1Retailer, retailer)
    found: list[dict[str, Any]] = []
    for each in _objects(request.get("products")):
        number: object = each.get("product_id")
        is_known = isinstance(number, str) and objection(code, number) is None
        page = page_of(code, cast(str, number)) if is_known else ""
        found.append({"id": number, "url": page, "quantity": each.get("quantity", 1), "status": status})
    return found


def _parcels(body: Mapping[str, Any], merchant_orders: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield each parcel once: v1 lists them on top, and an older shape lists them with the merchant's orders."""
    seen: set[str] = set()
    rows = [*_list(body.get("tracking"))]
    rows += [row for each in merchant_orders for row in _list(each.get("tracking"))]
    for row in rows:
        parcel = _parcel({"tracking_number": row} if isinstance(row, str) else members(row))
        if parcel is not None and parcel["tracking_number"] not in seen:
            seen.add(parcel["tracking_number"])
            yield parcel


def _parcel(row: Mapping[str, Any]) -> dict[str, Any] | None:
    own, retailers = row.get("tracking_number"), row.get("retailer_tracking_number")
    number = next((text for text in (own, retailers) if isinstance(text, str) and text), None)
    if number is None:
        return None
    told: object = row.get("delivery_status")
    squeezed = "".join(filter(str.isalpha, told)).casefold() if isinstance(told, str) else ""
    links = (row.get("tracking_url"), row.get("retailer_tracking_url"))
    products = [*_list(row.get("product_ids")), row.get("product_id")]
    return {
        "carrier": row.get("carrier") or "",
        "tracking_number": number,
        "created_at": row.get("obtained_at"),
        "status": _DELIVERY.get(squeezed, squeezed) or None,
        "zinc_tracking_url": next((link for link in links if isinstance(link, str)), None),
        "order_item_ids": [each for each in products if isinstance(each, str) and each] or None,
    }


def _delivery_date(body: Mapping[str, Any], merchant_orders: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the day of delivery, if the answer names one and no other."""
    told: list[object] = [each.get("delivery_date") for each in merchant_orders]
    for row in _list(body.get("delivery_dates")):
        shown = members(row)
        told.append(row if isinstance(row, str) else shown.get("date", shown.get("delivery_date")))
    days = {text for text in told if isinstance(text, str) and text}
    return days.pop() if len(days) == 1 else None


def _merchant_number(row: Mapping[str, Any]) -> str | None:
    """Return the retailer's number of an order, if it is not an e-mail address."""
    number: object = row.get("merchant_order_id")
    return number if isinstance(number, str) and number and "@" not in number else None


def words_of(message: object) -> str | None:
    """Return Zinc's words without e-mail addresses; None if they hold the number of a card."""
    if not isinstance(message, str):
        return None
    words = [word if "@" not in word else "[...]" for word in message[:MAX_TEXT].split(" ")]
    text = " ".join(words)
    return None if holds_card_number(text) else text


def _problems(body: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the fields that Zinc objects to; never a value of them."""
    for row in _objects(members(body.get("data")).get("validator_errors"))[:_MAX_PROBLEMS]:
        path, said = row.get("path"), words_of(row.get("message"))
        yield Problem(plain(path if isinstance(path, str) else "", 100), f"Zinc says: {plain(said or '', 160)}")


def moment_of(value: object) -> str | None:
    """Return a point in time as ISO text: v1 gives such text, and unix milliseconds in its lists."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    if type(value) is int and 0 < value < MAX_CENTS * 10:
        return datetime.fromtimestamp(value / 1000, UTC).isoformat()
    return None


def _list(value: object) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [cast(Mapping[str, Any], row) for row in _list(value) if isinstance(row, Mapping)]
