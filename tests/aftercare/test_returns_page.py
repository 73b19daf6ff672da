"""The examples of docs/returns-and-cases.md, in their order, are calls that work, with the results that they show."""

import json
from typing import Any, cast

import pytest
from aftercare.after import delivered
from conftest import HandClock, OpenProcess
from documents import blocks
from server.as_a_host import call, host, usually_one_era

from zinc_mcp.sandbox import Sandbox


@pytest.fixture
def zinc(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


def shows(whole: object, part: object) -> bool:
    """Say whether a result holds all of a part of it."""
    if isinstance(part, dict):
        inside = cast(dict[str, Any], whole) if isinstance(whole, dict) else {}
        return all(name in inside and shows(inside[name], value) for name, value in cast(dict[str, Any], part).items())
    if isinstance(part, list):
        rows = cast(list[Any], whole) if isinstance(whole, list) else []
        return len(rows) == len(cast(list[Any], part)) and all(map(shows, rows, cast(list[Any], part)))
    return whole == part


@usually_one_era
async def test_each_example_works_in_its_order(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, mode: str
) -> None:
    examples = [json.loads(block.text) for block in blocks() if block.document == "docs/returns-and-cases.md"]
    assert len(examples) >= 10
    async with open_test_process() as process, host(process, mode) as client:
        order_id = await delivered(client, clock)
        answer: dict[str, Any] = {}
        for example in examples:
            if "name" not in example:
                assert shows(answer, example), (answer, example)
                continue
            given = json.loads(json.dumps(example["arguments"]).replace("ORDER", order_id))
            answer = await call(client, example["name"], given)
            clock.pass_seconds(0 if example["name"] == "get_order" else 7)
