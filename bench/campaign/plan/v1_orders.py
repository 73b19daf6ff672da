"""Orders of v1 in the campaign: the numbers of their products, their arguments, and their true endings.

The endings come from Zinc's documents (v1, "Errors") and not from the program, which is judged by them.
"""

from collections.abc import Mapping
from typing import Any

from zinc_mcp.sandbox.v1.rules.codes import FINAL
from zinc_mcp.sandbox.v1.rules.products import practice_id

TOKEN = "campaign-token-of-v1"  # noqa: S105  # the sandbox takes any
NEVER_AN_END = frozenset({"order_probably_placed", "duplicate_order"})
"""Codes after which the retailer may have the order, which only a person can find out."""
ABOUT_THE_QUESTION = frozenset({"invalid_client_token", "unauthorized_access", "invalid_json", "invalid_request_id"})
"""Codes of a GET that say nothing about the order."""
NO_NO = NEVER_AN_END | {"internal_error", "invalid_request_id"}
"""Codes of a POST that do not prove that nothing was bought."""
ENDS = tuple(code for code in FINAL if code not in NEVER_AN_END | ABOUT_THE_QUESTION)
"""Codes with which an order has failed."""
QUEUE_SECONDS = 20
"""The time for which an order waits for a managed account that never comes, at pace 1."""

_OF_V2 = {
    "never-decided": "never_decided",
    "out-of-stock": "failed_product_unavailable",
    "price-exceeded": "failed_max_price_exceeded",
    "cancelled-by-retailer": "cancelled_by_seller",
    "url-unreachable": "refused_unsupported_product_id",
    "insufficient-funds": "refused_insufficient_zma_balance",
    "invalid-address": "refused_invalid_address",
}
"""The practice products of v1, by the scenarios of v2 with the same course."""
_FAILING = frozenset({*(f"failed_{code}" for code in ENDS), "hostile_failure", "queue_full"})
_OPEN = frozenset(
    {
        *(f"failed_{code}" for code in NEVER_AN_END | ABOUT_THE_QUESTION),
        "never_decided",
        "manual_review_stays",
        "probably_placed",
        "probably_not_placed",
        "unknown_code",
        "unknown_type",
    }
)
"""Products whose orders have no ending that may be told."""
_LEFT_TO_PEOPLE = frozenset(
    {
        "probably_placed",
        "probably_not_placed",
        *(f"failed_{code}" for code in NEVER_AN_END),
        *(f"refused_{code}" for code in NO_NO),
    }
)
_FAILS_AFTER = 3.0


def page_of(family: int) -> str:
    """Return the page of an intention's product, for the tools that take pages."""
    return f"https://www.amazon.com/dp/{_ordinary(family)}"


def course_of(scenario: str) -> str:
    """Return the sandbox's name for the course of a v1 order; empty for an ordinary product."""
    return "" if scenario == "success" else _OF_V2.get(scenario, scenario)


def can_be(scenario: str, state: str) -> bool:
    """Say whether an entry that names an order of v1 can be in this state."""
    course = course_of(scenario)
    if course.startswith("refused_"):
        return False
    ends = {"failed"} if course in _FAILING else set[str]() if course in _OPEN else {"placed"}
    return state in {"accepted", *ends, *(["cancelled"] if course == "cancelled_by_seller" else [])}


def over_seconds(scenario: str) -> float | None:
    """Return the age, in seconds at pace 1, at which an order is over and may be placed again; None for never."""
    course = course_of(scenario)
    if course == "queue_full":
        return float(QUEUE_SECONDS)
    return _FAILS_AFTER if course in _FAILING else None


def is_left_to_people(scenario: str) -> bool:
    """Say whether Zinc answers that it does not know the ending of an order."""
    return course_of(scenario) in _LEFT_TO_PEOPLE


def is_no(outcome: str) -> bool:
    """Say whether the ledger's outcome of a v1 POST proves that it bought nothing."""
    code = outcome.removeprefix("rejected_")
    return outcome.endswith("_unauthorized_once") or (code != outcome and code not in NO_NO)


def v1_arguments(
    scenario: str, family: int, seed: int, practice: Mapping[str, str], address: Mapping[str, Any], price: int
) -> dict[str, Any]:
    """Return the arguments of `place_v1_order`. `practice`: the marks and faults, which go into the notes."""
    course = course_of(scenario)
    place = {name: part for name, part in address.items() if name != "postal_code"}
    place["zip_code"] = address["postal_code"]
    if course:  # all intentions of one course share its product, and so differ in the place
        place["address_line1"] = f"{family} Campaign Street"
    notes = {"practice": "&".join(f"{name}={value}" for name, value in practice.items())}
    return {
        "retailer": "amazon",
        "products": [{"product_id": practice_id(course) if course else _ordinary(family)}],
        "shipping_address": place,
        "max_price": price,
        "shipping_method": "cheapest",
        "client_notes": notes,
        **({"zma_priority_bid": 100 * (seed % 4)} if seed % 4 else {}),
        **({"zma_discount": -3} if seed % 5 == 0 else {}),
        **({"addax_queue_timeout": QUEUE_SECONDS} if course == "queue_full" else {}),
    }


def _ordinary(family: int) -> str:
    return f"B0CM{family:06}"
