"""The catalogue of the sandbox: invented products at the addresses that shops use, with the special facts of each.

An order of one of them costs the price that this table states. Nothing is ever looked up at a shop.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from zinc_mcp.zinc.product_urls.reading import comparable, retailer_in

Options = tuple[tuple[str, str], ...]
"""The options of one variant: label and value of each."""


@dataclass(frozen=True, slots=True)
class Seller:
    """One offer of an item, in the words of Zinc's offers. Money is cents."""

    name: str
    price: int
    condition: str = "New"
    handling_days: tuple[int, int] = (1, 2)
    shipping: int = 0
    first_party: bool = False
    international: bool = False
    available: bool = True


@dataclass(frozen=True, slots=True)
class Item:
    """One product. `price` is in minor units of `currency`, or cents where that is None."""

    url: str
    retailer: str
    product_id: str
    title: str
    price: int | None
    brand: str = "Practice"
    words: str = ""
    """Further words by which a search finds it."""
    stars: float | None = None
    reviews: int | None = None
    available: bool | None = True
    free_shipping: bool = False
    currency: str | None = None
    description: str = ""
    features: tuple[str, ...] = ()
    own_options: Options = ()
    """The options of this very page, where each variant has a page of its own."""
    variants: tuple[Options, ...] = ()
    must_choose: bool = False
    sellers: tuple[Seller, ...] = ()
    digital: bool = False
    unreachable: bool = False
    hostile: bool = False
    """Its title is hostile text."""
    is_listed_elsewhere: str | None = None
    """The address that a search shows instead of its own: a redirect."""


_BEANS = "Whole beans from an invented roaster. Roasted on the day they are sold, in a bag with a valve."

