"""docs/v1.md: its examples work in their order, and its tables are those of the program."""

import json
import re
from pathlib import Path
from typing import Any

from aftercare.test_returns_page import shows
from documents import blocks
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from on_v1 import Practice
from server.as_a_host import both_eras, call, usually_one_era
from started import ROOT

from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.zinc.orders import OrderCreate
from zinc_mcp.zinc.v1.codes import CODES, Code
from zinc_mcp.zinc.v1.order import V1Order

PAGE = "docs/v1.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8") if (ROOT / PAGE).exists() else ""
EXAMPLES = [block.text for block in blocks() if block.document == PAGE and block.text.startswith("{")]
WORDS = {"no_answer": "not read"}


def code_table() -> str:
    """Return the table of codes as the page has it."""
    rows = ["| code | to the order | later | what it means | what to do |", "|---|---|---|---|---|"]
    return "\n".join([*rows, *(_row(name, code) for name, code in CODES.items())])


def _row(name: str, code: Code) -> str:
    post = "" if code.where == "later" else WORDS.get(code.post, code.post)
    later = "" if code.where == "post" else WORDS.get(code.later, code.later)
    return f"| `{name}` | {post} | {later} | {code.sentence} | {code.next_step} |"


@usually_one_era
async def test_each_example_works_in_its_order(home: Path, mode: str) -> None:
    assert len(EXAMPLES) >= 20
    zinc = Practice(home)
    order_id, answer = "", dict[str, Any]()
    async with zinc.host(mode) as client:
        for example in map(json.loads, EXAMPLES):
            if "name" not in example:
                assert shows(answer, example), (answer, example)
                continue
            given = json.loads(json.dumps(example["arguments"]).replace("ORDER", order_id))
            answer = await call(client, example["name"], given)
            order_id = answer["order_id"] if example["name"] == "place_v1_order" else order_id
            seconds = {"place_v1_order": 3.5, "get_order": 0.0, "get_balance": 0.0}
            zinc.clock.now += seconds.get(example["name"], 7.0)


@both_eras
async def test_the_question_is_the_one_that_is_asked(home: Path, mode: str) -> None:
    asked: list[str] = []

    async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"approve": False})

    zinc = Practice(home, '[policy]\napproval = "auto"\n')
    first = json.loads(EXAMPLES[0])
    async with (
        zinc.opened() as process,
        Client(build_server(process), mode=mode, elicitation_callback=answer) as client,
    ):
        await client.call_tool(first["name"], first["arguments"])
    [shown] = [block.text for block in blocks() if block.document == PAGE and block.text.startswith("Buy from ")]
    assert shown.strip() == asked[0].strip()


def test_the_table_of_codes_is_that_of_the_program() -> None:
    assert code_table() in TEXT, f"write this into {PAGE}:\n{code_table()}"


def test_every_field_of_an_order_says_what_becomes_of_it_in_v2() -> None:
    table = TEXT.partition("| field of v1 | field of v2 |")[2].partition("\n\n")[0]
    ours, theirs = [" ".join(part) for part in zip(*_cells(table), strict=True)]
    assert set(V1Order.model_fields) <= set(re.findall(r"\w+", ours))
    named = {name.split(".")[0].removesuffix("[]") for name in re.findall(r"`([\w.\[\]]+)`", theirs)}
    assert named - {"is_gift", "postal_code"} <= set(OrderCreate.model_fields)


def _cells(table: str) -> list[tuple[str, str]]:
    rows = [line.strip("| ").split(" | ", 1) for line in table.splitlines() if line.startswith("| `")]
    return [(ours, theirs) for ours, theirs in rows]
