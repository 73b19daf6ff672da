"""The servers of the campaign: the product's own, with short times, and with faults that the environment names.

`python -m bench.campaign.agents.server stdio`, and `http PORT`, serve as a host would start them. The environment names
the faults:

    CAMPAIGN_KILL     STEP:N     it kills itself with `kill -9` when the checkout passes that step for the N-th time
    CAMPAIGN_STOP     STEP:N     it stops itself there (SIGSTOP)
    CAMPAIGN_JOURNAL  STEP:N     its journal fails from there on for a while, as CAMPAIGN_HOW says (`interruptions`)
    CAMPAIGN_REACHED  FILE       before each of the three it appends the intention's number and the step to this file
    CAMPAIGN_NUMBER   NUMBER     the intention's number
    CAMPAIGN_BEGUN    FILE       it makes this file when it passes the first step
    CAMPAIGN_BUSY     SECONDS    the time that it waits for a journal that another process has locked
    CAMPAIGN_CLOCK    AT:BY,...  AT seconds after the start its clock is BY seconds ahead of the true one
    CAMPAIGN_CLOCKS   NAME=SECONDS,...  further times of the product, as `Clocks` names them, such as `repeat_seconds`
    CAMPAIGN_V1_MODE  MODE       the mode of orders of v1, which has no keys to practise with
    CAMPAIGN_WALLETS  FILE       it appends the time and the key to this file each time that it asks its wallet to pay

With `people` it is a person who answers questions (`people`). With `fork` it imports the program once, and then forks a
process with its own standard streams for each request. Two thousand fresh starts would take longer than the rest of a
campaign.
"""

import asyncio
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import anyio

from zinc_mcp.owner.settings import load_settings
from zinc_mcp.process import Clocks

CLOCKS = Clocks(
    answer_seconds=2.0,
    wire_seconds=1.0,
    sign_seconds=1.0,
    lease_margin_seconds=0.5,
    opening_lease_seconds=1.5,
    looking_lease_seconds=1.5,
    refresh_seconds=0.5,
    sweep_seconds=5.0,
    heed_seconds=0.5,
    poll_seconds=0.4,
    peek_seconds=0.2,
    look_up_seconds=2.0,
)
"""The product's times, about forty times shorter, except for the windows for repeats and twins."""


def serve(transport: str, port: int = 0) -> None:
    """Serve over `stdio` or `http` until the host ends it, or it ends itself."""
    from bench.campaign.agents.interruptions import checkpoint
    from zinc_mcp.server.http.app import serve_http
    from zinc_mcp.server.stdio import run
    from zinc_mcp.wiring import open_process

    if (seconds := os.environ.get("CAMPAIGN_BUSY")) is not None:
        from zinc_mcp.journal.storage import sqlite
        from zinc_mcp.journal.storage.server import connecting

        # This time is no field of `Clocks`.
        sqlite.BUSY_SECONDS = connecting.BUSY_SECONDS = float(seconds)
    if (file := os.environ.get("CAMPAIGN_WALLETS")) is not None:
        _record_payments(Path(file))
    if (mode := os.environ.get("CAMPAIGN_V1_MODE")) is not None:
        _practise_v1(mode)
    opener = partial(open_process, clocks=_clocks(), clock=_clock(), checkpoint=checkpoint())
    if transport == "stdio":
        run(load_settings(), opener)
    else:
        serve_http(load_settings(), "127.0.0.1", port, opener=opener)


def _clocks() -> Clocks:
    given = [part.partition("=") for part in os.environ.get("CAMPAIGN_CLOCKS", "").split(",") if part]
    changed = {name: float(seconds) for name, _, seconds in given}
    return Clocks(**{name: getattr(CLOCKS, name) for name in Clocks.__slots__} | changed)


def _record_payments(file: Path) -> None:
    """Make the practice wallet write down each payment that it is asked for, with the key of the order."""
    from zinc_mcp.payments.wallet import PracticeWallet

    pay = PracticeWallet.pay

    async def recorded(self: PracticeWallet, *given: Any, **named: Any) -> Any:
        key = str(anyio.get_current_task().name).rpartition(" ")[2]  # `sending KEY`
        with file.open("a", encoding="ascii") as starts:
            starts.write(json.dumps([time.time(), key]) + "\n")
        return await pay(self, *given, **named)

    setattr(PracticeWallet, "pay", recorded)  # noqa: B010  # the wallet itself is counted


