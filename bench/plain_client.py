"""The same faults without us: a plain client loop, judged by the same judge. It buys twice; so the campaign can fail.

    python -m bench.plain_client --seed 1 --intentions 200

The loop is what an agent's tool usually is: POST, and after an error or a lost answer POST again, up to three times.
`--keys none` sends no idempotency key, as the servers we compared do; `--keys call` makes a new one for each tool call,
as Zinc's own SDK does, which helps within a call and not when the host asks again.
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

from bench.evidence import Verdict
from bench.hosts import Nursery, practice_zinc
from bench.judge import judge
from bench.plan import PACE, Intention, drawn

TRIES = 3


async def buy(zinc: httpx.AsyncClient, wanted: Mapping[str, Any], *, keyed: bool) -> bool:
    """Place an order as a plain tool does; say whether it knows that it was placed."""
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
    """Ask once, and once more when the tool says that it failed: a model does."""
    wanted = wish.arguments("same", price)
    if not await buy(zinc, wanted, keyed=keyed) and wish.scenario == "success":
        await buy(zinc, wanted, keyed=keyed)


async def campaign(seed: int, intentions: int, dialect: str, *, keyed: bool) -> Verdict:
    """Run the same plan as `bench.faults` (without kills and races: it needs neither) and judge it."""
    verdict = Verdict()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Nursery.opened(folder / "servers.log") as nursery:
            for each in drawn(seed, intentions, [dialect]):
                ledger = folder / f"{each.name}.db"
                process, address = await practice_zinc(nursery, ledger, each.dialect, PACE)
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
                verdict.add(judge(each, ledger, None, {}))
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
    for name in ("intentions", "orders placed", "duplicated"):
        print(f"{name:20} {verdict.counts[name]:6}")
    print(f"{'POSTs per intention':20} {dict(sorted(verdict.posts.items()))}")
    return 1 if verdict.broken else 0


if __name__ == "__main__":
    sys.exit(main())
