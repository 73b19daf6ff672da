"""The judge of real clients notices a loss, and docs/clients.md holds every client that is tried."""

import copy
from typing import Any

import pytest
from started import ROOT

from bench.clients.environments import CLIENTS, ONE_A_TRANSPORT
from bench.clients.forms import forms
from bench.clients.kept import lost
from bench.clients.table import HEADER
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
            row.split("|") for row in text.splitlines() if row.startswith(f"| {client.name} | ") and row.count("|") == 9
        ]
        assert rows, f"{client.name} is missing: python -m bench.clients --write"
        assert all(row[4].strip() == "yes" or row[4].strip().startswith("skipped: ") for row in rows)


def test_each_transport_has_a_client_for_a_short_run() -> None:
    by_name = {client.name: client for client in CLIENTS}
    assert ONE_A_TRANSPORT.keys() == {"stdio", "http", "sse"}
    assert all(transport in by_name[name].transports for transport, name in ONE_A_TRANSPORT.items())
