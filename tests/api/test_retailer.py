"""Which retailer a URL belongs to, and every reason why it is no product page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zinc_mcp.api.retailer import host_of, objection_to, retailer_of

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
def test_what_cannot_be_a_product_page_is_told_why(url: str) -> None:
    objection = objection_to(url)
    assert objection is not None
    assert NOT_A_PAGE[url] in objection
    assert "secret" not in objection


@pytest.mark.parametrize("url", PAGES)
def test_a_product_page_has_one_retailer(url: str) -> None:
    assert objection_to(url) is None
    assert retailer_of(url) == PAGES[url]


@pytest.mark.parametrize("host", ["shop.example", "www.shop.example", "SHOP.EXAMPLE", "shop.example."])
def test_spellings_of_a_host_are_one(host: str) -> None:
    assert host_of(f"https://{host}/p") == "shop.example"


hosts = st.text(st.sampled_from("aZ09-_.\u00e9\u00df\u3002:@\\%[]/ "), min_size=1, max_size=12)


@given(hosts | st.text(max_size=20), st.text(max_size=20))
def test_a_url_is_judged_without_a_crash(host: str, rest: str) -> None:
    url = f"https://{host}/{rest}"
    if objection_to(url) is None:
        assert host_of(url).isascii()
        assert host_of(url).endswith(retailer_of(url))