ITEMS = (
    Item(
        "https://www.amazon.com/dp/B0SNDBXC01", "amazon", "B0SNDBXC01",
        "Practice Roasters whole bean coffee, medium roast, 2 lb", 1499, "Practice Roasters",
        "arabica", 4.6, 12_840, free_shipping=True, description=_BEANS,
        features=("100 % arabica, medium roast", "2 lb bag with a valve", "Roasted to order"),
        sellers=(
            Seller("Practice Mart", 1499, first_party=True),
            Seller("Second Cup Resale", 1150, "Used - Like New", (2, 4), 399),
            Seller("Corner Stock", 1399, "New", (3, 5), 250),
            Seller("Dented Tins", 700, "Unacceptable", (1, 1), 500),
            Seller("Beans Abroad", 1290, "New", (5, 9), 899, international=True),
        ),
    ),
    Item(
        "https://www.walmart.com/ip/9990000001", "walmart", "9990000001",
        "Practice Roasters whole bean coffee, dark roast, 40 oz", 1788, "Practice Roasters",
        "", 4.4, 3_051, description=_BEANS, features=("Dark roast", "40 oz"),
        sellers=(Seller("Practice Supercenter", 1788, first_party=True),),
    ),
    Item(
        "https://www.target.com/p/-/A-99900001", "target", "99900001",
        "Hillside whole bean coffee, light roast, 12 oz", 999, "Hillside", "", 4.7, 411,
    ),
    Item(
        "https://www.amazon.com/dp/B0SNDBXC02", "amazon", "B0SNDBXC02",
        "Hillside espresso, whole bean coffee, 2.2 lb", 2450, "Hillside", "", 4.5, 8_220, description=_BEANS,
    ),
    Item(
        "https://www.walmart.com/ip/9990000002", "walmart", "9990000002",
        "Morning Bell ground coffee, classic, 30 oz", 899, "Morning Bell", "", 4.2, 920,
    ),
    Item(
        "https://www.amazon.com/dp/B0SNDBXC03", "amazon", "B0SNDBXC03",
        "Morning Bell decaf whole bean coffee, 1 lb", 1199, "Morning Bell", "", 4.1, 77, available=False,
    ),
    Item(
        "https://practiceroasters.example/products/house-blend", "practiceroasters.example", "house-blend",
        "House blend whole bean coffee", 1600, "Practice Roasters", currency="USD",
        description="<p>Our <b>house blend</b>: chocolate &amp; orange.</p>",
        variants=((("Size", "12 oz"), ("Grind", "Whole bean")), (("Size", "2 lb"), ("Grind", "Whole bean"))),
        must_choose=True,
    ),
    Item(
        "https://www.wayfair.com/x/pdp/practice-coffee-table-w009990001.html", "wayfair", "W009990001",
        "Practice coffee table, oak", 18_900, "Practice Home", "", 4.0, 35,
    ),
    Item(
        "https://www.homedepot.com/p/practice-coffee-grinder/999000001", "homedepot", "999000001",
        "Burr coffee grinder for whole bean coffee, 12 cups", 3995, "Practice Tools", "", 4.3, 640,
    ),
    Item(
        "https://www.staples.com/practice-coffee/product_99900001", "staples", "99900001",
        "Office whole bean coffee, medium roast, case of 6 x 12 oz", 5940, "Practice Office", "", 4.2, 18,
    ),
    Item(
        "https://www.kohls.com/product/prd-9990001/practice-mugs.jsp", "kohls", "9990001",
        "Coffee mugs, stoneware, set of 4", 2400, "Practice Home", "", 4.8, 201,
    ),
    Item(
        "https://www.newegg.com/p/N82E16899900001", "newegg", "N82E16899900001",
        "Coffee filters, size 4, 200 pieces", None, "Practice Office",
    ),
    Item(
        "https://www.target.com/p/-/A-99900009", "target", "99900009",
        "Cold brew whole bean coffee, 10 oz, last season", 650, "Hillside", unreachable=True,
    ),
    Item(
        "https://www.walmart.com/ip/9990000003", "walmart", "9990000003",
        "", 1100, "Practice Roasters", "whole bean coffee hostile title", 5.0, 9, hostile=True,
    ),
    Item(
        "https://teashop.example/products/green-tea", "teashop.example", "green-tea",
        "Green tea, loose leaf, 100 g", 850, "Practice Tea", "coffee alternative",
        is_listed_elsewhere="https://www.awin1.com/cread.php?awinmid=1&ued=https%3A%2F%2Fteashop.example%2Fproducts%2Fgreen-tea",
    ),
    Item(
        "https://www.amazon.com/dp/B0SNDBXS01", "amazon", "B0SNDBXS01",
        "Practice cotton T-shirt, black, M", 1299, "Practice Wear", "shirt tshirt", 4.5, 2_410,
        own_options=(("Color", "Black"), ("Size", "M")),
        variants=(
            (("Color", "Black"), ("Size", "M")),
            (("Color", "Black"), ("Size", "L")),
            (("Color", "Navy"), ("Size", "M")),
        ),
        sellers=(Seller("Practice Mart", 1299, first_party=True), Seller("Open Box", 820, "Used - Very Good", (2, 3))),
    ),
    Item(
        "https://www.etsy.com/listing/9990000011/practice-mug", "etsy", "9990000011",
        "Handmade mug", 2600, "PracticePottery", "coffee mug handmade", currency="EUR",
        variants=((("Glaze", "Blue"),), (("Glaze", "Speckled"),)), must_choose=True,
    ),
    Item(
        "https://www.etsy.com/listing/9990000012/mug-pattern", "etsy", "9990000012",
        "Mug pattern, PDF download", 400, "PracticePottery", "coffee mug pattern", currency="USD", digital=True,
    ),
    Item(
        "https://www.amazon.com/dp/B0SNDBXE01", "amazon", "B0SNDBXE01",
        "A practice book about coffee, electronic edition", 999, "Practice Press", "ebook", 4.0, 3, digital=True,
    ),
    Item(
        "https://www.amazon.de/dp/B0SNDBXD01", "amazon-de", "B0SNDBXD01",
        "Toaster, 2 Scheiben, Edelstahl", 2999, "Practice Haus", "toaster", 4.3, 110,
    ),
    Item(
        "https://www.bestbuy.com/product/practice-headphones/J3SNDBX001", "bestbuy", "J3SNDBX001",
        "Practice wireless headphones", 7999, "Practice Sound", "", 4.4, 1_022,
        sellers=(Seller("Best Buy", 7999, first_party=True), Seller("Best Buy", 5599, "Refurbished")),
    ),
    Item(
        "https://membersonly.example/products/rice", "membersonly.example", "rice",
        "Jasmine rice, 25 lb", 2199, "Practice Foods",
    ),
    Item(
        "https://closedshop.example/products/lamp", "closedshop.example", "lamp",
        "Desk lamp", 3500, "Practice Light",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shop:
    """One shop, as `GET /retailers` and `GET /retailers/check` describe it."""

    domain: str
    retailer: str
    name: str
    support: str = "verified"
    platform: str | None = None
    ships_to: tuple[str, ...] = ()
    """Empty if Zinc states no countries."""
    guest_checkout: bool = True

    def refusal(self, country: str | None, *, has_account: bool) -> str | None:
        """Return the code with which an order there is refused; None if it is taken."""
        if self.support == "unsupported":
            return "unsupported_retailer"
        if country is not None and self.ships_to and country not in self.ships_to:
            return "retailer_country_not_supported"
        return None if self.guest_checkout or has_account else "guest_checkout_not_supported"


SHOPS = {
    shop.domain: shop
    for shop in (
        Shop("amazon.com", "amazon", "Amazon"),
        Shop("amazon.de", "amazon-de", "Amazon.de", "active"),
        Shop("bestbuy.com", "bestbuy", "Best Buy"),
        Shop("etsy.com", "etsy", "Etsy", "active"),
        Shop("homedepot.com", "homedepot", "The Home Depot"),
        Shop("kohls.com", "kohls", "Kohl's", "active"),
        Shop("newegg.com", "newegg", "Newegg", "active"),
        Shop("staples.com", "staples", "Staples", "active"),
        Shop("target.com", "target", "Target"),
        Shop("walmart.com", "walmart", "Walmart"),
        Shop("wayfair.com", "wayfair", "Wayfair", "active"),
        Shop("zinc.com", "zinc", "Zinc test products", "active"),
        Shop("practiceroasters.example", "practiceroasters", "Practice Roasters", "observed", "shopify", ("US", "CA")),
        Shop("teashop.example", "teashop", "Tea Shop", "observed", "shopify"),
        Shop("membersonly.example", "membersonly", "Members Only", "active", guest_checkout=False),
        Shop("closedshop.example", "closedshop", "Closed Shop", "unsupported"),
    )
}


REFUSALS = {
    "unsupported_retailer": "This retailer is not supported.",
    "retailer_country_not_supported": "This retailer does not ship to this country.",
    "guest_checkout_not_supported": "This retailer sells to its own customers only.",
}


@cache
def _by_address() -> dict[str, Item]:
    return {comparable(item.url): item for item in ITEMS}


def item_at(url: str) -> Item | None:
    """Return the item of the catalogue at an address, or None."""
    return _by_address().get(comparable(url))


def shop_at(url: str) -> Shop:
    """Return the shop of an address. Zinc tries a shop that it has never seen."""
    domain = retailer_in(url) or ""
    return SHOPS.get(domain) or Shop(domain, domain, domain, "untested")


def chosen(item: Item, variant: list[dict[str, Any]] | None) -> bool | None:
    """Say whether an order's options are one variant of an item; None if it gives none and needs none."""
    if not variant:
        return False if item.must_choose else None
    given = sorted((str(each["label"]), str(each["value"])) for each in variant)
    return any(sorted(options) == given for options in item.variants)
