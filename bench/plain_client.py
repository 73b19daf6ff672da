"""The fault campaign with a plain client instead of our server. It buys twice, which shows that the campaign can fail.

    python -m bench.plain_client --seed 1 --intentions 200

The client is a loop, as in most tools of agents: it sends a POST, and after an error or a lost answer it sends another,
three in all. With `--keys none` it sends no idempotency key, like the servers that we compared. With `--keys call` it
makes a new key for each tool call, as Zinc's own SDK does. That helps within a call, but not if the host asks again.
With `--kinds return,case` the same loop files returns and writes to Zinc's support. Zinc takes no key for these, so the
client files them twice.
"""

import argparse
import asyncio
import sys
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx

from bench.campaign.agents.hosts import Starter, practice_zinc
from bench.campaign.judge import after_sale
from bench.campaign.judge.rounds import judge_ledger
from bench.campaign.judge.verdict import DUPLICATED, FILED_TWICE, INTENTIONS, PLACED, Verdict
from bench.campaign.plan.after_sale import PLACED_AT, AfterKind, Wish, kinds_in
from bench.campaign.plan.after_sale import drawn as drawn_after_sale
from bench.campaign.plan.intentions import PACE, Intention
from bench.campaign.plan.rails import ACCOUNT, drawn

TRIES = 3


async def buy(zinc: httpx.AsyncClient, wanted: Mapping[str, Any], *, keyed: bool) -> bool:
    """Place an order as a plain tool does; return whether it knows that the order was placed."""
    body = {**wanted, "idempotency_key": str(uuid.uuid4())} if keyed else wanted
    for _ in range(TRIES):
        try:
            answer = await zinc.post("/orders", json=body)
        except httpx.HTTPError:
            continue
        if answer.status_code < 500 and "json" in answer.headers.get("content-type", ""):
            return answer.is_success
    return False


async def pursue(zinc: httpx.AsyncClient, wish: Intention, price: int, *, keyed: bool) -> None:
    """Ask once, and once more if the tool says that it failed, as a model does."""
    wanted = wish.arguments("same", price)
    if not await buy(zinc, wanted, keyed=keyed) and wish.scenario == "success":
        await buy(zinc, wanted, keyed=keyed)


async def campaign(seed: int, intentions: int, dialect: str, *, keyed: bool) -> Verdict:
    """Run the same plan as `bench.faults`, without kills and races, and judge it."""
    verdict = Verdict()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Starter.opened(folder / "servers.log") as starter:
            for each in drawn(ACCOUNT, seed, intentions, [dialect]):
                ledger = folder / f"{each.name}.db"
                process, address = await practice_zinc(starter, ledger, each.dialect, PACE)
                headers = {"Authorization": "Bearer zn_test_plain"}
                limits = anyio.CapacityLimiter(24)
                async with (
                    httpx.AsyncClient(base_url=address, timeout=1.0, headers=headers, trust_env=False) as zinc,
                    asyncio.TaskGroup() as tasks,
                ):

                    async def one(
                        wish: Intention,
                        price: int = each.price,
                        zinc: httpx.AsyncClient = zinc,
                        limits: anyio.CapacityLimiter = limits,
                    ) -> None:
                        async with limits:
                            await pursue(zinc, wish, price, keyed=keyed)

                    for wish in each.intentions:
                        tasks.create_task(one(wish))
                await process.killed()
                verdict.add(judge_ledger(each, ledger))
    return verdict


_Send = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


