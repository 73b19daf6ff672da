"""Three servers on one PostgreSQL behind nginx, with members that order while servers and the database fail.

    nice python -m bench.replicas --orders 200
    nice python -m bench.replicas --orders 5000 --seed 7

20 members have a tenth more intentions than the team's limit allows. Half of the members have a token of the server's
own, the others sign in by OAuth. Hosts place the intentions with the SDK's own clients, over `/mcp` in both protocols
and over `/sse`, each with a dialogue in which a person says yes. Some intentions are placed by two hosts at once, and
an intention without an answer is placed again, as people do. Meanwhile Zinc loses answers, servers are killed, stopped
in order, suspended and started again, transactions are cut before and after their commit, and the database is restarted
twice. At the end every intention is placed once more, and Zinc's ledger and the journal are compared with the answers.
nginx uses the file of `deploy/`. The run needs nginx and the extra `test`, and uses only this machine's loopback.
"""

import argparse
import asyncio
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.proxied import NAMES
from bench.replicas import troubles
from bench.replicas.hosts import Hosts, show_progress
from bench.replicas.intentions import Intention
from bench.replicas.judge import judge, ledger
from bench.replicas.servers import Team, opened
from zinc_mcp.journal.journal import Journal

MEMBERS = tuple(f"member-{number}" for number in range(20))
FAULTS = ("", "", "", "drop_after", "http_500_after", "slow_40", "drop_after,none", "drop_before")
_POLICY = """\
[policy]
approval = "auto"
max_day = 10000000
max_orders_day = {most_of_member}

[policy.team]
max_orders_day = {most_of_team}
"""


async def run(team: Team, intentions: Sequence[Intention], dice: random.Random) -> Counter[str]:
    """Place all intentions during the troubles, and once more after them; return the count of each event."""
    happened: Counter[str] = Counter()
    hosts = Hosts(team.origin, team.token_of, happened)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        show_progress(done, len(intentions))

    async with asyncio.TaskGroup() as tasks:
        part_done = lambda: done / len(intentions)  # noqa: E731  # one line, for one use
        tasks.create_task(troubles.go_on(team.servers, team.database, dice, happened, part_done))
        tasks.create_task(hosts.place_all(intentions, dice, count))
    for server in team.servers:
        for when in server.to_database.cut:
            happened[f"transactions cut {when} their commit"] += 1
    await hosts.place_again(intentions, dice)
    return happened


async def measure(orders: int, seed: int) -> int:
    """Run the servers and print the figures; return the exit code: 1 if a promise was broken."""
    dice = random.Random(seed)
    wanted = orders * 11 // 10
    most_of_member = max(1, orders * 21 // 20 // len(MEMBERS))
    intentions = [
        Intention(number, MEMBERS[number % len(MEMBERS)], dice.choice(FAULTS)) for number in range(1, wanted + 1)
    ]
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-replicas-") as temporary:
        folder = Path(temporary)
        os.chmod(folder, 0o755)  # noqa: S103  # PostgreSQL runs as another user where this one is root
        began = time.monotonic()
        policy = _POLICY.format(most_of_member=most_of_member, most_of_team=orders)
        async with opened(folder, MEMBERS, policy) as team:
            happened = await run(team, intentions, dice)
            with Journal.open(team.database.get_uri()) as journal:
                entries = journal.entries(100_000)
        there = ledger(folder / "zinc.db")
        verdict = judge(intentions, there, entries, most_of_member=most_of_member, most_of_team=orders)
        crashes = sum((folder / name / "log").read_text(encoding="utf-8").count("Traceback") for name in NAMES)
    seconds = time.monotonic() - began
    print(f"{wanted} intentions of {len(MEMBERS)} members in {seconds:.0f} s; {len(there)} orders at Zinc of {orders}")
    for name, number in sorted({**happened, "crashes in the servers' logs": crashes}.items()):
        print(f"  {name}: {number}")
    for name, found in verdict.broken.items():
        print(f"{name}: {len(found)}")
        for each in found[:5]:
            print(f"    {each}")
    return 1 if any(verdict.broken.values()) else 0


def main() -> int:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=200, help="the team's limit, which is reached")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # the clients log each connection that breaks
    return asyncio.run(measure(given.orders, given.seed))


if __name__ == "__main__":
    sys.exit(main())
