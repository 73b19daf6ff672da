"""The tools listed are those of `tests/tools.json`, equal in both eras."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest
from conftest import OpenProcess
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS
from pydantic import SecretStr
from server.as_a_host import both_eras, host, size

from bench.sizes import TOOLS_BUDGET
from zinc_mcp.known_settings import PROFILES, TOOLS
from zinc_mcp.server.mcp import listing
from zinc_mcp.server.mcp.instructions import INSTRUCTIONS
from zinc_mcp.server.mcp.server import own_version, service_of
from zinc_mcp.zinc.orders import OrderCreate
from zinc_mcp.zinc.v1.address import V1Address
from zinc_mcp.zinc.v1.order import PromoCode, RetailerAccount, Shipping, V1Order, V1Product
from zinc_mcp.zinc.v1.sellers import SellerCriteria

CONTRACT = Path(__file__).parent.parent / "tools.json"
SHIPPED = Path(listing.__file__).with_name(listing.FILE)

# OrderCreate and its parts as the documentation prints them (OpenAPI 2026-04-27 and 2026-06-26), and the newer
# gift_message, customer_notifications and fulfillment (SDK 2026.10.16). Type, required, bounds and enum of each.
CONDITIONS = ["New", "Refurbished", "UsedLikeNew", "UsedVeryGood", "UsedGood", "UsedAcceptable"]
SEEDS: dict[str, tuple[set[str], dict[str, dict[str, Any]]]] = {
    "": (
        {"products", "shipping_address", "max_price"},
        {
            "products": {"type": "array"},
            "shipping_address": {},
            "max_price": {"type": "integer"},
            "idempotency_key": {"type": "string", "maxLength": 36},
            "retailer_credentials_id": {"type": "string"},
            "metadata": {"type": "object"},
            "po_number": {"type": "string"},
            "handling_days_max": {"type": "integer", "minimum": 1},
            "is_gift": {"type": "boolean", "default": False},
            "gift_message": {"type": "string", "maxLength": 240},
            "payment": {"type": "object"},
            "customer_notifications": {"type": "object"},
            "fulfillment": {"type": "object"},
        },
    ),
    "products[]": (
        {"url"},
        {
            "url": {"type": "string"},
            "quantity": {"type": "integer", "minimum": 1, "maximum": 100, "default": 1},
            "variant": {"type": "array"},
            "condition_in": {"type": "array", "items": {"type": "string", "enum": CONDITIONS}},
            "condition_not_in": {"type": "array", "items": {"type": "string", "enum": CONDITIONS}},
        },
    ),
    "products[].variant[]": (
        {"label", "value"},
        {"label": {"type": "string", "minLength": 1}, "value": {"type": "string", "minLength": 1}},
    ),
    "shipping_address|0": (
        {"first_name", "last_name", "address_line1", "city", "postal_code", "phone_number"},
        {
            "first_name": {"type": "string"},
            "last_name": {"type": "string"},
            "address_line1": {"type": "string"},
            "address_line2": {"type": "string"},
            "city": {"type": "string"},
            "state": {"type": "string"},
            "postal_code": {"type": "string"},
            "phone_number": {"type": "string"},
            "country": {"type": "string", "default": "US"},
        },
    ),
    "shipping_address|1": ({"saved"}, {"saved": {"type": "string"}}),
    "payment": (
        set(),
        {
            "mode": {"type": "string", "enum": ["wallet", "connect"], "default": "wallet"},
            "payment_method": {"type": "string"},
            "customer": {"type": "string"},
            "margin": {"type": "object"},
        },
    ),
    "payment.margin": (
        {"type", "value"},
        {"type": {"type": "string", "enum": ["flat", "percent"]}, "value": {"type": "number", "minimum": 0}},
    ),
    "customer_notifications": ({"email"}, {"email": {"type": "string"}}),
    "fulfillment": (
        set(),
        {
            "gift": {"type": "string", "enum": ["best_effort"]},
            "items": {"type": "string", "enum": ["best_effort"]},
            "quantity": {"type": "string", "enum": ["best_effort"]},
            "excluded_merchants": {"type": "array", "maxItems": 20, "items": {"type": "string"}},
        },
    ),
}


V1 = {"v1_client_token": SecretStr("token-of-v1")}
"""With it all tools are listed."""


async def listed(open_test_process: OpenProcess, mode: str, **settings: Any) -> dict[str, dict[str, Any]]:
    async with open_test_process(**V1, **settings) as process, host(process, mode) as client:
        tools = (await client.list_tools()).tools
        return {tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools}


def part(schema: dict[str, Any], path: str) -> dict[str, Any]:
    for step in path.split(".") if path else ():
        name, arm = step.removesuffix("[]").partition("|")[::2]
        schema = schema["properties"][name]
        schema = schema["anyOf"][int(arm)] if arm else schema
        schema = schema["items"] if step.endswith("[]") else schema
    return schema


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        node = cast(dict[str, Any], value)
        yield node
        for item in node.values():
            yield from nodes(item)
    elif isinstance(value, list):
        for item in cast(list[Any], value):
            yield from nodes(item)


async def test_the_list_that_is_shipped_is_what_the_modules_of_the_tools_say(open_test_process: OpenProcess) -> None:
    async with open_test_process() as process:
        service = dataclasses.replace(service_of(process), host_asks=True)
        modules = [import_module(f"zinc_mcp.server.mcp.tools.{name}") for name in TOOLS]
        derived = await MCPServer[Any]("derived", tools=[each.tool(service) for each in modules]).list_tools()
    rows = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in derived]
    text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("ZINC_MCP_UPDATE_CONTRACT") == "1":
        SHIPPED.write_text(text, encoding="utf-8")
    assert SHIPPED.read_text(encoding="utf-8") == text, "ZINC_MCP_UPDATE_CONTRACT=1 writes it anew"


@both_eras
async def test_the_tools_are_those_of_the_committed_contract(open_test_process: OpenProcess, mode: str) -> None:
    tools = await listed(open_test_process, mode)
    text = json.dumps(list(tools.values()), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("ZINC_MCP_UPDATE_CONTRACT") == "1":
        CONTRACT.write_text(text, encoding="utf-8")
    assert CONTRACT.exists(), "tests/tools.json is missing; ZINC_MCP_UPDATE_CONTRACT=1 writes it"
    assert json.loads(CONTRACT.read_text(encoding="utf-8")) == json.loads(text)


@both_eras
async def test_the_tools_come_in_one_order_and_fit_the_budget(open_test_process: OpenProcess, mode: str) -> None:
    tools = await listed(open_test_process, mode)
    assert list(tools) == list(TOOLS)
    assert size(list(tools.values())) <= TOOLS_BUDGET


@pytest.mark.sampled(10)
@both_eras
@pytest.mark.parametrize("tool", ["place_order", "place_agent_order"])
@pytest.mark.parametrize("path", SEEDS)
async def test_a_placing_tool_takes_order_create_at_the_top_level(
    open_test_process: OpenProcess, mode: str, tool: str, path: str
) -> None:
    schema = part((await listed(open_test_process, mode))[tool]["inputSchema"], path)
    required, properties = SEEDS[path]
    assert set(schema.get("required", [])) == required
    assert schema["properties"].keys() == properties.keys()
    for name, keywords in properties.items():
        published = {key: value for key, value in schema["properties"][name].items() if key != "description"}
        if published.get("type") in ("object", "array") and "items" not in keywords:
            published = {key: value for key, value in published.items() if key in keywords}
        if name != "shipping_address":
            assert published == keywords, name


@both_eras
async def test_the_published_arguments_are_the_model_s_own(open_test_process: OpenProcess, mode: str) -> None:
    schema = (await listed(open_test_process, mode))["place_order"]["inputSchema"]
    assert schema["properties"].keys() == OrderCreate.model_fields.keys()
    own = OrderCreate.model_json_schema()
    assert set(schema["required"]) == set(own["required"])


@both_eras
async def test_the_published_arguments_of_v1_are_its_model_s_own(open_test_process: OpenProcess, mode: str) -> None:
    schema = (await listed(open_test_process, mode))["place_v1_order"]["inputSchema"]
    assert schema["properties"].keys() == V1Order.model_fields.keys()
    assert set(schema["required"]) == set(V1Order.model_json_schema()["required"])
    text = json.dumps(schema)
    inside = (V1Address, V1Product, SellerCriteria, Shipping, PromoCode, RetailerAccount)
    assert [name for model in inside for name in model.model_fields if name not in text] == []


@both_eras
@pytest.mark.parametrize("settings", [{}, {"api_key": None}], ids=["with a key", "without"])
async def test_an_order_of_v1_is_offered_only_with_a_client_token(
    open_test_process: OpenProcess, mode: str, settings: dict[str, Any]
) -> None:
    async with open_test_process(**settings) as process, host(process, mode) as client:
        assert "place_v1_order" not in {tool.name for tool in (await client.list_tools()).tools}
        with pytest.raises(MCPError) as refused:
            await client.call_tool("place_v1_order", {})
        assert "v1" not in (client.instructions or "")
    assert refused.value.error.code == INVALID_PARAMS
    assert "place_v1_order" in await listed(open_test_process, mode, **settings)


@both_eras
async def test_the_schemas_of_results_stay_open(open_test_process: OpenProcess, mode: str) -> None:
    for tool in (await listed(open_test_process, mode)).values():
        assert "additionalProperties" not in tool["outputSchema"]
        assert set(tool["outputSchema"]["required"]) == {"outcome", "summary", "next_step"}
        assert not any("enum" in node for node in nodes(tool["outputSchema"]))


@both_eras
async def test_every_tool_declares_its_effects(open_test_process: OpenProcess, mode: str) -> None:
    tools = await listed(open_test_process, mode)
    for name, tool in tools.items():
        spends, reads = name.startswith("place_"), "read" in PROFILES[name]
        asks = name in ("search_products", "check_product")  # which may cost a cent, and change nothing
        assert tool["annotations"] == {
            "title": tool["title"],
            "readOnlyHint": reads,
            "destructiveHint": not reads and not asks,
            "idempotentHint": reads or name == "cancel_order",
            "openWorldHint": True,
        }
        assert ("real money" in tool["description"]) is spends
        assert "_meta" not in tool


@both_eras
async def test_descriptions_are_prose_for_a_model_and_no_commands_to_it(
    open_test_process: OpenProcess, mode: str
) -> None:
    for tool in (await listed(open_test_process, mode)).values():
        text = " ".join(node["description"] for node in nodes(tool) if isinstance(node.get("description"), str))
        assert len(tool["description"]) < 400
        assert not re.search(r"\b(?!US\b|ISO\b|NY\b|MPP\b)[A-Z]{2,}\b", text), text
        assert not re.search(r"<[a-z]|\b(must|always|never call|important)\b", text, re.IGNORECASE), text


@both_eras
async def test_with_host_approval_the_placing_tools_ask_for_the_person(
    open_test_process: OpenProcess, mode: str, write_config: Any
) -> None:
    write_config('[policy]\napproval = "host"\n')
    tools = await listed(open_test_process, mode)
    for name in ("place_order", "place_agent_order", "place_v1_order"):
        assert tools[name]["_meta"] == {"anthropic/requiresUserInteraction": True}
    assert "_meta" not in tools["get_order"]


@both_eras
async def test_only_the_tools_the_owner_named_are_listed_and_callable(
    open_test_process: OpenProcess, mode: str
) -> None:
    async with open_test_process(tools=frozenset({"get_order"})) as process, host(process, mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["get_order"]
        with pytest.raises(MCPError) as refused:
            await client.call_tool("place_order", {})
    assert refused.value.error.code == INVALID_PARAMS


@both_eras
async def test_the_server_introduces_itself_in_under_two_kilobytes(open_test_process: OpenProcess, mode: str) -> None:
    async with open_test_process(**V1) as process, host(process, mode) as client:
        assert client.instructions == INSTRUCTIONS
        assert client.server_info is not None
        assert client.server_info.version == own_version() != ""
    assert len(INSTRUCTIONS.encode()) < 2_000


@both_eras
@pytest.mark.parametrize(
    ("settings", "buys"),
    [
        ({"tools": frozenset({"get_order", "list_orders", "get_balance"})}, False),
        ({"tools": frozenset({"check_product", "search_products"})}, False),
        ({"tools": frozenset({"place_order", "get_order"})}, True),
        ({"tools": frozenset({"place_agent_order", "report_problem", "cancel_order"})}, True),
        ({"api_key": None}, True),
    ],
    ids=["only reading", "only asking", "an order", "by a wallet, and changes", "without a key"],
)
async def test_the_introduction_names_no_tool_that_is_not_listed(
    open_test_process: OpenProcess, mode: str, settings: dict[str, Any], buys: bool
) -> None:
    async with open_test_process(**settings) as process, host(process, mode) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        said = client.instructions or ""
    assert {name for name in TOOLS if re.search(rf"\b{name}\b", said)} <= listed
    assert ("Buys real products" in said, "Nothing can be ordered" in said) == (buys, not buys)


def test_building_a_server_does_not_load_the_journal_s_machinery() -> None:
    code = "import sys, zinc_mcp.server.mcp.server; sys.exit('sqlalchemy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
