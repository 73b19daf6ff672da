"""Read a product's address: its shop, its product, and the parts that choose a variant or an offer.

The check for repeated orders, the product look-up, the policy and the question all use this module. An address is sent
and shown as it was given; the canonical form is only for comparing. An ambiguous address is refused.
"""

import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Literal
from urllib.parse import unquote

from zinc_mcp.zinc.product_urls.any_shop import (
    address_by_words,
    choosing_fragment,
    is_named,
    is_tracking,
    refuse_links_elsewhere,
    refuse_lists,
)
from zinc_mcp.zinc.product_urls.likeness import likely_product
from zinc_mcp.zinc.product_urls.shops import SHOPS, Series, Shop
from zinc_mcp.zinc.product_urls.url_parts import (
    ProductAddress,
    ProductUrlError,
    UrlParts,
    host_in,
    registrable,
    split_url,
    undone,
    with_query,
)

_Chosen = tuple[tuple[str, str], ...]

_ALIASES = ("www", "m", "mobile", "www1")
_TOKEN = re.compile(r"<(?P<name>\w+)(?::(?P<form>[^>]*))?>|(?P<mark>[\[\]])|(?P<words>[^<\[\]]+)")
_QUERY = re.compile(r"\?(?![^<]*>)")
"""The question mark of a form, and not one of a regular expression in it."""
_WORDS = {"slug": "[^/]+", "any": "[^/]+(?:/[^/]+)*", "language": "[a-z]{2}(?:[-_][a-z]{2})?"}
_CAPTURED = frozenset({"id", "store", "suffix", "offer", "beside"})
_LOOKED_UP = {
    "amazon.com": ("amazon", "[A-Z0-9]{10}"),
    "amazon.co.uk": ("amazon-uk", "[A-Z0-9]{10}"),
    "amazon.ca": ("amazon-ca", "[A-Z0-9]{10}"),
    "amazon.de": ("amazon-de", "[A-Z0-9]{10}"),
    "amazon.com.mx": ("amazon-mx", "[A-Z0-9]{10}"),
    "amazon.fr": ("amazon-fr", "[A-Z0-9]{10}"),
    "walmart.com": ("walmart", "[0-9]+"),
    "bestbuy.com": ("bestbuy", "[A-Z][A-Z0-9]+"),  # the BSIN, not the SKU
    "etsy.com": ("etsy", "[0-9]+"),
}
"""Zinc's name of each shop with product look-ups, and the pattern of ids (SDK 2026.10.16, `GET /products/{id}`)."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A product page of a known shop. Values of parameters are spelled as in a query."""

    number: str
    page: str
    """The path of the product's page in its plain form."""
    variants: _Chosen = ()
    offers: _Chosen = ()
    rest: _Chosen = ()
    names_two: bool = False
    """Whether the path also holds another product's number."""
    ambiguous: str | None = None
    """The name of a relevant parameter that has two values."""


@dataclass(frozen=True, slots=True)
class _Form:
    path: re.Pattern[str]
    query: tuple[tuple[str, re.Pattern[str]], ...] = ()
    """Required parameters, in lower case."""


@lru_cache(maxsize=1024)  # several rules read the address of each product
def read_product_url(url: str) -> ProductAddress:
    """Read the address of a product page.

    Zinc asks for a link that leads to the product page and not to search results (Create Order, "Product URLs").

    Raises:
        ProductUrlError: it is not a product page, or it is ambiguous.
    """
    parts = split_url(url)
    shop, host = _shop_at(parts.host) or (None, parts.host)
    if shop is not None and (found := _numbered_page(shop, parts)) is not None:
        return _address_by_number(url, parts, shop, host, found)
    refuse_links_elsewhere(parts)
    refuse_lists(parts)
    if not parts.path and not parts.query and not choosing_fragment(parts):
        raise ProductUrlError("is a shop's front page; give the page of one product")
    if shop is None:
        return _below_a_shop(parts, address_by_words(url, parts, host))
    if shop.complete or _is_listed_as_no_product(shop, parts):
        plain = f"https://www.{shop.part_of or host}{shop.series[0].plain.format(id='...')}"
        raise ProductUrlError(
            f"is no product page of {shop.part_of or host} that is known here; "
            f"give the page of one product, such as {plain} with its number"
        )
    return address_by_words(url, parts, host, tracking=shop.tracking)


def shop_product(address: ProductAddress) -> tuple[str, str] | None:
    """Return Zinc's retailer and product id for a product look-up; None if the address does not hold them."""
    name, number = _LOOKED_UP.get(address.shop_host, ("", ""))
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


