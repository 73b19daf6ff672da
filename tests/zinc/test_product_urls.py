"""Product addresses are read in one way: as one purchase, as two, or as no product page."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from hypothesis import given
from hypothesis import strategies as st
from wanted import ADDRESS, intent

from zinc_mcp.checkout import place_order
from zinc_mcp.zinc.product_urls.reading import comparable, read_product_url, retailer_in, shop_product
from zinc_mcp.zinc.product_urls.url_parts import ProductUrlError

CORPUS = Path(__file__).parent / "twin_corpus"


def refusal(url: str) -> str | None:
    """Return the reason why an address is refused, or None."""
    try:
        read_product_url(url)
    except ProductUrlError as error:
        return str(error)
    return None


def canonical(url: str) -> str:
    return read_product_url(url).canonical


NOT_A_PAGE = {
    "": "is not a URL",
    "amazon": "is not a URL",
    "www.amazon.com/dp/B07JGBW826": "is not a URL",
    "https://": "is not a URL",
    "https:///dp/B07JGBW826": "is not a URL",
    "https://[::1/dp": "is not a URL",
    "https://[::1]/dp/1": "is not a URL",
    "https://amazon.com:x/dp/1": "is not a URL",
    "https://amazon.com:99999/dp/1": "is not a URL",
    "https://amazon..com/dp/1": "is not a URL",
    "https://.amazon.com/dp/1": "is not a URL",
    "https://am%61zon.com/dp/1": "is not a URL",
    # One reader of URLs sees evil.example here, another one amazon.com.
    "https://evil.example\\.amazon.com/dp/1": "is not a URL",
    "https://evil.example\\@amazon.com/dp/1": "must not carry a user name",
    "https://stra\u00dfe.de/p/1": "is not a URL",
    f"https://{'a' * 64}\u00e9.com/p/1": "is not a URL",
    "http://www.amazon.com/dp/1": "must start with https://",
    "ftp://www.amazon.com/dp/1": "must start with https://",
    "javascript://amazon.com/dp/1": "must start with https://",
    "//www.amazon.com/dp/1": "must start with https://",
    "https://user@amazon.com/dp/1": "must not carry a user name",
    "https://user:secret@amazon.com/dp/1": "must not carry a user name, a password or a port",
    "https://@amazon.com/dp/1": "must not carry a user name",
    "https://amazon.com:8443/dp/1": "or a port",
    "https://localhost/dp/1": "public host",
    "https://127.0.0.1/dp/1": "public host",
    "https://127.1/dp/1": "public host",
    "https://0x7f.0x1/dp/1": "public host",
    "https://2130706433/dp/1": "public host",
    "https://amazon.com/dp/1 2": "spaces or invisible",
    "https://amazon.com/dp/1\n": "spaces or invisible",
    "https://amazon.com/dp/\u202e1": "spaces or invisible",
    "https://ama\u200bzon.com/dp/1": "spaces or invisible",
    "https://amazon.com/\ud800": "spaces or invisible",
    "https://amazon.com": "front page",
    "https://www.amazon.com/": "front page",
    "https://www.amazon.com/#deals": "front page",
    "https://www.amazon.com/s?k=mouse": "search results",
    "https://shop.example/?s=mug&post_type=product": "search results",
    "https://shop.example/shop/?post_type=product&s=mug&product_cat=0": "search results",
    "https://shop.example/en/search?controller=search&s=helmet": "search results",
    "https://shop.example/index.php?controller=search&search_query=helmet": "search results",
    "https://shop.example/recherche?s=velo": "search results",
    "https://shop.example/suche?search=lampe": "search results",
    "https://shop.example/catalogsearch/result/?q=earl+grey": "search results",
    "https://api.bestbuy.com/click/-/6512345/pdp": "is for programs",
    "https://api.shop.example/products/12": "is for programs",
    "https://apple.co/4aBcDeF": "short link",
    "https://swoo.sh/3abcdef": "short link",
    "https://a.aliexpress.com/_mABCDEF": "short link",
    "https://www.amazon.com/s/?K=mouse": "search results",
    "https://www.amazon.com/-/es/s?k=mouse": "search results",
    "https://www.walmart.com/search?q=mouse": "search results",
    "https://www.ebay.com/sch/i.html?_nkw=mouse": "search results",
    "https://www.bestbuy.com/site/searchpage.jsp?st=mouse": "search results",
    "https://www.target.com/s?searchTerm=mouse": "search results",
    "https://amzn.to/3abcdef": "short link",
    "https://a.co/d/abcdef1": "short link",
    f"https://amazon.com/{'x' * 2048}": "longer than 2048",
}

PAGES = {
    "https://www.amazon.com/dp/B07JGBW826": "amazon.com",
    "HTTPS://WWW.Amazon.COM:443/dp/B07JGBW826": "amazon.com",
    "https://smile.amazon.com./dp/B07JGBW826": "amazon.com",
    "https://www.amazon.co.uk/dp/B07JGBW826": "amazon.co.uk",
    "https://www.amazon.com/s/dp/B07JGBW826": "amazon.com",
    "https://www.amazon.com/dp/B07JGBW826?keywords=mouse": "amazon.com",
    "https://zinc.com/shop/products/test-success": "zinc.com",
    "https://mugs.myshopify.com/products/mug": "mugs.myshopify.com",
    "https://cups.myshopify.com/products/mug": "cups.myshopify.com",
    "https://shop.example/?product=5": "shop.example",
    "https://b\u00fccher.de/p/1": "xn--bcher-kva.de",
    "https://B\u00dcCHER.de/p/1": "xn--bcher-kva.de",
    "https://xn--bcher-kva.de/p/1": "xn--bcher-kva.de",
    "https://\u4e66\u3002\u4e2d\u56fd/p/1": "xn--1jq.xn--fiqs8s",
    "https://amazon.com.evil.example/dp/B07JGBW826": "evil.example",
    "https://shop.example/caf\u00e9/1?q=\u00e9": "shop.example",
}


@pytest.mark.parametrize("url", NOT_A_PAGE)
def test_an_address_that_cannot_be_a_product_page_is_refused_with_a_reason(url: str) -> None:
    told = refusal(url)
    assert told is not None
    assert NOT_A_PAGE[url] in told
    assert "secret" not in told


@pytest.mark.parametrize("url", PAGES)
def test_a_product_page_has_one_retailer(url: str) -> None:
    address = read_product_url(url)
    assert address.url == url
    assert address.retailer == retailer_in(url) == PAGES[url]


@pytest.mark.parametrize("host", ["shop.example", "www.shop.example", "SHOP.EXAMPLE", "shop.example."])
def test_spellings_of_a_host_are_one(host: str) -> None:
    assert read_product_url(f"https://{host}/p").host == "shop.example"


SAME_PAGE = [
    (
        "https://www.amazon.com/dp/B07JGBW826",
        "https://amazon.com/dp/B07JGBW826/",
        "https://www.amazon.com:443/dp/b07jgbw826#reviews",
        "https://smile.amazon.com/gp/product/B07JGBW826?psc=1&th=1",
        "https://business.amazon.com/dp/B07JGBW826?ref_=ast",
        "https://www.amazon.com/Some-Words/dp/B07JGBW826/ref=sr_1_3?crid=1&keywords=words&qid=5&sr=8-3&tag=x-20",
        "https://www.amazon.com/Other-Words/dp/B07JGBW826?utm_source=x&pd_rd_w=y&pf_rd_p=z&_encoding=UTF8",
        "https://www.amazon.com/gp/aw/d/B07JGBW826",
    ),
    (
        "https://www.ebay.com/itm/123456789012?var=5",
        "https://ebay.com/itm/A-Mouse/123456789012?_trkparms=a%3Db&hash=item1&var=5&mkcid=1",
    ),
    ("https://www.walmart.com/ip/123456789", "https://walmart.com/ip/A-Mouse/123456789?athbdg=L1600&from=/search"),
    (
        "https://shop.example/p/1?colour=red&size=m",
        "https://SHOP.example/p/1/?size=m&colour=red",
        "https://shop.example/p/1?size=m&utm_medium=cpc&gclid=abc&colour=red&fbclid=def&UTM_Term=x#top",
        "https://shop.example/%70/1?%63olour=red&&size=m",
    ),
    ("https://shop.example/caf\u00e9?q=a+b", "https://shop.example/caf%c3%a9?q=a%20b"),
    ("https://b\u00fccher.de/p/1", "https://xn--bcher-kva.de/p/1", "https://www.B\u00dcCHER.de/p/1"),
]

OTHER_PAGES = [
    ("https://www.amazon.com/dp/B07JGBW826", "https://www.amazon.com/dp/B07JGBW827"),
    ("https://www.amazon.com/dp/B07JGBW826", "https://www.amazon.de/dp/B07JGBW826"),
    ("https://www.amazon.com/dp/B07JGBW826", "https://www.amazon.com/dp/B07JGBW826?smid=A1SELLER"),
    ("https://www.amazon.com/dp/B07JGBW826?m=A1", "https://www.amazon.com/dp/B07JGBW826?m=A2"),
    ("https://www.ebay.com/itm/123456789012?var=5", "https://www.ebay.com/itm/123456789012?var=6"),
    ("https://www.walmart.com/ip/1234567", "https://www.walmart.com/ip/1234567?selectedSellerId=5"),
    ("https://shop.example/p/1", "https://shop.example/p/2"),
    ("https://shop.example/p/1", "https://shop.example/P/1"),
    ("https://shop.example/p?id=1", "https://shop.example/p?id=2"),
    ("https://shop.example/p?ref=1", "https://shop.example/p?ref=2"),  # in Spanish shops the product's number
    ("https://shop.example/p?tag=red", "https://shop.example/p?tag=blue"),
    ("https://shop.example/p?id=", "https://shop.example/p"),
    ("https://shop.example/p?a=1&a=2", "https://shop.example/p?a=1"),
    ("https://shop.example/p?a=1%26b=2", "https://shop.example/p?a=1&b=2"),
    ("https://shop.example/p?a=1%2B1", "https://shop.example/p?a=1+1"),
    ("https://shop.example/p%3Fa=1", "https://shop.example/p?a=1"),
    ("https://shop.example/a%2Fb", "https://shop.example/a/b"),
    ("https://shop.example/%83%8F", "https://shop.example/%83%90"),  # Shift JIS: not UTF-8, and not the same
    ("https://shop.example/p?i=%FF", "https://shop.example/p?i=%FE"),
    ("https://one.myshopify.com/products/mug", "https://two.myshopify.com/products/mug"),
    ("https://evil.example/dp/B07JGBW826", "https://amazon.com/dp/B07JGBW826"),
]


@pytest.mark.parametrize("urls", SAME_PAGE, ids=lambda urls: urls[0])
def test_one_product_page_in_many_spellings_is_one(urls: tuple[str, ...]) -> None:
    assert len({canonical(url) for url in urls}) == 1


@pytest.mark.parametrize(("one", "other"), OTHER_PAGES)
def test_two_product_pages_are_two(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


TWO_WAYS = [
    "https://www.amazon.com/dp/B07JGBW826/../B0EVIL0000",
    "https://www.amazon.com/dp/B07JGBW826/%2e%2E/B0EVIL0000",
    "https://www.amazon.com/dp/B07JGBW826/%252e%252e/B0EVIL0000",
    "https://www.amazon.com/dp/./B07JGBW826",
    "https://www.amazon.com/x/dp/B07JGBW826/dp/B0EVIL0000",
    "https://www.amazon.com/B0EVIL0000/dp/B07JGBW826",
    "https://www.amazon.com/a%2Fb/dp/B07JGBW826",
    "https://www.amazon.com/a%5Cb/dp/B07JGBW826",
    "https://www.amazon.com/dp\\B07JGBW826",
    "https://www.amazon.com/dp/B07JGBW826%00",
    "https://www.amazon.com/dp/B07JGBW826?smid=A1&smid=A2",
    "https://www.amazon.com/dp/B07JGBW826?smid=A1&m=A2",
    "https://www.target.com/p/A-12345678/-/A-12345679",
    "https://www.etsy.com/listing/1035684640/1035684641",
    "https://www.macys.com/shop/product?ID=12&ID=13",
    "https://www.macys.com/shop/product?ID=12&id=13",
    "https://www.walmart.com/ip/1234567?selectedSellerId=5&selectedSellerId=6",
    "https://shop.example/products/a/../b",
    "https://shop.example/products/a/..;x=1/b",
    "https://shop.example/products/a%2F..%2Fb",
    "https://shop.example/products/a?x=%0d%0a",
    "https://shop.example/products/mug?variant=1&variant=2",
    "https://shop.example/shop.php?artnr=4711&artnr=4712",
    "https://shop.example/shop.php?artnr=4711&ArtNr=4712",
    "https://shop.example/p?id=1&id=2",
    "https://shop.example/p?sku=A1&colour=red&sku=A2",
    "https://shop.example/p?seller=1&seller=2",
    "https://shop.example/mug?color=red&color=blue",
    "https://shop.example/product/12/related/product/13",
    "https://shop.example/p/view/id/12/id/13",
    "https://shop.example/item/A1/sku/5/item/A2",
    "https://shop.example/catalog/product/view/id/1234/id/5678",
    "https://shop.example/catalog/product/view/id/1234?id=5678",
    "https://www.bestbuy.com/site/mouse/6512345.p?skuId=6598765",
    "https://www.bestbuy.com/sku/6512345?skuId=6598765",
    "https://www.bestbuy.com/product/x/J3ABCDEFG7/sku/1234567?skuId=1234568",
    "https://www.ebay.com/itm/256123456789?item=256123456798",
    "https://www.ebay.com/p/12?iid=256123456789&item=256123456799",
    "https://www.wayfair.com/x/pdp/lamp-w002337799.html?sku=W002337798",
    "https://www.1800flowers.com/x-191167?basecode=191168",
]


@pytest.mark.parametrize("url", TWO_WAYS)
def test_an_address_that_can_be_read_in_two_ways_is_refused(url: str) -> None:
    assert "two ways" in (refusal(url) or "")


LEADS_ON = [
    "https://shop.example/go?to=https%3A%2F%2Fwww.amazon.com%2Fdp%2FB07JGBW826",
    "https://shop.example/go?to=https%253A%252F%252Fwww.amazon.com%252Fdp%252FB07JGBW826",
    "https://shop.example/go?to=//www.amazon.com/dp/B07JGBW826",
    "https://shop.example/r/https://www.amazon.com/dp/B07JGBW826",
    "https://shop.example/x?utm_source=a&url=%2Fdp%2F1",
    "https://web.archive.org/web/2020/https://www.amazon.com/dp/B07JGBW826",
    "https://www.amazon.com/sspa/click?url=%2Fdp%2FB07JGBW826%2Fref%3Dsr_1_1_sspa",
    "https://www.amazon.com/gp/redirect.html?location=https%3A%2F%2Fwww.amazon.com%2Fdp%2FB07JGBW826",
    "https://goto.target.com/c/1/2/3?u=https%3A%2F%2Fwww.target.com%2Fp%2F-%2FA-12345678",
    "https://goto.anyshop.example/c/1/2/3?u=x",
    "https://www.awin1.com/cread.php?awinmid=1&p=x",
    "https://rover.ebay.com/rover/1/2/3?item=123456789012",
    "https://amzn.com/3abcdef",
    "https://geni.us/abc",
    "https://bby.me/abc",
    "https://etsy.me/3abc",
    "https://eur01.safelinks.protection.outlook.com/?url=x",
    "https://click.shop.example/abc",
    "https://click.mail.shop.example/?qs=abc",
    "https://trk.shop.example/1/2",
    "https://redirect.shop.example/p/1",
]


@pytest.mark.parametrize("url", LEADS_ON)
def test_a_link_that_leads_on_is_refused(url: str) -> None:
    assert "the page it leads to" in (refusal(url) or "")


NO_PRODUCT = [
    "https://www.amazon.com/hz/wishlist/ls/ABC",
    "https://www.amazon.com/gp/cart/view.html",
    "https://www.amazon.com/product-reviews/B07JGBW826",
    "https://www.amazon.com/gp/aws/cart/add.html?ASIN.1=B07JGBW826&Quantity.1=1",
    "https://www.ebay.com/p/12345678",
    "https://www.ebay.com/b/Phones/123456789",
    "https://www.bestbuy.com/site/reviews/mouse/1234567",
    "https://www.homedepot.com/p/reviews/mouse/312345678",
    "https://www.homedepot.com/p/reviews/312345678",
    "https://www.homedepot.com/p/rental/saw/312345678",
    "https://www.newegg.com/p/pl?d=mouse",
    "https://www.etsy.com/transaction/1035684640",
    "https://www.walgreens.com/store/c/vitamins/ID=360545-tier2general",
    "https://www.macys.com/shop/womens-clothing?id=188851",
    "https://www.acehardware.com/store-details/12345",
    "https://shop.example/cart/12345:1",
    "https://mugs.myshopify.com/collections/all",
    "https://www.1800flowers.com/international/gifts-to-spain-40009",
    "https://shop.example/?utm_source=x",
    "https://shop.example/?add-to-cart=812",
    "https://shop.example/product/mug/?add-to-cart=812&quantity=2",
    "https://shop.example/?wc-ajax=add_to_cart",
    "https://shop.example/cart/add?id=39217645871234",
    "https://shop.example/cart/add.js?id=3",
    "https://shop.example/cart.php?action=add&product_id=77",
    "https://shop.example/de/warenkorb",
    "https://shop.example/shopping-cart.aspx",
    "https://shop.example/index.php?controller=cart&add=1&id_product=12",
    "https://shop.example/en/cart?add=1&id_product=12",
    "https://shop.example/index.php?route=checkout/cart",
    "https://shop.example/index.php?main_page=shopping_cart",
    "https://shop.example/index.php?main_page=product_info&products_id=12&action=buy_now",
    "https://shop.example/checkout/cart/add/product/1234/",
    "https://shop.example/de/checkout/cart/add/uenc/aHR0/product/12/",
    "https://shop.example/wishlist/index/add/product/12",
    "https://shop.example/catalog/product_compare/add/product/12",
    "https://shop.example/checkouts/cn/abc",
    "https://shop.example/catalog/category/view/id/1234",
    "https://shop.example/index.php/catalog/category/view/s/tea/id/5",
    "https://shop.example/us/catalogsearch/advanced/result?name=x",
    "https://shop.example/index.php?id_category=12&controller=category",
    "https://shop.example/category.php?id_category=12",
    "https://shop.example/index.php?controller=manufacturer&id_manufacturer=3",
    "https://shop.example/index.php?route=product/category&path=20",
    "https://shop.example/index.php?route=product%2Fsearch&search=mug",
    "https://shop.example/index.php?main_page=index&cPath=1",
    "https://shop.example/product-category/mug/",
    "https://shop.example/shop/product-category/mugs/page/2/",
    "https://shop.example/product-tag/blue",
    "https://shop.example/produkt-kategorie/tassen",
    "https://shop.example/?product_cat=mugs",
    "https://shop.example/products",
    "https://shop.example/en/products?utm_source=x",
    "https://shop.example/collections",
    "https://shop.example/collections/all",
    "https://shop.example/shop/products",
    "https://shop.example/catalog/product/view/s/tea",
    "https://zinc.com/shop",
    "https://zinc.com/shop/products",
    "https://zinc.com/shop/products/?utm_source=x",
    "https://www.1800flowers.com/searchterm/roses/products",
    "https://www.ikea.com/us/en/cat/shelving-units-11465/",
    "https://www.officedepot.com/a/browse/pens/N=5+509643/",
    "https://www.aliexpress.com/store/1101234",
]


@pytest.mark.parametrize("url", NO_PRODUCT)
def test_a_refused_address_is_answered_with_the_address_to_give(url: str) -> None:
    assert "give the page of one product" in (refusal(url) or "")


HONEST = [
    "https://www.amazon.com/Redirect-https-Guide/dp/B07JGBW826",
    "https://www.amazon.com/Headphones/dp/B07JGBW826",
    "https://www.walmart.com/ip/1984/123456789",
    "https://www.walmart.com/ip/cart-search-wishlist/123456789",
    "https://www.etsy.com/listing/1035684640/transaction-search-cart",
    "https://www.homedepot.com/p/20-in-1-Tool-2024/312345678",
    "https://shop.example/products/learn-node.js",
    "https://shop.example/c/1/2/3",
    "https://shop.example/search/mouse-123",
    "https://shop.example/100%-cotton",
    "https://shop.example/a..b/...",
    "https://shop.example/p?back=/shoes",
    "https://shop.example/cart/red-golf-cart",
    "https://shop.example/discount/red-shoes",
    "https://www.apple.com/shop/buy-iphone/iphone-17/256gb-black-unlocked",
    "https://yamaha.example/products/x/index.html",
    "https://shop.example/collections/mugs",
    "https://shop.example/product",
    "https://shop.example/shop",
    "https://shop.example/products?id=12",
    "https://shop.example/checkout/red-checkout-counter",
    "https://shop.example/carts/golf-cart",
    "https://shop.example/cart-covers/red",
    "https://shop.example/product-category-labels",
    "https://shop.example/product-category/mugs/product/blue-mug",
    "https://shop.example/?post_type=product&p=812",
    "https://shop.example/?product=mug&product_cat=mugs",
    "https://shop.example/product/mug/?attribute_pa_color=blue&added-to-cart=812",
    "https://shop.example/index.php?controller=product&id_product=12&id_category=3",
    "https://shop.example/index.php?route=product/product&product_id=40",
    "https://shop.example/index.php?main_page=product_info&products_id=12",
    "https://shop.example/12-helmet.html?controller=product",
    "https://shop.example/search?sku=12",
    "https://shop.example/p?id=1&id=1",
    "https://shop.example/p?filter=1&filter=2",
    "https://shop.example/p?option[]=1&option[]=2",
    "https://shop.example/product/6-pack/size/6",
    "https://shop.example/sku/A1/sku/A1",
    "https://shop.example/product/mugs/product/13",
    "https://click.example/p/1",
    "https://clickshop.example/p/1",
    "https://api.example/p/1",
    "https://apiary.shop.example/honey",
    "https://www.bestbuy.com/product/x/J3ABCDEFG7?skuId=1234567",
    "https://www.ebay.com/itm/256123456789?iid=256123456789",
]


@pytest.mark.parametrize("url", HONEST)
def test_an_honest_address_with_odd_words_is_taken(url: str) -> None:
    assert refusal(url) is None


LOOK_UPS = {
    "https://www.amazon.com/x/dp/b07jgbw826": ("amazon", "B07JGBW826"),
    "https://smile.amazon.com/dp/B07JGBW826?smid=A1": ("amazon", "B07JGBW826"),
    "https://amzn.com/B07JGBW826": ("amazon", "B07JGBW826"),
    "https://www.amazon.co.uk/dp/B07JGBW826": ("amazon-uk", "B07JGBW826"),
    "https://www.amazon.co.jp/dp/B07JGBW826": None,
    "https://www.walmart.com/ip/x/123456789": ("walmart", "123456789"),
    "https://business.walmart.com/ip/x/123456789": None,
    "https://www.walmart.ca/ip/6000123456789": None,
    "https://www.bestbuy.com/product/x/J3ABCDEFGH": ("bestbuy", "J3ABCDEFGH"),
    "https://www.bestbuy.com/product/x/J3ABCDEFGH/sku/1234567": None,
    "https://www.bestbuy.com/site/x/1234567.p": None,
    "https://www.etsy.com/listing/1035684640/x": ("etsy", "1035684640"),
    "https://evil.example/dp/B07JGBW826": None,
}


@pytest.mark.parametrize("url", LOOK_UPS)
def test_a_product_is_looked_up_only_where_the_address_names_it_for_zinc(url: str) -> None:
    assert shop_product(read_product_url(url)) == LOOK_UPS[url]


def test_the_choices_in_an_address_are_told() -> None:
    offer = read_product_url("https://www.amazon.com/dp/B07JGBW826?smid=A1&psc=1")
    assert (offer.choices, offer.chooses_seller, offer.chooses_variant) == ((("smid", "A1"),), True, False)
    assert offer.product == canonical("https://www.amazon.com/dp/B07JGBW826")
    variant = read_product_url("https://shop.example/mug.html?colour=red%20wine#/26-size-m")
    assert variant.choices == (("colour", "red wine"), ("fragment", "/26-size-m"))
    assert (variant.chooses_seller, variant.chooses_variant) == (False, True)
    assert variant.product == canonical("https://shop.example/mug.html")
    subscribed = read_product_url("https://shop.example/products/mug?selling_plan=5")
    assert subscribed.chooses_seller
    plain = read_product_url("https://shop.example/mug")
    assert (plain.choices, plain.chooses_seller, plain.chooses_variant, plain.product_id) == ((), False, False, None)


def test_the_retailer_is_told_also_where_the_address_is_no_product_page() -> None:
    assert retailer_in("http://www.shop.co.uk/s?q=1") == "shop.co.uk"
    assert retailer_in("nothing") is None


@pytest.mark.parametrize("page", ["https://shop.example/#!/5", "https://shop.example?id=5", "https://shop.example/p/1"])
def test_the_shop_of_an_address_is_its_host_alone(page: str) -> None:
    assert read_product_url(page).shop_host == "shop.example"


def test_an_address_that_cannot_be_read_is_only_equal_to_itself() -> None:
    assert comparable("https://amzn.to/1") == "https://amzn.to/1"


# Properties

url_parts = st.text(st.sampled_from("aZ9-._~%/?&=+#[]|:;@!$'()*,\\{}^<>\"\u00e9\u4e66") | st.characters(), max_size=30)
hosts = st.text(st.sampled_from("aZ09-_.\u00e9\u00df\u3002:@\\%[]/ "), min_size=1, max_size=12)


@given(hosts | st.text(max_size=20), st.text(max_size=20))
def test_a_url_is_judged_without_a_crash(host: str, rest: str) -> None:
    url = f"https://{host}/{rest}"
    if refusal(url) is None:
        address = read_product_url(url)
        assert address.host.isascii()
        assert address.host.endswith(address.retailer)
        assert address.shop_host == address.host


@given(st.sampled_from(["shop.example", "a.myshopify.com", "www.amazon.com", "www.apple.com", "zinc.com"]), url_parts)
def test_a_url_that_passed_has_one_normal_form(host: str, rest: str) -> None:
    url = f"https://{host}/{rest}"
    if refusal(url) is None:
        normal = canonical(url)
        assert normal.isascii()
        assert canonical(f"https://{normal}") == normal


@given(st.dictionaries(st.sampled_from(["a", "b", "id", "ref", "v\u00e9"]), st.text(max_size=5)), st.data())
def test_the_order_of_parameters_does_not_matter(parameters: dict[str, str], data: st.DataObject) -> None:
    names = data.draw(st.permutations(sorted(parameters)))
    noise = data.draw(st.sampled_from(["", "&utm_source=x", "&gclid=1&fbclid=2"]))

    def url(ordered: list[str]) -> str:
        return "https://shop.example/p?" + "&".join(f"{name}={parameters[name].encode().hex()}" for name in ordered)

    assert canonical(url(sorted(parameters))) == canonical(url(list(names)) + noise)


PLAIN = {
    "https://www.amazon.com/dp/{}": st.from_regex("[A-Z0-9]{10}", fullmatch=True),
    "https://www.ebay.com/itm/{}": st.from_regex("[1-9][0-9]{11}", fullmatch=True),
    "https://www.walmart.com/ip/{}": st.from_regex("[1-9][0-9]{8}", fullmatch=True),
    "https://www.target.com/p/-/A-{}": st.from_regex("[1-9][0-9]{7}", fullmatch=True),
    "https://www.bestbuy.com/product/x/{}": st.from_regex("J[A-Z0-9]{8}[0-9]", fullmatch=True),
    "https://www.macys.com/shop/product?ID={}": st.from_regex("[1-9][0-9]{6}", fullmatch=True),
    "https://www.bhphotovideo.com/c/product/{}": st.from_regex("[0-9]{7}-(REG|USE)", fullmatch=True),
    "https://www.apple.com/shop/product/{}": st.from_regex("[A-Z0-9]{7}/A", fullmatch=True),
    "https://www.walgreens.com/store/c/-/ID={}-product": st.from_regex("prod[0-9]{7}", fullmatch=True),
    "https://shop.example/p/{}": st.from_regex("[A-Za-z0-9]{1,9}", fullmatch=True),
    "https://shop.example/p?id={}": st.from_regex("[A-Za-z0-9]{1,9}", fullmatch=True),
}


def respelled(url: str, data: st.DataObject) -> str:
    """Return the same address by other means that RFC 3986 calls equivalent."""
    host, _, rest = url.removeprefix("https://").partition("/")
    escaped = data.draw(st.sets(st.integers(0, len(rest) - 1)))
    rest = "".join(
        f"%{ord(letter):02{data.draw(st.sampled_from('xX'))}}" if at in escaped and letter.isalnum() else letter
        for at, letter in enumerate(rest)
    )
    host = data.draw(st.sampled_from([host, host.upper(), f"{host}.", f"{host}:443", f"{host}:"]))
    return f"{data.draw(st.sampled_from(['https', 'HTTPS']))}://{host}/{rest}"


@given(st.data())
def test_respelling_an_address_never_changes_its_canonical_form(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(sorted(PLAIN)))
    url = form.format(data.draw(PLAIN[form]))
    assert canonical(respelled(url, data)) == canonical(url)


@given(st.data())
def test_two_numbers_never_share_a_canonical_form(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(sorted(PLAIN)))
    one, other = data.draw(st.lists(PLAIN[form], min_size=2, max_size=2, unique=True))
    assert canonical(form.format(one)) != canonical(form.format(other))
    assert read_product_url(form.format(one)).product != read_product_url(form.format(other)).product


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "https://www.aliexpress.com/item/1005006123.html",
            "https://de.aliexpress.com/item/1005006123.html?newtag=glo2deu",
        ),
        (
            "https://www.aliexpress.com/item/1005007123.html?spm2=x",
            "https://www.aliexpress.com/item/1005007123.html?z=1&y=2",
        ),
        ("https://www.sephora.com/product/P481990?kind=a", "https://www.sephora.com/product/P481990"),
    ],
)
def test_a_parameter_that_nobody_knows_makes_another_product_that_is_likely_the_same(one: str, other: str) -> None:
    assert read_product_url(one).product != read_product_url(other).product
    assert read_product_url(one).likely == read_product_url(other).likely


def test_of_a_shop_whose_variants_have_no_known_parameters_each_parameter_makes_another_product() -> None:
    page = "https://www.officedepot.com/a/products/123456/"
    assert read_product_url(page).likely != read_product_url(f"{page}?pack=12").likely


# The corpus: pairs of addresses that others can add to, in every `products*.json`. A pair is `open` where one address
# is likely no page of one product, but not certainly: it may be refused, and is never taken for the other.


def pairs() -> list[dict[str, str]]:
    """Return the pairs of every file of the corpus."""
    found: list[dict[str, str]] = []
    for path in sorted(CORPUS.glob("products*.json")):
        found += json.loads(path.read_text(encoding="utf-8"))
    return found


def verdict_of(one: str, other: str) -> str:
    """Return our verdict on two addresses, in the corpus's words."""
    if refusal(one) is not None or refusal(other) is not None:
        return "refused"
    return "same" if canonical(one) == canonical(other) else "different"


