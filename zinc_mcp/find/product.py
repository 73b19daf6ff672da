"""Facts about one product: a free check whether Zinc can order it; details and offers, which cost a cent each."""

import re
from dataclasses import replace
from typing import Any

from zinc_mcp.errors import UnreadableAnswerError, ZincMcpError
from zinc_mcp.find.check import check
from zinc_mcp.find.failures import unfinished
from zinc_mcp.find.look_up import look_up, rail_to_ask
from zinc_mcp.find.question import Found
from zinc_mcp.owner.objection import product_objection
from zinc_mcp.owner.policy import Policy
from zinc_mcp.process import Process, ProductFacts
from zinc_mcp.rails import Rail
from zinc_mcp.zinc.find.products import NO_OFFERS, DataCall, Offer, Offers, Product, Seller, details_call, offers_call
from zinc_mcp.zinc.find.retailers import ShopCheck
from zinc_mcp.zinc.product_urls.reading import shop_product
from zinc_mcp.zinc.product_urls.url_parts import ProductAddress

_HANDLE = re.compile(r"[^/?#]+(?:/[^/?#]+){0,3}?/products/([A-Za-z0-9._%-]{1,200})(?:[?#].*)?")


async def look_at(
    process: Process, caller: str, address: ProductAddress, country: str, *, details: bool, offers: bool
) -> ProductFacts:
    """Ask whether Zinc can order a product and ship it to a country and, if wanted, for its details and offers.

    Raises:
        ZincMcpError: only the free question was asked, and Zinc did not answer it.
    """
    policy = _policy(process)
    objection = policy if isinstance(policy, ZincMcpError) else product_objection(policy, address, country)
    try:
        shop: ShopCheck | ZincMcpError = await check(process, address.url, country)
    except ZincMcpError as error:
        if not (details or offers):
            raise
        shop = error
    facts = ProductFacts(address, country, shop, objection=objection)
    if not (details or offers):
        return facts
    try:
        if isinstance(policy, ZincMcpError):
            raise policy
        rail = rail_to_ask(process, policy)
    except ZincMcpError as error:  # the free answer stands all the same
        return _without(facts, error, details=details, offers=offers)
    facts = replace(facts, mode=rail.mode)
    named = _named(address, shop)
    if named is None:
        silent = UnreadableAnswerError(
            "Zinc has none for this shop, or the address does not name the product's number. Nothing was asked.",
            "Read the page itself, or ask the user.",
        )
        return _without(facts, silent, details=details, offers=offers)
    return await _with_answers(process, caller, rail, policy, facts, named, details=details, offers=offers)


def _policy(process: Process) -> Policy | ZincMcpError:
    try:
        return process.policy()
    except ZincMcpError as error:
        return error


def _without(facts: ProductFacts, why: ZincMcpError, *, details: bool, offers: bool) -> ProductFacts:
    return replace(facts, details=why if details else None, offers=why if offers else None)


async def _with_answers(
    process: Process,
    caller: str,
    rail: Rail,
    policy: Policy,
    facts: ProductFacts,
    named: tuple[str, str],
    *,
    details: bool,
    offers: bool,
) -> ProductFacts:
    """Ask for details and offers, as far as they are wanted and the shop has them."""
    retailer, _ = named
    own_offers = retailer not in NO_OFFERS and "." not in retailer  # a shop with a domain for a name is Shopify's
    calls: dict[str, DataCall[Any]] = {}
    if details or (offers and retailer == "bestbuy"):
        calls["details"] = details_call(*named)
    if offers and own_offers:
        calls["offers"] = offers_call(*named)
    answers = dict(
        zip(calls, await look_up(process, caller, rail, policy, list(calls.values())), strict=True) if calls else ()
    )
    if offers and not own_offers:
        answers["offers"] = _offers_of_details(answers.get("details") if retailer == "bestbuy" else None)
    found = {name: answer for name in calls if isinstance(answer := answers[name], Found)}
    ages = {name: answer.age_seconds for name, answer in found.items() if answer.age_seconds is not None}
    return replace(
        facts,
        details=_answer(answers.get("details")) if details else None,
        offers=_answer(answers.get("offers")) if offers else None,
        cost_cents=sum(_cost_cents(answers[name]) for name in calls),
        remembered=tuple(ages),
        age_seconds=max(ages.values(), default=None),
    )


def _named(address: ProductAddress, shop: ShopCheck | ZincMcpError) -> tuple[str, str] | None:
    """Return Zinc's names of the retailer and the product: of a Shopify shop its domain and the product's handle."""
    named = shop_product(address)
    if named is None and isinstance(shop, ShopCheck) and (shop.platform or "").casefold() == "shopify":
        page = _HANDLE.fullmatch(address.product)
        named = None if page is None else (address.retailer, page[1])
    return named


def _offers_of_details(details: Found[Any] | ZincMcpError | None) -> Found[Any] | ZincMcpError:
    """Return Best Buy's offers, which are part of its details; another shop without offers has none."""
    if details is None:
        return UnreadableAnswerError("Zinc has no offers for this shop; nothing was asked for them.", "Use its page.")
    if isinstance(details, ZincMcpError):
        return details
    product: Product = details.answer
    rows = [
        Offer(condition=each.condition, price=each.price, seller=Seller(name=each.seller) if each.seller else None)
        for each in product.offers
    ]
    return replace(details, answer=Offers(status=product.status, code=product.code, offers=rows))


def _cost_cents(found: Found[Any] | ZincMcpError) -> int:
    return found.cost_cents if isinstance(found, Found) else int(found.facts.get("cost_cents", 0))


def _answer(found: Found[Any] | ZincMcpError | None) -> Any:
    """Return an answer, or the error why there is none. The error for an unfinished answer says when to ask again."""
    if not isinstance(found, Found):
        return found
    return unfinished(found) if found.answer.status == "processing" else found.answer
