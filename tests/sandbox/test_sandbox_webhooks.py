"""The sandbox sends the events of orders as Zinc documents it: signed, some twice, in no certain order, and again."""

import hashlib
import hmac
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from socket import create_server
from typing import Any

import anyio
import httpx
from sandbox.practising import on_a_port, order, placed
from server.on_a_port import listening
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from zinc_mcp.sandbox import Sandbox


@dataclass
class Receiver:
    """Takes events, and refuses the first ones."""

    url: str
    refusing: int = 0
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])

    def names(self, order_id: str) -> list[str]:
        events = [json.loads(content) for _, content in self.got]
        return [each["event"] for each in events if each["order_id"] == order_id]


@asynccontextmanager
async def receiver(refusing: int = 0) -> AsyncGenerator[Receiver]:
    with create_server(("127.0.0.1", 0)) as listener:
        found = Receiver(f"http://127.0.0.1:{listener.getsockname()[1]}/hook", refusing)

        async def take(request: Request) -> Response:
            found.got.append((dict(request.headers), await request.body()))
            return Response(status_code=503 if len(found.got) <= found.refusing else 200)

        async with listening(Starlette(routes=[Route("/hook", take, methods=["POST"])]), listener):
            yield found


async def endpoint(client: httpx.AsyncClient) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get("/webhooks/endpoint")).json()
    return answer


async def test_an_account_has_one_address_and_keeps_its_secret() -> None:
    async with on_a_port(Sandbox()) as client:
        assert await endpoint(client) == {"webhook_url": None, "webhook_secret": None}
        first = (await client.put("/webhooks/endpoint", json={"url": "https://a.example/hook"})).json()
        second = (await client.put("/webhooks/endpoint", json={"url": "http://b.example"})).json()
        assert first["webhook_url"] == "https://a.example/hook"
        assert first["webhook_secret"].startswith("zn_whsec_")
        assert second == {"webhook_url": "http://b.example", "webhook_secret": first["webhook_secret"]}
        assert (await client.delete("/webhooks/endpoint")).status_code == 204
        assert await endpoint(client) == {"webhook_url": None, "webhook_secret": first["webhook_secret"]}
        for wrong in ('{"url": "/hook"}', '{"url": "ftp://a.example"}', '{"url": null}', "{}", "[]", ""):
            assert (await client.put("/webhooks/endpoint", content=wrong)).status_code == 422
        for verb in ("GET", "PUT", "DELETE"):
            stranger = {"Authorization": "Bearer zn_live_x"}
            assert (await client.request(verb, "/webhooks/endpoint", headers=stranger)).status_code == 401
        another = {"Authorization": "Bearer zn_test_bob"}
        assert (await client.get("/webhooks/endpoint", headers=another)).json()["webhook_secret"] is None


async def test_events_are_signed_and_some_come_twice_or_late_and_again_until_they_are_taken() -> None:
    orders = 12
    async with receiver(refusing=2) as taker, on_a_port(Sandbox(pace=200.0)) as client:
        before = await placed(client, order())
        secret = (await client.put("/webhooks/endpoint", json={"url": taker.url})).json()["webhook_secret"]
        ids = [(await placed(client, order()))["id"] for _ in range(orders)]
        failed = (await placed(client, order("out-of-stock")))["id"]
        with anyio.fail_after(20):
            while any("order.delivered" not in taker.names(each) for each in ids) or not taker.names(failed)[1:]:
                await anyio.sleep(0.02)
        await anyio.sleep(0.1)
        strangers = {"Authorization": "Bearer zn_test_bob"}
        await client.post("/orders", json=order(), headers=strangers)
    assert taker.names(before["id"]) == [], "it was placed before there was an address"
    for headers, content in taker.got:
        assert headers["x-webhook-signature"] == hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
        facts = json.loads(content)
        assert headers["x-webhook-event"] == facts["event"]
        assert headers["content-type"] == "application/json"
        assert set(facts) == {"event", "order_id", "status", "timestamp", "data", "return_id"}
    usual = ["order.started", "order.placed", "order.tracking_received", "order.delivered"]
    sequences = [taker.names(each) for each in ids]
    assert all(set(each) == set(usual) for each in sequences)
    assert any(len(each) > len(usual) for each in sequences), "none came twice"
    assert any(list(dict.fromkeys(each)) != usual for each in sequences), "all came in order"
    assert set(taker.names(failed)) == {"order.started", "order.failed"}
    told = [json.loads(content) for _, content in taker.got]
    [price, *_] = [each["data"]["price_components"] for each in told if each["event"] == "order.placed"]
    assert set(price) == {"subtotal", "shipping", "tax", "total"}
    [lost, *_] = [each for each in told if each["event"] == "order.failed"]
    assert (lost["status"], lost["data"]["error_type"]) == ("failed", "product_out_of_stock")


async def test_without_an_address_nothing_is_sent_any_more() -> None:
    async with receiver() as taker, on_a_port(Sandbox(pace=100.0)) as client:
        await client.put("/webhooks/endpoint", json={"url": taker.url})
        await client.delete("/webhooks/endpoint")
        await placed(client, order())
        await anyio.sleep(0.5)
    assert taker.got == []
