"""The same faults with a plain client instead of our server: it buys twice, so the campaign can fail.

    python -m bench.plain_client --seed 1 --intentions 200

The client is a loop, as the tool of an agent usually is: it sends a POST, and after an error or a lost answer it sends
another, up to three times. With `--keys none` it sends no idempotency key, as the servers that we compared do. With
`--keys call` it makes a new key for each tool call, as Zinc's own SDK does. That helps within a call, and not when the
host asks again.
"""

import argparse
import asyncio
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx

from bench.campaign.agents.hosts import Starter, practice_zinc
from bench.campaign.judge.rounds import judge_ledger
from bench.campaign.judge.verdict import DUPLICATED, INTENTIONS, PLACED, Verdict
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
    """Ask once, and once more when the tool says that it failed, as a model does."""
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


def main() -> int:
    """Run the loop and print the judge's verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--intentions", type=int, default=200)
    parser.add_argument("--dialect", default="default")
    parser.add_argument("--keys", choices=["none", "call"], default="none")
    chosen = parser.parse_args()
    keyed = chosen.keys == "call"
    verdict = asyncio.run(campaign(chosen.seed, chosen.intentions, chosen.dialect, keyed=keyed))
    for name in (INTENTIONS, PLACED, DUPLICATED):
        print(f"{name:20} {verdict.counts[name]:6}")
    print(f"{'POSTs per intention':20} {dict(sorted(verdict.posts.items()))}")
    return 1 if verdict.is_broken else 0


if __name__ == "__main__":
    sys.exit(main())
