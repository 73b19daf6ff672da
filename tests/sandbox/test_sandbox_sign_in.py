"""The sandbox signs people in as Zinc's documents say: codes, a page with yes and no, and one answer with the key."""

import re
from typing import Any

import httpx
import pytest
from sandbox.practising import Clock, customer, on_a_port, order, placed

from zinc_mcp.sandbox import Sandbox


def public(sandbox: Sandbox) -> httpx.AsyncClient:
    """Return a client without a key, which keeps cookies as a browser does."""
    return httpx.AsyncClient(transport=sandbox.transport(), base_url="http://127.0.0.1:8000")


async def begun(client: httpx.AsyncClient, **headers: str) -> dict[str, Any]:
    answer = await client.post("/device/code", json={"name": "a <b>test</b>"}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def polled(client: httpx.AsyncClient, code: dict[str, Any]) -> tuple[int, Any]:
    answer = await client.post("/device/token", json={"device_code": code["device_code"]})
    said = answer.json()
    return answer.status_code, said["error"]["code"] if "error" in said else said


async def clicked(client: httpx.AsyncClient, code: dict[str, Any], answer: str) -> httpx.Response:
    page = await client.get(code["verification_uri_complete"])
    assert page.status_code == 200, page.text
    [hidden] = re.findall(r'name="user_code" value="([^"]+)"', page.text)
    assert hidden == code["user_code"]
    return await client.post("/device", data={"user_code": hidden, "granted": answer})


async def test_a_yes_on_the_page_gives_the_key_once_and_the_key_is_good_here_only() -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    async with public(sandbox) as agent, public(sandbox) as person:
        code = await begun(agent)
        assert (code["expires_in"], code["interval"]) == (900, 5)
        assert await polled(agent, code) == (400, "authorization_pending")
        assert "It gets a key." in (await clicked(person, code, "yes")).text
        clock.now += 5
        status, issued = await polled(agent, code)
        assert (status, issued["is_test"], issued["key"] == issued["api_key"]) == (200, False, True)
        clock.now += 5
        assert await polled(agent, code) == (400, "expired_token")
    async with customer(sandbox, issued["key"]) as account:
        assert (await account.get("/wallet/me")).json()["balance"] == issued["wallet_balance_cents"]
        await placed(account, order())
    async with customer(Sandbox(clock=clock), issued["key"]) as elsewhere:
        assert (await elsewhere.get("/wallet/me")).status_code == 401


async def test_a_no_is_final_whatever_is_clicked_later() -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    async with public(sandbox) as agent, public(sandbox) as person:
        code = await begun(agent)
        assert "It gets no key." in (await clicked(person, code, "no")).text
        assert "It gets no key." in (await person.get(code["verification_uri_complete"])).text
        late = await person.post("/device", data={"user_code": code["user_code"], "granted": "yes"})
        assert "It gets no key." in late.text
        assert await polled(agent, code) == (403, "access_denied")


async def test_a_poll_that_comes_too_early_has_to_slow_down_and_to_wait_longer_from_then_on() -> None:
    clock = Clock()
    async with public(Sandbox(clock=clock)) as agent:
        code = await begun(agent)
        assert await polled(agent, code) == (400, "authorization_pending")
        clock.now += 1
        assert await polled(agent, code) == (400, "slow_down")
        clock.now += 5
        assert await polled(agent, code) == (400, "slow_down"), "5 seconds are not enough any more"
        clock.now += 15
        assert await polled(agent, code) == (400, "authorization_pending")


async def test_a_code_ends_after_its_time_for_the_agent_and_on_the_page() -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    async with public(sandbox) as agent:
        code = await begun(agent)
        clock.now += 901
        assert await polled(agent, code) == (400, "expired_token")
        assert (await agent.get(code["verification_uri_complete"])).status_code == 404
        assert (await agent.get(f"/device/codes/{code['user_code']}")).status_code == 404
        assert await polled(agent, {"device_code": "never given"}) == (400, "expired_token")


async def test_only_a_person_on_the_page_can_decide() -> None:
    sandbox = Sandbox(clock=Clock())
    async with public(sandbox) as agent:
        code = await begun(agent)
        form = {"user_code": code["user_code"], "granted": True}
        assert (await agent.post("/device/approve", json=form)).status_code == 401
        key = {"Authorization": "Bearer zn_test_ada"}
        assert (await agent.post("/device/approve", json=form, headers=key)).status_code == 403
        unseen = await agent.post("/device", data={"user_code": code["user_code"], "granted": "yes"})
        assert unseen.status_code == 403
        told = (await agent.get(f"/device/codes/{code['user_code']}")).json()
        assert (told["status"], told["name"]) == ("pending", "a <b>test</b>")
        await agent.get("/device")  # now it has the cookie of a person
        assert (await agent.post("/device/approve", json=form)).json()["status"] == "approved"


async def test_the_page_shows_the_name_of_the_agent_as_text() -> None:
    sandbox = Sandbox(clock=Clock())
    async with public(sandbox) as client:
        page = (await client.get((await begun(client))["verification_uri_complete"])).text
    assert "a &lt;b&gt;test&lt;/b&gt;" in page and "<b>" not in page


async def test_a_code_is_redeemed_without_a_key() -> None:
    async with public(Sandbox(clock=Clock())) as agent:
        code = await begun(agent)
        key = {"Authorization": "Bearer zn_test_ada"}
        answer = await agent.post("/device/token", json={"device_code": code["device_code"]}, headers=key)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "bad_request"


@pytest.mark.parametrize("orders", [0, 2])
async def test_a_test_key_brings_its_orders_along_and_keeps_working(orders: int) -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    async with public(sandbox) as agent, public(sandbox) as person, customer(sandbox) as tested:
        for number in range(orders):
            await placed(tested, order(idempotency_key=f"k{number}"))
        code = await begun(agent, Authorization="Bearer zn_test_ada")
        told = (await agent.get(f"/device/codes/{code['user_code']}")).json()
        assert (told["sandbox_attached"], told["starter_credit_cents"]) == (True, 500 if orders else None)
        await clicked(person, code, "yes")
        _, issued = await polled(agent, code)
        assert issued["sandbox"]["orders_moved"] == orders
        assert issued["starter_credit"]["reason"] == ("granted" if orders else "no_sandbox_order")
        status = (await tested.get("/sandbox/status")).json()
        assert (status["claimed"], status["claimed_by_email"]) == (True, "person@practice.invalid")
        assert len((await tested.get("/orders")).json()["orders"]) == orders
        async with customer(sandbox, issued["key"]) as account:
            assert len((await account.get("/orders")).json()["orders"]) == orders


@pytest.mark.parametrize("key", ["Bearer zn_live_x", "Bearer ", "Basic zn_test"])
async def test_only_a_test_key_can_come_along(key: str) -> None:
    async with public(Sandbox(clock=Clock())) as agent:
        answer = await agent.post("/device/code", json={}, headers={"Authorization": key})
        assert answer.status_code == 401


async def test_keys_for_testing_are_a_few_for_each_address_in_a_day() -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    async with public(sandbox) as agent:
        minted = [await agent.post("/sandbox/keys") for _ in range(10)]
        assert {each.status_code for each in minted} == {201}
        assert len({each.json()["key"] for each in minted}) == 10
        assert (await agent.post("/sandbox/keys", json={"name": "x"})).status_code == 429
        clock.now += 86_401
        fresh = (await agent.post("/sandbox/keys")).json()
    async with customer(sandbox, fresh["api_key"]) as tested:
        assert (await tested.get("/sandbox/status")).json()["claimed"] is False
        assert (await tested.post("/orders", json=fresh["example_order"])).status_code == 201


@pytest.mark.parametrize(("path", "body"), [("/device/token", b""), ("/device/token", b"[]"), ("/device/code", b"{")])
async def test_a_malformed_body_is_refused(path: str, body: bytes) -> None:
    async with public(Sandbox(clock=Clock())) as agent:
        assert (await agent.post(path, content=body)).status_code == 422


async def test_zincs_own_sdk_reads_every_answer() -> None:
    sdk = pytest.importorskip("zinc.client", reason="Zinc's SDK is not installed (the extra `test` has it)")
    errors = pytest.importorskip("zinc.errors")
    sandbox = Sandbox(clock=Clock())
    async with on_a_port(sandbox) as http:
        del http.headers["Authorization"]
        zinc = sdk.AsyncZincClient(base_url=str(http.base_url), api_key="", httpx_client=http, max_retries=0)
        assert (await zinc.sandbox.create_sandbox_key()).key.startswith("zn_test_")
        code = await zinc.device.create_device_code()
        assert (await zinc.device.describe_device_code(code.user_code)).status == "pending"
        async with public(sandbox) as person:
            await clicked(person, code.model_dump(), "yes")
        http.headers.pop("Authorization", None)
        answer = await http.post("/device/token", json={"device_code": code.device_code})
        types = pytest.importorskip("zinc.types")
        assert types.ApiKeyExchangeResponse.model_validate(answer.json()).starter_credit.picks
        with pytest.raises(errors.BadRequestError):
            await zinc.device.redeem_device_code(device_code="other", request_options={"additional_headers": {}})
