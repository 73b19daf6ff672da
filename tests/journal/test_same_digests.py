"""The digests of today are those that existing journals hold.

A journal keeps the digest of each order, so a change of how products or places are compared makes it forget the orders
that it holds, unless the change comes with a new version of the journal's schema that renews them.
"""

from typing import Any

from wanted import ADDRESS, order

from zinc_mcp.journal.records.twin import near_digests, twin_digest
from zinc_mcp.journal.storage.schema import TWINS_RENEWED_AT

WHAT_TO_DO = """
Orders of other products, or to other places, are one intention now. Journals hold the digests of before, and would not
know those orders again. If the change is meant:
1. give SCHEMA_VERSION and BESIDE (zinc_mcp/journal/storage/tables.py) the next number, and in
   zinc_mcp/journal/storage/schema.py let the migration to it be `_renew_twins`;
2. then put that number and the digests of this run into this file.
"""

UK = {"city": "London", "state": "", "postal_code": "SW1A 1AA", "country": "GB"}
DE = {"city": "Köln", "state": "", "postal_code": "50667", "country": "DE"}
JP = {"city": "渋谷区", "state": "東京都", "postal_code": "150-0002", "country": "JP"}

ORDERS: dict[str, dict[str, Any]] = {
    "a book": {},
    "three of it": {
        "products": [{"url": "https://www.amazon.com/Words/dp/B07JGBW826/ref=sr_1_3?qid=5", "quantity": 3}]
    },
    "of one seller": {"products": [{"url": "https://www.amazon.com/dp/B07JGBW826?seller=A1SELLER2345"}]},
    "engraved": {"products": [{"url": "https://www.amazon.com/dp/B07JGBW826?customId=Ada&th=1"}]},
    "in German": {"products": [{"url": "https://www.amazon.de/-/en/dp/B07JGBW826"}]},
    "in blue, large": {
        "products": [
            {
                "url": "https://www.walmart.com/ip/Shirt/123456789?athbdg=L1600",
                "variant": [{"label": "Colour", "value": "Blue "}, {"label": "SIZE", "value": "large"}],
            }
        ]
    },
    "of a shop's own system": {
        "products": [{"url": "https://shop.example/products/mug?variant=41234567890123&utm_source=x"}]
    },
    "of a shop that nobody knows": {"products": [{"url": "https://shop.example/p/12?colour=red&ref=mail"}]},
    "of a colour": {"products": [{"url": "https://www.macys.com/shop/product/bowl?ID=1234567&upc_id=98765"}]},
    "with a parameter that nobody knows": {
        "products": [{"url": "https://www.aliexpress.com/item/1005006123.html?newtag=glo2usa&skuId=12000034"}]
    },
    "for a business": {"products": [{"url": "https://business.amazon.com/dp/B07JGBW826"}]},
    "used": {"products": [{"url": "https://www.ebay.com/itm/Old-Thing/234567890123?hash=item1&var=512345678901"}]},
    "two": {
        "products": [
            {"url": "https://www.target.com/p/lamp/-/A-12345678"},
            {"url": "https://www.target.com/p/cable/-/A-87654321?preselect=87654322", "quantity": 2},
        ]
    },
    "a unit": {"shipping_address": {**ADDRESS, "address_line1": "12 N. Planted Ave", "address_line2": "Apt #4"}},
    "two first names": {"shipping_address": {**ADDRESS, "first_name": "Dr. Ann Mary", "last_name": "Mc Donald"}},
    "a filler for a code": {"shipping_address": {**ADDRESS, "postal_code": "00000"}},
    "nine digits": {"shipping_address": {**ADDRESS, "postal_code": "10001-1234", "city": "NYC"}},
    "to London": {"shipping_address": {**ADDRESS, **UK, "address_line1": "Flat 2, 10 Downing St."}},
    "to Cologne": {"shipping_address": {**ADDRESS, **DE, "address_line1": "Domstr. 12 a"}},
    "to Tokyo": {"shipping_address": {**ADDRESS, **JP, "address_line1": "渋谷2丁目21-1"}},
}

RENEWED_AT = 14
DIGESTS: dict[str, str] = {
    "a book": "5fc27ccfd3f00c6e 864ba383ed14008a",
    "three of it": "673a34bf95ee696a 864ba383ed14008a",
    "of one seller": "52ee822cc19a5506 864ba383ed14008a",
    "engraved": "f6c39a78533964b8 864ba383ed14008a",
    "in German": "a4bed0acd4ce2e8e 99ff98564a29be64",
    "in blue, large": "dfa1b22659dc1a5b f54d8c400dafc151",
    "of a shop's own system": "95e2e726ddb69b97 861ffaf780589114",
    "of a shop that nobody knows": "15980e27f6fd318e 24586d68e13953de",
    "of a colour": "1a131256faa33c6f 1ca3f4cda86e6232",
    "with a parameter that nobody knows": "ddbc62326bd32e1d 1e8ed491914bb417",
    "for a business": "5fc27ccfd3f00c6e 864ba383ed14008a",
    "used": "765cb49f61aca03f a098324e5c7683ad",
    "two": "f9544e5e00e16d03 288a77abfe56822e 7e9e2128d1ee762e",
    "a unit": "6ba89fea26429d2d 2b2203875905c637",
    "two first names": "c7d3236dc7a2a9a9 8f9306660a39ff02",
    "a filler for a code": "3aea8469905e9112 8308adaa456e34e8",
    "nine digits": "5fc27ccfd3f00c6e 864ba383ed14008a",
    "to London": "273460ce5cbe3268 9ade5ffbbd0da8bb",
    "to Cologne": "a1ca6c7820a5f8e2 8a09df2f568cc28d",
    "to Tokyo": "6fd0a2eb6c91bd12 0d94e3f29c6ea5a5",
}


def digests() -> dict[str, str]:
    found: dict[str, str] = {}
    for name, changes in ORDERS.items():
        wanted = order(**changes)
        every = (twin_digest("local", wanted), *near_digests("local", "live", wanted))
        found[name] = " ".join(digest[:16] for digest in every)
    return found


def test_the_digests_of_today_are_those_that_journals_of_this_version_hold() -> None:
    assert (TWINS_RENEWED_AT, digests()) == (RENEWED_AT, DIGESTS), WHAT_TO_DO
