"""A server over stdio that lists the arguments of an order in each form that we could publish.

`python -m bench.clients.forms`. Clients only list its tools. We publish the form that most converters keep whole.
"""

from typing import Any

import anyio
from mcp.server import Server
from mcp.server.stdio import stdio_server
from mcp.types import ListToolsResult, Tool

from zinc_mcp.server.mcp.tools.placing import order_schema
from zinc_mcp.server.stdio import Incoming, Outgoing, serve_either_era

Schema = dict[str, Any]


def forms() -> dict[str, Schema]:
    """Return the schema of a placing tool in each form."""
    inlined = order_schema()
    return {"inlined": inlined, "defs": with_defs(inlined)}


def with_defs(schema: Schema) -> Schema:
    """Return the same schema with its objects in `$defs`, as pydantic writes them."""
    found: dict[str, Schema] = {}
    properties = {name: _moved(part, name, found) for name, part in schema["properties"].items()}
    return {**schema, "properties": properties, "$defs": found}


def _moved(node: Schema, name: str, found: dict[str, Schema]) -> Schema:
    node = dict(node)
    if "anyOf" in node:
        node["anyOf"] = [_moved(arm, f"{name}{index or ''}", found) for index, arm in enumerate(node["anyOf"])]
    if "items" in node:
        node["items"] = _moved(node["items"], name.removesuffix("s"), found)
    if "properties" not in node:
        return node
    node["properties"] = {each: _moved(part, each, found) for each, part in node["properties"].items()}
    title = "".join(word.title() for word in name.split("_"))
    description = node.pop("description", None)
    found[title] = node
    return {"$ref": f"#/$defs/{title}"} | ({"description": description} if description else {})


async def _serve() -> None:
    listed = [Tool(name=name, description="An order", input_schema=schema) for name, schema in forms().items()]

    async def tools(ctx: Any, params: Any) -> ListToolsResult:
        return ListToolsResult(tools=listed)

    server: Server[Any] = Server("forms", on_list_tools=tools)

    async def serve(messages: Incoming, answers: Outgoing) -> None:
        await server.run(messages, answers, server.create_initialization_options())

    async with stdio_server() as (messages, answers):
        await serve_either_era(serve, messages, answers)


if __name__ == "__main__":
    anyio.run(_serve)