def _numbered_page(shop: Shop, parts: UrlParts) -> _Found | None:
    """Return the product page that an address of this shop names by its number; None if there is no number.

    Raises:
        ProductUrlError: it can be read in two ways.
    """
    if _is_listed_as_no_product(shop, parts):
        return None
    path = _without_parameters(parts.path)
    found = _find_page(shop, parts, path)
    names_two = found.names_two if found else any(len(_numbers_in(series, path)) > 1 for series in shop.series)
    if parts.hides_slash or names_two:
        raise ProductUrlError("can be read in two ways; give the plain page of one product")
    if found is None:
        return None
    if found.ambiguous is not None:
        raise ProductUrlError(f"can be read in two ways: it has two values of {found.ambiguous}; give one")
    return found


def _below_a_shop(parts: UrlParts, address: ProductAddress) -> ProductAddress:
    """Return the address of a page on an unknown host below a shop's host. It is likely the shop's own page.

    Raises:
        ProductUrlError: it can be read in two ways.
    """
    above = parts.host.partition(".")[2]
    while "." in above:
        row = _shop_at(above)
        if row is not None and (found := _numbered_page(row[0], parts)) is not None:
            same = _address_by_number(address.url, parts, *row, found)
            return replace(address, likely=same.likely)
        above = above.partition(".")[2]
    return address


def _address_by_number(url: str, parts: UrlParts, shop: Shop, host: str, found: _Found) -> ProductAddress:
    """Return the address of a page whose product number is known."""
    page = f"{host}{found.page}"
    numbered = f"{shop.hosts[0]}{found.page}" if shop.one_series else page
    product = with_query(numbered, _spelled(found.rest))
    return ProductAddress(
        url=url,
        host=parts.host,
        retailer=registrable(host),
        product_id=found.number,
        canonical=with_query(page, _spelled(found.variants + found.offers + found.rest)),
        product=product,
        # Where the parameters that choose a variant are known, the rest seldom makes another product.
        likely=likely_product(numbered if shop.variant else product, is_known=True),
        choices=tuple((name, unquote(value)) for name, value in found.variants + found.offers),
        chooses_seller=bool(found.offers),
        chooses_variant=bool(found.variants),
    )


def _spelled(chosen: tuple[tuple[str, str], ...]) -> list[str]:
    by_name = sorted(chosen, key=lambda each: each[0])  # stable: the order of two values may matter to a shop
    return list(dict.fromkeys(f"{name}={value}" if value else name for name, value in by_name))


def _shop_at(host: str) -> tuple[Shop, str] | None:
    """Return the row of a host's shop, and the shop's own host; None for an unknown host.

    A host below a shop's host is unknown unless it is one of the shop's aliases.
    """
    rows = _rows()
    labels = host.split(".")
    for cut in range(len(labels) - 1):
        own = ".".join(labels[cut:])
        if (shop := rows.get(own)) is not None:
            below = ".".join(labels[:cut])
            if not below or below in (*_ALIASES, *shop.aliases) or "*" in shop.aliases:
                return shop, shop.part_of or own
            return None
    return None


def _find_page(shop: Shop, parts: UrlParts, path: str) -> _Found | None:
    """Return the product page that an address of this shop names; None if it has none of the shop's forms."""
    given = _values(parts)
    twice: str | None = None
    for series in shop.series:
        for form in _forms(series):
            page = form.path.fullmatch(path)
            if page is None:
                continue
            captured = {name: text for name, text in page.groupdict().items() if text}
            for name, pattern in form.query:
                values = given.get(name, [])
                if len(values) > 1:
                    twice = name
                if len(values) != 1 or (match := pattern.fullmatch(undone(values[0]))) is None:
                    break
                captured |= {name: text for name, text in match.groupdict().items() if text}
            else:
                return _read_page(shop, series, path, captured, given, {name for name, _ in form.query}, parts)
    return None if twice is None else _Found("", "", ambiguous=twice)


def _is_listed_as_no_product(shop: Shop, parts: UrlParts) -> bool:
    """Say whether an address has one of the forms that only look like a product page of this shop."""
    return any(form.path.fullmatch(_without_parameters(parts.path)) for form in _no_product(shop))


def _without_parameters(path: str) -> str:
    """Return a path without the parameters of its segments, which servers cut off (RFC 3986, section 3.3)."""
    return "".join(f"/{segment.partition(';')[0]}" for segment in path.split("/") if segment)


def _read_page(
    shop: Shop,
    series: Series,
    path: str,
    captured: dict[str, str],
    given: dict[str, list[str]],
    named: set[str],
    parts: UrlParts,
) -> _Found:
    number = _number_of(series, captured)
    store = captured.get("store", "").lower()
    page = (f"/{store}" if store else "") + series.plain.format(id=number)
    variants: dict[str, str] = {}
    offers: dict[str, str] = {}
    rest: list[tuple[str, str]] = []
    ambiguous: str | None = None
    if "offer" in captured:
        offers[captured["offer"].lower()] = "1"
    renamed = dict(shop.renamed)
    for name, values in given.items():
        if name in named:
            continue
        counted = renamed.get(name, name)
        chosen = variants if counted in shop.variant else offers if counted in shop.offer else None
        if chosen is None:
            continue
        told = {value for value in values if value and not (name in shop.repeats and _same(series, value, number))}
        told |= {chosen[counted]} if counted in chosen else set()
        if len(told) > 1:
            ambiguous = name
        for value in told:
            chosen[counted] = value
    if shop.keeps_rest:
        read = named.union(shop.variant, shop.offer, renamed, shop.repeats)
        rest = [
            (each.key, each.value)
            for each in parts.query
            if not (each.name in read or is_tracking(each.name) or is_named(each.name, shop.tracking))
        ]
    others = _numbers_in(series, path) - {number, captured.get("beside")}
    others |= _numbers_given(shop, series, given, named) - {number}
    return _Found(number, page, _sorted(variants), _sorted(offers), tuple(rest), bool(others), ambiguous)


