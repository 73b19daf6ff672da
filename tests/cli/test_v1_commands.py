"""The commands work on orders of Zinc's v1: list, show, export, reconcile, evidence, doctor, and the kept token."""

import json
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from cli.test_login_command import piped
from mcp import Client
from on_v1 import arguments, way
from pydantic import SecretStr
from server.as_a_host import call, said
from started import Started

from zinc_mcp.owner.settings import Settings
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.wiring import open_process

TOKEN = "planted-token-of-v1"
PRACTICE = {"ZINC_MCP_SANDBOX": "1", "ZINC_MCP_SANDBOX_PACE": "1000", "ZINC_V1_CLIENT_TOKEN": TOKEN}


@pytest.fixture
def started(tmp_path: Path) -> Started:
    return Started(tmp_path)


def practised(started: Started, *orders: dict[str, Any]) -> list[dict[str, Any]]:
    """Place orders in the practice Zinc of a home, wait for their ends, and return what is told of them."""

    async def place() -> list[dict[str, Any]]:
        settings = Settings(
            home=started.home,
            config=started.home / "zinc.toml",
            sandbox=True,
            sandbox_pace=1000,
            v1_client_token=SecretStr(TOKEN),
            browser=False,
        )
        found: list[dict[str, Any]] = []
        async with open_process(settings) as process, Client(build_server(process)) as client:
            for order in orders:
                placed = said(await client.call_tool("place_v1_order", order))
                found.append(await call(client, "get_order", {"order_id": placed["key"], "wait_seconds": 5}))
        return found

    return anyio.run(place)


def test_orders_are_listed_shown_and_exported(started: Started) -> None:
    [placed, failed] = practised(
        started, arguments(zma_priority_bid=300), arguments(way("hostile_failure"), zma_discount=-10)
    )
    assert (placed["outcome"], failed["outcome"]) == ("placed", "failed")
    listed = started.run("orders", **PRACTICE)
    assert listed.returncode == 0 and placed["key"] in listed.stdout
    shown = started.run("orders", "show", placed["order_id"], **PRACTICE)
    assert shown.returncode == 0, shown.stderr
    assert "(rail v1)" in shown.stdout and "managed accounts at Zinc (v1)" in shown.stdout
    assert "as agreed with Zinc; v1 does not tell it" in " ".join(shown.stdout.split())
    exported = started.run("orders", "export", "--from", "2020-01-01", "--mode", "sandbox", "--format", "json")
    rows = cast(list[dict[str, Any]], json.loads(exported.stdout)["rows"])
    assert [(row["rail"], row["state"], row["fee_cents"]) for row in rows] == [
        ("v1", "placed", None),
        ("v1", "failed", None),
    ]
    assert [row["charged_cents"] for row in rows] == [placed["price"]["paid_cents"], 0]
    assert [row["ceiling_cents"] for row in rows] == [9300, 9900]
    assert TOKEN not in listed.stdout + shown.stdout + exported.stdout


def test_reconcile_compares_v1_with_the_journal(started: Started) -> None:
    [placed] = practised(started, arguments())
    agrees = started.run("reconcile", "--rail", "v1", "--json", **PRACTICE)
    assert (agrees.returncode, json.loads(agrees.stdout)["outcome"]) == (0, "agrees"), agrees.stdout
    beside = started.run("reconcile", "--rail", "account", **PRACTICE)
    assert "1 order of Zinc's v1" in beside.stdout and "reconcile --rail v1" in beside.stdout
    (started.home / "journal.db").unlink()
    differs = started.run("reconcile", "--rail", "v1", "--json", **PRACTICE)
    told = json.loads(differs.stdout)
    assert differs.returncode == 1
    assert [(each["kind"], each["order_ids"]) for each in told["differences"]] == [
        ("other_journal", [placed["order_id"]])
    ]
    without = started.run("reconcile", "--rail", "v1")
    assert without.returncode == 2 and "no client token of v1" in without.stderr + without.stdout


@pytest.mark.parametrize("with_address", [False, True])
def test_an_evidence_file_is_confirmed_by_v1(started: Started, with_address: bool) -> None:
    [placed] = practised(started, arguments(gift_message="Planted words", is_gift=True))
    made = started.run("orders", "evidence", placed["key"], *(["--with-address"] if with_address else []))
    assert made.returncode == 0, made.stderr
    path = started.home.parent / "evidence.json"
    path.write_text(made.stdout, encoding="utf-8")
    document = json.loads(made.stdout)
    assert document["request"]["public"]["request"]["products"] == [{"product_id": "B07JGBW826", "quantity": 1}]
    assert document["request"]["public"]["request"]["retailer"] == "amazon"
    assert ("Planted" in made.stdout) is with_address
    verified = started.run("evidence", "verify", str(path), "--ask-zinc", **PRACTICE)
    assert verified.returncode == 0, verified.stdout
    for what in ("key", "twin digest", "anchor"):
        assert f"Zinc's {what} of this order is the same" in verified.stdout
    assert "WRONG" not in verified.stdout
    forged = made.stdout.replace("B07JGBW826", "B0SNDBXC01")
    path.write_text(forged, encoding="utf-8")
    assert started.run("evidence", "verify", str(path), "--ask-zinc", **PRACTICE).returncode == 1


def test_the_doctor_says_whether_v1_can_order(started: Started) -> None:
    without = started.run("doctor")
    assert "place_v1_order" not in without.stdout
    practising = started.run("doctor", **PRACTICE)
    assert "place_v1_order" in practising.stdout
    started.configure('[policy]\nrails = ["account"]\n')
    barred = started.run("doctor", ZINC_V1_CLIENT_TOKEN=TOKEN)
    assert "the policy does not allow the rail v1" in " ".join(barred.stdout.split())
    assert TOKEN not in barred.stdout + practising.stdout


def test_a_token_is_kept_used_and_forgotten(started: Started) -> None:
    kept = piped(started, ["login", "--v1"], f"{TOKEN}\n".encode())
    assert kept.returncode == 0, kept.stderr
    assert "api.zinc.io/v1" in kept.stdout and TOKEN not in kept.stdout
    assert "place_v1_order" in started.run("doctor").stdout
    elsewhere = started.run("doctor", ZINC_V1_API_URL="https://v1.example.com")
    assert "is for https://api.zinc.io/v1, and ZINC_V1_API_URL names another Zinc" in " ".join(elsewhere.stdout.split())
    assert piped(started, ["login", "--v1", "--force"], b"two words\n").returncode != 0
    assert started.run("logout", "--v1").returncode == 0
    assert "place_v1_order" not in started.run("doctor").stdout