def _practise_v1(mode: str) -> None:
    """Give the orders of v1 another mode than `live`, so that they have that of the other rails."""
    from zinc_mcp.rails.v1 import V1Rail

    prepare = V1Rail.__init__

    def prepared(self: V1Rail, client: Any, token: Any, _: Any, *more: Any) -> None:
        prepare(self, client, token, mode, *more)  # type: ignore[arg-type]  # from the plan

    setattr(V1Rail, "__init__", prepared)  # noqa: B010  # the only rail whose mode no setting decides


def _clock() -> Callable[[], float]:
    jumps = [
        (float(at), float(by))
        for at, _, by in (part.partition(":") for part in os.environ.get("CAMPAIGN_CLOCK", "").split(",") if part)
    ]
    began = time.monotonic()

    def now() -> float:
        by = 0.0
        for at, each in jumps:
            if time.monotonic() - began >= at:
                by = each
        return time.time() + by

    return now if jumps else time.time


def fork_for_ever(line: socket.socket) -> None:
    """Fork a process for each request on `line` until its other end is closed, and end all of them then."""
    for module in (
        "zinc_mcp.cli.serve",
        "zinc_mcp.rails.v1",
        "zinc_mcp.sandbox.app",
        "zinc_mcp.server.http.app",
        "zinc_mcp.server.stdio",
    ):
        import_module(module)
    asyncio.run(_warm_up())
    living: set[int] = set()
    try:
        while True:
            while living and (ended := os.waitpid(-1, os.WNOHANG)[0]):
                living.discard(ended)
            if not select.select([line], [], [], 0.2)[0]:
                continue
            message, descriptors, _, _ = socket.recv_fds(line, 65_536, 3)
            if not message:
                break
            child = os.fork()
            if child == 0:
                line.close()
                _run_child(json.loads(message), descriptors)
            living.add(child)
            for descriptor in descriptors:
                os.close(descriptor)
            line.sendall(b"%d\n" % child)
    finally:
        for child in living:  # not yet waited for, so the number is still this child's
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


async def _warm_up() -> None:
    """Place a practice order on each rail, so that objects built on first use are built once before all forks."""
    from mcp import Client
    from pydantic import SecretStr

    from bench.campaign.plan.v1_orders import v1_arguments
    from zinc_mcp.owner.settings import Settings
    from zinc_mcp.sandbox import Sandbox
    from zinc_mcp.server.mcp.server import build_server
    from zinc_mcp.wiring import open_process

    address = dict.fromkeys(("first_name", "last_name", "address_line1", "city", "state"), "Warm")
    wanted: dict[str, Any] = {
        "shipping_address": {**address, "state": "NY", "postal_code": "10001", "phone_number": "212-555-0147"},
        "max_price": 5000,
    }
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        key = SecretStr("zn_test_warm")
        settings = Settings(
            home=home, config=home / "zinc.toml", api_key=key, wallet="sandbox", sandbox=True, v1_client_token=key
        )
        async with (
            open_process(settings, transport=Sandbox().transport(), clocks=CLOCKS) as process,
            Client(build_server(process)) as client,
        ):
            for nth, tool in enumerate(("place_order", "place_agent_order")):
                product = {"url": "https://zinc.com/shop/products/test-success", "quantity": nth + 1}
                await client.call_tool(tool, {**wanted, "products": [product]})
            practice = {"item": "1", "fault": "none"}
            address = wanted["shipping_address"]
            await client.call_tool("place_v1_order", v1_arguments("success", 1, 1, practice, address, 5000))


def _run_child(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    code = 1
    try:
        for stream, descriptor in enumerate(descriptors):
            os.dup2(descriptor, stream)
            os.close(descriptor)
        # The parent's object takes its stdout for a file with positions, and this stdout is a pipe.
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
        for name in list(os.environ):
            if name.startswith(("ZINC_", "CAMPAIGN_")):
                del os.environ[name]
        os.environ.update(request["environ"])
        arguments: list[str] = request["arguments"]
        if arguments[0] in ("sandbox", "orders"):
            from zinc_mcp.__main__ import main as zinc_mcp

            sys.argv = ["zinc-mcp", *arguments]
            zinc_mcp()
        else:
            main(arguments)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main(arguments: list[str]) -> None:
    """Serve, answer questions, or fork the processes that do."""
    match arguments:
        case ["fork", descriptor]:
            fork_for_ever(socket.socket(fileno=int(descriptor)))
        case ["http", port]:
            serve("http", int(port))
        case ["people"]:
            from bench.campaign.agents.people import run

            run(_clocks(), _clock())
        case _:
            serve("stdio")


if __name__ == "__main__":
    main(sys.argv[1:])
