"""Orders as resources show what the tools show; prompts name only tools that are listed."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, TextContent, TextResourceContents
from pydantic import BaseModel, SecretStr
from server.as_a_host import both_eras, call, host
from wanted import arguments

from zinc_mcp.known_settings import TOOLS


async def text_of(client: Client, uri: str) -> dict[str, object]:
    [content] = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert (content.mime_type, str(content.uri)) == ("application/json", uri)
    found: dict[str, object] = json.loads(content.text)
    return found


@both_eras
async def test_a_resource_shows_what_the_tool_shows(open_test_process: OpenProcess, zinc: FakeZinc, mode: str) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order = await call(client, "place_order", arguments())
        zinc.settle(order["order_id"], 4_000)
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
        listed = await call(client, "list_orders", {})
        for handle in (order["order_id"], order["key"]):
            assert await text_of(client, f"zinc://orders/{handle}") == shown
        assert await text_of(client, "zinc://orders") == listed
        [resource] = (await client.session.list_resources()).resources
        [template] = (await client.session.list_resource_templates()).resource_templates
    assert (str(resource.uri), resource.title) == ("zinc://orders", "Orders")
    assert (template.uri_template, template.title) == ("zinc://orders/{order_id}", "Order")


@both_eras
@pytest.mark.parametrize(
    "uri",
    [
        "zinc://orders/3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "zinc://orders/",
        "zinc://orders/a%20b",
        "zinc://orders/..%2F..%2Fetc",
        "zinc://orders/%00",
        "zinc://orders/" + "x" * 200,
        "zinc://orders?caller=ada",
        "zinc://order",
        "file:///etc/passwd",
    ],
)
async def test_a_resource_that_is_none_is_an_error_of_the_protocol(
    open_test_process: OpenProcess, zinc: FakeZinc, caplog: pytest.LogCaptureFixture, mode: str, uri: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        with pytest.raises(MCPError) as refused:
            await client.read_resource(uri)
    assert refused.value.error.code == INVALID_PARAMS
    assert [record for record in caplog.records if record.exc_info] == []


@both_eras
async def test_a_resource_that_cannot_be_read_just_now_says_why(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        zinc.reads = [httpx.ConnectError("down")]
        with pytest.raises(MCPError) as refused:
            await client.read_resource("zinc://orders/3f2504e0-4f89-11d3-9a0c-0305e82c3301")
    assert refused.value.error.code == INTERNAL_ERROR
    assert "Zinc could not be reached." in refused.value.error.message


class Named(BaseModel):
    secret: int


class BrokenRunner:
    """A journal that breaks in a way that nobody foresaw."""

    def __init__(self, breaks: Callable[[], object]) -> None:
        self._breaks = breaks

    def __getattr__(self, name: str) -> object:
        return self._breaks()


def breaks() -> object:
    raise RuntimeError("planted-secret")


@both_eras
@pytest.mark.parametrize("broken", [breaks, lambda: Named.model_validate({"secret": "planted-secret"})])
@pytest.mark.parametrize("uri", ["zinc://orders", "zinc://orders/3f2504e0-4f89-11d3-9a0c-0305e82c3301"])
async def test_a_crash_tells_the_reader_of_a_resource_a_reference_and_no_more(
    open_test_process: OpenProcess, caplog: pytest.LogCaptureFixture, mode: str, uri: str, broken: Callable[[], object]
) -> None:
    async with open_test_process() as process:
        async with host(replace(process, journal=cast(Any, BrokenRunner(broken))), mode) as client:
            with pytest.raises(MCPError) as refused:
                await client.read_resource(uri)
    told = refused.value.error.message
    assert "planted-secret" not in told
    [reference] = re.findall(r"the reference (\w+)", told)
    assert reference in caplog.text


PROFILES = {
    "all": (set(TOOLS), {"buy_something", "where_is_my_order", "send_something_back"}, 1, 1),
    "read": (
        {"get_order", "list_orders", "get_balance"},
        {"where_is_my_order", "send_something_back"},
        1,
        1,
    ),
    "one": ({"cancel_order"}, set[str](), 0, 0),
    "order": (
        {"place_order", "place_agent_order", "get_order", "cancel_order"},
        {"buy_something", "where_is_my_order", "send_something_back"},
        0,
        1,
    ),
}


@both_eras
@pytest.mark.parametrize("profile", PROFILES)
async def test_a_prompt_or_resource_is_there_only_with_its_tools(
    open_test_process: OpenProcess, mode: str, profile: str
) -> None:
    tools, prompts, resources, templates = PROFILES[profile]
    token = SecretStr("token-of-v1")
    settings: dict[str, Any] = {"tools": frozenset(tools), "v1_client_token": token}
    async with open_test_process(**settings) as process, host(process, mode) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == tools
        listed = (await client.session.list_prompts()).prompts
        assert {prompt.name for prompt in listed} == prompts
        assert len((await client.session.list_resources()).resources) == resources
        assert len((await client.session.list_resource_templates()).resource_templates) == templates
        if not resources:
            with pytest.raises(MCPError):
                await client.read_resource("zinc://orders")
        for prompt in listed:
            [argument] = prompt.arguments or []
            for given in ({}, {argument.name: "whole bean coffee"}):
                [message] = (await client.session.get_prompt(prompt.name, given)).messages
                assert isinstance(message.content, TextContent)
                named = set(re.findall(r"\b[a-z]+_[a-z_]+\b", message.content.text))
                assert named <= tools, message.content.text
                assert ("whole bean coffee" in message.content.text) is bool(given)


@both_eras
async def test_words_in_a_prompt_are_bounded_and_cleaned_and_other_arguments_are_passed_over(
    open_test_process: OpenProcess, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        given = {"what": "a\u202eb \x1b[31m" + "x" * 10_000, "other": "y"}
        [message] = (await client.session.get_prompt("buy_something", given)).messages
    assert isinstance(message.content, TextContent)
    assert len(message.content.text) < 1_000
    assert "\u202e" not in message.content.text