def _number_of(series: Series, captured: dict[str, str]) -> str:
    number = _cased(captured["id"], series.case).zfill(series.width)
    suffix = captured.get("suffix")
    return f"{number}-{suffix.upper()}" if suffix else number


def _same(series: Series, value: str, number: str) -> bool:
    return _cased(undone(value), series.case).zfill(series.width) == number


def _numbers_in(series: Series, path: str) -> set[str]:
    """Return the parts of a path that look like numbers of this series. Words of a slug are not among them."""
    matches = (pattern.fullmatch(segment) for segment in path.split("/") for pattern in _segments(series))
    numbers = {_number_of(series, match.groupdict()) for match in matches if match is not None}
    return {number for number in numbers if len(number) >= 7 and any(character.isdigit() for character in number)}


def _numbers_given(shop: Shop, series: Series, given: dict[str, list[str]], named: set[str]) -> set[str]:
    """Return numbers of this series from parameters that hold the product's number in another form of its page."""
    names = _names_of_numbers(series) - named.union(shop.offer)
    values = {_cased(undone(value), series.case) for name in names for value in given.get(name, [])}
    return {value.zfill(series.width) for value in values if re.fullmatch(series.number, value)}


def _values(parts: UrlParts) -> dict[str, list[str]]:
    """Return the different non-empty values of each parameter, for all spellings of its name."""
    values: dict[str, list[str]] = {}
    for each in parts.query:
        known = values.setdefault(each.name, [])
        if each.value and each.value not in known:
            known.append(each.value)
    return values


def _cased(text: str, case: Literal["upper", "lower", "kept"]) -> str:
    return text.upper() if case == "upper" else text.lower() if case == "lower" else text


def _sorted(chosen: dict[str, str]) -> _Chosen:
    return tuple(sorted(chosen.items()))


@cache
def _rows() -> dict[str, Shop]:
    return {host: shop for shop in SHOPS for host in shop.hosts}


@cache
def _forms(series: Series) -> tuple[_Form, ...]:
    templates = (series.plain.replace("{id}", "<id>"), *series.forms)
    return tuple(_compiled(template, series.number) for template in templates)


@cache
def _names_of_numbers(series: Series) -> frozenset[str]:
    """Return the names of the parameters that hold the product's number in some form of its page."""
    return frozenset(name for form in _forms(series) for name, pattern in form.query if "id" in pattern.groupindex)


@cache
def _no_product(shop: Shop) -> tuple[_Form, ...]:
    return tuple(_compiled(template, "") for template in shop.no_product)


@cache
def _segments(series: Series) -> tuple[re.Pattern[str], ...]:
    """Return the patterns of path segments that hold a number of this series."""
    found: set[str] = set()
    for template in (series.plain.replace("{id}", "<id>"), *series.forms):
        segments = [""]
        for token in _TOKEN.finditer(_QUERY.split(template)[0]):
            if token["words"] is not None:
                first, *more = token["words"].split("/")
                segments[-1] += re.escape(first)
                segments += map(re.escape, more)
            elif token["name"] is not None:
                segments[-1] += _piece(token, series.certain or series.number)
        found.update(segment for segment in segments if "(?P<id>" in segment)
    return tuple(re.compile(segment) for segment in sorted(found))


def _compiled(template: str, number: str) -> _Form:
    path, query = (*_QUERY.split(template), "")[:2]
    fields = [field.partition("=") for field in query.split("&") if field]
    return _Form(
        re.compile(_expression(path, number), re.IGNORECASE),
        tuple((name.lower(), re.compile(_expression(form, number), re.IGNORECASE)) for name, _, form in fields),
    )


def _expression(template: str, number: str) -> str:
    """Return a form as a regular expression."""
    return "".join(_piece(token, number) for token in _TOKEN.finditer(template))


def _piece(token: re.Match[str], number: str) -> str:
    if token["words"] is not None:
        return re.escape(token["words"])
    if token["mark"] is not None:
        return "(?:" if token["mark"] == "[" else ")?"
    name = token["name"]
    form = token["form"] or (number if name == "id" else _WORDS[name])
    return f"(?P<{name}>{form})" if name in _CAPTURED else f"(?:{form})"
