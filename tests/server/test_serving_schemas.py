"""The published schemas hold nothing that a host, or the model API behind it, refuses or loses."""

import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
from conftest import OpenProcess
from pydantic import SecretStr
from server.as_a_host import both_eras, host

from zinc_mcp.known_settings import TOOLS

REFUSED = {
    "const": "the Gemini API: 'Unknown name \"const\"' (danny-avila/LibreChat#11761, zed-industries/zed#45552)",
    "$ref": "the Gemini API (gemini-cli#13326, opencode#12295), Codex shows text (openai/codex#3152), n8n#25964",
    "$defs": "dropped or not resolved: gemini-cli#13142, copilot-cli#1876, open-webui/computer#87, stitch-mcp#184",
    "definitions": "the older name of $defs",
    "$schema": "stripped by Gemini CLI and refused by the API behind other hosts",
    "$id": "as $schema",
    "oneOf": "Codex shows text (openai/codex#13768); Gemini's older Schema has only anyOf",
    "allOf": "as oneOf; anthropics/claude-code#95504 at the root",
    "not": "not in Gemini's Schema",
    "if": "anthropics/claude-code#95504",
    "then": "anthropics/claude-code#95504",
    "else": "anthropics/claude-code#95504",
    "exclusiveMinimum": "the Gemini API (langchain-mcp-tools-ts#36, zenflow#14)",
    "exclusiveMaximum": "the Gemini API (langchain-mcp-tools-ts#36)",
    "propertyNames": "the Gemini API (zenflow#14)",
    "patternProperties": "not in Gemini's Schema, nor in OpenAI's strict one",
    "prefixItems": "Moonshot (kimi-code#830)",
    "format": "the Gemini API takes only 'enum' and 'date-time' (langchain-mcp-tools-ts#36)",
    "additionalProperties": "the Gemini API (5ire#42, zed#45552); google-genai 2.34 cannot convert `false` at all",
    "title": "bytes that say what the name says",
    "nullable": "OpenAPI's word, unknown to JSON Schema",
    "x-mcp-header": "copies an argument into a header (MCP 2026-07-28)",
}
"""By keyword: which host or API refuses or loses a schema with it. Names of properties are no keywords."""

REFUSED_AT_THE_ROOT = {
    "anyOf": "the Claude and OpenAI APIs refuse every request of the session (notion-mcp-server#340 and #341)",
}
OPEN_OBJECTS = {"metadata", "client_notes"}
"""Objects whose fields are the caller's own."""
IN_WORDS = {"seller_selection_criteria", "promo_codes[]", "shipping", "retailer_account"}
"""Objects of v1 that few orders have, with their fields in the description: all tools together have 20 KB."""


def schemas(node: dict[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield place, node
    for name, part in cast(dict[str, Any], node.get("properties") or {}).items():
        yield from schemas(part, f"{place}.{name}".lstrip("."))
    if isinstance(node.get("items"), dict):
        yield from schemas(node["items"], f"{place}[]")
    for arm in cast(list[dict[str, Any]], node.get("anyOf") or []):
        yield from schemas(arm, f"{place}|")


async def published(open_test_process: OpenProcess, mode: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return each part of each schema, with its tool and which schema it is."""
    token = SecretStr("token-of-v1")
    async with open_test_process(v1_client_token=token) as process, host(process, mode) as client:
        tools = (await client.list_tools()).tools
    return [
        (f"{tool.name} {which} {place}", which, node)
        for tool in tools
        for which, schema in (("input", tool.input_schema), ("output", tool.output_schema or {}))
        for place, node in schemas(schema)
    ]


@pytest.mark.sampled(8)
@both_eras
@pytest.mark.parametrize("word", REFUSED)
async def test_no_schema_has_a_word_that_a_host_refuses(open_test_process: OpenProcess, mode: str, word: str) -> None:
    assert [place for place, _, node in await published(open_test_process, mode) if word in node] == [], REFUSED[word]


@both_eras
async def test_the_root_is_an_object_with_fields_and_no_union(open_test_process: OpenProcess, mode: str) -> None:
    roots = [
        node for place, _, node in await published(open_test_process, mode) if place.endswith(("input ", "output "))
    ]
    assert len(roots) == 2 * len(TOOLS)
    for root in roots:
        assert root["type"] == "object"
        assert root["properties"]
        assert not REFUSED_AT_THE_ROOT.keys() & root.keys()


@both_eras
async def test_every_part_has_one_type_or_is_a_union_of_typed_parts(open_test_process: OpenProcess, mode: str) -> None:
    # A list of types: "Proto field is not repeating" (n8n#15553, gemini-cli#21094). A type beside a union, or none at
    # all: Moonshot (kimi-code#830). A union with null: tools that fill in every field then send null for all of them.
    for place, _, node in await published(open_test_process, mode):
        assert ("type" in node) is ("anyOf" not in node), place
        assert node.get("type", "object") in ("object", "array", "string", "integer", "number", "boolean"), place


@both_eras
async def test_objects_and_lists_declare_their_contents(open_test_process: OpenProcess, mode: str) -> None:
    # opencode#11889: `properties` and `required` only on objects. mcp-server-excel#672: no union of lists in `items`.
    for place, which, node in await published(open_test_process, mode):
        if node.get("type") != "object":
            assert not {"properties", "required"} & node.keys(), place
        elif which == "input" and place.rpartition(".")[2].split()[-1] in IN_WORDS:
            assert node["description"], place
        elif which == "input" and place.rpartition(".")[2].split()[-1] not in OPEN_OBJECTS:
            assert node["properties"], place
            assert set(node.get("required", [])) <= node["properties"].keys(), place
        if node.get("type") == "array" and which == "input":
            assert node["items"]["type"] in ("object", "string"), place


@both_eras
async def test_choices_are_of_one_type_and_defaults_of_theirs(open_test_process: OpenProcess, mode: str) -> None:
    python: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
    }
    for place, _, node in await published(open_test_process, mode):
        for value in [*node.get("enum", []), *([node["default"]] if "default" in node else [])]:
            assert isinstance(value, python[node["type"]]), place
        assert node.get("enum", ["some"]), place


@both_eras
async def test_names_are_those_that_every_host_takes(open_test_process: OpenProcess, mode: str) -> None:
    # Gemini: a letter first, at most 64 characters (DesktopCommanderMCP#79); hosts put their own prefix before it.
    async with open_test_process() as process, host(process, mode) as client:
        for tool in (await client.list_tools()).tools:
            assert re.fullmatch(r"[a-z][a-z_]{1,40}", tool.name)
            for name in tool.input_schema["properties"]:
                assert re.fullmatch(r"[a-z][a-z_]{1,63}", name)


@both_eras
async def test_a_converter_that_loses_nested_fields_still_tells_of_them(
    open_test_process: OpenProcess, mode: str
) -> None:
    # LlamaIndex keeps the root's descriptions and no nested object of it (docs/clients.md).
    async with open_test_process() as process, host(process, mode) as client:
        tools = {tool.name: tool.input_schema["properties"] for tool in (await client.list_tools()).tools}
    said = tools["return_order"]["items"]["description"]
    assert "number" in said and "quantity" in said
    for name in ("place_order", "place_agent_order"):
        assert "url" in tools[name]["products"]["description"]
        said = tools[name]["shipping_address"]["description"]
        for required in ("first_name", "last_name", "address_line1", "city", "postal_code", "phone_number", '"saved"'):
            assert required in said
