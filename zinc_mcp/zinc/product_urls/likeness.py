"""Likely spellings of one product's page, in shops that have no row in `shops`.

Two such addresses may be two products, so this never refuses an order and never treats two orders as one. A person is
asked about the second order, with a note that names the first.
"""

import re
import unicodedata
from urllib.parse import unquote_plus

from zinc_mcp.zinc.product_urls.url_parts import registrable

_LANGUAGE = re.compile(r"[a-z]{2}(?:[-_][a-z]{2,4})?")
_DEVICES = frozenset("m mobile touch wap amp www1 www2 www3".split())
"""Names of hosts and folders that show the same pages for another device."""
_ENDING = re.compile(r"(?:\.amp)?\.(?:html?|php|aspx?|jsp|do)$|\.amp$")
_BETWEEN_WORDS = re.compile(r"[\W_]+")
_SAME_PRODUCT = frozenset(
    "lang language locale hl currency country region page view sort tab amp outputtype sessionid session_id phpsessid "
    "jsessionid sessid oscsid zenid".split()
)
"""Parameters that choose how a page is shown, or name the visit."""


def likely_product(product: str, *, is_known: bool) -> str:
    """Return a form of `ProductAddress.product` that is equal for two addresses which are likely one product's.

    In a known shop it is `product` in lower case. In another shop it leaves out differences that most shops ignore:
    upper and lower case (RFC 3986, section 6.2.2.1, tells them apart), a language or a device before the path or the
    domain, and `index.php`. It also leaves out an ending such as `.html`, parameters of a segment, the signs between
    words, and parameters that only choose how the page is shown.
    """
    if is_known:
        return product.casefold()
    page, _, query = product.partition("?")
    host, *segments = page.split("/")
    own = registrable(host)
    while host != own and _only_chooses_display(host.partition(".")[0]):
        host = host.partition(".")[2]
    words = [_folded(_ENDING.sub("", segment.partition(";")[0].lower())) for segment in segments if segment]
    while len(words) > 1 and (words[0] == "index" or _only_chooses_display(words[0])):
        del words[0]
    if len(words) > 1 and words[-1] == "amp":
        del words[-1]
    fields = (field.partition("=") for field in query.split("&") if field)
    kept = sorted((_folded(name), _folded(value)) for name, _, value in fields if name.lower() not in _SAME_PRODUCT)
    return "/".join([host, *words]) + "".join(f"?{name}={value}" for name, value in kept)


def _only_chooses_display(part: str) -> bool:
    """Say whether a label of a host, or a folder, only chooses a language or a device."""
    return part in _DEVICES or part == "www" or _LANGUAGE.fullmatch(part) is not None


def _folded(text: str) -> str:
    whole = unicodedata.normalize("NFKC", unquote_plus(text)).casefold()
    return _BETWEEN_WORDS.sub("-", whole).strip("-")
