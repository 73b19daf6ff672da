"""`check_product`: whether one product can be ordered and, if wanted, its details and offers."""

from collections.abc import Mapping
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field, field_validator

from zinc_mcp.errors import ZincMcpError
from zinc_mcp.find.product import look_at
from zinc_mcp.server.mcp.arguments import input_schema, normalized, validated
from zinc_mcp.server.mcp.results import ALWAYS, crashed, failed, shown
from zinc_mcp.server.mcp.tools.tool import Service, caller_of, logged, published
from zinc_mcp.views.find.product import product_view
from zinc_mcp.zinc.answers import Switch
from zinc_mcp.zinc.product_urls.reading import read_product_url
from zinc_mcp.zinc.texts.countries import ALPHA_2

SHOWS = {**ALWAYS, "cost_cents": "integer", "details": "object", "offers": "array"}
_DESCRIPTION = (
    "Say whether a product can be ordered and shipped to a country: free. With details (title, price, variants) or "
    "offers each costs $0.01 (live key or wallet), nothing when repeated within ten minutes. Orders nothing."
)
_UNCHANGED = "nothing was bought, and a look-up may have been paid for"


class Check(BaseModel):
    """The arguments of `check_product`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str = Field(description="The product page, as an order takes it")
    country: str = Field("US", description="ISO 3166-1 alpha-2")
    details: Switch = Field(False, description="Also title, price, variants")
    offers: Switch = Field(False, description="Also sellers, conditions, handling days")

    @field_validator("url")
    @classmethod
    def _product_page(cls, url: str) -> str:
        read_product_url(url)
        return url

    @field_validator("country")
    @classmethod
    def _alpha_2(cls, country: str) -> str:
        if country.upper() not in ALPHA_2:
            raise ValueError("must be an ISO 3166-1 alpha-2 code such as US, CA or GB (not USA, not UK)")
        return country.upper()


def tool(service: Service) -> Tool:
    """Return the tool."""
    process = service.process

    async def check(given: Mapping[str, Any], ctx: Context) -> CallToolResult:
        try:
            wanted = validated(Check, normalized(Check, given))
            address, caller = read_product_url(wanted.url), caller_of(ctx)
            with service.calls.one_more(caller):
                facts = await look_at(
                    process, caller, address, wanted.country, details=wanted.details, offers=wanted.offers
                )
            return shown(product_view(facts))
        except ZincMcpError as error:
            return failed(error, "look")
        except Exception as error:
            return crashed(logged(error), "look", reached_checkout=False, key=None, unchanged=_UNCHANGED)

    return published(
        check,
        "check_product",
        "Check a product",
        _DESCRIPTION,
        arguments=input_schema(Check),
        shows=SHOWS,
        destroys=False,
    )
