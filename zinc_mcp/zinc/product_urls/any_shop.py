"""Rules for addresses of any shop: parameters, short links, redirects, and the routes of the common shop systems.

The tracking parameters are those that at least two of four public lists of link-cleaning rules (ClearURLs, tidy-url,
adfilt, Brave) drop on every host, and those whose names can mean nothing else. `ref`, `tag`, `id` and the like are not
among them: in some shops they are the product's own number.

The routes (carts, searches, categories, Magento's product pages) are those of Magento 2, PrestaShop, WooCommerce,
Shopify, OpenCart and Zen Cart as they ship. A rule stands here only if it can mean nothing else in an unknown shop:
`/collections/mugs` and `/search/mug-12` are accepted.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from urllib.parse import unquote

from zinc_mcp.zinc.product_urls.likeness import likely_product
from zinc_mcp.zinc.product_urls.url_parts import (
    Parameter,
    ProductAddress,
    ProductUrlError,
    UrlParts,
    registrable,
    undone,
    with_query,
)

_TRACKING = frozenset(
    "itm_source itm_medium itm_campaign itm_content itm_term int_source gclid gclsrc gbraid wbraid dclid gad_source "
    "gad_campaignid srsltid fbclid fb_action_ids fb_source fb_ref msclkid yclid ysclid twclid ttclid _gl mc_cid mc_eid "
    "mc_tc mkt_tok _hsenc _hsmi __hssc __hstc __hsfp hsctatracking vero_id vero_conv oly_enc_id oly_anon_id wickedid "
    "rb_clickid s_cid _openstat _kx _bhlid ml_subscriber ml_subscriber_hash _branch_match_id _branch_referrer irgwc "
    "cm_mmc cm_re cm_sp wt_mc wt_zmc sms_click sms_source sms_uph cmpid _ga spm irclickid ck_subscriber_id h_sid h_slt "
    "igshid igsh epik cjevent cjdata ranmid raneaid ransiteid awc sscid clickref wmlspartner dm_i rdt_cid li_fat_id "
    "sccid avad om_mmc".split()
)
_TRACKING_BEGIN = ("utm_", "mtm_", "pk_", "ga_", "hsa_", "otm_", "hmb_", "shrsl_", "cm_mmca")

_PERHAPS_TRACKING = frozenset(
    "ref referrer referer tag source src from campaign clickid click_id afid affid aff_id cid trk mcid emcid "
    "admitad_uid tduid sharedid subid".split()
)
"""Tracking parameters in most shops, and the product's own in some. They are kept, but two addresses that differ only
in these count as likely the same product."""

_SHOPIFY_TRACKING = frozenset(
    "_pos _sid _ss _psq _fid _v _x pr_prod_strat pr_rec_id pr_rec_pid pr_ref_pid pr_seq shpxid nosto nosto_source "
    "syclid".split()
)
_SHOPIFY = re.compile(
    r"(?P<locale>/[a-z]{2}(?:-[a-z]{2,4})?)?(?P<collection>/collections/[^/]+)?/products/(?P<handle>[^/]+)"
)
_SURE_SHOPIFY_TRACKING = frozenset({"ref", "currency", "country"})

_VARIANT = frozenset(
    "variant variantid variant_id var color colour size style piid preselect selected option options sku skuid "
    "sku_id".split()
)
_VARIANT_BEGIN = ("option", "attribute_", "attribute[", "dwvar_", "variation", "selected")
_OFFER = frozenset(
    "seller sellerid seller_id smid offer offerid offer_id condition selling_plan sellingplan subscription "
    "merchant".split()
)

_ONE_NUMBER = frozenset(
    "id pid productid product_id product-id prodid prod_id product id_product id_product_attribute products_id item "
    "itemid item_id item-id itemno item_no itemnumber art artnr art_nr artikel artikelnr artikel_nr artikelnummer "
    "article articleid article_id articlenumber goods_id goodsid asin ean gtin upc isbn mpn sku skuid sku_id variant "
    "variantid variant_id partnumber part_number modelnumber color colour size dp ip".split()
) | (_OFFER - {"subscription"})

_SHORT = frozenset(
    "a.co amzn.to amzn.eu amzn.asia amzn.in amzn.com amzlink.to amzlink.eu ebay.us ebay.to walmrt.us w-mt.co tgt.biz "
    "bby.me thd.co low.es etsy.me bit.ly bitly.com j.mp tinyurl.com t.co goo.gl maps.app.goo.gl ow.ly buff.ly is.gd "
    "v.gd rb.gy cutt.ly shorturl.at lnkd.in geni.us buy.geni.us fave.co rstyle.me shopstyle.it liketk.it ltk.app.link "
    "linktr.ee dlvr.it trib.al s.click.aliexpress.com pin.it fb.me youtu.be tiny.cc t.ly rebrand.ly shope.ee "
    "apple.co a.aliexpress.com bhpho.to swoo.sh fkrt.it shp.ee msft.it aka.ms g.co adf.ly bl.ink "
    "dub.sh s.id tr.ee lnk.to lnk.bio qrco.de snip.ly soo.gd clck.ru vk.cc u.to urlz.fr ift.tt flip.it po.st wp.me "
    "short.gy kutt.it x.gd tny.im hubs.ly hubs.la spoo.me shorturl.gg surl.li".split()
)
_SHORT_END = (".page.link", ".app.link", ".app.goo.gl")
_REDIRECT = frozenset(
    "awin1.com zenaps.com click.linksynergy.com linksynergy.walmart.com anrdoezrs.net dpbolvw.net jdoqocy.com "
    "kqzyfj.com tkqlhce.com shareasale.com pntra.com pntrac.com pntrs.com pjtra.com pjatr.com gopjn.com "
    "c.pepperjamnetwork.com avantlink.com tradedoubler.com clk.tradedoubler.com track.effiliation.com adtraction.com "
    "track.adtraction.com prf.hn track.webgains.com go.skimresources.com go.redirectingat.com redirect.viglink.com "
    "shop-links.co narrativ.com howl.me digidip.net ck.jp.ap.valuecommerce.com rd.bizrate.com rd.connexity.net "
    "cat.criteo.com ad.doubleclick.net bttn.io target.georiot.com l.facebook.com lm.facebook.com l.instagram.com "
    "out.reddit.com t.umblr.com urldefense.com click.pstmrk.it rover.ebay.com s.amazon-adsystem.com "
    "deeplink-bh.datafeedfile.com goto.target.com goto.walmart.com affil.walmart.com web.archive.org".split()
)
_REDIRECT_END = (
    ".7eer.net",
    ".evyy.net",
    ".pxf.io",
    ".sjv.io",
    ".ojrq.net",
    ".attfm2.net",
    ".vzew.net",
    ".qflm.net",
    ".iyhh.net",
    ".safelinks.protection.outlook.com",
    ".cdn.ampproject.org",
    ".translate.goog",
    ".awstrack.me",
    ".digidip.net",
)
_REDIRECT_START = re.compile(r"(?:clicks?|clk|trk|tracking|redirect|redir)\.(?:[^.]+\.)+[^.]+")
"""Hosts where shops and their mailers count clicks."""
_TARGETS = frozenset(
    "url u rd murl ued mpre location redirect redirect_url redirecturl redirect_to redirect_uri redir dest destination "
    "target goto deeplink vc_url btn_url adurl gr_url urllink _td_deeplink".split()
)
_IMPACT = re.compile(r"/[cm]/[0-9]+/[0-9]+/[0-9]+(?:/.*)?")
_SCHEME = re.compile(r"https?:[/\\]", re.IGNORECASE)
_BARE_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}/", re.IGNORECASE)
_NO_SCHEME = re.compile(r"[/\\]{2}[a-z0-9-]+\.[a-z]", re.IGNORECASE)


def is_tracking(name: str) -> bool:
    """Say whether a parameter, in lower case, is a tracking parameter in any shop."""
    return name in _TRACKING or name.startswith(_TRACKING_BEGIN)


def is_named(name: str, names: tuple[str, ...]) -> bool:
    """Say whether a name is among `names`, in which a trailing `*` stands for any ending."""
    return any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in names)


def refuse_links_elsewhere(parts: UrlParts) -> None:
    """Refuse short links, redirects, and any address that holds another address.

    Raises:
        ProductUrlError: it is one of these.
    """
    if parts.host in _SHORT or parts.host.endswith(_SHORT_END):
        raise ProductUrlError("is a short link; give the page it leads to")
    carried = [each for each in parts.query if not is_tracking(each.name)]
    if parts.host.startswith("api.") and registrable(parts.host) != parts.host:
        raise ProductUrlError("is for programs and no page of a shop; give the page of one product")
    if (
        parts.host in _REDIRECT
        or parts.host.endswith(_REDIRECT_END)
        or _REDIRECT_START.fullmatch(parts.host)
        or (_IMPACT.fullmatch(parts.path) and any(each.name == "u" for each in carried))
    ):
        raise ProductUrlError("is a redirect link; give the page it leads to")
    for each in carried:
        if _holds_target(each.name, undone(each.value)) or _SCHEME.search(undone(each.key)):
            raise ProductUrlError(
                f"carries another address in `{undone(each.key)[:40]}`, as redirect links do; give the page it leads "
                "to, or leave that parameter out"
            )
    if _SCHEME.search(undone(parts.raw_path)) or _SCHEME.search(undone(choosing_fragment(parts))):
        raise ProductUrlError("carries another address in itself, as redirect links do; give the page it leads to")


def _holds_target(name: str, value: str) -> bool:
    """Say whether a parameter (name in lower case, value without escapes) holds the address of another page."""
    return (
        _SCHEME.search(value) is not None
        or _NO_SCHEME.match(value) is not None
        or (name in _TARGETS and (value[:1] in ("/", "\\") or _BARE_HOST.match(value) is not None))
    )


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
_MAGENTO_ORIGIN = frozenset({"s", "category"})
"""The product's words, and the category that a visitor came from. Neither chooses anything."""


