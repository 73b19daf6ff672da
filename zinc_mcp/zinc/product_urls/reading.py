"""Read a product's address: its shop, its product, and the parts that choose a variant or an offer.

The check for repeated orders, the product look-up, the policy and the question all use this module. An address is sent
and shown as it was given; the canonical form is only for comparing. An ambiguous address is refused.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from zinc_mcp.zinc.product_urls import any_shop
from zinc_mcp.zinc.product_urls.any_shop import NotOneProductError, magento_page, refuse_lists, refuse_two_numbers
from zinc_mcp.zinc.product_urls.shop_pages import (
    Found,
    find_page,
    is_listed_as_no_product,
    names_two,
    plain_page,
    shop_at,
)
from zinc_mcp.zinc.product_urls.shops import LOOKED_UP, Shop
from zinc_mcp.zinc.product_urls.url_parts import (
    Parameter,
    UrlParts,
    UrlPartsError,
    host_in,
    registrable,
    split_url,
    undone,
)

_SHOPIFY = re.compile(
    r"(?P<locale>/[a-z]{2}(?:-[a-z]{2,4})?)?(?P<collection>/collections/[^/]+)?/products/(?P<handle>[^/]+)"
)
_IMPACT = re.compile(r"/[cm]/[0-9]+/[0-9]+/[0-9]+(?:/.*)?")


class ProductUrlError(ValueError):
    """An address that is not the page of one product. Its text ends a sentence about the address."""


@dataclass(frozen=True, slots=True)
class ProductAddress:
    """The parts of a product's address. Only `url` is ever sent, or shown as the address."""

    url: str
    """The address byte for byte as it was given."""
    host: str
    """The host for display: in ASCII, without `www.`."""
    retailer: str
    """The domain that the shop registered; for an alias of a shop, the shop's domain."""
    product_id: str | None
    """The shop's own number in one spelling, if the shop is known."""
    canonical: str
    """A form that is equal for two addresses of the same purchase."""
    product: str
    """A form that is equal for two addresses of one product, whatever variant, seller or sister shop they choose."""
    choices: tuple[tuple[str, str], ...]
    """Names and values of the parts that choose a variant, a seller, a condition or a subscription."""
    chooses_seller: bool
    """Whether it chooses a seller or another offer; the page's own price and seller are then not that offer's."""
    chooses_variant: bool
    """Whether it chooses a variant."""

    @property
    def shop_host(self) -> str:
        """The host of the shop: `amazon.com` for its aliases, but `business.walmart.com` for that shop of its own."""
        return re.split("[/?#]", self.canonical, maxsplit=1)[0]


@lru_cache(maxsize=1024)  # several rules read the address of each product
def read_product_url(url: str) -> ProductAddress:
    """Read the address of a product page.

    Zinc asks for a link that leads to the product page and not to search results (Create Order, "Product URLs").

    Raises:
        ProductUrlError: it is not a product page, or it is ambiguous.
    """
    try:
        parts = split_url(url)
    except UrlPartsError as error:
        raise ProductUrlError(str(error)) from None
    known = shop_at(parts.host)
    if known is not None:
        shop, host = known
        if (found := _find_numbered_page(shop, parts)) is not None:
            return _address_by_number(url, parts, shop, host, found)
    _refuse_links_elsewhere(parts)
    try:
        return _address_without_number(url, parts, known)
    except NotOneProductError as error:
        raise ProductUrlError(str(error)) from None


def _address_without_number(url: str, parts: UrlParts, known: tuple[Shop, str] | None) -> ProductAddress:
    """Return the address of a page whose product number is not known."""
    refuse_lists(parts)
    if not parts.path and not parts.query and not _choosing_fragment(parts):
        raise ProductUrlError("is a shop's front page; give the page of one product")
    if known is not None:
        shop, host = known
        if shop.complete or is_listed_as_no_product(shop, parts):
            raise ProductUrlError(
                f"is no product page of {shop.part_of or host} that is known here; {_advice(shop, host)}"
            )
        return _address_by_words(url, parts, host, tracking=shop.tracking)
    return _address_by_words(url, parts, parts.host)


