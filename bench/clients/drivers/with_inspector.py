"""The MCP Inspector's command line: one process for each call. The plan's `program` is the Inspector.

Its `--strict` refuses a list of tools whose schemas some hosts cannot take.
"""

import json
import subprocess
from typing import Any

from steps import Facts, Plan, offered, run, taken


def words(plan: Plan) -> list[str]:
    if plan["transport"] == "stdio":
        variables = [word for name, value in plan["env"].items() for word in ("-e", f"{name}={value}")]
        return [plan["command"], *plan["args"], *variables]
    headers = [word for name, value in plan["headers"].items() for word in ("--header", f"{name}: {value}")]
    return [plan["url"], "--transport", plan["transport"], *headers]


def inspected(plan: Plan, *more: str) -> Any:
    done = subprocess.run(
        [*plan["program"], "--cli", *words(plan), *more], capture_output=True, text=True, timeout=120, check=False
    )
    if not done.stdout.strip() or ("--strict" in more and done.returncode):
        raise RuntimeError(done.stderr[-2_000:])
    return json.loads(done.stdout)


async def drive(plan: Plan) -> Facts:
    tools = inspected(plan, "--method", "tools/list", "--strict")["tools"]

    async def call(tool: str, arguments: dict[str, Any]) -> tuple[Any, str]:
        given = [f"{name}={json.dumps(value)}" for name, value in arguments.items()]
        result = inspected(plan, "--method", "tools/call", "--tool-name", tool, "--tool-arg", *given)
        result = result.get("result", result)
        return result, "isError" if result.get("isError") else ""

    async def get(*method: str) -> Any:
        return inspected(plan, "--method", *method)

    calls = await taken(plan, call)
    also = await offered(
        plan,
        resources=lambda named: get("resources/list"),
        resource=lambda named: get("resources/read", "--uri", named["resource"]),
        prompts=lambda named: get("prompts/list"),
        prompt=lambda named: get("prompts/get", "--prompt-name", named["prompt"], "--prompt-args", *pairs(named)),
    )
    schemas = {tool["name"]: tool["inputSchema"] for tool in tools}
    return {"tools": schemas, "calls": calls, "asked": [], "offered": also}


def pairs(named: dict[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in named["arguments"].items()]


run(drive)
