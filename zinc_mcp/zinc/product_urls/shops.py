"""The table of shops: the forms of their product pages, and the parameters that choose a variant or another offer.

There is one row for each shop. The sources are public lists of link-cleaning rules (ClearURLs, tidy-url, adfilt, Brave)
and public programs that read these shops. A page is written as a form: `<id>` is the shop's number,
`<slug>` one segment of words, `<any>` one or more segments, `<language>` a folder such as `en` or `en-ca`, `<_:...>` a
regular expression, and `[...]` may be missing. `<store>` names a shop within the shop, `<suffix>` belongs to the
number, `<beside>` is a number of another series, `<offer>` chooses another offer. The part after `?` must stand in the
query. Forms fit the whole path; the case of their words does not matter.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Product pages that share one series of numbers."""

    number: str
    """A regular expression for the number, as it is spelled after `case`."""
    plain: str
    """The shortest address of a page, with `{id}` for the number; it is itself one of the forms."""
    forms: tuple[str, ...] = ()
    case: Literal["upper", "lower", "kept"] = "upper"
    certain: str = ""
    """A stricter pattern that matches no word, if `number` could match words."""
    width: int = 0
    """The width to which shorter numbers are filled with zeros (GTIN-14)."""


@dataclass(frozen=True, slots=True, eq=False)
class Shop:
    """One row. Names of parameters are in lower case; one that ends with `*` is a beginning."""

    hosts: tuple[str, ...]
    """Each host is a separate shop with other stock, prices and sellers."""
    series: tuple[Series, ...]
    aliases: tuple[str, ...] = ()
    """Subdomains that are the same shop, besides `www`, `m` and `mobile`; `*` stands for every subdomain."""
    variant: tuple[str, ...] = ()
    """Parameters that choose a variant."""
    offer: tuple[str, ...] = ()
    """Parameters that choose a seller, a condition or another offer."""
    renamed: tuple[tuple[str, str], ...] = ()
    """Other names of the parameters above: the other name, and the name above."""
    repeats: tuple[str, ...] = ()
    """Parameters above that usually repeat the number in the path."""
    no_product: tuple[str, ...] = ()
    """Forms that look like product pages but are not."""
    complete: bool = True
    """Whether every product page has one of the forms. If so, all other addresses are refused."""
    tracking: tuple[str, ...] = ()
    """The shop's own tracking parameters; needed only if the forms are not complete or `keeps_rest` is set."""
    keeps_rest: bool = False
    """Whether all other parameters belong to the product."""
    part_of: str | None = None
    """The host of the shop that these pages belong to, if it is another one."""
    one_series: bool = False
    """Whether its hosts use the same numbers for the same products or listings."""


_AMAZON_ASIN = "[A-Z0-9]{10}"
_SESSION = "<_:(?:ref(?:=[^/]*)?|[0-9]{3}-[0-9]{7}-[0-9]{7}|[a-z0-9_]+-2[0-9])>"
_AFTER_ASIN = f"[/{_SESSION}][/{_SESSION}][/{_SESSION}]"
_AMAZON_FORMS = (
    "[/<slug>]/dp/<id>",
    "/dp/product/<id>",
    "[/<slug>]/gp/product/<id>",
    "/gp/product/glance/<id>",
    "/gp/product/glance/-/<id>",
    "/gp/aw/d/<id>",
    "/gp/aw/ol/<id>",
    "/gp/offer-listing/<id>",
    "/product/<id>",
    "/d/<id>",
    "/o/asin/<id>",
    "/exec/obidos/asin/<id>",
    "/exec/obidos/tg/detail/-/<id>",
)
_EBAY_COUNTRIES = "com ca co.uk de fr it es at ch ie nl be pl com.au com.sg com.my ph com.hk".split()
_NUMBER = "[1-9][0-9]{0,14}"

