"""Products as Zinc describes them: searches, details and offers. Each question costs a cent with a live key.

Parameters and fields are those of the SDK 2026.10.16. An answer with HTTP status 200 may say that the work has failed
or is not finished. An answer that names another product than the one asked for is not used.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, TypeVar
from urllib.parse import quote, urlencode

from pydantic import Field, SecretStr, ValidationError

from zinc_mcp.errors import UnreadableAnswerError
from zinc_mcp.network import Leaving, NetworkAnswer
from zinc_mcp.zinc.answers import Answer, Count, Credit, Rows, Switch, Text
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.orders import ProductCondition

LOOK_UP_CENTS = 1
"""The price of one of these questions with a live key (SDK 2026.9.18); a test key pays nothing."""

Sort = Literal["relevance", "price_asc", "price_desc", "rating"]

NO_OFFERS = frozenset({"etsy", "bestbuy"})
"""Retailers without offers: Etsy has none, and Best Buy's are in its details. Shopify shops have none either."""

Stars = Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)]


class LookUpAnswer(Answer):
    """The base of these answers. `code` and `message` are Zinc's words about a failure."""

    status: Text = "completed"
    code: Text | None = None
    message: Text | None = None


class SearchResult(Answer):
    """One product that was found. The price is in minor units, and Zinc does not state its currency."""

    url: Text = ""
    retailer: Text | None = None
    title: Text | None = None
    brand: Text | None = None
    price: Credit | None = None
    stars: Stars | None = None
    num_reviews: Count | None = None
    available: Switch | None = None
    free_shipping: Switch | None = None
    has_variants: Switch | None = None


class SearchResults(LookUpAnswer):
    """The answer to a search (`GET /search`)."""

    results: Rows[SearchResult] | None = None
    """None: the answer holds no list of results."""
    excluded_by_price: Count | None = None
    hint: Text | None = None
    """The reason why nothing was found, in Zinc's words."""


class Specific(Answer):
    """One option of a variant, as Amazon, Walmart and Best Buy name it."""

    dimension: Text = ""
    value: Text = ""


class Sibling(Answer):
    """One variant of a product at Amazon, Walmart or Best Buy, each with a number of its own."""

    product_id: Text | None = None
    variant_specifics: Rows[Specific] = []


class Property(Answer):
    """One option of a variant, as Shopify and Etsy name it."""

    name: Text = ""
    value: Text = ""


class Variant(Answer):
    """One variant of a product at Shopify or Etsy."""

    title: Text | None = None
    price: Credit | None = None
    currency_code: Text | None = None
    available: Switch | None = None
    properties: Rows[Property] = []


class ShopOffer(Answer):
    """One offer of Best Buy, which is part of its details."""

    condition: Text | None = None
    price: Credit | None = None
    availability: Text | None = None
    seller: Text | None = None


class Product(LookUpAnswer):
    """A product as `GET /products/{id}` shows it. `price` is in minor units, without shipping."""

    retailer: Text | None = None
    product_id: Text | None = None
    asin: Text | None = None
    title: Text | None = None
    brand: Text | None = None
    price: Credit | None = None
    """At Amazon the price of the buy box: it may be absent, and another offer is often cheaper."""
    currency_code: Text | None = None
    seller_name: Text | None = None
    shop_name: Text | None = None
    available: Switch | None = None
    stars: Stars | None = None
    product_description: Text | None = None
    description: Text | None = None
    feature_bullets: Rows[Text] = []
    variant_specifics: Rows[Specific] = []
    """The options of the very page that was asked about."""
    all_variants: Rows[Sibling] = []
    variants: Rows[Variant] = []
    has_variations: Switch | None = None
    digital: Switch | None = None
    buyapi_hint: Switch | None = None
    """False: it cannot be ordered."""
    listing_type: Text | None = None
    offers: Rows[ShopOffer] = []

    @property
    def seller(self) -> str | None:
        """The seller's name, if it is known."""
        return self.seller_name or self.shop_name


class Seller(Answer):
    name: Text | None = None
    first_party: Switch | None = None
    percent_positive: Annotated[int, Field(ge=0, le=100)] | None = None


