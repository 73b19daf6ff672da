"""A shipping address as Zinc accepts it, and the checks that every text of an order passes."""

import re
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from zinc_mcp.text import invisible, selects_a_variation
from zinc_mcp.zinc.places.letters import JOINERS, stray_joiner

ALPHA_2 = frozenset(
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO "
    "FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE "
    "JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO "
    "MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW "
    "PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM "
    "TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW".split()
)
"""The officially assigned codes, and XK, which carriers and shops use for Kosovo."""

MAX_TEXT = 500

_NOT_GIVEN = frozenset({"null", "None", "undefined", "NULL", "NONE", "UNDEFINED"})
"""Words that some hosts and tables write for a missing value. Case counts, because `Null` is a family name."""


_HIDING = re.compile("(?:^|[\\s\ufe0e\ufe0f\u200c\u200d])[\ufe0e\ufe0f]|[\ufe00-\ufe0d\U000e0100-\U000e01ef]")
"""Variation selectors in a row, or of the 256 kinds that can encode bytes: they can hide a message."""


def unprintable(text: str, *, lines: bool = False) -> bool:
    """Say whether text holds control, bidirectional or other invisible characters.

    Joiners are allowed, because several scripts need them, and so is the one selector that makes a sign an emoji. Line
    breaks are allowed only with `lines`. Addresses are stricter.
    """
    if text.isascii() and text.isprintable():
        return False  # most text: no single character needs a check
    allowed = JOINERS + "\n\r" if lines else JOINERS
    return bool(_HIDING.search(text)) or any(invisible(character) for character in text if character not in allowed)


def printable(text: str) -> str:
    """Return a text of at most `MAX_TEXT` visible characters.

    Raises:
        ValueError: it has invisible characters or is longer.
    """
    if unprintable(text):
        raise ValueError("contains control or invisible characters; send plain text")
    if len(text) > MAX_TEXT:
        raise ValueError(f"is longer than {MAX_TEXT} characters")
    return text


def printable_or_none(text: str | None) -> str | None:
    """Check a text as `printable` does; None stays None."""
    return None if text is None else printable(text)


def filled(text: str) -> str:
    """Return a text that is not empty.

    Raises:
        ValueError: it is empty or blank.
    """
    if not "".join(text.split()).strip(JOINERS):
        raise ValueError("must not be empty")
    return text


def _all_seen(text: str | None) -> str | None:
    # An invisible character could make two different addresses of one, so it is not sent.
    if text is not None and (stray_joiner(text) or any(map(selects_a_variation, text))):
        raise ValueError("contains invisible characters; send plain text")
    return text


class Request(BaseModel):
    """The base of the models that we send. Unknown fields are refused; a checked model cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Address(Request):
    """The shipping address of an order. It is sent and shown as it was given; invisible characters are refused."""

    first_name: str
    last_name: str
    address_line1: str = Field(description="At most 60 characters")
    address_line2: str | None = Field(None, description="At most 60 characters")
    city: str
    state: str | None = Field(None, description="Two letters in the US, e.g. NY")
    postal_code: str
    phone_number: str
    country: str = Field("US", description="ISO 3166-1 alpha-2")

    if TYPE_CHECKING:  # pydantic makes it, because the model is frozen

        def __hash__(self) -> int: ...

    _printable = field_validator("*")(printable_or_none)
    _not_empty = field_validator("first_name", "last_name", "address_line1", "city", "postal_code", "phone_number")(
        filled
    )
    _all_seen = field_validator("*")(_all_seen)

    @field_validator("address_line2", "state")
    @classmethod
    def _blank_is_none(cls, text: str | None) -> str | None:
        return text if text and text.strip() and text.strip() not in _NOT_GIVEN else None

    @field_validator("first_name", "last_name", "address_line1", "postal_code")
    @classmethod
    def _is_given(cls, text: str, info: ValidationInfo) -> str:
        first = str(info.data.get("first_name", "")).strip()
        in_capitals = info.field_name == "last_name" and text.strip() == "NULL" and len(first) > 1 and first.isupper()
        if text.strip() in _NOT_GIVEN and not in_capitals:
            raise ValueError(f'must be the real value, not the text "{text.strip()}"')
        return text

    @field_validator("address_line1", "address_line2")
    @classmethod
    def _short_line(cls, line: str | None) -> str | None:
        # SDK 2026.9.30: a longer line is rejected, not truncated.
        if line is not None and len(line) > 60:
            raise ValueError("is longer than 60 characters; move the rest to address_line2 or shorten it")
        return line

    @field_validator("country")
    @classmethod
    def _alpha_2(cls, country: str) -> str:
        if country.upper() not in ALPHA_2:
            raise ValueError("must be an ISO 3166-1 alpha-2 code such as US, CA or GB (not USA, not UK)")
        return country.upper()

    @field_validator("phone_number")
    @classmethod
    def _has_digits(cls, phone: str) -> str:
        if sum(character.isdigit() for character in phone) < 7:
            raise ValueError("must be a phone number with at least 7 digits")
        return phone

    @model_validator(mode="after")
    def _city_is_given(self) -> "Address":
        # None is a town near Turin.
        if self.city.strip() in _NOT_GIVEN and (self.city.strip().capitalize(), self.country) != ("None", "IT"):
            raise ValueError(f'city: must be the real value, not the text "{self.city.strip()}"')
        return self

    @model_validator(mode="after")
    def _zip_in_the_us(self) -> "Address":
        # SDK 2026.9.18: US postal codes are 5 digits or 5+4.
        if self.country == "US":
            head, dash, tail = self.postal_code.partition("-")
            digits = (head + tail).isascii() and (head + tail).isdigit()
            if not (digits and len(head) == 5 and (len(tail) == 4 if dash else not tail)):
                raise ValueError("postal_code: a US ZIP code is 5 digits, or 5+4 such as 10001-1234")
        return self