SHOPS = (
    Shop(
        hosts=tuple(
            f"amazon.{country}"
            for country in "com ca com.mx com.br co.uk ie de fr it es nl se pl com.be com.tr ae sa eg in sg com.au "
            "co.jp cn co.za".split()
        ),
        aliases=("smile", "business"),
        series=(
            Series(
                _AMAZON_ASIN,
                "/dp/{id}",
                tuple(f"[/-/<language>]{form}{_AFTER_ASIN}" for form in _AMAZON_FORMS),
                certain="B0[A-Z0-9]{8}|[0-9]{9}[0-9X]",
            ),
        ),
        # `th` and `psc` choose on the page of a family; an order says its variant in a field of its own.
        variant=("gpo", "customid"),  # the amount of a gift card, and the text of an engraving
        offer=("smid", "condition", "offerlistingid", "offeringid", "almbrandid"),
        renamed=(("m", "smid"), ("seller", "smid"), ("merchant", "smid")),
    ),
    Shop(
        hosts=("amzn.com",),
        part_of="amazon.com",
        series=(Series("B0[A-Z0-9]{8}|[0-9]{9}[0-9X]", "/dp/{id}", ("/<id>",)),),
    ),
    Shop(
        hosts=tuple(f"ebay.{country}" for country in _EBAY_COUNTRIES),
        aliases=("cgi",),
        series=(
            Series(
                "[1-9][0-9]{8,14}",
                "/itm/{id}",
                (
                    "/itm/<slug>/<id>",
                    "/ulk/itm/<id>",
                    "/ws/ebayisapi.dll?item=<id>",
                    # The number of the path is the catalogue's; the listing is in the query.
                    "/p[/<slug>]/<beside:[0-9]+>?iid=<id>",
                ),
            ),
        ),
        variant=("var",),
        one_series=True,
    ),
    Shop(
        hosts=("walmart.com", "business.walmart.com"),
        one_series=True,
        series=(Series("[1-9][0-9]{3,14}", "/ip/{id}", ("/ip/<slug>/<id>",)),),
        offer=("selectedsellerid", "selectedofferid", "conditiongroupcode"),
    ),
    Shop(
        hosts=("walmart.ca",),
        series=(
            Series(
                "(?=[A-Z]*[0-9])[A-Z0-9]{12}|6000[0-9]{8,11}",
                "/ip/{id}",
                ("[/<_:en|fr>]/ip/<id>", "[/<_:en|fr>]/ip/<slug>/<id>"),
            ),
        ),
        offer=("selectedsellerid", "selectedofferid"),
    ),
    Shop(
        hosts=("walmart.com.mx", "super.walmart.com.mx"),
        series=(Series("[0-9]{8,14}", "/ip/{id}", ("/ip/<slug>/<id>", "/ip/<slug>/<slug>/<id>"), width=14),),
        offer=("selectedsellerid", "selectedofferid"),
    ),
    Shop(
        hosts=("target.com",),
        series=(Series(_NUMBER, "/p/-/A-{id}", ("/p/<slug>/-/A-<id>", "/p/A-<id>", "/p/<slug>/A-<id>")),),
        variant=("preselect",),
        repeats=("preselect",),
    ),
    Shop(
        hosts=("bestbuy.com",),
        series=(
            Series(
                "[1-9][0-9]{3,9}",
                "/sku/{id}",
                (
                    "/sku/<id>/<offer:openbox>",
                    "/site/<id>.p[/<offer:openbox>]",
                    "/site/<slug>/<id>.p[/<offer:openbox>]",
                    "/site/olspage.jsp?skuid=<id>",
                    "/product/<slug>/<_:[A-Z0-9]{8,12}>/sku/<id>[/<offer:openbox>]",
                ),
            ),
            Series(
                "(?=[A-Z]*[0-9])[A-Z][A-Z0-9]{7,11}", "/product/-/{id}", ("/product/<slug>/<id>[/<offer:openbox>]",)
            ),
        ),
        variant=("skuid",),
        offer=("condition", "openbox"),
        repeats=("skuid",),
        no_product=("/site/<_:reviews|questions|promo|combo>/<any>",),
    ),
    Shop(
        hosts=("bestbuy.ca",),
        series=(
            Series(
                _NUMBER,
                "/en-ca/product/{id}",
                ("/<language>/<_:product|produit>/<id>", "/<language>/<_:product|produit>/<slug>/<id>"),
            ),
        ),
        complete=False,
    ),
    Shop(
        hosts=("homedepot.com",),
        series=(Series("[1-9][0-9]{5,11}", "/p/{id}", ("/p/<slug>/<id>", "/pep/<slug>/<id>", "/pep/<id>")),),
        no_product=("/p/<_:reviews|questions|rental>/<any>",),
    ),
    Shop(
        hosts=("homedepot.ca",),
        series=(Series("[1-9][0-9]{5,11}", "/product/{id}", ("/product/<slug>/<id>",)),),
        complete=False,
    ),
    Shop(
        hosts=("lowes.com",),
        series=(Series("[1-9][0-9]{3,14}", "/pd/{id}", ("/pd/<slug>/<id>", "/p/<slug>/<id>")),),
    ),
    Shop(
        hosts=("acehardware.com",),
        series=(
            Series("[0-9]{4,8}[A-Z]?", "/p/{id}", ("/departments/<any>/<id>",)),
            Series("[0-9]+", "/product/index.jsp?productId={id}"),
        ),
    ),
    Shop(
        hosts=("costco.com", "costco.ca"),
        series=(
            Series(
                "[1-9][0-9]{5,11}", "/p/-/{id}", ("/p/-/<slug>/<id>", "/<_:[^/]*>.product.<id>.html", "/p/<slug>/<id>")
            ),
        ),
    ),
    Shop(
        hosts=(
            "wayfair.com",
            "wayfair.ca",
            "wayfair.co.uk",
            "allmodern.com",
            "jossandmain.com",
            "birchlane.com",
            "perigold.com",
        ),
        series=(
            Series(
                "[A-Z]{1,4}[0-9]{3,12}",
                "/pdp/{id}.html",
                (
                    "[/<any>]/pdp/<_:[^/]*-><id>.html",
                    "[/<any>]/pdp/<id>.html",
                    "/v/product/show_pdp?sku=<id>",
                    "[/<any>]/<_:[^/]*>~<id>.html",
                ),
            ),
        ),
        variant=("piid",),
    ),
    Shop(
        hosts=("newegg.com", "newegg.ca", "neweggbusiness.com"),
        series=(
            Series(
                "N82E168[0-9]{8}[A-Z]{0,2}|9SI[A-Z0-9]{4,14}|[A-Z0-9]{3}-[A-Z0-9]{4}-[A-Z0-9]{5}",
                "/p/{id}",
                ("/<slug>/p/<id>", "/product/product.aspx?item=<id>"),
            ),
        ),
        offer=("item",),
        repeats=("item",),
    ),
    Shop(
        hosts=("macys.com", "bloomingdales.com"),
        series=(Series(_NUMBER, "/shop/product?ID={id}", ("/shop/product/<slug>?ID=<id>",)),),
        variant=("swatchcolor", "swatch", "upc_id"),
    ),
    Shop(
        hosts=("kohls.com",),
        series=(
            Series(
                "[0-9]+",
                "/product/prd-{id}",
                (
                    "/product/prd-<id>/<slug>",
                    "/product/prd-<id>.jsp",
                    "/kohlsStore/PRD~<id>[/<slug>]",
                    "/kohlsStore/<any>/PRD~<id>[/<slug>]",
                ),
            ),
        ),
        variant=("skuid", "color"),
    ),
    Shop(
        hosts=("staples.com",),
        series=(Series("[A-Z0-9]+", "/product_{id}", ("/<slug>/product_<id>",)),),
    ),
    Shop(
        hosts=("bhphotovideo.com",),
        series=(
            Series(
                "[0-9]+-[A-Z0-9]+",
                "/c/product/{id}",
                ("/c/product/<id>/<any>", "/bnh/controller/home?sku=<id:[0-9]+>&is=<suffix:[A-Z0-9]+>"),
            ),
        ),
    ),
    Shop(
        hosts=("chewy.com",),
        series=(Series("[1-9][0-9]{2,8}", "/dp/{id}", ("/<slug>/dp/<id>",)),),
    ),
    Shop(
        hosts=("etsy.com",),
        aliases=("*",),
        series=(Series(_NUMBER, "/listing/{id}", ("[/<language>]/listing/<id>", "[/<language>]/listing/<id>/<slug>")),),
        variant=("variation0", "variation1", "variation2", "variation3"),
    ),
    Shop(
        hosts=("1800flowers.com",),
        aliases=("ww11", "ww31", "m.ww11", "m.ww31"),
        # A category's address can end in digits as well, but it cannot be ordered.
        series=(Series("[0-9]{4,7}", "/-{id}", ("/<_:[^/]*>-<id>", "/product.do?basecode=<id>")),),
        no_product=("/international/<any>", "/searchterm/<any>"),
        complete=False,
        tracking=("r", "dataset", "cm_cid", "cm_mmc"),
    ),
    Shop(
        hosts=("pokemoncenter.com",),
        series=(
            Series(
                "[0-9]+-[0-9]+(?:-[0-9]+)?",
                "/product/{id}",
                ("[/<store:[a-z]{2}-[a-z]{2}>]/product/<id>[/<slug>]",),
            ),
        ),
    ),
    Shop(
        hosts=("walgreens.com",),
        series=(
            Series("(?:prod)?[0-9]+", "/store/c/-/ID={id}-product", ("/store/c/<slug>/ID=<id>-product",), case="lower"),
        ),
    ),
    Shop(
        hosts=("apple.com",),
        series=(
            Series(
                "[A-Z0-9]{5,9}/[A-Z]",
                "/shop/product/{id}",
                (
                    "[/<store:[a-z]{2}(?:-[a-z]+)?(?:/[a-z]{2})?>]/shop/product/<id>[/<slug>]",
                    "[/<store:[a-z]{2}(?:-[a-z]+)?(?:/[a-z]{2})?>]/xc/product/<id>",
                ),
            ),
        ),
        # A page that configures a product says the choice in words of its path.
        complete=False,
        tracking=("fnode", "cid", "afid", "aos_*", "at", "ct", "itsct", "itscg", "pt", "mt", "uo", "app", "ls"),
    ),
    Shop(
        hosts=("ikea.com",),
        series=(
            Series(
                "S?[0-9]{8}",
                "/p/-{id}",
                (
                    "[/<store:[a-z]{2}>[/<_:[a-z]{2}>]]/p/<_:[^/]*-><id>",
                    "/<store:[a-z]{2}>/<_:[a-z]{2}>/catalog/products/<id>",
                ),
            ),
        ),
    ),
    Shop(
        hosts=("sephora.com",),
        series=(Series("P[0-9]{3,9}", "/product/{id}", ("[/<store:ca/(?:en|fr)>]/product/[<_:[^/]*->]<id>",)),),
        variant=("skuid",),
        complete=False,
        tracking=("icid*",),
        keeps_rest=True,
    ),
    Shop(
        hosts=("aliexpress.com", "aliexpress.us"),
        aliases=tuple("ar de es fr he id it ja ko nl pl pt ru th tr vi".split()),
        series=(Series("[1-9][0-9]{7,16}", "/item/{id}.html", ("/i/<id>.html", "/item/<slug>/<id>.html")),),
        variant=("skuid", "pdp_ext_f"),  # the second holds a `sku_id`
        renamed=(("sku_id", "skuid"),),
        tracking=tuple(
            "algo_* curpageloguid pvid scm* ws_ab_test btsid utparam* aff_* gps-id terminal_id mall_affr".split()
        ),
        keeps_rest=True,
    ),
    Shop(
        hosts=("officedepot.com",),
        series=(Series(_NUMBER, "/a/products/{id}", ("/a/products/<id>/<slug>",)),),
        no_product=("/a/<_:browse|search>/<any>",),
        complete=False,
        keeps_rest=True,
    ),
    Shop(
        hosts=("zinc.com",),
        series=(Series("[A-Za-z0-9_-]+", "/shop/products/{id}", case="kept"),),
        no_product=("/shop",),
        keeps_rest=True,
        complete=False,
    ),
)