class Days(Answer):
    min: Count | None = None
    max: Count | None = None


class ShippingOption(Answer):
    name: Text | None = None
    price: Credit | None = None
    delivery_days: Days | None = None


class Offer(Answer):
    """One offer of a product. `price` is in minor units, without shipping; its currency is not stated."""

    price: Credit | None = None
    condition: Text | None = None
    available: Switch | None = None
    minimum_quantity: Count | None = None
    seller: Seller | None = None
    marketplace_fulfilled: Switch | None = None
    prime_only: Switch | None = None
    addon: Switch | None = None
    international: Switch | None = None
    handling_days: Days | None = None
    shipping_options: Rows[ShippingOption] = []

    @property
    def shipping(self) -> ShippingOption | None:
        """The cheapest known way to ship it."""
        priced = [option for option in self.shipping_options if option.price is not None]
        return min(priced, key=lambda option: option.price or 0, default=None)


class Offers(LookUpAnswer):
    """The answer to the question for offers (`GET /products/{id}/offers`)."""

    retailer: Text | None = None
    asin: Text | None = None
    offers: Rows[Offer] | None = None
    """None: the answer holds no list of offers."""


_CONDITIONS: Mapping[str, ProductCondition] = {
    "new": "New",
    "refurbished": "Refurbished",
    "usedlikenew": "UsedLikeNew",
    "usedverygood": "UsedVeryGood",
    "usedgood": "UsedGood",
    "usedacceptable": "UsedAcceptable",
}


def order_condition(words: str | None) -> ProductCondition | None:
    """Return an offer's condition as an order takes it: `Used - Like New` is `UsedLikeNew`; `Unacceptable` is none."""
    return _CONDITIONS.get("".join(filter(str.isalpha, words or "")).casefold())


A = TypeVar("A", bound=LookUpAnswer)


@dataclass(frozen=True, slots=True)
class DataCall(Generic[A]):
    """One question to Zinc that costs a cent with a live key."""

    path: str
    parameters: Mapping[str, str | list[str]]
    agent_path: str
    """The same question without an account, paid by wallet: a POST without a body (SDK 2026.8.21)."""
    kind: type[A]
    is_about: Callable[[A], bool] = field(default=lambda answer: True, compare=False, repr=False)
    list_name: str | None = None
    """The list that a completed answer must hold."""

    @property
    def is_about_one(self) -> bool:
        """Whether it is about one product, and no search."""
        return self.kind is not SearchResults

    @property
    def compared(self) -> Mapping[str, str | list[str]]:
        """The parameters in the form in which two questions are compared: a search finds the same in either case."""
        return {
            name: value.casefold() if name == "q" and isinstance(value, str) else value
            for name, value in self.parameters.items()
        }

    def read(self, content: object) -> A:
        """Read the content of an answer.

        Raises:
            UnreadableAnswerError: it is no answer to this question.
        """
        try:
            answer = self.kind.read(content)
        except ValidationError as error:
            raise UnreadableAnswerError("Zinc did not give a readable answer just now.") from error
        if not self.is_about(answer):
            raise UnreadableAnswerError("Zinc answered about another product, so its answer was not used.")
        if self.list_name is not None and answer.status == "completed" and getattr(answer, self.list_name) is None:
            raise UnreadableAnswerError(f"Zinc's answer holds no list of {self.list_name}, so it was not used.")
        return answer


def _by_agent(name: str, parameters: Mapping[str, str | list[str]]) -> str:
    return f"/agent/{name}?{urlencode(parameters, doseq=True)}"


async def ask_as_agent(
    client: ZincClient, path: str, credential: tuple[str, SecretStr] | None = None, leaving: Leaving | None = None
) -> NetworkAnswer:
    """Send a question once, unpaid or with a credential (header name and value); return the answer, of any status.

    Raises:
        ZincUnreachableError: nothing was sent.
        OrderOutcomeUnknownError: it was sent, and no whole answer came.
    """
    sent = {credential[0]: credential[1].get_secret_value()} if credential is not None else {}
    return await client.post(path, b"", sent, None, leaving)