def test_the_corpus_covers_many_shops() -> None:
    own = json.loads((CORPUS / "products.json").read_text(encoding="utf-8"))
    assert len(own) >= 110
    assert len({pair["shop"] for pair in own}) >= 25


def test_each_pair_of_the_corpus_is_read_as_it_says() -> None:
    wrong = [
        f"{pair['verdict']} but read as {read}: {pair['a']} {pair['b']} ({pair['why']})"
        for pair in pairs()
        if (read := verdict_of(pair["a"], pair["b"])) != pair["verdict"]
        and not (pair["verdict"] == "open" and read != "same")
    ]
    assert wrong == []


def test_a_canonical_form_is_an_address_of_the_same_product() -> None:
    for url in {url for pair in pairs() for url in (pair["a"], pair["b"]) if refusal(url) is None}:
        address = read_product_url(url)
        again = read_product_url(f"https://{address.canonical}")
        assert (again.canonical, again.product, again.product_id) == (
            address.canonical,
            address.product,
            address.product_id,
        )


@pytest.mark.sampled(2)
@pytest.mark.parametrize("part", range(8))
async def test_the_checkout_buys_a_pair_of_the_corpus_as_often_as_it_says(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Callable[[str], Path], part: int
) -> None:
    write_config('[policy]\napproval = "none"\nmax_day = 100000000\n')
    sample = [pair for pair in pairs() if pair["verdict"] in ("same", "different")][part::8]
    async with open_test_process() as process:
        for number, pair in enumerate(sample):
            before = len(zinc.posts)
            for url in (pair["a"], pair["b"]):
                # Each pair is shipped to a place of its own, so that it meets no other pair.
                place = {**ADDRESS, "address_line1": f"{number} Main Street"}
                await place_order.place(process, intent(products=[{"url": url}], shipping_address=place))
            assert len(zinc.posts) - before == (1 if pair["verdict"] == "same" else 2), pair
