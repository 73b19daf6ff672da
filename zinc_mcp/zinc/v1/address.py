"""A postal address as v1 takes it."""

from functools import cached_property

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails

from zinc_mcp.zinc.orders import Address, given_or_none
from zinc_mcp.zinc.texts.letters import printable
from zinc_mcp.zinc.v1.private import MAX_PHONE_DIGITS, refuse_secret
from zinc_mcp.zinc.v1.request import V1Request

MAX_INSTRUCTIONS = 250


class V1Address(V1Request):
    """The shipping address. What v2's `Address` refuses is refused here as well."""

    first_name: str
    last_name: str
    address_line1: str = Field(description="At most 60 characters")
    address_line2: str | None = Field(None, description="At most 60 characters")
    zip_code: str
    city: str
    state: str | None = Field(None, description="Two letters in the US, e.g. NY")
    country: str = Field("US", description="ISO 3166-1 alpha-2")
    phone_number: str
    instructions: str | None = Field(None, max_length=MAX_INSTRUCTIONS, description="For the carrier")

    _blank_is_none = field_validator("address_line2", "state", "instructions")(given_or_none)

    @field_validator("country")
    @classmethod
    def _in_capitals(cls, country: str) -> str:
        return country.upper()

    @field_validator("phone_number")
    @classmethod
    def _telephone(cls, phone: str) -> str:
        if sum(map(str.isdigit, phone)) > MAX_PHONE_DIGITS:
            raise ValueError(f"must be a phone number with at most {MAX_PHONE_DIGITS} digits")
        return phone

    @field_validator("instructions")
    @classmethod
    def _plain_words(cls, words: str | None) -> str | None:
        return None if words is None else printable(words)

    @model_validator(mode="after")
    def _is_an_address(self) -> "V1Address":
        _ = self.as_v2
        refuse_secret([self.first_name, self.last_name])
        refuse_secret([self.address_line1, self.address_line2 or ""])
        return self

    @cached_property
    def as_v2(self) -> Address:
        """The same place as v2 names it, by which places are compared."""
        parts = self.model_dump(exclude={"zip_code", "instructions"}, exclude_none=True)
        try:
            return Address.model_validate({**parts, "postal_code": self.zip_code})
        except ValidationError as error:
            raise _in_v1_words(error) from None


def from_v2(address: Address) -> V1Address:
    """Return an address of v2, such as a saved one, as v1 takes it."""
    parts = address.model_dump(exclude={"postal_code"}, exclude_none=True)
    return V1Address.model_validate({**parts, "zip_code": address.postal_code})


def _in_v1_words(error: ValidationError) -> ValidationError:
    """Return the error of v2's address, with v1's names of the fields."""
    return ValidationError.from_exception_data(
        "V1Address",
        [
            InitErrorDetails(
                type="value_error",
                loc=tuple("zip_code" if step == "postal_code" else step for step in found["loc"]),
                input=None,
                ctx={"error": found["msg"].removeprefix("Value error, ").replace("postal_code", "zip_code")},
            )
            for found in error.errors(include_url=False, include_input=False)
        ],
        hide_input=True,
    )
