"""Zinc's refusals: its error bodies in every known shape, and our errors for them, with sentences of our own.

Shapes: nested `error` (the SDK's), flat (as the docs print it), FastAPI's `detail` list and `detail` string, and
problem documents (RFC 9457). HTTP codes are those of the SDK 2026.10.16.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from zinc_mcp.errors import ChangeRejectedError, OrderAlreadyExistsError, OrderRejectedError, Problem
from zinc_mcp.network import NetworkAnswer
from zinc_mcp.text import plain
from zinc_mcp.zinc.answers import MAX_CENTS

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
    "unauthorized": ("Zinc does not accept the API key.", "Tell the user to check ZINC_API_KEY, or to sign in anew."),
    "invalid_token": ("Zinc does not accept the API key.", "Tell the user to check ZINC_API_KEY, or to sign in anew."),
    "token_expired": ("The Zinc API key has expired.", "Tell the user to sign in anew, or to make a new API key."),
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
_BY_STATUS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.PAYMENT_REQUIRED: "insufficient_funds",
    HTTPStatus.UNPROCESSABLE_ENTITY: "validation_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_exceeded",
}
"""The code for a status whose body names no known code."""

_ABOUT_THE_KEY = frozenset({"unauthorized", "invalid_token", "token_expired", "forbidden"})
_ABOUT_ANY_REQUEST = _ABOUT_THE_KEY | {"rate_limit_exceeded"}
"""Codes that mean the same for a read as for an order. The others are about an order that is being placed."""

_MAX_PROBLEMS = 20
_MAX_STEPS = 10


@dataclass(frozen=True)
class Failure:
    """The content of an error body without its prose. `code` is one of `HTTP_CODES`, or `other`."""

    code: str = "other"
    problems: tuple[Problem, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    identifiers: tuple[str, ...] = ()

    def sentence(self, status: int) -> str:
        """Return Zinc's answer to an order in our words."""
        known = self._known(status)
        return known[0] if known else f"Zinc did not accept this ({self.spelled(status)})."

    def next_step(self, status: int) -> str:
        """Return the next step for the model after a refused order."""
        known = self._known(status)
        return known[1] if known else "Tell the user what Zinc objects to."

    def is_about_any_request(self, status: int) -> bool:
        """Say whether it means the same for a read as for an order."""
        return self._of(status) in _ABOUT_ANY_REQUEST

    def is_about_the_key(self, status: int) -> bool:
        """Say whether Zinc objects to the API key."""
        return self._of(status) in _ABOUT_THE_KEY

    def spelled(self, status: int) -> str:
        """Return the status and a known code."""
        return f"HTTP {status}" if self.code == "other" else f"HTTP {status}, code {self.code}"

    def error(self, status: int, sentence: str, next_step: str) -> OrderRejectedError:
        """Return the error with everything that the body said."""
        return OrderRejectedError(
            sentence, next_step, status=status, zinc_code=self.code, facts=self.facts, problems=self.problems
        )

    def _of(self, status: int) -> str:
        return _BY_STATUS.get(status, "other") if self.code == "other" else self.code

    def _known(self, status: int) -> tuple[str, str] | None:
        code = self._of(status)
        if code == "validation_error" and not self.problems:
            return "Zinc found the order invalid.", "Tell the user what Zinc objects to."
        return _SENTENCES.get(code)


def meaning_of(code: str) -> tuple[str, str]:
    """Return what a code says of an order, in our words, and the next step for the model."""
    failure = Failure(code)
    return failure.sentence(0), failure.next_step(0)


def refused_order(answer: NetworkAnswer, *, has_key: bool = True) -> OrderRejectedError:
    """Return the error for a placing request that Zinc refused. `has_key`: whether it carried an API key."""
    failure = read_failure(answer.json())
    if answer.status == HTTPStatus.CONFLICT and failure.code in ("already_exists", "other"):
        return OrderAlreadyExistsError(
            "Zinc has had an order with this idempotency key before.",
            status=answer.status,
            zinc_code="already_exists",
            identifiers=failure.identifiers,
        )
    if not has_key and failure.is_about_the_key(answer.status):
        return _without_key(failure, answer.status)
    return failure.error(answer.status, failure.sentence(answer.status), failure.next_step(answer.status))


def _without_key(failure: Failure, status: int) -> OrderRejectedError:
    return failure.error(
        status,
        f"Zinc does not take this from a request without an API key ({failure.spelled(status)}).",
        "Tell the user that Zinc wants an API key for this.",
    )


def refused_read(answer: NetworkAnswer, *, has_key: bool = True) -> OrderRejectedError:
    """Return the error for a read that Zinc refused. `has_key`: whether the request carried an API key."""
    failure, status = read_failure(answer.json()), answer.status
    if not has_key and failure.is_about_the_key(status):
        return _without_key(failure, status)
    if failure.is_about_any_request(status):
        return failure.error(status, failure.sentence(status), failure.next_step(status))
    return failure.error(
        status,
        f"Zinc would not show this ({failure.spelled(status)}).",
        "Call again in some minutes; if Zinc still refuses, tell the user.",
    )


