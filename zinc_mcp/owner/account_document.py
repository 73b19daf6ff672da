"""An account at a retailer as its owner gives it: one document, in the words in which v1 takes it with an order.

An error names a field and never repeats a value, nor a name that is not one of ours.
"""

import re
import time
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from zinc_mcp.errors import RefusedError
from zinc_mcp.owner.retailer_accounts import Payment
from zinc_mcp.text import invisible
from zinc_mcp.zinc.orders import Request, canonical
from zinc_mcp.zinc.v1.address import V1Address
from zinc_mcp.zinc.v1.private import holds_card_number
from zinc_mcp.zinc.v1.products import RETAILERS

MAX_BYTES = 16 * 1024
"""The longest document."""
_TOTP_KEY = re.compile(r"[A-Z2-7]{16,128}")
_WITH_GIFT_BALANCE = ("amazon", "walmart")
_LONGEST_CARD_YEARS = 30


def _readable(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text.strip() or len(text) > 254 or any(map(invisible, text)):
        raise ValueError("must be 1 to 254 visible characters")
    return secret


class Credentials(Request):
    """The login at the retailer, in Zinc's words."""

    email: SecretStr
    password: SecretStr
    totp_2fa_key: SecretStr | None = None

    _readable = field_validator("email", "password")(_readable)

    @field_validator("totp_2fa_key")
    @classmethod
    def _the_key_itself(cls, given: SecretStr | None) -> SecretStr | None:
        if given is None:
            return None
        key = re.sub(r"[\s-]", "", given.get_secret_value()).rstrip("=").upper()
        if not key:
            return None
        if key.isdecimal() and len(key) <= 8:
            raise ValueError(
                "is a code that holds for half a minute; Zinc needs the key from which codes are made, which the "
                "retailer shows beside the square to scan"
            )
        if not _TOTP_KEY.fullmatch(key):
            raise ValueError("must be a key for authenticator apps: 16 or more of A to Z and 2 to 7")
        return SecretStr(key)


class PaymentMethod(Request):
    """The payment at the retailer, in Zinc's words: a card, or one switch."""

    name_on_card: SecretStr | None = None
    number: SecretStr | None = None
    security_code: SecretStr | None = None
    expiration_month: Annotated[int, Field(strict=True, ge=1, le=12)] | None = None
    expiration_year: Annotated[int, Field(strict=True)] | None = None
    use_gift: Annotated[bool, Field(strict=True)] | None = None
    use_account_payment_defaults: Annotated[bool, Field(strict=True)] | None = None

    @field_validator("name_on_card")
    @classmethod
    def _is_readable(cls, name: SecretStr | None) -> SecretStr | None:
        return None if name is None else _readable(name)

    @field_validator("number")
    @classmethod
    def _a_card(cls, given: SecretStr | None) -> SecretStr | None:
        if given is None:
            return None
        digits = re.sub(r"[ -]", "", given.get_secret_value())
        if not (re.fullmatch(r"[0-9]{13,19}", digits) and holds_card_number(digits)):
            raise ValueError("is not the number of a card; look for a mistyped digit")
        return SecretStr(digits)

    @field_validator("security_code")
    @classmethod
    def _a_code(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and not re.fullmatch(r"[0-9]{3,4}", given.get_secret_value()):
            raise ValueError("must be 3 or 4 digits, as a text")
        return given

    @model_validator(mode="after")
    def _one_way(self) -> "PaymentMethod":
        card = (self.name_on_card, self.number, self.security_code, self.expiration_month, self.expiration_year)
        if any(part is not None for part in card):
            if any(part is None for part in card):
                raise ValueError(
                    "a card needs name_on_card, number, security_code, expiration_month and expiration_year"
                )
            if self.use_account_payment_defaults:
                raise ValueError("give a card or use_account_payment_defaults, not both")
            self._check_expiry()
        elif bool(self.use_gift) == bool(self.use_account_payment_defaults):
            raise ValueError(
                "give a card, or use_gift true, or use_account_payment_defaults true, and one of them only"
            )
        return self

    def _check_expiry(self) -> None:
        year, month = self.expiration_year or 0, self.expiration_month or 0
        now = time.gmtime()
        if not now.tm_year <= year <= now.tm_year + _LONGEST_CARD_YEARS:
            raise ValueError("expiration_year: must be a year with four digits, not one that is over")
        if (year, month) < (now.tm_year, now.tm_mon):
            raise ValueError("expiration_month: this card has expired")

    @property
    def payment(self) -> Payment:
        """The way of paying, in one word of ours."""
        if self.number is not None:
            return "gift_balance_and_card" if self.use_gift else "card"
        return "gift_balance" if self.use_gift else "account_default"


class NewAccount(Request):
    """An account as its owner gives it: the objects that v1 takes with an order, and the retailer they are for."""

    retailer: str
    retailer_credentials: Credentials
    billing_address: V1Address = Field(repr=False)
    payment_method: PaymentMethod

    @field_validator("retailer")
    @classmethod
    def _known(cls, retailer: str) -> str:
        if retailer not in RETAILERS:
            raise ValueError(f"must be one of {', '.join(RETAILERS)}")
        return retailer

    @model_validator(mode="after")
    def _has_gift_balance(self) -> "NewAccount":
        if self.payment_method.use_gift and not self.retailer.startswith(_WITH_GIFT_BALANCE):
            raise ValueError("payment_method.use_gift: only Amazon and Walmart pay from a gift balance")
        return self

    @property
    def parts(self) -> dict[str, SecretStr]:
        """The parts of the secret."""
        pay, login = self.payment_method, self.retailer_credentials
        address = self.billing_address.model_dump(mode="json", exclude_none=True)
        parts = {
            "email": login.email,
            "password": login.password,
            "billing_address": SecretStr(canonical(address)),
        }
        if login.totp_2fa_key is not None:
            parts["totp_key"] = login.totp_2fa_key
        if pay.number is not None and pay.name_on_card is not None and pay.security_code is not None:
            card = {
                "name_on_card": pay.name_on_card.get_secret_value(),
                "number": pay.number.get_secret_value(),
                "security_code": pay.security_code.get_secret_value(),
                "expiration_month": pay.expiration_month,
                "expiration_year": pay.expiration_year,
            }
            parts["card"] = SecretStr(canonical(card))
        return parts

    @property
    def about(self) -> dict[str, str]:
        """The facts about the account that are no secret."""
        number = self.payment_method.number
        last_four = {} if number is None else {"last_four": number.get_secret_value()[-4:]}
        return {"retailer": self.retailer, "payment": self.payment_method.payment, **last_four}


def account_in(document: object) -> NewAccount:
    """Return the account in a decoded document.

    Raises:
        RefusedError: `invalid_arguments`, with the name of the field, never with its value.
    """
    try:
        return NewAccount.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        # The name itself is not repeated: a document that went wrong may have a secret in that place.
        path.pop()
        wrong = "has a field that is not known there"
    else:
        wrong = first["msg"].removeprefix("Value error, ")
        wrong = f"{wrong[:1].lower()}{wrong[1:]}"
    where = ".".join(path)
    raise RefusedError(
        f"{where or 'The document'}: {wrong}; nothing was kept." if where else f"{wrong}; nothing was kept.",
        owner_step="Correct it and add the account again.",
        code="invalid_arguments",
    )