def refuse_lists(parts: UrlParts) -> None:
    """Refuse an address that is not the page of one product in any shop.

    Raises:
        ProductUrlError: it is a page of search results, a cart, an action on a cart, a category or a list.
    """
    given = {each.name: undone(each.value).lower() for each in parts.query}
    segments = {segment.lower() for segment in parts.path.split("/")}
    front = parts.path.lower() in _FRONT
    if _searches(given, segments):
        raise ProductUrlError("is a page of search results; give the page of one product")
    if _fills_cart(parts.path, given):
        raise ProductUrlError("is a cart or fills one; give the page of one product")
    if _lists(parts, given, front=front):
        raise ProductUrlError("is a list or another page without one product; give the page of one product")


def refuse_two_numbers(path: str, fields: Sequence[Parameter]) -> None:
    """Refuse an address with two different numbers for one product, seller or variant.

    Of two values of one parameter, some servers use the first, some the last, some both.

    Raises:
        ProductUrlError: a parameter with such a number has two values.
    """
    values: dict[str, set[str]] = {}
    for each in fields:
        if each.value and each.name in _ONE_NUMBER:
            values.setdefault(each.name, set()).add(each.value)
    segments = path.split("/")
    for name, value in pairwise(segments):
        if name.lower() in _ONE_NUMBER and any(map(str.isdigit, value)):
            values.setdefault(f"/{name.lower()}/", set()).add(value)
    for name, told in values.items():
        if len(told) > 1:
            raise ProductUrlError(f"can be read in two ways: it has two values of {undone(name)}; give one")