def shop_product(address: ProductAddress) -> tuple[str, str] | None:
    """Return Zinc's retailer and product id for a product look-up; None if the address does not hold them."""
    name, number = LOOKED_UP.get(address.shop_host, ("", ""))
    if not name or address.product_id is None or not re.fullmatch(number, address.product_id):
        return None
    return name, address.product_id


def comparable(url: str) -> str:
    """Return an address's canonical form, or the address itself if it cannot be read.

    An address from Zinc or an old journal may start with http:// and may be one that would be refused today.
    """
    try:
        return read_product_url(f"https://{url[7:]}" if url[:7].lower() == "http://" else url).canonical
    except ProductUrlError:
        return url


def retailer_in(url: str) -> str | None:
    """Return the retailer of an address, also if the address is not a product page; None if it has no usable host."""
    try:
        return read_product_url(url).retailer
    except ProductUrlError:
        host = host_in(url)
        return None if host is None else registrable(host)


def _find_numbered_page(shop: Shop, parts: UrlParts) -> Found | None:
    if is_listed_as_no_product(shop, parts):
        return None
    found = find_page(shop, parts)
    if parts.hides_slash or (found is not None and found.names_two) or (found is None and names_two(shop, parts)):
        raise ProductUrlError("can be read in two ways; give the plain page of one product")
    if found is None:
        return None
    if found.ambiguous is not None:
        raise ProductUrlError(f"can be read in two ways: it has two values of {found.ambiguous}; give one")
    return found


def _address_by_number(url: str, parts: UrlParts, shop: Shop, host: str, found: Found) -> ProductAddress:
    """Return the address of a page whose product number is known."""
    product = f"{host}{found.page}"
    chosen = found.variants + found.offers + found.rest
    canonical = _with_query(product, _spelled(chosen))
    return ProductAddress(
        url=url,
        host=parts.host,
        retailer=registrable(host),
        product_id=found.number,
        canonical=canonical,
        product=_with_query(f"{shop.hosts[0]}{found.page}" if shop.one_series else product, _spelled(found.rest)),
        choices=tuple((name, unquote(value)) for name, value in found.variants + found.offers),
        chooses_seller=bool(found.offers),
        chooses_variant=bool(found.variants),
    )


def _address_by_words(url: str, parts: UrlParts, host: str, tracking: tuple[str, ...] = ()) -> ProductAddress:
    """Return the address of a page without a known number. Its words and parameters identify the product."""
    fields = [
        each for each in parts.query if not (any_shop.is_tracking(each.name) or any_shop.is_named(each.name, tracking))
    ]
    fragment = _choosing_fragment(parts)
    path = parts.path
    market = ""
    refuse_two_numbers(path, fields)
    if (magento := magento_page(path, fields)) is not None:
        path, fields = magento
    if shopify := _SHOPIFY.fullmatch(path):
        sure = host.endswith(".myshopify.com") or shopify["collection"] is not None
        handle = shopify["handle"].lower() if sure else shopify["handle"]
        if sure and handle.endswith((".json", ".js", ".md")):
            raise ProductUrlError("is the product's data and not its page; leave out what follows the last dot")
        market, path = shopify["locale"] or "", f"/products/{handle}"
        fields = [each for each in fields if not any_shop.is_shopify_tracking(each.name, sure=sure)]
        fields = _with_single_values(fields, ("variant", "selling_plan"))
    elif host.endswith(".myshopify.com"):
        raise ProductUrlError("is no product page; give the page of one product, with /products/ and its name")
    if not path and not fields and not fragment.startswith(("/", "!")):
        raise ProductUrlError("is a shop's front page; give the page of one product")
    kept = sorted(fields, key=lambda each: each.key)  # stable: the order of two values of one name may matter to a shop
    variants = [each for each in kept if any_shop.chooses_variant(each.name)]
    offers = [each for each in kept if any_shop.chooses_offer(each.name)]
    rest = [
        each for each in kept if each not in variants and each not in offers and not any_shop.may_be_tracking(each.name)
    ]
    canonical = _with_query(f"{host}{market}{path}", list(dict.fromkeys(each.spelled for each in kept)))
    return ProductAddress(
        url=url,
        host=parts.host,
        retailer=registrable(host),
        product_id=None,
        canonical=f"{canonical}#{fragment}" if fragment else canonical,
        product=_with_query(f"{host}{path}", list(dict.fromkeys(each.spelled for each in rest)))
        + (f"#{fragment}" if fragment.startswith(("/", "!")) and not path.strip("/") else ""),
        choices=tuple((unquote(each.key), unquote(each.value)) for each in variants + offers)
        + ((("fragment", unquote(fragment)),) if fragment else ()),
        chooses_seller=bool(offers),
        chooses_variant=bool(variants or fragment),
    )


