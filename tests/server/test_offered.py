"""The server names only the features that it has, and refuses the others as the specification says."""

from typing import Any

import pytest
from conftest import OpenProcess
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import EmptyResult, Request
from server.as_a_host import both_eras, host
from wanted import LISTED, arguments

from zinc_mcp.server.mcp.instructions import instructions_for
from zinc_mcp.server.mcp.server import build_server, own_version


async def opening(client: Client, mode: str) -> dict[str, Any]:
    """Return the answer that opens a connection."""
    result = client.session.initialize_result if mode == "legacy" else await client.session.discover()
    assert result is not None
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)


@both_eras
async def test_the_opening_answer_names_only_existing_features(open_test_process: OpenProcess, mode: str) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        told = await opening(client, mode)
    capabilities = told.pop("capabilities")
    assert set(capabilities) == {"tools", "prompts", "resources"}
    assert not capabilities["resources"].get("subscribe")
    assert told.pop("instructions") == instructions_for(frozenset(LISTED))
    if mode == "legacy":
        assert told == {
            "protocolVersion": "2025-11-25",
            "serverInfo": {"name": "zinc", "title": "Zinc", "version": own_version()},
        }
    else:
        assert told.pop("supportedVersions") == ["2026-07-28"]
        assert told.pop("_meta")["io.modelcontextprotocol/serverInfo"]["version"] == own_version()
        assert told == {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


@pytest.mark.sampled(10)
@both_eras
@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("prompts/get", {"name": "no such prompt"}, -32602),
        ("prompts/get", {"name": "no such prompt", "arguments": {"a": "b"}}, -32602),
        ("prompts/get", {}, -32602),
        ("prompts/get", {"name": 5}, -32602),
        ("tools/call", {"name": "no such tool"}, -32602),
        ("tools/call", {"name": "Place_Order", "arguments": {}}, -32602),
        ("tools/call", {"name": "place_order ", "arguments": {"products": []}}, -32602),
        ("tools/call", {"name": "", "arguments": {}}, -32602),
        ("tools/call", {"arguments": {}}, -32602),
        ("resources/read", {"uri": "zinc://orders/1"}, -32602),
        ("resources/read", {"uri": "no address"}, -32602),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "a", "value": "b"}},
            -32601,
        ),
        ("logging/setLevel", {"level": "info"}, -32601),
        ("resources/subscribe", {"uri": "zinc://orders/1"}, -32601),
        ("tasks/get", {"taskId": "x"}, -32601),
        ("what/ever", {}, -32601),
        ("", {}, -32601),
        ("tools/list ", {}, -32601),
    ],
)
async def test_a_missing_feature_is_an_error_as_the_specification_says(
    open_test_process: OpenProcess,
    caplog: pytest.LogCaptureFixture,
    mode: str,
    method: str,
    params: dict[str, Any],
    code: int,
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        with pytest.raises(MCPError) as refused:
            await client.session.send_request(Request[dict[str, Any], str](method=method, params=params), EmptyResult)
    assert refused.value.error.code == code
    assert [record for record in caplog.records if record.exc_info or record.levelname in ("WARNING", "ERROR")] == []


@both_eras
async def test_a_host_that_asks_for_lists_all_the_same_gets_empty_ones(
    open_test_process: OpenProcess, mode: str
) -> None:
    only = frozenset({"cancel_order"})
    async with open_test_process(tools=only) as process, host(process, mode) as client:
        assert set((await opening(client, mode))["capabilities"]) == {"tools"}
        assert (await client.session.list_prompts()).prompts == []
        assert (await client.session.list_resources()).resources == []
        assert (await client.session.list_resource_templates()).resource_templates == []


@both_eras
async def test_a_feature_is_named_as_soon_as_it_exists(open_test_process: OpenProcess, mode: str) -> None:
    def greeting() -> str:
        return "Hello"

    async with open_test_process(tools=frozenset({"cancel_order"})) as process:
        server = build_server(process)
        server.prompt()(greeting)
        async with Client(server, mode=mode) as client:
            told = await opening(client, mode)
            found = await client.session.get_prompt("greeting")
    assert set(told["capabilities"]) == {"tools", "prompts"}
    assert len(found.messages) == 1


@pytest.mark.sampled(2)
@both_eras
@pytest.mark.parametrize(
    ("tool", "named"),
    [("place_order", "get_order"), ("place_agent_order", "place_order")],
)
async def test_a_next_step_says_which_tools_the_owner_left_out(
    open_test_process: OpenProcess, mode: str, tool: str, named: str
) -> None:
    said: list[str] = []
    for tools in (None, frozenset({tool}), frozenset({tool, named})):
        async with open_test_process(tools=tools) as process, host(process, mode) as client:
            result = await client.call_tool(tool, arguments())
        said.append(str(dict(result.structured_content or {})["next_step"]))
        assert said[-1] in result.content[0].model_dump()["text"]
    note = f" This server does not offer {named}: there, tell the user instead."
    assert named in said[0]
    assert [step.endswith(note) for step in said] == [False, True, False]