async def after_the_sale(seed: int, intentions: int, dialect: str, kinds: Sequence[AfterKind]) -> Verdict:
    """Run the plan of `bench.faults --kinds`, without kills, races and people, and judge it."""
    verdict = Verdict()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Starter.opened(folder / "servers.log") as starter:
            for each in drawn_after_sale(seed, intentions, [dialect], kinds):
                ledger = folder / each.name / "ledger.db"
                ledger.parent.mkdir()
                process, address = await practice_zinc(starter, ledger, each.dialect, each.pace)
                headers = {"Authorization": "Bearer zn_test_plain"}
                limits = anyio.CapacityLimiter(24)
                async with httpx.AsyncClient(base_url=address, timeout=1.0, headers=headers, trust_env=False) as zinc:
                    orders: dict[int, str] = {}
                    for family, wish in each.families.items():
                        placed = await zinc.post("/orders", json=wish.order(each.pace))
                        orders[family] = str(placed.json()["id"])
                    await anyio.sleep(PLACED_AT / each.pace + 0.1)
                    async with asyncio.TaskGroup() as tasks:
                        for wish in each.wishes:
                            tasks.create_task(_change(zinc, limits, wish, orders[wish.family]))
                await process.killed()
                verdict.add(after_sale.judge_ledger(each, ledger.parent))
    return verdict


async def _change(zinc: httpx.AsyncClient, limits: anyio.CapacityLimiter, wish: Wish, order_id: str) -> None:
    """Ask once, and once more if the tool says that it failed, as a model does."""
    async with limits:
        try:
            send = await _request(zinc, wish, order_id)
        except (httpx.HTTPError, ValueError, LookupError):
            return
        for _ in range(2):
            if await _sent(zinc, send):
                return


async def _request(zinc: httpx.AsyncClient, wish: Wish, order_id: str) -> _Send:
    if wish.kind == "return":
        item = (await zinc.get(f"/orders/{order_id}")).json()["items"][0]["id"]
        items = [{"order_item_id": item, "quantity": wish.quantity}]
        body = {"order_id": order_id, "items": items, "reason": wish.reason}
        return lambda zinc: zinc.post("/returns", json=body)
    if not wish.needs_a_case:
        return lambda zinc: zinc.post("/cases", files=_form(order_id=order_id, reason=wish.reason, body=wish.words))
    first = wish.first_report(order_id)
    opened = await zinc.post("/cases", files=_form(order_id=order_id, reason=first["reason"], body=first["message"]))
    case_id = opened.json()["id"]
    if wish.action == "close":
        return lambda zinc: zinc.post(f"/cases/{case_id}/close")
    return lambda zinc: zinc.post(f"/cases/{case_id}/messages", files=_form(body=wish.words))


def _form(**fields: str) -> dict[str, tuple[None, str]]:
    return {name: (None, text) for name, text in fields.items()}


async def _sent(zinc: httpx.AsyncClient, send: _Send) -> bool:
    for _ in range(TRIES):
        try:
            answer = await send(zinc)
        except httpx.HTTPError:
            continue
        if answer.status_code < 500 and "json" in answer.headers.get("content-type", ""):
            return answer.is_success
    return False


def main() -> int:
    """Run the loop and print the judge's verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--intentions", type=int, default=200)
    parser.add_argument("--dialect", default="default")
    parser.add_argument("--keys", choices=["none", "call"], default="none")
    parser.add_argument("--kinds", default="", help="`return`, `case` or both: after the purchase; `,` between them")
    chosen = parser.parse_args()
    kinds: list[AfterKind] = [kind for kind in kinds_in(chosen.kinds) if kind != "cancel"]
    if kinds:
        verdict = asyncio.run(after_the_sale(chosen.seed, chosen.intentions, chosen.dialect, kinds))
    else:
        keyed = chosen.keys == "call"
        verdict = asyncio.run(campaign(chosen.seed, chosen.intentions, chosen.dialect, keyed=keyed))
    for name in (INTENTIONS, after_sale.FILED, FILED_TWICE) if kinds else (INTENTIONS, PLACED, DUPLICATED):
        print(f"{name:20} {verdict.counts[name]:6}")
    print(f"{'POSTs per intention':20} {dict(sorted(verdict.posts.items()))}")
    return 1 if verdict.is_broken else 0


if __name__ == "__main__":
    sys.exit(main())
