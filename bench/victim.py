"""The server of the campaign: the product's own, with short clocks, and a hand on the switch.

`python -m bench.victim stdio` and `python -m bench.victim http PORT` serve as a host would start them. What goes wrong
is in the environment:

    VICTIM_KILL    STEP:N     `kill -9` of itself when the checkout passes that step for the N-th time
    VICTIM_BEGUN   FILE       what it makes when it passes the first step
    VICTIM_STRUCK  FILE       where it writes, before it dies, that it did
    VICTIM_CLOCK   AT:BY,...  AT seconds after the start its clock stands BY seconds beside the real one
    VICTIM_REPEAT  SECONDS    how long identical bytes may go again (the product's ten minutes by default)

`python -m bench.victim nursery` imports the program once and then forks: a process of its own, with its own standard
streams, for each line it reads. Two thousand restarts would otherwise take longer than everything else together.
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

from zinc_mcp.ordering.clocks import Clocks
from zinc_mcp.settings import load_settings

CLOCKS = Clocks(
    answer=2.0,
    wire=1.0,
    sign=1.0,
    lease_margin=0.5,
    opening_lease=1.5,
    looking_lease=1.5,
    refresh=0.5,
    sweep=5.0,
    poll=0.4,
    peek=0.2,
)
"""The product's times, about forty times shorter; only the windows for repeats and twins are its own."""


def serve(transport: str, port: int = 0) -> None:
    """Serve over `stdio` or `http` until the host is done with it, or the switch is pulled."""
    from zinc_mcp.serving.http import serve_http
    from zinc_mcp.serving.stdio import run
    from zinc_mcp.shop import open_shop

    given = os.environ.get("VICTIM_REPEAT")
    clocks = CLOCKS if given is None else _with_repeat(float(given))
    opener = partial(open_shop, clocks=clocks, clock=_clock(), checkpoint=_checkpoint())
    if transport == "stdio":
        run(load_settings(), opener)
    else:
        serve_http(load_settings(), "127.0.0.1", port, opener=opener)


def _with_repeat(seconds: float) -> Clocks:
    return Clocks(**{name: getattr(CLOCKS, name) for name in Clocks.__slots__} | {"repeat": seconds})


def _checkpoint() -> Callable[[str], None]:
    step, _, nth = os.environ.get("VICTIM_KILL", "").partition(":")
    left = int(nth or 1)
    begun = os.environ.get("VICTIM_BEGUN")

    def passed(name: str) -> None:
        nonlocal left, begun
        if begun:
            Path(begun).touch()
            begun = None
        if name != step:
            return
        left -= 1
        if left == 0:
            with open(os.environ["VICTIM_STRUCK"], "a", encoding="ascii") as struck:
                struck.write(f"{os.environ['VICTIM_NUMBER']} {step}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    return passed


def _clock() -> Callable[[], float]:
    jumps = [
        (float(at), float(by))
        for at, _, by in (part.partition(":") for part in os.environ.get("VICTIM_CLOCK", "").split(",") if part)
    ]
    began = time.monotonic()

    def now() -> float:
        by = 0.0
        for at, each in jumps:
            if time.monotonic() - began >= at:
                by = each
        return time.time() + by

    return now if jumps else time.time


# The nursery


def nursery(line: socket.socket) -> None:
    """Fork a process for each request on `line` until its other end is closed; none of them outlives it."""
    for module in ("zinc_mcp.commands.sandbox", "zinc_mcp.serving.http", "zinc_mcp.serving.stdio"):
        import_module(module)
    asyncio.run(_warmed_up())
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
                _be_born(json.loads(message), descriptors)
            living.add(child)
            for descriptor in descriptors:
                os.close(descriptor)
            line.sendall(b"%d\n" % child)
    finally:
        for child in living:  # not yet waited for, so the number is still this child's
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


async def _warmed_up() -> None:
    """Place one practice order, so that what is built on first use is built once and not two thousand times."""
    from mcp import Client
    from pydantic import SecretStr

    from zinc_mcp.sandbox import Sandbox
    from zinc_mcp.serving.server import build_server
    from zinc_mcp.settings import Settings
    from zinc_mcp.shop import open_shop

    address = dict.fromkeys(("first_name", "last_name", "address_line1", "city", "state"), "Warm")
    wanted = {
        "shipping_address": {**address, "postal_code": "10001", "phone_number": "212-555-0147"},
        "max_price": 5000,
    }
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        key = SecretStr("zn_test_warm")
        settings = Settings(home=home, config=home / "zinc.toml", api_key=key, wallet="sandbox")
        async with (
            open_shop(settings, transport=Sandbox().transport(), clocks=CLOCKS) as shop,
            Client(build_server(shop)) as client,
        ):
            for nth, tool in enumerate(("place_order", "place_agent_order")):
                product = {"url": "https://zinc.com/shop/products/test-success", "quantity": nth + 1}
                await client.call_tool(tool, {**wanted, "products": [product]})


def _be_born(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    code = 1
    try:
        for stream, descriptor in enumerate(descriptors):
            os.dup2(descriptor, stream)
            os.close(descriptor)
        for name in list(os.environ):
            if name.startswith(("ZINC_", "VICTIM_")):
                del os.environ[name]
        os.environ.update(request["environ"])
        arguments: list[str] = request["arguments"]
        if arguments[0] == "sandbox":
            from zinc_mcp.cli import main as zinc_mcp

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
    """Serve, or be the nursery that serves by forking."""
    match arguments:
        case ["nursery", descriptor]:
            nursery(socket.socket(fileno=int(descriptor)))
        case ["http", port]:
            serve("http", int(port))
        case _:
            serve("stdio")


if __name__ == "__main__":
    main(sys.argv[1:])
