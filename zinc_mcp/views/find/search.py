"""The view of a search: products, each with the address that an order takes.

Titles and the hint are foreign words, cleaned, cut and in fields of their own. An address is shown byte for byte or not
at all. Zinc states no currency for these prices, so none is printed.
"""

from collections.abc import Iterator
from typing import Literal

from zinc_mcp.journal.records.entry import Mode
from zinc_mcp.text import ago, plain, printed, without_currency
from zinc_mcp.views.parts import View, short
from zinc_mcp.zinc.find.products import SearchResult, SearchResults
from zinc_mcp.zinc.product_urls.reading import read_product_url
from zinc_mcp.zinc.product_urls.url_parts import ProductUrlError

MAX_RESULTS = 50
MAX_URL = 600
"""Characters of an address that is shown. A result with a longer one is left out, because a cut address leads
nowhere."""
MAX_TITLE = 90
MAX_TITLE_BYTES = 120
"""Bytes of a title in UTF-8: as many Latin letters with accents as a title has, and 40 letters of Chinese."""

_PRACTICE = "Practice in the sandbox: these products are not real. "


class ResultView(View):
    url: str
    """Byte for byte what an order takes."""
    title: str | None
    retailer: str | None
    price_cents: int | None
    price: str | None
    stars: float | None
    reviews: int | None
    available: bool | None
    free_shipping: bool | None
    needs_variant: bool | None
    not_orderable: str | None
    """The reason why an order does not take this address unchanged."""


class SearchView(View):
    """The result of `search_products`."""

    outcome: Literal["found", "nothing_found", "not_finished", "failed"]
    summary: str
    next_step: str
    cost_cents: int
    remembered: bool | None
    results: list[ResultView]
    left_out: int | None
    """Results that cannot be shown: their address is too long or hides characters, or they stand here already."""
    excluded_by_price: int | None
    zinc_says: str | None
    """Zinc's own words: the hint, or the reason of a failure."""


def search_view(
    found: SearchResults, *, cost_cents: int, age_seconds: float | None, mode: Mode, limit: int
) -> SearchView:
    """Return the view of a search.

    Args:
        found: Zinc's answer.
        cost_cents: its cost this time.
        age_seconds: the age of the answer, if it was remembered.
        mode: the mode of the rail that asked.
        limit: the most results that were asked for.
    """
    results = list(_shown(found, min(limit, MAX_RESULTS)))
    left_out = min(len(found.results or []), limit) - len(results) + found.rows_cut.get("results", 0)
    outcome = _outcome(found, results)
    return SearchView(
        outcome=outcome,
        summary=f"{_PRACTICE if mode == 'sandbox' else ''}{_summary(outcome, len(results), found)} "
        f"{cost_told(cost_cents, age_seconds, mode)}",
        next_step=_next_step(outcome, results),
        cost_cents=cost_cents,
        remembered=True if age_seconds is not None else None,
        results=results,
        left_out=left_out or None,
        excluded_by_price=found.excluded_by_price or None,
        zinc_says=short(found.hint or found.message or (found.code if outcome == "failed" else None), 300),
    )


def cost_told(cost_cents: int, age_seconds: float | None, mode: Mode) -> str:
    """Return the sentence about the cost of a question."""
    if age_seconds is not None and not cost_cents:
        return f"This cost nothing: it was asked {ago(age_seconds)}, and the answer is from then."
    if cost_cents:
        return f"This cost {printed(cost_cents)}{'' if mode == 'live' else ' of practice money'}."
    return "This cost nothing." if mode == "live" else "This cost nothing, as it is practice."


def _shown(found: SearchResults, limit: int) -> Iterator[ResultView]:
    seen: set[str] = set()
    for each in (found.results or [])[:limit]:
        if len(each.url) > MAX_URL or plain(each.url, MAX_URL) != each.url or not each.url or each.url in seen:
            continue
        seen.add(each.url)
        yield _result(each)


def _result(each: SearchResult) -> ResultView:
    retailer, objection = short(each.retailer, 60), None
    try:
        retailer = read_product_url(each.url).retailer
    except ProductUrlError as error:
        objection = f"the address {plain(error, 140)}"
    return ResultView(
        url=each.url,
        title=_title(each.title),
        retailer=retailer,
        price_cents=each.price,
        price=None if each.price is None else without_currency(each.price),
        stars=None if each.stars is None else round(each.stars, 1),
        reviews=each.num_reviews,
        available=each.available,
        free_shipping=True if each.free_shipping else None,
        needs_variant=True if each.has_variants else None,
        not_orderable=objection,
    )


def _title(text: str | None) -> str | None:
    """Return a title, cut by its bytes too: a Chinese letter or an emoji costs a model as much as some of Latin."""
    title = short(text, MAX_TITLE)
    if title is None or len(title.encode()) <= MAX_TITLE_BYTES:
        return title
    return f"{title.encode()[:MAX_TITLE_BYTES].decode(errors='ignore').rstrip('…').rstrip()}…"


def _outcome(
    found: SearchResults, results: list[ResultView]
) -> Literal["found", "nothing_found", "not_finished", "failed"]:
    if results:
        return "found"
    match found.status:
        case "processing":
            return "not_finished"
        case "failed":
            return "failed"
        case _ if found.results is None:
            return "not_finished"
        case _:
            return "nothing_found"


def _summary(outcome: str, count: int, found: SearchResults) -> str:
    excluded = found.excluded_by_price or 0
    by_price = (
        f" {excluded} more {'has' if excluded == 1 else 'have'} a price outside min_price and max_price, or none."
        if excluded
        else ""
    )
    match outcome:
        case "found":
            what = "1 product was found." if count == 1 else f"{count} products were found."
            what += _UNFINISHED.get(found.status, "")
            return f"{what}{by_price} Prices are without tax and shipping, and Zinc does not state their currency."
        case "not_finished":
            return "Zinc does not say that it has finished this search, and gave no results."
        case "failed":
            return "Zinc could not carry out this search."
        case _:
            return f"Nothing was found that can be shown.{by_price}"


_UNFINISHED = {
    "processing": " Zinc has not finished this search, so there may be more.",
    "failed": " Zinc says that this search failed, so there may be more.",
}
"""By the status of an answer that has results all the same."""


def _next_step(outcome: str, results: list[ResultView]) -> str:
    if outcome != "found":
        return "Search with other words, other retailers or a wider price range, or tell the user."
    if all(each.not_orderable for each in results):
        return "None of these addresses can be ordered as it stands; find the product's own page."
    return "check_product with a url says whether it can be ordered; an order takes the url unchanged."