def magento_page(path: str, fields: Sequence[Parameter]) -> tuple[str, list[Parameter]] | None:
    """Return a Magento product page in one spelling, and its other parameters; None if it is not one.

    Magento reads the pairs of the path and the query as one set of parameters, so either may hold the number.

    Raises:
        ProductUrlError: it names two products, or none.
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
        raise ProductUrlError(many if numbers else "names no product; give the page of one product")
    before = re.sub("/index[.]php$", "", page["before"], flags=re.IGNORECASE)
    rest = sorted(pair for pair in pairs if pair[0].lower() not in _MAGENTO_ORIGIN | {"id"})
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
    bare = all(is_tracking(name) for name in given) and not parts.fragment.startswith(("/", "!"))
    return (
        _LIST.fullmatch(parts.path) is not None
        or (bare and _EMPTY_LIST.fullmatch(parts.path) is not None)
        or (given.get("controller") in _PRESTASHOP_LISTS and "id_product" not in given)
        or (front and "id_category" in given and "id_product" not in given)
        or given.get("route", "").startswith(_OPENCART_LISTS)
        or (front and given.get("main_page") in _ZEN_CART_LISTS)
        or (front and not {"product_cat", "product_tag"}.isdisjoint(given) and "product" not in given)
    )


def address_by_words(url: str, parts: UrlParts, host: str, tracking: tuple[str, ...] = ()) -> ProductAddress:
    """Return the address of a page without a known number. Its words and parameters identify the product."""
    fields = [each for each in parts.query if not (is_tracking(each.name) or is_named(each.name, tracking))]
    fragment = choosing_fragment(parts)
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
        fields = [
            each
            for each in fields
            if each.name not in _SHOPIFY_TRACKING and not (sure and each.name in _SURE_SHOPIFY_TRACKING)
        ]
        fields = _with_single_values(fields, ("variant", "selling_plan"))
    elif host.endswith(".myshopify.com"):
        raise ProductUrlError("is no product page; give the page of one product, with /products/ and its name")
    if not path and not fields and not fragment.startswith(("/", "!")):
        raise ProductUrlError("is a shop's front page; give the page of one product")
    kept = sorted(fields, key=lambda each: each.key)  # stable: the order of two values of one name may matter to a shop
    variants = [each for each in kept if each.name in _VARIANT or each.name.startswith(_VARIANT_BEGIN)]
    offers = [each for each in kept if each.name in _OFFER]
    rest = [each for each in kept if each not in variants and each not in offers and each.name not in _PERHAPS_TRACKING]
    canonical = with_query(f"{host}{market}{path}", list(dict.fromkeys(each.spelled for each in kept)))
    product = with_query(f"{host}{path}", list(dict.fromkeys(each.spelled for each in rest)))
    if fragment.startswith(("/", "!")) and not path.strip("/"):
        product += f"#{fragment}"
    return ProductAddress(
        url=url,
        host=parts.host,
        retailer=registrable(host),
        product_id=None,
        canonical=f"{canonical}#{fragment}" if fragment else canonical,
        product=product,
        likely=likely_product(product, is_known=False),
        choices=tuple((unquote(each.key), unquote(each.value)) for each in variants + offers)
        + ((("fragment", unquote(fragment)),) if fragment else ()),
        chooses_seller=bool(offers),
        chooses_variant=bool(variants or fragment),
    )


def choosing_fragment(parts: UrlParts) -> str:
    """Return a fragment that may choose a variant or a page, without tracking fields; empty for any other fragment.

    PrestaShop 1.6 has `#/26-size-m`, Magento `#93=52&142=167`, single-page shops `#!/…` and `#/…`.
    """
    if parts.fragment.startswith(("/", "!")):
        return parts.fragment if parts.fragment.strip("/!") else ""
    fields = [each for each in parts.fragment_fields if not is_tracking(each.name)]
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
