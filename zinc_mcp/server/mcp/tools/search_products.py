"""`search_products`: products of many retailers, each with the address that an order takes."""

from collections.abc import Mapping
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from zinc_mcp.errors import ZincMcpError
from zinc_mcp.find.look_up import look_up_one, rail_to_ask
from zinc_mcp.server.mcp.arguments import input_schema, normalized, validated
from zinc_mcp.server.mcp.results import ALWAYS, crashed, failed, shown
from zinc_mcp.server.mcp.tools.tool import Service, caller_of, logged, published
from zinc_mcp.views.find.search import MAX_RESULTS, search_view
from zinc_mcp.zinc.find.products import Sort, search_call
from zinc_mcp.zinc.texts.letters import filled, printable

MAX_QUERY = 200
MAX_RETAILERS = 20

SHOWS = {**ALWAYS, "cost_cents": "integer", "results": "array", "excluded_by_price": "integer"}
_DESCRIPTION = (
    "Search products at many retailers; results have the url that an order takes. Costs $0.01 (live key or wallet), "
    "nothing when repeated within ten minutes. Orders nothing."
)
_UNCHANGED = "nothing was bought, and a search may have been paid for"

_Cents = Annotated[int, Field(strict=True, ge=0, le=100_000_000)]


class Search(BaseModel):
    """The arguments of `search_products`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    query: str = Field(min_length=1, max_length=MAX_QUERY, description="What is wanted, without the price")
    min_price: _Cents | None = Field(None, description="US cents")
    max_price: _Cents | None = Field(None, description="US cents, 2000 for $20.00")
    retailers: Annotated[list[str], Field(max_length=MAX_RETAILERS)] | None = Field(
        None, description="Zinc's names, e.g. amazon, walmart, target; etsy and Shopify domains only when named"
    )
    sort: Sort = "relevance"
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_RESULTS)] = 10

    @field_validator("query")
    @classmethod
    def _words(cls, query: str) -> str:
        return filled(printable(query))

    @field_validator("retailers")
    @classmethod
    def _names(cls, names: list[str] | None) -> list[str] | None:
        for name in names or []:
            bare = name.replace("-", "").replace(".", "").replace("_", "")
            if not (bare.isascii() and bare.isalnum() and len(name) <= 100):
                raise ValueError("must be names such as amazon, or domains such as shop.example.com")
        return None if names is None else [name.lower() for name in names]

    @model_validator(mode="after")
    def _a_range(self) -> "Search":
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ValueError("min_price: must not be above max_price")
        return self


def tool(service: Service) -> Tool:
    """Return the tool."""
    process = service.process

    async def search(given: Mapping[str, Any], ctx: Context) -> CallToolResult:
        try:
            wanted = validated(Search, normalized(Search, given))
            caller = caller_of(ctx)
            call = search_call(
                wanted.query,
                min_price=wanted.min_price,
                max_price=wanted.max_price,
                retailers=wanted.retailers,
                sort=wanted.sort,
                limit=wanted.limit,
            )
            with service.calls.one_more(caller):
                policy = process.policy()
                rail = rail_to_ask(process, policy)
                found = await look_up_one(process, caller, rail, policy, call)
            return shown(
                search_view(
                    found.answer,
                    cost_cents=found.cost_cents,
                    age_seconds=found.age_seconds,
                    mode=rail.mode,
                    limit=wanted.limit,
                )
            )
        except ZincMcpError as error:
            return failed(error, "look")
        except Exception as error:
            return crashed(logged(error), "look", reached_checkout=False, key=None, unchanged=_UNCHANGED)

    return published(
        search,
        "search_products",
        "Search products",
        _DESCRIPTION,
        arguments=input_schema(Search),
        shows=SHOWS,
        destroys=False,
    )
