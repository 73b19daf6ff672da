"""The sandbox's Zinc v1 takes, shows and lists orders as the documents of v1 say."""

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import preloaded
import pytest
from sandbox.practising_v1 import BASE, COFFEE, OWN, V1, client_of, order_v1, practised

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.v1.rules.codes import FINAL, MESSAGES


async def test_an_order_is_processed_and_then_placed_with_price_numbers_and_tracking() -> None:
    zinc = V1()
    request_id = await zinc.place()
    assert len(request_id) == 32 and int(request_id, 16)
    running: dict[str, Any] = {
        "_type": "error",
        "code": "request_processing",
        "message": MESSAGES["request_processing"],
        "data": {},
    }
    assert await zinc.read(request_id) == running
    zinc.clock.now += 4
    shown = await zinc.read(request_id)
    assert shown["_type"] == "order_response" and shown["tracking"] == []
    assert shown["request"] == order_v1()
    prices = shown["price_components"]
    assert prices["subtotal"] + prices["tax"] + prices["shipping"] == prices["total"] == 1582
    (merchant,) = shown["merchant_order_ids"]
    assert set(merchant) == {"merchant_order_id", "merchant", "account", "placed_at"} and "@" in merchant["account"]
    zinc.clock.now += 4
    (parcel,) = (await zinc.read(request_id))["tracking"]
    assert parcel["product_id"] == COFFEE and parcel["merchant_order_id"] == merchant["merchant_order_id"]


async def test_the_same_key_returns_the_first_response_whatever_it_was() -> None:
    zinc = V1()
    first = await zinc.post(order_v1(idempotency_key="k"))
    assert await zinc.post(order_v1("B0SNDBXC02", idempotency_key="k")) == first
    assert len(zinc.sandbox.placed()) == 1
    wrong = await zinc.post(order_v1(max_price=None, idempotency_key="wrong"))
    assert wrong["code"] == "invalid_request"
    assert await zinc.post(order_v1(idempotency_key="wrong")) == wrong, "an error is replayed as well"
    assert "request_id" in await zinc.post(order_v1(idempotency_key="another"))
    outcomes = [attempt["outcome"] for attempt in zinc.sandbox.attempts()]
    assert outcomes == ["created", "replayed", "rejected_invalid_request", "replayed", "created"]


async def test_without_a_key_each_post_buys() -> None:
    zinc = V1()
    assert await zinc.place() != await zinc.place()
    assert {row["rail"] for row in zinc.sandbox.placed()} == {"v1"} and len(zinc.sandbox.placed()) == 2


async def test_keys_and_orders_are_each_tokens_own() -> None:
    zinc = V1()
    mine = await zinc.place(order_v1(idempotency_key="k"))
    async with client_of(zinc.sandbox, "somebody") as other:
        theirs = (await other.post("/orders", json=order_v1(idempotency_key="k"))).json()["request_id"]
        assert theirs != mine
        assert (await other.get(f"/orders/{mine}")).json()["code"] == "invalid_request_id"
        assert len((await other.get("/orders")).json()) == 1


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer sandbox",
        "Basic sandbox",
        "Basic " + base64.b64encode(b"sandbox").decode(),
        "Basic " + base64.b64encode(b":").decode(),
        "Basic " + base64.b64encode(b"sandbox:password").decode(),
        "Basic " + base64.b64encode(b"zn_test_ada:").decode(),
        "Basic " + base64.b64encode(b"invalid:").decode(),
    ],
)
async def test_only_a_token_as_user_without_a_password_is_a_client(authorization: str | None) -> None:
    sandbox, headers = Sandbox(), {} if authorization is None else {"authorization": authorization}
    async with httpx.AsyncClient(transport=sandbox.transport(), base_url=BASE, headers=headers) as client:
        for answer in (
            await client.post("/orders", json=order_v1()),
            await client.get("/orders"),
            await client.get("/orders/0123"),
        ):
            assert (answer.json()["_type"], answer.json()["code"]) == ("error", "invalid_client_token")
    assert sandbox.placed() == []


