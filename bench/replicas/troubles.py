"""Troubles: servers are killed, stopped and suspended; the database restarts and loses connections in a commit."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, get_args

from bench.replicas.cutting import When
from bench.replicas.servers import Server

_RESTARTS_AT = (0.3, 0.6)
"""The database restarts when these parts of the work are done."""


async def go_on(
    servers: Sequence[Server],
    database: Any,
    dice: random.Random,
    happened: Counter[str],
    part_done: Callable[[], float],
) -> None:
    """Cause a trouble every few seconds, until all work is done."""
    restarts = list(_RESTARTS_AT)
    while (part := part_done()) < 1:
        if restarts and part >= restarts[0]:
            restarts.pop(0)
            await asyncio.to_thread(database.stop)
            await asyncio.sleep(1)
            await asyncio.to_thread(database.start)
            happened["restarts of the database"] += 1
        server = dice.choice(servers)
        match dice.choice(("kill", "stop", "still", *("cut",) * 4)):
            case "kill":
                await server.end(signal.SIGKILL)
                happened["servers killed"] += 1
                await asyncio.sleep(dice.uniform(0.5, 2))
                server.start()
            case "stop":
                await server.end(signal.SIGTERM)
                happened["servers stopped in order"] += 1
                server.start()
            case "still":
                assert server.process is not None
                server.process.send_signal(signal.SIGSTOP)
                happened["servers suspended"] += 1
                await asyncio.sleep(dice.uniform(1, 6))
                server.process.send_signal(signal.SIGCONT)
            case "cut":
                server.to_database.cut_next(dice.choice(get_args(When)))
                await asyncio.sleep(dice.uniform(0, 1))
                continue
            case _:
                raise AssertionError
        await asyncio.sleep(dice.uniform(3, 8))