_ASK_ZINC = "Tell the user to ask Zinc about it, with the order's id."
_CHANGES: Mapping[str, tuple[str, str]] = {
    "return_not_allowed": (
        "Zinc does not take this return from here (return_not_allowed).",
        "Tell the user. report_problem asks Zinc's support about the order.",
    ),
    "case_not_allowed": ("Zinc does not take this report from here (case_not_allowed).", _ASK_ZINC),
    "already_exists": (
        "Zinc says that this conflicts with what it has already: perhaps an earlier return, or an open case.",
        "Call get_order to see the order's returns and cases.",
    ),
    "rate_limit_exceeded": _SENTENCES["rate_limit_exceeded"],
    "validation_error": ("Zinc found what was sent invalid.", "Tell the user what Zinc objects to."),
}
"""By Zinc's code: its answer to a change of an order in our words, and the next step."""
_CHANGE_BY_STATUS: Mapping[int, str] = {
    HTTPStatus.CONFLICT: "already_exists",
    HTTPStatus.UNPROCESSABLE_ENTITY: "validation_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_exceeded",
}
_NOT_FROM_HERE = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


def refused_change(answer: NetworkAnswer) -> ChangeRejectedError:
    """Return the error for a change of an order that Zinc refused."""
    failure, status = read_failure(answer.json()), answer.status
    code = _CHANGE_BY_STATUS.get(status, "other") if failure.code == "other" else failure.code
    # An order's own key need not be good for this, which says nothing about whether Zinc does it when it is asked.
    sentence, next_step = (
        f"Zinc does not do this with the key that is used here ({failure.spelled(status)}).",
        _ASK_ZINC,
    )
    if status not in _NOT_FROM_HERE:
        unknown = f"Zinc did not accept this ({failure.spelled(status)}).", _ASK_ZINC
        sentence, next_step = _CHANGES.get(code, unknown)
    facts = {"zinc_code": failure.code, "http_status": status, **failure.facts}
    return ChangeRejectedError(sentence, next_step, facts=facts, problems=failure.problems)


def read_failure(body: object) -> Failure:
    """Read an error body of any known shape; an unreadable one is `Failure()`."""
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
        return Failure("validation_error", _field_problems(cast(object, detail)))
    if isinstance(detail, Mapping):
        return _coded(cast(Mapping[str, Any], detail))
    problem_type = top.get("type")
    slug = problem_type.rsplit("/", 1)[-1].replace("-", "_") if isinstance(problem_type, str) else ""
    return Failure(slug if slug in HTTP_CODES else "other", facts=_message(detail))


def _message(text: object) -> dict[str, Any]:
    return {"zinc_message": plain(text)} if isinstance(text, str) and text else {}


def _coded(error: Mapping[str, Any]) -> Failure:
    code: Any = error.get("code")
    given: Any = error.get("details")
    details: Mapping[str, Any] = cast(Any, given) if isinstance(given, Mapping) else {}
    facts: dict[str, Any] = {
        f"{name}_cents": cents
        for name in ("required", "available")
        if type(cents := details.get(name)) is int and abs(cents) <= MAX_CENTS
    }
    facts |= _message(error.get("message"))
    identifiers = tuple(
        value for name in ("order_id", "identifier", "id") if isinstance(value := details.get(name), str) and value
    )
    # A release that wraps FastAPI's list may put it under any of these names, or into `details` itself.
    lists: tuple[object, ...] = (
        cast(object, given),
        *(details.get(name) for name in ("field_errors", "errors", "detail")),
        error.get("detail"),
    )
    problems = next((found for rows in lists if (found := _field_problems(rows))), ())
    return Failure(code if isinstance(code, str) and code in HTTP_CODES else "other", problems, facts, identifiers)


def _field_problems(rows: object) -> tuple[Problem, ...]:
    problems: list[Problem] = []
    for row in cast(list[Any], rows)[:_MAX_PROBLEMS] if isinstance(rows, list) else []:
        if not isinstance(row, Mapping):
            continue
        entry = cast(Mapping[str, Any], row)
        place = entry.get("loc", entry.get("field"))
        steps = cast(list[Any], place)[:_MAX_STEPS] if isinstance(place, list) else [place]
        path = ".".join(str(step) for step in steps if isinstance(step, str | int) and step != "body")
        said = next((text for name in ("msg", "message", "code") if isinstance(text := entry.get(name), str)), "")
        # These words are Zinc's, so they are marked: all other words of a result are ours.
        problems.append(Problem(plain(path, 100), f"Zinc says: {plain(said, 160)}" if said else "is not accepted"))
    return tuple(problems)
