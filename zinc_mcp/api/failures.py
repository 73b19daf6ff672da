"""Zinc's error bodies, in every shape seen, as one thing: a known code, the fields to change, and the numbers.

Shapes: nested `error` (the SDK's), flat (as the docs print it), FastAPI's `detail` list and `detail` string, and
problem documents (RFC 9457). HTTP codes are those of the SDK 2026.10.16.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from zinc_mcp.errors import Problem
from zinc_mcp.prose import plain

HTTP_CODES = frozenset(
    "unauthorized forbidden invalid_token token_expired not_found already_exists validation_error insufficient_funds "
    "authorization_pending slow_down expired_token access_denied payment_failed payment_method_required "
    "payment_required invalid_payment_method invalid_shipping_address url_unreachable non_us_retailer "
    "unsupported_retailer unsupported_country retailer_country_not_supported guest_checkout_not_supported "
    "invalid_variant out_of_stock shipping_unavailable order_not_cancellable return_not_allowed case_not_allowed "
    "external_service_error stripe_error stytch_error internal_error bad_request rate_limit_exceeded "
    "service_unavailable unknown_payment_method payment_verification_failed invalid_payment_credential "
    "invalid_request".split()
)

_SENTENCES: dict[str, tuple[str, str]] = {
    "unauthorized": ("Zinc does not accept the API key.", "Tell the user to check ZINC_API_KEY."),
    "invalid_token": ("Zinc does not accept the API key.", "Tell the user to check ZINC_API_KEY."),
    "token_expired": ("The Zinc API key has expired.", "Tell the user to make a new API key."),
    "forbidden": ("The Zinc API key may not do this.", "Tell the user to check what the API key is allowed to do."),
    "insufficient_funds": (
        "The Zinc balance is too small: it must hold max_price plus Zinc's fee.",
        "Tell the user to top up the Zinc balance, or lower max_price.",
    ),
    "invalid_shipping_address": ("Zinc rejected the shipping address.", "Correct the address and call again."),
    "url_unreachable": ("Zinc cannot open a product URL.", "Use another product page and call again."),
    "unsupported_retailer": ("Zinc cannot order from this retailer.", "Choose another retailer."),
    "non_us_retailer": ("Zinc cannot order from this retailer.", "Choose another retailer."),
    "unsupported_country": ("Zinc cannot ship to this country.", "Choose an address in another country."),
    "retailer_country_not_supported": (
        "This retailer does not ship to this country through Zinc.",
        "Choose another retailer or an address in another country.",
    ),
    "guest_checkout_not_supported": (
        "This retailer needs an account.",
        "Give retailer_credentials_id, or choose another retailer.",
    ),
    "invalid_variant": ("A variant does not exist.", "Use labels and values exactly as on the page."),
    "out_of_stock": ("A product is out of stock.", "Choose another product."),
    "shipping_unavailable": ("A product cannot be shipped there.", "Choose another product or address."),
    "validation_error": ("Zinc found the order invalid.", "Correct the fields named and call again."),
    "rate_limit_exceeded": ("Zinc is limiting requests just now.", "Wait a minute and call again."),
}


@dataclass(frozen=True)
class Failure:
    """What an error body says, without its prose: `code` is known to us or `other`."""

    code: str = "other"
    problems: tuple[Problem, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    identifiers: tuple[str, ...] = ()

    def sentence(self, status: int) -> str:
        """Say what Zinc answered, in our words."""
        known = _SENTENCES.get(self.code)
        return known[0] if known else f"Zinc did not accept this (HTTP {status}, code {self.code})."

    def next_step(self, status: int) -> str:
        """Say what to do about it."""
        known = _SENTENCES.get(self.code)
        if known:
            return known[1]
        return "Tell the user what Zinc objects to." if status < 500 else "Try again in a minute."


def read_failure(body: object) -> Failure:
    """Read an error body of any known shape; one that cannot be read is `Failure()`."""
    if not isinstance(body, Mapping):
        return Failure()
    top = cast(Mapping[str, Any], body)
    inner = top.get("error")
    if isinstance(inner, Mapping):
        return _coded(cast(Mapping[str, Any], inner))
    if isinstance(inner, str) and "code" not in top:
        return _coded({**top, "code": inner})
    if "code" in top:
        return _coded(top)
    detail = top.get("detail")
    if isinstance(detail, list):
        return Failure("validation_error", _field_problems(cast(list[Any], detail)))
    if isinstance(detail, Mapping):
        return _coded(cast(Mapping[str, Any], detail))
    slug = str(top.get("type", "")).rsplit("/", 1)[-1].replace("-", "_")
    if isinstance(top.get("type"), str) and slug:
        return Failure(slug if slug in HTTP_CODES else "other")
    return Failure(facts={"zinc_message": plain(detail)} if isinstance(detail, str) else {})


def _coded(error: Mapping[str, Any]) -> Failure:
    code = error.get("code")
    details: Mapping[str, Any] = (
        cast(Mapping[str, Any], error["details"]) if isinstance(error.get("details"), Mapping) else {}
    )
    facts: dict[str, Any] = {
        f"{name}_cents": details[name] for name in ("required", "available") if type(details.get(name)) is int
    }
    if isinstance(error.get("message"), str):
        facts["zinc_message"] = plain(error["message"])
    identifiers = tuple(
        value for name in ("order_id", "identifier", "id") if isinstance(value := details.get(name), str) and value
    )
    listed = details.get("field_errors") or details.get("errors") or error.get("detail")
    problems = _field_problems(cast(list[Any], listed)) if isinstance(listed, list) else ()
    return Failure(code if isinstance(code, str) and code in HTTP_CODES else "other", problems, facts, identifiers)


def _field_problems(rows: list[Any]) -> tuple[Problem, ...]:
    problems: list[Problem] = []
    for row in rows[:20]:
        if not isinstance(row, Mapping):
            continue
        entry = cast(Mapping[str, Any], row)
        place = entry.get("loc", entry.get("field", ""))
        parts: list[Any] = cast(list[Any], place) if isinstance(place, list) else [place]
        path = ".".join(str(part) for part in parts if part != "body")
        reason = entry.get("msg") or entry.get("message") or entry.get("code") or "is not accepted"
        problems.append(Problem(plain(path, 100), plain(reason, 160)))
    return tuple(problems)
