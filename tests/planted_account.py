"""An account at a retailer whose every secret can be searched for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zinc_mcp.owner.account_document import account_in
from zinc_mcp.owner.retailer_accounts import secret_name
from zinc_mcp.owner.secrets.records import Place
from zinc_mcp.owner.secrets.store import SecretStore

EMAIL, PASSWORD, TOTP = "planted.login@example.com", "pl4nted pa\u00dfword!", "PLANTEDKEYAAAA23"
NUMBER, CODE, HOLDER, STREET = "5500005555555559", "8037", "Planted Holder", "7 Planted Lane"
SECRETS = (EMAIL, PASSWORD, TOTP, NUMBER, CODE, HOLDER, STREET)
ADDRESS = {
    "first_name": "Ada",
    "last_name": "Payer",
    "address_line1": STREET,
    "zip_code": "10001",
    "city": "New York",
    "state": "NY",
    "country": "US",
    "phone_number": "2125550147",
}
ADDED = ("retailer_credentials", "payment_method", "billing_address")
"""The fields that an account adds to a body."""
CARD = {
    "name_on_card": HOLDER,
    "number": NUMBER,
    "security_code": CODE,
    "expiration_month": 12,
    "expiration_year": 2049,
}


def document(**changes: Any) -> dict[str, Any]:
    """Return the document of an account; what is None is left out."""
    whole = {
        "retailer": "amazon",
        "retailer_credentials": {"email": EMAIL, "password": PASSWORD, "totp_2fa_key": TOTP},
        "payment_method": CARD,
        "billing_address": ADDRESS,
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def keep(home: Path, origin: str, name: str = "work", place: Place = "keyring", **changes: Any) -> SecretStore:
    """Keep the account in the store of a home, in the place of one of the same name."""
    store, account = SecretStore(home), account_in(document(**changes))
    before = store.record(secret_name(name))
    store.put(secret_name(name), account.parts, place, instead_of=before, origin=origin, about=account.about)
    return store


def shown_in(text: str | bytes) -> list[str]:
    """Return the secrets that a text shows, in any spelling that JSON or a log may use."""
    found = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    shown = [secret for secret in SECRETS if any(spelling in found for spelling in _spellings(secret))]
    # Four digits stand in many ids and times by chance. As a value of its own the code would be nothing else.
    return [secret for secret in shown if secret != CODE or re.search(rf"(?<![\w.-]){CODE}(?![\w.-])", found)]


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    yield repr(secret.encode())[2:-1]
