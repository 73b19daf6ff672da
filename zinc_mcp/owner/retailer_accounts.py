"""Accounts of the owner's own at retailers, with a login and a payment. A v1 order names one as its *profile*.

Zinc logs in with them, so it gets the password and the key of the second factor themselves (v1, "Create Order",
`retailer_credentials`). They are in the secret store, and go into a request only in `with_secrets`. A card is in a
keyring or nowhere.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from zinc_mcp.errors import RefusedError, SettingsError
from zinc_mcp.invocation import command
from zinc_mcp.owner.secrets.records import Kept, Place, Record
from zinc_mcp.owner.secrets.store import SecretStore
from zinc_mcp.owner.secrets.system_keyring import ELSE
from zinc_mcp.secret_body import SecretBody
from zinc_mcp.zinc.orders import canonical
from zinc_mcp.zinc.v1.order import PROFILE_FIELD
from zinc_mcp.zinc.v1.products import RETAILERS, V1Retailer

KIND = "retailer_account"
MOST_ACCOUNTS = 200
"""The most accounts of one home that are listed."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

Payment = Literal["gift_balance", "account_default", "card", "gift_balance_and_card"]
_WORDS: Mapping[str, str] = {
    "gift_balance": "its gift balance",
    "account_default": "the payment that it has by default",
    "card": "a card that ends in {last_four}",
    "gift_balance_and_card": "first its gift balance, then a card that ends in {last_four}",
}


# The facts about an account that is not opened


def payment_in_words(payment: str, last_four: str | None) -> str:
    """Return the words for a payment, such as `a card that ends in 4242`."""
    return _WORDS.get(payment, "a payment that is not known here").format(last_four=last_four)


@dataclass(frozen=True, slots=True)
class Profile:
    """One account as it may be shown to anybody: nothing in it is secret."""

    name: str
    retailer: V1Retailer
    payment: Payment
    last_four: str | None
    """The end of the card's number, if a card pays."""
    id: str
    """Differs for each account that was ever kept, also under one name."""
    place: Place
    origin: str | None
    """The origin of the only Zinc that gets it."""

    @property
    def pays_with(self) -> str:
        """The payment in words."""
        return payment_in_words(self.payment, self.last_four)


def is_profile_name(name: str) -> bool:
    """Say whether an account could have this name."""
    return _NAME.fullmatch(name) is not None


def secret_name(name: str) -> str:
    """Return the name of an account's secret in the store."""
    return f"{KIND}.{name}"


def profiles(home: Path) -> list[Profile]:
    """Return the accounts of a home, by name. None of them is opened; a record that cannot be read is left out."""
    store, found = SecretStore(home), list[Profile]()
    for name in store.names():
        kind, _, own = name.partition(".")
        if kind == KIND and len(found) < MOST_ACCOUNTS:
            try:
                found.append(profile_named(home, own))
            except RefusedError:
                continue
    return found


def profile_named(home: Path, name: str) -> Profile:
    """Return the facts about one account. The keyring is not asked.

    Raises:
        RefusedError: `account_not_configured`: there is none of this name, or its record cannot be used.
    """
    record = None
    if is_profile_name(name):
        try:
            record = SecretStore(home).record(secret_name(name))
        except SettingsError as error:
            raise _unusable(name, error) from None
    if record is None:
        raise RefusedError(
            "No account at a retailer is kept under that name, so nothing was sent.",
            "Use a name that the user gave you, or leave retailer_account out: then an account of Zinc's is used. The "
            "user adds accounts in a terminal, never through you.",
            code="account_not_configured",
            owner_step=f"This lists the accounts that are kept: {command('retailer-accounts', 'list')}",
        )
    return profile_of(name, record)


def profile_of(name: str, record: Record) -> Profile:
    """Return the facts about an account that its record holds.

    Raises:
        RefusedError: `account_not_configured`: the record is not complete.
    """
    about = record.about
    payment, last_four = about.get("payment"), about.get("last_four")
    has_card = payment in ("card", "gift_balance_and_card")
    if (
        payment not in _WORDS
        or about.get("retailer") not in RETAILERS
        or (last_four is not None) != has_card
        or (last_four is not None and not re.fullmatch(r"[0-9]{4}", last_four))
    ):
        raise _unusable(name, SettingsError("The secret store's record of it is not complete."))
    return Profile(
        name,
        cast(V1Retailer, about["retailer"]),
        cast(Payment, payment),
        last_four,
        record.id,
        record.place,
        record.origin,
    )


def _unusable(name: str, error: SettingsError) -> RefusedError:
    return RefusedError(
        f"The retailer account {name} cannot be used. {error.summary}",
        "Nothing was sent. Tell the user; only they can correct it.",
        code="account_not_configured",
        owner_step=f"{error.next_step.replace(ELSE, '').strip()} If that does not help, add the account again.".strip(),
    )


# The bytes that go out


def opened_account(home: Path, profile: Profile) -> Kept:
    """Open an account; a keyring may take some seconds for it.

    Raises:
        RefusedError: `account_not_configured`: it cannot be opened, or was replaced since it was looked at.
    """
    try:
        kept = SecretStore(home).get(secret_name(profile.name))
    except SettingsError as error:
        raise _unusable(profile.name, error) from None
    if kept is None or profile_of(profile.name, kept.record) != profile:
        raise changed(profile.name)
    if ("card" in kept.parts) != (profile.last_four is not None):
        raise _unusable(profile.name, SettingsError("Its content differs from its record."))
    return kept


def changed(name: str) -> RefusedError:
    """Return the refusal of an order whose account, or the key of its digest, is not the same any more."""
    return RefusedError(
        f"The retailer account {name} is not the one that this order was made with any more: it was changed or "
        "removed, or the key that proves this is another one. So nothing was sent.",
        "If the order is still wanted and was never sent, place it again: it is then made with the account as it is "
        "now.",
        code="account_not_configured",
        owner_step=f"This lists the accounts: {command('retailer-accounts', 'list')}. Servers on one journal need "
        "the same accounts and the same ZINC_MCP_DIGEST_KEY.",
    )


def with_secrets(body: bytes, kept: Kept) -> SecretBody:
    """Return the bytes that go out: those of the journal, with login and payment in the place of the account's name.

    The same body and account give the same bytes every time.
    """
    order: dict[str, Any] = json.loads(body)
    if secret_name(order.pop(PROFILE_FIELD, "")) != kept.record.name or "addax" in order:
        raise AssertionError("another account than the order names")
    return SecretBody(canonical({**order, **_members(kept)}).encode())


def secrets_of(kept: Kept) -> SecretBody:
    """Return all that an account adds to a body, without the body, and always spelled in the same way."""
    return SecretBody(canonical(_members(kept)).encode())


def _members(kept: Kept) -> dict[str, Any]:
    parts = {part: value.get_secret_value() for part, value in kept.parts.items()}
    credentials = {"email": parts["email"], "password": parts["password"]}
    if "totp_key" in parts:
        credentials["totp_2fa_key"] = parts["totp_key"]
    match kept.record.about["payment"]:
        case "gift_balance":
            payment: dict[str, Any] = {"use_gift": True}
        case "account_default":
            payment = {"use_account_payment_defaults": True}
        case with_card:
            payment = {**json.loads(parts["card"]), "use_gift": with_card == "gift_balance_and_card"}
    return {
        "retailer_credentials": credentials,
        "billing_address": json.loads(parts["billing_address"]),
        "payment_method": payment,
    }
