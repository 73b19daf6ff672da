"""Takes pictures of the approval page and of the terminal, in practice: `python -m bench.screenshots [--docs]`.

All pictures go to `artefacts/`. With --docs, those that the documents show also go to `docs/`. It needs the extra
`browser`, Chromium and chromedriver.
"""

import argparse
import base64
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, cast

import anyio
from mcp import Client, StdioServerParameters
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
IN_DOCS = ("approval-page.png", "approval-page-phone.png", "terminal-orders.svg", "terminal-approve.svg")
ADDRESS = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "address_line1": "350 Fifth Avenue",
    "city": "New York",
    "state": "NY",
    "postal_code": "10118",
    "phone_number": "212-736-3100",
}
PRODUCTS = "https://zinc.com/shop/products"
KEY = "coffee-for-ada"
SECONDS = 30.0
_FLAGS = "--headless --no-sandbox --disable-gpu --hide-scrollbars --disable-dev-shm-usage --no-first-run".split()
_CONTROL = re.compile(r"\x1b\[\?25l.*?\x1b\[\?25h\r\x1b\[1A\x1b\[2K|\r", re.DOTALL)
_OUR_COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*\S+ -m zinc_mcp\b")


def main() -> int:
    """Take all pictures; return 1 if Chromium or chromedriver is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--docs", action="store_true", help="Renew the pictures in docs/.")
    in_docs: bool = parser.parse_args().docs
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        print("skipped: needs chromium and chromedriver", file=sys.stderr)
        return 1
    folder = ROOT / "artefacts"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, _chromium(browser, driver) as page:
        anyio.run(_take, Path(home), page, folder)
    for name in IN_DOCS if in_docs else ():
        shutil.copy(folder / name, ROOT / "docs" / name)
    return 0


async def _take(home: Path, page: Any, folder: Path) -> None:
    shown = home / "shown.html"
    script = home / "browser"
    script.write_text(f'#!/bin/sh\ncp "${{1#file://}}" {shown}\n', encoding="utf-8")
    script.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZINC_", "SSH_"))}
    environ = {
        **kept,
        "ZINC_MCP_HOME": str(home),
        "ZINC_MCP_SANDBOX_PACE": "20",
        "BROWSER": str(script),
        "PYTHONPATH": str(ROOT),
    }
    _ask(home, "none")
    server = StdioServerParameters(command=sys.executable, args=["-m", "zinc_mcp"], env=environ)
    async with Client(server) as client:
        await _order(client, f"{PRODUCTS}/test-success", 6000, "a-lamp")
        await _order(client, f"{PRODUCTS}/test-out-of-stock", 6000, "a-kettle")
        await anyio.sleep(3)
        for key in ("a-lamp", "a-kettle"):
            await client.call_tool("get_order", {"order_id": key, "wait_seconds": 5})
        found = await client.call_tool("search_products", {"query": "whole bean coffee", "limit": 1})
        url = cast(dict[str, Any], found.structured_content)["results"][0]["url"]
        _ask(home, "page")
        await _order(client, url, 4000, KEY, quantity=2)
        await anyio.to_thread.run_sync(_terminal, folder, environ, "orders", ("orders",), 90)
        await anyio.to_thread.run_sync(_terminal, folder, environ, "approve", ("approve", KEY), 90)
        await anyio.to_thread.run_sync(_terminal, folder, environ, "doctor", ("doctor",), 90)
        await anyio.to_thread.run_sync(_pages, page, shown, folder)


def _ask(home: Path, approval: str) -> None:
    (home / "zinc.toml").write_text(f'sandbox = true\n\n[policy]\napproval = "{approval}"\n', encoding="utf-8")


async def _order(client: Client, url: str, most_cents: int, key: str, quantity: int = 1) -> None:
    products = [{"url": url, "quantity": quantity}]
    order = {"products": products, "shipping_address": ADDRESS, "max_price": most_cents, "idempotency_key": key}
    await client.call_tool("place_order", order)


# The page


@contextmanager
def _chromium(browser: str, driver: str) -> Generator[Any]:
    webdriver: Any = import_module("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in _FLAGS:
        options.add_argument(flag)
    page = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    try:
        yield page
    finally:
        page.quit()


def _pages(page: Any, shown: Path, folder: Path) -> None:
    _until(shown.exists)
    page.get(shown.as_uri())
    _until(lambda: "Do not buy" in _text(page))
    for name, width, scheme in (
        ("approval-page", 600, "light"),
        ("approval-page-phone", 390, "dark"),
        ("approval-page-desktop", 1280, "light"),
    ):
        _picture(page, folder / f"{name}.png", width, scheme)
    page.find_element("css selector", "button.yes").click()
    _until(lambda: "Go back to your chat" in _text(page))
    _picture(page, folder / "approval-page-answered.png", 390, "light")


def _text(page: Any) -> str:
    return str(page.execute_script("return document.body ? document.body.innerText : ''"))


def _picture(page: Any, path: Path, width: int, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    # The command's name differs between machines.
    page.execute_script(
        "for (const each of document.querySelectorAll('.soft code')) each.innerText = 'zinc-mcp orders'"
    )
    height: int = page.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    shot = page.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    path.write_bytes(base64.b64decode(shot["data"]))


def _until(is_so: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


# The terminal


def _terminal(folder: Path, environ: dict[str, str], name: str, words: Sequence[str], columns: int) -> None:
    printed = _typed_into(words, {**environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "TZ": "UTC"})
    screen = _OUR_COMMAND.sub("zinc-mcp", _CONTROL.sub("", printed)).replace(environ["ZINC_MCP_HOME"], "~/.zinc-mcp")
    console = Console(record=True, width=columns, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(f"\x1b[1m$ zinc-mcp {' '.join(words)}\x1b[0m\n{screen.strip()}"))
    svg = console.export_svg(title="zinc-mcp", unique_id=f"zinc-mcp-{name}")
    # The fonts of another site are removed, because the reader's browser would fetch them.
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    (folder / f"terminal-{name}.svg").write_text(svg, encoding="utf-8")


def _typed_into(words: Sequence[str], environ: dict[str, str]) -> str:
    """Run one of our commands at a terminal of its own, answer a question with an empty line, and return the output."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "zinc_mcp", *words]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True)
    os.close(theirs)
    printed, answered = "", False
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if "Type yes" in printed and not answered:
            os.write(ours, b"\n")
            answered = True
        if not select.select([ours], [], [], 0.1)[0]:
            continue
        try:
            read = os.read(ours, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not read:
            break
        printed += read.decode("utf-8", "replace")
    os.close(ours)
    child.wait(10)
    return printed.replace("\r\n", "\n")


if __name__ == "__main__":
    sys.exit(main())