async def ask(client: ZincClient, call: DataCall[A], api_key: SecretStr) -> A:
    """Ask one of these questions once.

    Raises:
        ZincUnreachableError: nothing was asked.
        OrderRejectedError: Zinc refused to answer, which costs nothing.
        UnreadableAnswerError: it was asked and not answered, which may have cost.
    """
    return call.read(await client.get_paid(call.path, api_key, call.parameters))


def search_call(
    query: str,
    *,
    min_price: int | None = None,
    max_price: int | None = None,
    retailers: list[str] | None = None,
    sort: Sort = "relevance",
    limit: int = 10,
) -> DataCall[SearchResults]:
    """Return the question `GET /search`: products of all retailers; prices are in cents.

    Two questions are the same if their words differ only in white space, and their retailers only in order or in being
    named by their host.
    """
    words = " ".join(unicodedata.normalize("NFC", query).split())
    parameters: dict[str, str | list[str]] = {"q": words, "sort": sort, "limit": str(limit)}
    if min_price is not None:
        parameters["min_price"] = str(min_price)
    if max_price is not None:
        parameters["max_price"] = str(max_price)
    if retailers:
        parameters["retailer"] = sorted(set(map(_searched_name, retailers)))
    return DataCall("/search", parameters, _by_agent("search", parameters), SearchResults, list_name="results")


_SEARCHED = frozenset(
    "amazon bestbuy bhphotovideo chewy costco etsy homedepot kohls lowes macys newegg staples target walmart "
    "wayfair".split()
)
"""Zinc's names of the retailers that a search knows (SDK 2026.10.16); each one's host is this name with `.com`."""


def _searched_name(named: str) -> str:
    """Return Zinc's name of a retailer that is named by its host, as results show it; other names as they are."""
    name = named.casefold().removeprefix("www.").removesuffix(".com")
    return name if name in _SEARCHED else named.lower()


def details_call(retailer: str, product_id: str) -> DataCall[Product]:
    """Return the question `GET /products/{id}`, by Zinc's names of a retailer and of a product."""

    def is_about(product: Product) -> bool:
        return _is_it(product_id, product.product_id, product.asin) and _is_there(retailer, product.retailer)

    path, where = f"/products/{quote(product_id, safe='')}", {"retailer": retailer}
    return DataCall(path, where, _by_agent("products/details", {"product_id": product_id, **where}), Product, is_about)


def offers_call(retailer: str, product_id: str) -> DataCall[Offers]:
    """Return the question `GET /products/{id}/offers`. Shopify and Etsy have none, and Zinc then refuses it."""

    def is_about(offers: Offers) -> bool:
        return _is_it(product_id, offers.asin) and _is_there(retailer, offers.retailer)

    path, where = f"/products/{quote(product_id, safe='')}/offers", {"retailer": retailer}
    by_agent = _by_agent("products/offers", {"product_id": product_id, **where})
    return DataCall(path, where, by_agent, Offers, is_about, list_name="offers")


def _is_it(wanted: str, *named: str | None) -> bool:
    """Say whether no number in an answer is another product's."""
    return all(name is None or name.casefold() == wanted.casefold() for name in named)


def _is_there(wanted: str, named: str | None) -> bool:
    """Say whether an answer names no other retailer. Zinc answers for a domain with a name of its own."""
    # Codes with underscores are still accepted, while answers carry the slug (SDK 2026.10.16).
    return named is None or "." in wanted or named.casefold().replace("_", "-") == wanted.casefold().replace("_", "-")


def is_in_dollars(retailer: str, product: Product) -> bool:
    """Say whether a product's price is in US cents: its currency says so, or it has none and the shop is in the US."""
    if product.currency_code:
        return product.currency_code.upper() == "USD"
    return retailer in _IN_THE_US


_IN_THE_US = frozenset({"amazon", "walmart", "bestbuy"})


def to_json(answer: LookUpAnswer) -> dict[str, Any]:
    """Return an answer as JSON that `DataCall.read` takes again."""
    return answer.model_dump(mode="json", exclude_defaults=True)