@pytest.mark.sampled(10)
@pytest.mark.parametrize("code", FINAL)
async def test_an_order_can_be_refused_and_can_fail_with_each_code(code: str) -> None:
    zinc = V1()
    refused = await zinc.post(practised(f"refused_{code}"))
    assert (refused["_type"], refused["code"], set(refused)) == ("error", code, {"_type", "code", "message", "data"})
    assert zinc.sandbox.placed() == []
    request_id = await zinc.place(practised(f"failed_{code}"))
    assert (await zinc.read(request_id))["code"] == "request_processing"
    zinc.clock.now += 3
    failed = await zinc.read(request_id)
    assert (failed["_type"], failed["code"]) == ("error", code)


async def test_an_own_account_buys_and_no_file_keeps_its_secrets(tmp_path: Any) -> None:
    zinc = V1(ledger=tmp_path / "ledger.db")
    body = order_v1(**OWN)
    shown = await zinc.read(await zinc.place(body, 5))
    assert shown["request"] == body, "Zinc echoes the original request"
    assert shown["merchant_order_ids"][0]["account"] == "ada@planted.example"
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in ("ada@planted.example", "planted-password", "PLANTED", "5555555555554444", "7 Planted Lane"):
        assert secret.encode() not in kept, secret
    again = V1(ledger=tmp_path / "ledger.db")
    again.clock.now += 5
    (later,) = await again.listed()
    assert later["request"]["payment_method"]["number"] == "********"
    assert later["request"]["payment_method"]["use_gift"] is False


async def test_a_list_has_ten_rows_and_times_in_milliseconds_with_the_end_outside() -> None:
    zinc = V1()
    start = int(zinc.clock.now * 1000)
    ids = [await zinc.place(order_v1(client_notes={"n": n}), 1) for n in range(12)]
    assert [row["request_id"] for row in await zinc.listed()] == ids[:1:-1]
    assert [row["request_id"] for row in await zinc.listed(limit=3, skip=10)] == [ids[1], ids[0]]
    inside = await zinc.listed(starting_after=start + 2000, ending_before=start + 4000)
    assert [row["request"]["client_notes"]["n"] for row in inside] == [3, 2]
    assert await zinc.listed(retailer="walmart") == []
    assert {row["_type"] for row in await zinc.listed(limit=12)} == {"error", "order_response"}
    assert (await zinc.listed(limit="many"))["code"] == "invalid_request"


_RIVAL = """
import asyncio, sys
from pathlib import Path
from sandbox.practising_v1 import client_of, order_v1
from zinc_mcp.sandbox import Sandbox

async def main():
    async with client_of(Sandbox(Path(sys.argv[1]))) as client:
        print("ready", flush=True)
        sys.stdin.readline()
        for turn in range(20):
            answer = await client.post("/orders", json=order_v1(idempotency_key=f"key-{turn}"))
            print(answer.json()["request_id"], flush=True)

asyncio.run(main())
"""


@pytest.mark.thorough
def test_two_processes_with_one_ledger_place_one_order_for_each_key(tmp_path: Path) -> None:
    command = [*preloaded.command("python"), "-W", "error", "-c", _RIVAL, str(tmp_path / "ledger.db")]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen(command, env={"PYTHONPATH": ":".join(sys.path)}, **pipes) as one,
        subprocess.Popen(command, env={"PYTHONPATH": ":".join(sys.path)}, **pipes) as other,
    ):
        rivals = (one, other)
        assert [rival.stdout.readline() for rival in rivals if rival.stdout] == ["ready\n", "ready\n"]
        for rival in rivals:
            assert rival.stdin is not None
            rival.stdin.write("go\n")
            rival.stdin.flush()
        heard = [rival.communicate(timeout=30)[0].split() for rival in rivals]
    assert heard[0] == heard[1] and len(heard[0]) == 20
    judge = Sandbox(tmp_path / "ledger.db")
    assert [row["order_id"] for row in judge.placed()] == heard[0] and len(judge.attempts()) == 40