def _choosing_fragment(parts: UrlParts) -> str:
    """Return a fragment that may choose a variant or a page, without tracking fields; empty for any other fragment.

    PrestaShop 1.6 has `#/26-size-m`, Magento `#93=52&142=167`, single-page shops `#!/…` and `#/…`.
    """
    if parts.fragment.startswith(("/", "!")):
        return parts.fragment if parts.fragment.strip("/!") else ""
    fields = [each for each in parts.fragment_fields if not any_shop.is_tracking(each.name)]
    return "&".join(sorted(each.spelled for each in fields)) if any(each.value for each in fields) else ""


def _with_single_values(fields: list[Parameter], names: tuple[str, ...]) -> list[Parameter]:
    """Return fields without the empty ones among these names.

    Raises:
        ProductUrlError: one of these names has two values.
    """
    for name in names:
        if len({each.value for each in fields if each.name == name and each.value}) > 1:
            raise ProductUrlError(f"can be read in two ways: it has two values of {name}; give one")
    return [each for each in fields if each.value or each.name not in names]


def _refuse_links_elsewhere(parts: UrlParts) -> None:
    """Refuse short links, redirects, and any address that holds another address.

    Raises:
        ProductUrlError: it is one of these.
    """
    if any_shop.is_short(parts.host):
        raise ProductUrlError("is a short link; give the page it leads to")
    carried = [each for each in parts.query if not any_shop.is_tracking(each.name)]
    if parts.host.startswith("api.") and registrable(parts.host) != parts.host:
        raise ProductUrlError("is for programs and no page of a shop; give the page of one product")
    if any_shop.is_redirect(parts.host) or (
        _IMPACT.fullmatch(parts.path) is not None and any(each.name == "u" for each in carried)
    ):
        raise ProductUrlError("is a redirect link; give the page it leads to")
    for each in carried:
        if any_shop.holds_target(each.name, undone(each.value)) or any_shop.carries_address(undone(each.key)):
            raise ProductUrlError(
                f"carries another address in `{undone(each.key)[:40]}`, as redirect links do; give the page it leads "
                "to, or leave that parameter out"
            )
    if any_shop.carries_address(undone(parts.raw_path)) or any_shop.carries_address(undone(_choosing_fragment(parts))):
        raise ProductUrlError("carries another address in itself, as redirect links do; give the page it leads to")


def _advice(shop: Shop, host: str) -> str:
    return f"give the page of one product, such as https://www.{shop.part_of or host}{plain_page(shop)} with its number"


def _spelled(chosen: tuple[tuple[str, str], ...]) -> list[str]:
    by_name = sorted(chosen, key=lambda each: each[0])  # stable: the order of two values may matter to a shop
    return list(dict.fromkeys(f"{name}={value}" if value else name for name, value in by_name))


def _with_query(page: str, fields: list[str]) -> str:
    if not fields:
        return page
    return f"{page}{'&' if '?' in page else '?'}{'&'.join(fields)}"
