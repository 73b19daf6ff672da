"""The common part of the Python drivers: read a plan, make its calls through a client, print the facts.

A driver runs in its own environment, where nothing of this project can be imported. It reads its plan as JSON
from stdin and prints the facts as the last line of stdout:

    plan   transport, era, command, args, env, url, headers, steps [{name, tool, arguments, until, times}],
           offered {resource, prompt, arguments}
    facts  tools {name: schema as a model gets it}, calls {name: {seen, error}}, asked [the questions to the person],
           offered {resources, resource, prompts, prompt}

`era` is "older" if a client that speaks both revisions of the protocol must speak the older one. `seen` is the text
that the client passes on to a model. `error` is the client's mark of an error, or "" if there is none. `offered` has
the lists of resources and prompts and one of each, as far as the client can get them.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Plan = dict[str, Any]
Facts = dict[str, Any]
Call = Callable[[str, dict[str, Any]], Awaitable[tuple[Any, str]]]


def run(drive: Callable[[Plan], Awaitable[Facts]]) -> None:
    """Run a driver on the plan from stdin."""
    plan = json.loads(sys.stdin.read())
    facts = asyncio.run(drive(plan))
    print("\n" + json.dumps(facts), flush=True)


async def taken(plan: Plan, call: Call) -> dict[str, Any]:
    """Make the plan's steps one after the other; repeat a step with `until` until its answer holds that text."""
    calls: dict[str, Any] = {}
    for step in plan["steps"]:
        for _ in range(step.get("times", 1)):
            shown, mark = await call(step["tool"], step["arguments"])
            seen = as_text(shown)
            calls[step["name"]] = {"seen": seen, "error": mark}
            if step.get("until", "") in seen.replace(" ", "").replace("\\", ""):
                break
    return calls


async def offered(plan: Plan, **ways: Callable[[dict[str, Any]], Awaitable[Any]]) -> dict[str, str]:
    """Get resources and prompts in the ways that the client has, if the plan names some."""
    named = plan.get("offered")
    return {} if named is None else {what: as_text(await way(named)) for what, way in ways.items()}


def as_text(value: Any) -> str:
    """Return the text that a model would get for a value."""
    if isinstance(value, str):
        return value
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(value, default=lambda other: as_text(other) if hasattr(other, "model_dump") else str(other))
