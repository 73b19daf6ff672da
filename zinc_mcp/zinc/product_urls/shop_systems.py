"""Addresses as the common shop systems write them: carts, searches and categories, and Magento's product pages.

Sources: the routes of Magento 2, PrestaShop, WooCommerce, Shopify, OpenCart and Zen Cart as they ship. Each rule holds
only what can mean nothing else in a shop that is not known here: `/collections/mugs` and `/search/mug-12` are taken.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from zinc_mcp.zinc.product_urls.links import is_one_number, is_visitors
from zinc_mcp.zinc.product_urls.url_parts import Parameter, UrlParts, undone

_LOCALE = r"(?:/[a-z]{2}(?:[-_][a-z]{2,4})?)?"
_SEARCH_SEGMENTS = frozenset(
    "s search searchpage.jsp sch search.php search.html search.aspx search.jsp searchresults search-results "
    "catalogsearch suche recherche busqueda buscar busca ricerca zoeken szukaj sok".split()
)
_SEARCH_PARAMETERS = frozenset(
    "k q s st query search search_query searchquery searchterm searchtext searchstring ntt _nkw term text phrase "
    "keyword keywords kw".split()
)
_CART = re.compile(
    rf"{_LOCALE}(?:/cart(?:\.php|/[0-9]+:[0-9]+(?:,[0-9]+:[0-9]+)*|/(?:add|change|update|clear)(?:\.js)?)?"
    r"|/shopping-?(?:cart|bag|basket)(?:\.[a-z]{3,5})?|/warenkorb|/winkelwagen|/checkouts?|/checkouts/.*)",
    re.IGNORECASE,
)
_MAGENTO_CART = re.compile(
    r"(?:/[^/]+){0,2}?(?:/checkout/(?:cart|onepage|index)|/wishlist/index|/catalog/product_compare)(?:/.*)?",
    re.IGNORECASE,
)
_CART_PARAMETERS = frozenset("add-to-cart add_to_cart addtocart add-to-wishlist add_to_wishlist wc-ajax".split())
_CART_ACTIONS = frozenset("add_to_cart addtocart add-to-cart add_product buy_now".split())
_LIST = re.compile(
    rf"(?:/[^/]+){{0,2}}?/(?:catalog/category/view|catalogsearch/(?:result|advanced|index))(?:/.*)?"
    rf"|{_LOCALE}(?:/(?:shop|store))?/(?:product-(?:category|tag|categorie)|produkt-(?:kategorie|schlagwort)"
    r"|categorie-produit|categoria-produc?to|categoria-prodotto)(?:/(?!products?(?:/|$))[^/]+)*",
    re.IGNORECASE,
)
_EMPTY_LIST = re.compile(
    rf"{_LOCALE}(?:(?:/shop|/store|/catalog)?/(?:all-)?products|/products/all|/collections(?:/all)?|/categor(?:y|ies))",
    re.IGNORECASE,
)
_PRESTASHOP_LISTS = frozenset(
    "category search manufacturer supplier cms best-sales bestsales new-products newproducts prices-drop pricesdrop "
    "stores sitemap contact index".split()
)
_PRESTASHOP_CARTS = frozenset("cart order order-opc orderopc authentication my-account myaccount".split())
_OPENCART_LISTS = ("product/category", "product/search", "product/manufacturer", "product/special", "information/")
_OPENCART_CARTS = ("checkout/", "account/", "product/compare")
_ZEN_CART_LISTS = frozenset("index advanced_search advanced_search_result products_new products_all specials".split())
_FRONT = ("", "/index.php", "/category.php")
_MAGENTO = re.compile(r"(?P<before>(?:/[^/]+){0,3}?)/catalog/product/view(?P<pairs>(?:/[^/]+/[^/]+)*)", re.IGNORECASE)
_MAGENTO_WAY = frozenset({"s", "category"})
"""The words of the product and the category that a visitor came from; neither chooses anything."""


class NotOneProductError(ValueError):
    """An address that is certainly no page of one product; its text is the end of a sentence about it."""


def refuse_lists(parts: UrlParts) -> None:
    """Refuse what is certainly no page of one product in any shop.

    Raises:
        NotOneProductError: it is a page of search results, a cart, an action of one, a category or a list.
    """
    given = {each.name: undone(each.value).lower() for each in parts.query}
    segments = {segment.lower() for segment in parts.path.split("/")}
    front = parts.path.lower() in _FRONT
    if _searches(given, segments):
        raise NotOneProductError("is a page of search results; give the page of one product")
    if _fills_cart(parts.path, given):
        raise NotOneProductError("is a cart or fills one; give the page of one product")
    if _lists(parts, given, front=front):
        raise NotOneProductError("is a list or another page without one product; give the page of one product")


def refuse_two_numbers(path: str, fields: Sequence[Parameter]) -> None:
    """Refuse an address that gives a product's number twice, and not the same.

    Servers differ in which of two values of one name they take: the first, the last or both.

    Raises:
        NotOneProductError: it has two values of one name that means one product, seller or variant.
    """
    values: dict[str, set[str]] = {}
    for each in fields:
        if each.value and is_one_number(each.name):
            values.setdefault(each.name, set()).add(each.value)
    segments = path.split("/")
    for name, value in pairwise(segments):
        if is_one_number(name.lower()) and any(map(str.isdigit, value)):
            values.setdefault(f"/{name.lower()}/", set()).add(value)
    for name, told in values.items():
        if len(told) > 1:
            raise NotOneProductError(f"can be read in two ways: it has two values of {undone(name)}; give one")


def magento_page(path: str, fields: Sequence[Parameter]) -> tuple[str, list[Parameter]] | None:
    """Return a Magento product page in one spelling, and its other parameters; None where it is none.

    Magento reads the pairs of the path and the query as one set of parameters, so the number may stand in either.

    Raises:
        NotOneProductError: it names two products, or none.
    """
    page = _MAGENTO.fullmatch(path)
    if page is None:
        return None
    words = page["pairs"].split("/")[1:]
    pairs = list(zip(words[::2], words[1::2], strict=True))
    numbers = {value for name, value in pairs if name.lower() == "id"}
    numbers |= {each.value for each in fields if each.name == "id" and each.value}
    if len(numbers) != 1:
        many = "can be read in two ways: it has two values of id; give one"
        raise NotOneProductError(many if numbers else "names no product; give the page of one product")
    before = re.sub("/index[.]php$", "", page["before"], flags=re.IGNORECASE)
    rest = sorted(pair for pair in pairs if pair[0].lower() not in _MAGENTO_WAY | {"id"})
    spelled = "".join(f"/{name}/{value}" for name, value in [("id", numbers.pop()), *rest])
    return f"{before}/catalog/product/view{spelled}", [each for each in fields if each.name != "id"]


def _searches(given: dict[str, str], segments: set[str]) -> bool:
    return (
        (bool(_SEARCH_SEGMENTS & segments) and not _SEARCH_PARAMETERS.isdisjoint(given))
        or given.get("controller") == "search"
        or (given.get("post_type") == "product" and "s" in given)
    )


def _fills_cart(path: str, given: dict[str, str]) -> bool:
    return (
        _CART.fullmatch(path) is not None
        or _MAGENTO_CART.fullmatch(path) is not None
        or not _CART_PARAMETERS.isdisjoint(given)
        or given.get("action") in _CART_ACTIONS
        or given.get("controller") in _PRESTASHOP_CARTS
        or given.get("route", "").startswith(_OPENCART_CARTS)
        or given.get("main_page") == "shopping_cart"
    )


def _lists(parts: UrlParts, given: dict[str, str], *, front: bool) -> bool:
    bare = all(is_visitors(name) for name in given) and not parts.fragment.startswith(("/", "!"))
    return (
        _LIST.fullmatch(parts.path) is not None
        or (bare and _EMPTY_LIST.fullmatch(parts.path) is not None)
        or (given.get("controller") in _PRESTASHOP_LISTS and "id_product" not in given)
        or (front and "id_category" in given and "id_product" not in given)
        or given.get("route", "").startswith(_OPENCART_LISTS)
        or (front and given.get("main_page") in _ZEN_CART_LISTS)
        or (front and not {"product_cat", "product_tag"}.isdisjoint(given) and "product" not in given)
    )
