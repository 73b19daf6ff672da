"""The judge of real clients notices a loss, and docs/clients.md holds every client that is tried."""

import copy
from typing import Any

import pytest
from started import ROOT
from wanted import LISTED

from bench.clients.environments import BOTH_ERAS, CLIENTS, ONE_A_TRANSPORT, Way
from bench.clients.forms import forms
from bench.clients.journey import ASKED, KEY, OURS, QUESTIONS, journey, not_offered, untold
from bench.clients.kept import lost
from bench.clients.overheard import spoken
from bench.clients.table import HEADER, Row, table
from zinc_mcp.server.mcp.tools.placing import order_schema

PAGE = ROOT / "docs" / "clients.md"
NESTED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "parts": {
            "type": "array",
            "items": {"type": "object", "properties": {"kind": {"type": "string", "enum": ["a"]}}},
        },
        "to": {"anyOf": [{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}]},
    },
    "required": ["parts"],
}


def changed(**properties: Any) -> dict[str, Any]:
    schema = copy.deepcopy(NESTED)
    schema["properties"].update(properties)
    return schema


def test_nothing_is_lost_of_a_schema_in_itself() -> None:
    assert lost(order_schema(), order_schema()) == []


@pytest.mark.parametrize("form", ["inlined", "defs"])
def test_a_reference_equals_the_schema_it_refers_to(form: str) -> None:
    assert lost(order_schema(), forms()[form]) == []
    assert lost(forms()[form], order_schema()) == []


@pytest.mark.parametrize(
    ("theirs", "gone"),
    [
        ({}, ["type object", "parts", "to"]),
        (changed(parts={"type": "array", "items": {}}), ["parts[]: type object", "parts[].kind"]),
        (changed(parts={"type": "string"}), ["parts: type array", "parts[]: type object", "parts[].kind"]),
        (changed(to={"type": "object"}), ["to.city"]),
        (changed(to={"type": "object", "properties": {"city": {"type": "string"}}}), ["to.city: required"]),
        (
            changed(parts={"type": "array", "items": {"type": "object", "properties": {"kind": {"type": "string"}}}}),
            ["parts[].kind: choice a"],
        ),
        ({**NESTED, "required": []}, ["parts: required"]),
    ],
)
def test_a_loss_is_found_at_every_depth(theirs: dict[str, Any], gone: list[str]) -> None:
    assert set(gone) <= {each.lstrip(": ") for each in lost(NESTED, theirs)}


def test_gemini_s_spelling_is_no_loss() -> None:
    city = {"type": "OBJECT", "properties": {"city": {"type": "STRING", "nullable": True}}, "required": ["city"]}
    kind = {"type": "OBJECT", "properties": {"kind": {"type": ["string", "null"], "enum": ["a"]}}}
    theirs = {
        "type": "OBJECT",
        "properties": {"parts": {"type": "ARRAY", "items": kind}, "to": {"any_of": [city, {"type": "NULL"}]}},
        "required": ["parts", "to"],
    }
    assert lost(NESTED, theirs) == []


def test_the_page_holds_each_client_and_no_failure() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert HEADER in text
    for client in CLIENTS:
        rows = [
            row.split("|")
            for row in text.splitlines()
            if row.startswith(f"| {client.name} | ") and row.count("|") == HEADER.splitlines()[0].count("|")
        ]
        assert rows, f"{client.name} is missing: python -m bench.clients --write"
        assert all(row[5].strip() == "yes" or row[4].strip().startswith("skipped: ") for row in rows)
        eras = {"2026-07-28" in row[4] for row in rows if row[5].strip() == "yes"}
        assert client.ways != BOTH_ERAS or eras in (set(), {True, False}), client.name


def test_each_transport_has_a_client_for_a_short_run() -> None:
    by_name = {client.name: client for client in CLIENTS}
    assert ONE_A_TRANSPORT.keys() == {"stdio", "http", "sse"}
    assert all(Way(transport) in by_name[name].ways for transport, name in ONE_A_TRANSPORT.items())


@pytest.mark.parametrize(
    ("said", "revision"),
    [
        ('{"method":"initialize","params":{"protocolVersion":"2025-11-25"}}', "2025-11-25"),
        ('{"params": {"protocolVersion": "2024-11-05"}, "method": "initialize"}', "2024-11-05"),
        (
            '{"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}',
            "2026-07-28",
        ),
        (
            '{"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}\n'
            '{"method":"initialize","params":{"protocolVersion":"2025-06-18"}}',
            "2025-06-18",
        ),
        ('{"method":"tools/list"}', ""),
    ],
)
def test_the_revision_that_a_client_speaks_is_heard(said: str, revision: str) -> None:
    assert spoken(said.encode()) == revision


def calls_as_they_must_be() -> dict[str, dict[str, str]]:
    return {
        step["name"]: {"seen": f'{"Error: " * is_an_error(step)}{{"outcome":"{step["outcome"]}"}} {step["says"]}'}
        for step in journey()
    }


def is_an_error(step: dict[str, Any]) -> bool:
    return step["name"] in ("over a limit", "invalid")


@pytest.mark.parametrize("name", [step["name"] for step in journey()])
def test_a_step_that_comes_to_something_else_is_noticed(name: str) -> None:
    calls = calls_as_they_must_be()
    assert untold(journey(), calls) == []
    seen = calls[name]["seen"]
    error = seen.removeprefix("Error: ") if seen.startswith("Error: ") else f"Error: {seen}"
    for other in (error, seen.replace('"outcome":"', '"outcome":"not_'), '{"outcome":"timed_out"}', ""):
        assert [each.partition(":")[0] for each in untold(journey(), {**calls, name: {"seen": other}})] == [name]


def test_every_tool_is_called_and_every_listed_prompt_is_looked_for() -> None:
    assert {step["tool"] for step in journey()} == set(OURS) == set(LISTED)
    assert {step["tool"] for step in ASKED} >= {"place_order", "return_order", "report_problem"}
    assert QUESTIONS == len([step for step in ASKED if step["tool"] != "get_order"])


OFFERS = {
    "resources": "zinc://orders",
    "resource": f'{{\\"outcome\\": \\"placed\\", "key":"{KEY}", "returns":[]}}',
    "prompts": "buy_something where_is_my_order send_something_back",
    "prompt": "whole bean coffee place_order or place_agent_order",
}


def test_a_resource_or_prompt_that_a_client_does_not_get_is_noticed() -> None:
    assert not_offered(tuple(OFFERS), OFFERS) == []
    for what in OFFERS:
        assert [each.partition(":")[0] for each in not_offered(tuple(OFFERS), {**OFFERS, what: "nothing"})] == [what]
        fewer = {name: text for name, text in OFFERS.items() if name != what}
        assert len(not_offered(tuple(OFFERS), fewer)) == 1
        assert len(not_offered(tuple(fewer), OFFERS)) == 1, "what it gets besides is written down"


def test_the_row_of_a_skipped_client_has_the_reason_and_all_columns() -> None:
    skipped = table([Row(CLIENTS[0], "", {}, "no npm here")]).splitlines()[-1]
    assert skipped.count("|") == HEADER.splitlines()[0].count("|")
    assert skipped.split("|")[4].strip() == "skipped: no npm here"
