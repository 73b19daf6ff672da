"""Every command and every file that the documents print works as printed, in a fresh home.

A block or command that is not known here fails; one that no test can run stands here with the reason.
"""

import contextlib
import gc
import importlib
import io
import json
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import anyio
import httpx2
import preloaded
import pytest
from documents import Block, blocks, commands_in_lines
from keyboard import at_a_terminal
from mcp import Client, StdioServerParameters
from pasting import COMMANDS, PLACEHOLDERS, Expected, Typed, furnish, home_with_orders
from server.on_a_port import until_healthy
from started import ROOT
from variants import usual

from zinc_mcp.owner.addresses import saved_addresses
from zinc_mcp.owner.policy import read_policy
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.server.http.oauth.terms import terms_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")


class Place:
    """A fresh home, a folder to be in, and a PATH on which `zinc-mcp` is."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.folder = folder / "folder"
        self.programs = folder / "bin"
        for each in (self.home, self.folder, self.programs):
            each.mkdir()
        self.script = self.programs / "zinc-mcp"
        preloaded.script(self.script)
        self.environment = {"HOME": str(self.home), "PATH": f"{self.programs}:/usr/bin:/bin", "TERM": "dumb"}

    def start_anew(self) -> None:
        """Let an interpreter of its own load the program from now on, as after an installation."""
        self.program("zinc-mcp", "from zinc_mcp.__main__ import main\nmain()\n")

    def program(self, name: str, python: str) -> Path:
        """Put a program on the PATH."""
        path = self.programs / name
        head = f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        path.write_text(head + python, encoding="utf-8")
        path.chmod(0o755)
        return path

    def stand_in(self, name: str) -> Path:
        """Put a program on the PATH that only writes down what it was called with, one line for each call."""
        calls = self.programs.parent / f"{name}.calls"
        calls.touch()
        line = "json.dumps(sys.argv[1:])"
        self.program(name, f"import json\nopen({str(calls)!r}, 'a').write({line} + chr(10))\n")
        return calls

    def sh(self, lines: str, cwd: Path | None = None, typed: str = "") -> str:
        """Paste lines into a shell that stops at the first failure, and type; return what it printed."""
        ended = subprocess.run(
            ["/bin/sh", "-ec", lines],
            cwd=cwd or self.folder,
            env=self.environment,
            input=typed,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    @asynccontextmanager
    async def server(self, command: str, args: list[str], environ: Mapping[str, str]) -> AsyncGenerator[Client]:
        """Start a server as an app does: with a short PATH, and with nothing else of the terminal's."""
        short = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", **environ}
        async with Client(StdioServerParameters(command=command, args=args, env=short, cwd=self.folder)) as client:
            yield client

    @asynccontextmanager
    async def running(self, line: str) -> AsyncGenerator[None]:
        """Run a command that goes on, in the folder, until the end; skip where somebody has its port."""
        words = shlex.split(line)
        port = int(words[words.index("--http") + 1].rpartition(":")[2])
        try:
            socket.create_server(("", port)).close()
        except OSError:
            pytest.skip(f"port {port} is taken on this machine")
        process = await anyio.open_process(words, env=self.environment, cwd=self.folder, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            with anyio.fail_after(30):
                await process.wait()
            await process.aclose()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


Run = Callable[[Place, str], Awaitable[None]]


@dataclass(frozen=True)
class NotRun:
    """The reason why a block or a command is not run here."""

    reason: str


# The blocks


async def install_and_try(place: Place, text: str) -> None:
    """The installer and the tests stand in for themselves (`.ci/run` has the real ones); the demo runs."""
    place.start_anew()
    calls = {name: place.stand_in(name) for name in ("pip", "pytest")}
    shutil.copy(ROOT / "pyproject.toml", place.folder)
    said = place.sh(text)
    assert "Nothing was bought: all of it was practice." in said
    assert calls["pip"].read_text().splitlines() == ['["install", "."]', '["install", "-e", ".[test]"]']
    assert calls["pytest"].read_text() == "[]\n"
    assert (ROOT / "pyproject.toml").read_text(encoding="utf-8").count("\ntest = [") == 1


async def as_the_file(place: Place, text: str) -> None:
    """`zinc.toml`, beside the file that it names."""
    home = place.home / ".zinc-mcp"
    home.mkdir()
    (home / "zinc.toml").write_text(text, encoding="utf-8")
    (home / "key").write_text("zn_test_1\n", encoding="utf-8")
    settings = load_settings({"ZINC_MCP_HOME": str(home)})
    assert settings.mode == "test"
    read_policy(settings, {})
    assert list(saved_addresses(settings)) == ["home"]


async def as_the_policy(place: Place, text: str) -> None:
    """The policy of `zinc.toml`, alone in the file."""
    home = place.home / ".zinc-mcp"
    home.mkdir()
    (home / "zinc.toml").write_text(text, encoding="utf-8")
    policy = read_policy(load_settings({"ZINC_MCP_HOME": str(home)}), {})
    for name, value in tomllib.loads(text)["policy"].items():
        held = getattr(policy, name)
        assert held == value if isinstance(value, int) else list(held) == value


async def as_the_table(place: Place, text: str) -> None:
    """A table of `zinc.toml`, alone in the file."""
    home = place.home / ".zinc-mcp"
    home.mkdir()
    (home / "zinc.toml").write_text(text, encoding="utf-8")
    assert load_settings({"ZINC_MCP_HOME": str(home)}).notify is not None


async def as_an_issuer(place: Place, text: str) -> None:
    """The settings of an issuer; its server is tried with an issuer of the tests' own."""
    given = [line.removeprefix("export ").split("=", 1) for line in text.splitlines() if line.startswith("export ")]
    terms = terms_of(load_settings({"ZINC_MCP_HOME": str(place.home), **dict(given)}), "https://zinc.example.com")
    assert terms is not None and terms.issuer == dict(given)["ZINC_MCP_OAUTH_ISSUER"]


async def exchange(place: Place, text: str) -> None:
    """A model's calls and answers, compared with the sandbox's; ids and times may differ."""
    said: list[dict[str, Any]] = [json.loads(block.text) for block in EXCHANGE]
    asked, accepted, placed = said
    place.sh(ADDRESS)
    async with place.server(str(place.script), [], {"ZINC_MCP_SANDBOX": "1"}) as client:
        first = await told(client, "place_order", asked)
        assert like(accepted, first) == []
        found: dict[str, Any] = {}
        for _ in range(4):
            found = await told(client, "get_order", {"order_id": first["order_id"], "wait_seconds": 10})
            if found["outcome"] == "placed" and found.get("tracking", [{}])[0].get("status") == "in_transit":
                break
        assert like(placed, found) == []
        again = await told(client, "place_order", {**asked, "max_price": 7000})
        assert again["summary"].startswith(
            "This is an earlier order for the same thing: nothing new was bought by this"
        )


ADDRESS = (
    "zinc-mcp addresses add home --first-name Ada --last-name Lovelace --address-line1 '1 Main St' "
    "--city 'New York' --state NY --postal-code 10001 --phone-number 2125550100"
)


async def told(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return cast(dict[str, Any], (await client.call_tool(tool, arguments)).structured_content)


def like(printed: object, real: object, way: str = "") -> list[str]:
    """Return the places where the printed and the real answer differ, apart from ids and from parts left out by “…”."""
    if isinstance(printed, dict):
        known = cast(dict[str, Any], real) if isinstance(real, dict) else {}
        parts = cast(dict[str, Any], printed)
        return [wrong for name, part in parts.items() for wrong in like(part, known.get(name), f"{way}.{name}")]
    if isinstance(printed, list):
        rows = cast(list[Any], real) if isinstance(real, list) else []
        listed = cast(list[Any], printed)
        same = [] if len(rows) == len(listed) else [f"{way}: {len(rows)} rows"]
        return same + [wrong for one, row in zip(listed, rows, strict=False) for wrong in like(one, row, way)]
    if isinstance(printed, str):
        pattern = re.escape(masked(printed)).replace("…", ".*")
        return [] if re.fullmatch(pattern, masked(str(real)), re.DOTALL) else [f"{way}: {real}"]
    return [] if printed == real else [f"{way}: {real}"]


def masked(text: str) -> str:
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|ZINC_TEST_[0-9A-F]+", "ID", text)


async def team(place: Place, text: str) -> None:
    """A member is added, and the server serves them by the name and the certificate that are printed."""
    from server.test_serving_processes import certificate

    certificate(place.folder, "zinc.example.com")
    place.environment["ZINC_MCP_SANDBOX"] = "1"
    add, serve = text.splitlines()
    token = place.sh(add).splitlines()[0]
    trust = ssl.create_default_context(cafile=place.folder / "cert.pem")
    async with place.running(serve), httpx2.AsyncClient(verify=trust, timeout=20) as client:
        client.headers["Host"] = "zinc.example.com"
        await until_healthy(client, "https://localhost:8443")
        assert await is_let_in(client, "https://localhost:8443", token)
        assert not await is_let_in(client, "https://localhost:8443", "TOKEN")


async def make_the_secrets_of_a_team(place: Place, text: str) -> None:
    """The files that deploy/compose.yaml names, as the program reads them."""
    place.sh(text, typed="zn_test_1\n")
    found = {path.name: path for path in (place.folder / "secrets").iterdir()}
    assert set(found) == {"zinc_key", "postgres_password", "state_keys", "journal_keys", "journal"}
    names = {f"ZINC_MCP_{name.upper()}_FILE": name for name in ("state_keys", "journal_keys", "journal")}
    names["ZINC_API_KEY_FILE"] = "zinc_key"
    settings = load_settings({"HOME": str(place.home), **{name: str(found[kept]) for name, kept in names.items()}})
    assert settings.api_key is not None and settings.api_key.get_secret_value() == "zn_test_1"
    assert (
        settings.is_shared
        and settings.readable == ()
        and len(settings.keys("state_keys")) == len(settings.keys("journal_keys")) == 1
    )
    assert found["postgres_password"].read_text().strip() in settings.journal_url
    assert {path.stat().st_mode & 0o777 for path in found.values()} == {0o400}


async def token_from_its_file(place: Place, text: str) -> None:
    """The server of one person, started by the command before the block, and its token taken as printed."""
    place.environment["ZINC_MCP_SANDBOX"] = "1"
    async with place.running(SERVE_ALONE), httpx2.AsyncClient(timeout=20) as client:
        await until_healthy(client, "http://127.0.0.1:8765")
        token = place.sh(text + 'printf %s "$SHOP_TOKEN"')
        assert await is_let_in(client, "http://127.0.0.1:8765", token)
        assert not await is_let_in(client, "http://127.0.0.1:8765", token[:-1])


SERVE_ALONE = "zinc-mcp serve --http 127.0.0.1:8765"


async def is_let_in(client: httpx2.AsyncClient, origin: str, token: str) -> bool:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    accepted = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {token}"}
    answer = await client.post(f"{origin}/mcp", headers=accepted, json=message)
    return answer.status_code == 200


async def make_a_key_file(place: Place, text: str) -> None:
    place.sh(text)
    [path] = (place.home / ".zinc-mcp").iterdir()
    assert (path.name, path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == ("wallet.key", 0o600, 0o700)


async def measure_once(place: Place, text: str) -> None:
    """A measurement, which takes seconds where its figures are wanted."""
    begins = "python -m timeit -p -r 7 "
    assert text.startswith(begins)
    assert "1 loop, best of 1:" in place.sh(f"{sys.executable} -m timeit -n 1 -r 1 {text.removeprefix(begins)}")


async def serve_on_stdio(place: Place, text: str) -> None:
    """A server's command line, with the variables before it."""
    environ = {"PATH": place.environment["PATH"]}
    async with place.server("/bin/sh", ["-c", text], environ) as client:
        order = {"products": [{"url": "https://zinc.com/shop/products/test-success"}], "max_price": 6000}
        address = {"first_name": "Ada", "last_name": "Buyer", "address_line1": "12 Main St", "city": "New York"}
        address |= {"state": "NY", "postal_code": "10001", "phone_number": "2125550100"}
        paid = await told(client, "place_agent_order", {**order, "shipping_address": address})
        assert paid["outcome"] == "accepted"


async def as_variables(place: Place, text: str) -> None:
    """Variables, set in a shell as printed; what is only hinted at (…) is filled in."""
    filled = text.replace("0x…", "0x" + "1" * 40).replace("https://…", "https://node.example").replace("pm_…", "pm_1")
    assert "…" not in filled
    keys = place.home / ".zinc-mcp"
    keys.mkdir()
    (keys / "access.key").write_text(f"0x{'11' * 32}\n")
    (keys / "stripe.key").write_text("rk_test_1\n")
    names = re.findall(r"^(ZINC_\w+)=", text, re.MULTILINE)
    show = f"{shlex.quote(sys.executable)} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    found = json.loads(place.sh(f"set -a\n{filled}\n{show}"))
    settings = load_settings({name: found[name] for name in (*names, "HOME")})
    assert f"ZINC_WALLET={settings.wallet}" in text
    for name in names:
        field = name.removeprefix("ZINC_").removesuffix("_FILE").lower()
        assert getattr(settings, field), name


async def as_shown(place: Place, text: str) -> None:
    """A command at a terminal with 80 columns shows each line of the document, in this order; times may differ."""
    command, *wanted = text.splitlines()
    await home_with_orders(place.home / ".zinc-mcp")
    gc.collect()  # the sandbox's ledger is closed with the last that knows it
    environ = {**place.environment, "TZ": "UTC"}
    line = command.removeprefix("$ ")
    code, screen = at_a_terminal(
        ["-c", line], environ, program=["/bin/sh"], cwd=place.folder, columns=80, passed_on=True
    )
    assert code == 0, screen
    shown = iter(_without_times(screen).splitlines())
    for each in _without_times("\n".join(wanted)).splitlines():
        assert each in shown, f"{each}\n{screen}"


def _without_times(text: str) -> str:
    return re.sub(r"\d{2}:\d{2}", "TT:TT", re.sub(r"\d{4}-\d{2}-\d{2}", "DDDD-DD-DD", text))


async def write_books(place: Place, text: str) -> None:
    """An export into files."""
    await home_with_orders(place.home / ".zinc-mcp")
    gc.collect()
    place.sh(text)
    names = re.findall(r"> (\S+)", text)
    written = [(place.folder / name).read_text(encoding="utf-8") for name in names]
    assert written[0].startswith("kind,mode,rail,caller,")
    assert json.loads(written[1])["modes"] == ["live", "test", "sandbox"]


async def after_the_order(place: Place, text: str) -> None:
    """The calls and answers of docs/after-the-order.md in their order; an id that is new is that of a new order."""
    page = [each for each in PRINTED if each.document == "docs/after-the-order.md" and "`" in each.heading]
    assert page[0].text == text
    place.sh(ADDRESS)
    goods = iter(("https://zinc.com/shop/products/test-success", "https://www.amazon.com/dp/B07JGBW826"))
    ids: dict[str, str] = {}
    async with place.server(str(place.script), [], {"ZINC_MCP_SANDBOX": "1"}) as client:
        for asking, answered in zip(page[::2], page[1::2], strict=True):
            [tool] = re.findall(r"`(\w+)`", asking.heading)
            asked: dict[str, Any] = json.loads(asking.text)
            if (printed := asked.get("order_id")) is not None:
                if printed not in ids:
                    order = {
                        "products": [{"url": next(goods)}],
                        "shipping_address": {"saved": "home"},
                        "max_price": 6000,
                    }
                    ids[printed] = (await told(client, "place_order", order))["order_id"]
                asked["order_id"] = ids[printed]
            wrong = ["never asked"]
            for _ in range(60):
                wrong = like(json.loads(answered.text), await told(client, tool, asked))
                if wrong == [] or tool != "get_order":
                    break
                await anyio.sleep(0.25)
            assert wrong == []


async def shopping(place: Place, text: str) -> None:
    """The calls and answers of docs/shopping.md, one after the other, compared with the sandbox's."""
    said: list[dict[str, Any]] = [json.loads(each.text) for each in PRINTED if each.document == "docs/shopping.md"]
    assert json.loads(text) == said[0]
    place.sh(ADDRESS)
    async with place.server(str(place.script), [], {"ZINC_MCP_SANDBOX": "1"}) as client:
        for asked, answered in zip(said[::2], said[1::2], strict=True):
            tool = {"query": "search_products", "url": "check_product", "products": "place_order"}[next(iter(asked))]
            assert like(answered, await told(client, tool, asked)) == []


INSTALLS = "writes files of the hosts that it finds: tests/hosts runs it as printed"
IN_OTHER_TESTS = "tests/payments/test_payments_docs.py runs it against a stand-in"

BLOCKS: Mapping[tuple[str, str], Run | NotRun] = {
    ("README.md", r"pip install \. && zinc-mcp demo\n"): install_and_try,
    ("README.md", r"zinc-mcp install\n"): NotRun(INSTALLS),
    ("README.md", r"\[policy\]\n"): as_the_policy,
    ("README.md", r"python -m venv \.venv "): NotRun(
        "installs from a registry, and runs these tests: `.ci/run` does so"
    ),
    ("CONTRIBUTING.md", r"pip install \. && zinc-mcp demo\n"): install_and_try,
    ("CONTRIBUTING.md", r"ruff check \. && "): NotRun("checks this very tree, for hours: `.ci/run` does so"),
    ("CONTRIBUTING.md", r"pip install -e .* cosmic-ray"): NotRun("changes this very tree, for hours"),
    ("docs/mutations.md", r"nice python -m bench\.mutations"): NotRun("changes this very tree, for hours"),
    ("docs/exchange.md", r'\{"products"'): exchange,
    ("docs/exchange.md", r'\{\n  "outcome"'): NotRun("what the exchange above it is told: compared there"),
    ("docs/hosting.md", r"zinc-mcp members add ada\nzinc-mcp serve "): team,
    ("docs/hosting.md", r"export SHOP_TOKEN="): token_from_its_file,
    ("docs/hosting.md", r"mkdir -m 0700 secrets tls"): make_the_secrets_of_a_team,
    ("docs/hosting.md", r"chown 10001|\(umask 077; docker compose |docker compose |old="): NotRun(
        "needs Docker; tests/test_deploy.py holds compose.yaml against the program, runs restart.sh on a stand-in, and "
        "dumps and restores a journal"
    ),
    ("docs/hosting.md", r"zinc-mcp webhooks set "): NotRun(
        "tests/cli/test_webhooks_command.py runs it against the practice Zinc"
    ),
    ("docs/seeing.md", r'\{"time"'): NotRun("a line of a log; tests/server/test_log.py reads such lines"),
    ("docs/team-sign-in.md", r"export ZINC_MCP_OAUTH_ISSUER="): as_an_issuer,
    ("docs/hosting.md", r"python -m timeit "): measure_once,
    ("docs/hosting.md", r"(?:python3 -c .*digest_key\n)?kubectl create "): NotRun(
        "needs Kubernetes; tests/test_deploy.py holds its files"
    ),
    ("docs/hosting.md", r"docker build "): NotRun("needs Docker; tests/test_container.py runs its parts without one"),
    ("docs/owner.md", r"\$ zinc-mcp orders"): as_shown,
    ("docs/owner.md", r"zinc-mcp orders export "): write_books,
    ("docs/policy.md", r'api_key_file = "key"'): as_the_file,
    ("docs/after-the-order.md", r'\{"order_id": "84a810ed-048a-4c90-b4d3-50882badfe4a", "timeline"'): after_the_order,
    ("docs/after-the-order.md", r'\{"(?:order_id": "[0-9a-f-]+"\}|status|limits_only)|\{\n'): NotRun(
        "a part of the exchange that the first look begins"
    ),
    ("docs/evidence-file.md", r"zinc-mcp orders evidence KEY"): NotRun("tests/cli/test_evidence_command.py runs both"),
    ("docs/hosts.md", r"\{\n|\[mcp_servers|extensions:"): NotRun("tests/hosts/test_hosts_page.py starts each of them"),
    ("docs/notify.md", r"\[notify\]\n"): as_the_table,
    ("docs/notify.md", r'\{\n  "text"|import hashlib'): NotRun("tests/notify/test_notify_page.py runs it"),
    ("docs/retailer-accounts.md", r"zinc-mcp retailer-accounts |\{\n|\[policy"): NotRun(
        "tests/cli/test_retailer_accounts_command.py runs them"
    ),
    ("docs/settings.md", r'api_key_file = "key"'): as_the_file,
    ("docs/shopping.md", r'\{"query"'): shopping,
    ("docs/shopping.md", r'\{"(?:url|products)"|\{\n'): NotRun("a part of the exchange that the search begins"),
    ("docs/sign-in.md", r"zinc-mcp |export ZINC_API_URL"): NotRun("tests/cli/test_sign_in_page.py runs them"),
    ("docs/v1.md", r"zinc-mcp login --v1"): NotRun("tests/cli/test_v1_commands.py keeps a token with it"),
    ("docs/v1.md", r'\{"|Buy from '): NotRun("tests/aftercare/test_v1_page.py runs them in their order"),
    ("docs/wallets.md", r"mkdir -p "): make_a_key_file,
    ("docs/wallets.md", r"ZINC_MCP_SANDBOX=1 ZINC_WALLET=sandbox zinc-mcp\n"): serve_on_stdio,
    ("docs/wallets.md", r"ZINC_WALLET=(?:tempo|stripe|command)\n"): as_variables,
    ("docs/wallets.md", r"# access_key\.py|# link_wallet\.py"): NotRun(IN_OTHER_TESTS),
    ("docs/returns-and-cases.md", r'\{"'): NotRun("tests/aftercare/test_returns_page.py runs them in their order"),
    ("plugin/README.md", r"claude plugin "): NotRun("tests/test_plugin.py runs it where Claude Code is"),
    ("docs/wallets.md", r'\{"challenge"|\{"payload"'): NotRun(IN_OTHER_TESTS),
}
"""The function that runs each block, by document and first words."""

PRINTED = list(blocks())
EXCHANGE = [each for each in PRINTED if each.document == "docs/exchange.md"]


def known(block: Block) -> Run | NotRun | None:
    here = [(begins, does) for (document, begins), does in BLOCKS.items() if document == block.document]
    matching = [does for begins, does in here if re.match(begins, block.text)]
    assert len(matching) <= 1, block.name
    return matching[0] if matching else None


def test_every_block_of_the_documents_is_known_and_none_besides() -> None:
    assert len(PRINTED) >= 26
    assert [each.name for each in PRINTED if known(each) is None] == []
    for document, begins in BLOCKS:
        assert [each for each in PRINTED if each.document == document and re.match(begins, each.text)], begins


ONCE = list({(each.text, known(each)): each for each in reversed(PRINTED)}.values())
"""Without the blocks that are printed a second time, word by word, and do the same."""


@pytest.mark.sampled(4)
@pytest.mark.parametrize("block", ONCE, ids=[each.name for each in ONCE])
async def test_a_block_works_as_printed(place: Place, block: Block) -> None:
    does = known(block)
    if does is None or isinstance(does, NotRun):
        pytest.skip("unknown" if does is None else does.reason)
    await does(place, block.text)


# Commands between the lines

_REGISTRY = NotRun("installs from a registry")
_HOURS = NotRun("takes minutes to hours; its own tests run it small, and it is there")
_DOCKER = NotRun("needs Docker; its part of ours is run elsewhere")
_LINK = NotRun("a stand-in for it is run with the program beside it (tests/payments/test_payments_docs.py)")
_PIN = [("New PIN", "246810"), ("The same again", "246810")]

LINES: Mapping[str, Expected | NotRun] = {
    "zinc-mcp orders evidence KEY": Expected('"format": "zinc-mcp evidence 1"', about="doubtful"),
    "zinc-mcp evidence verify FILE": NotRun("tests/cli/test_evidence_command.py runs it on real and on forged files"),
    'python3 -c "import secrets; print(secrets.token_hex(32))"': Expected(""),
    "zinc-mcp orders export --by member --month 2026-11 --format table": Expected("Nothing was ordered in this time."),
    "pip install '.[metrics]'": _REGISTRY,
    "pip install '.[otel]'": _REGISTRY,
    "zinc-mcp webhooks set URL": NotRun("tests/cli/test_webhooks_command.py runs it against the practice Zinc"),
    "zinc-mcp webhooks show": NotRun("tests/cli/test_webhooks_command.py runs it against the practice Zinc"),
    "zinc-mcp webhooks remove": NotRun("tests/cli/test_webhooks_command.py runs it against the practice Zinc"),
    "zinc-mcp journal rotate-keys": NotRun("tests/journal/test_sealing.py runs it"),
    "zinc-mcp journal finish-upgrade": NotRun("tests/journal/test_upgrade.py runs it"),
    "zinc-mcp install": Expected("No known host was used on this machine.", code=1),
    "zinc-mcp install HOST": NotRun("tests/hosts/test_install_command.py runs it for each host"),
    "zinc-mcp uninstall HOST": NotRun("tests/hosts/test_install_command.py runs it"),
    "zinc-mcp status": Expected("No host that is known here was used on this machine."),
    "zinc-mcp notify test": NotRun("tests/cli/test_notify_command.py runs it against a real address"),
    "pip install '.[tempo]'": _REGISTRY,
    "npm i -g @stripe/link-cli": _REGISTRY,
    "uvx zinc-mcp": NotRun("named in a warning not to run it: nothing of that name is published"),
    "zinc-mcp install --print HOST": NotRun(INSTALLS),
    "zinc-mcp install --sandbox": NotRun(INSTALLS),
    "mcp-publisher": NotRun("the registry's own program: named, and run at a release"),
    "docker run": _DOCKER,
    **dict.fromkeys(
        (
            "docker compose build",
            "docker compose up --detach --wait postgres",
            "docker compose run --rm zinc-0 members remove ada",
        ),
        _DOCKER,
    ),
    "zinc-mcp members rotate NAME": NotRun("tests/cli/test_members_command.py runs it"),
    "zinc-mcp members add ada": Expected("This is the token of ada."),
    "zinc-mcp members add cy --role admin": Expected("This is the token of cy."),
    "zinc-mcp members add ada --identity https://id.example.com/realms/team 8f1c…": NotRun(
        "its name is taken by another example; tests/cli/test_members_command.py gives members identities"
    ),
    **dict.fromkeys(
        (
            "zinc-mcp members add",
            "zinc-mcp members remove ada",
        ),
        NotRun("tests/server/test_members_in_the_database.py runs it on PostgreSQL"),
    ),
    "zinc-mcp members --members FILE add ada": NotRun("tests/cli/test_members_command.py changes a file"),
    "zinc-mcp members --members FILE remove ada": NotRun("tests/cli/test_members_command.py changes a file"),
    "docker exec --interactive --tty NAME zinc-mcp approve KEY": _DOCKER,
    "zinc-mcp link HOST": NotRun("tests/hosts/test_links.py runs it, and reads the link of each host"),
    "zinc-mcp login": NotRun("asks Zinc and a person: its own tests run it against the practice Zinc"),
    "link-cli auth login --client-name zinc-mcp": _LINK,
    "link-cli mpp pay": NotRun("named as what not to use"),
    "python3 -m venv .venv && . .venv/bin/activate": Expected(""),
    "pip install -e '.[test,dev]'": _REGISTRY,
    "pytest": NotRun("runs these tests"),
    "pytest -m thorough": NotRun("runs these tests"),
    'pytest -m "thorough or hypothesis"': NotRun("runs these tests"),
    'pytest -m ""': NotRun("runs these tests"),
    ".ci/run": NotRun("runs these tests"),
    ".ci/full": NotRun("takes hours, and runs `.ci/run`"),
    "python -m build": NotRun("installs from a registry: `.ci/run` does so"),
    "zinc-mcp": NotRun("the program's name; the blocks start it"),
    "zinc-mcp --version": Expected("zinc-mcp, version "),
    "zinc-mcp policy": Expected("max_order"),
    "zinc-mcp policy publish": Expected("The journal is a file", code=1),
    "zinc-mcp policy --json": Expected('"day_cents"'),
    "zinc-mcp doctor --json": Expected('"findings"'),
    "zinc-mcp completion bash": Expected("complete -o nosort"),
    "zinc-mcp completion --help": Expected("config.fish"),
    "python -m bench.screenshots --docs": NotRun("starts a browser, and takes the pictures that lie in docs/"),
    "zinc-mcp pause": Expected("Paused: paused by the owner."),
    "zinc-mcp pin set": Expected("The PIN is set.", _PIN),
    "zinc-mcp pin set --member ada": Expected("Every yes of ada needs it", _PIN),
    "zinc-mcp orders --watch": NotRun("goes on until Ctrl-C: tests/cli/test_owners_side.py follows it"),
    "zinc-mcp orders --json": Expected('"state": "unknown"'),
    "zinc-mcp reconcile": Expected("No difference in 0 orders at Zinc"),
    "zinc-mcp reconcile --rail v1": COMMANDS["reconcile", "--rail", "v1"],
    "zinc-mcp reconcile --pause": Expected("No difference in 0 orders at Zinc"),
    "zinc-mcp orders purge --older-than 30": Expected("Forgot bodies and addresses of 0 orders."),
    "zinc-mcp orders purge": NotRun("names the command; with its option it stands in docs/evidence.md"),
    "zinc-mcp orders resolve": NotRun("names the command; with its options it stands in docs/troubleshooting.md"),
    "zinc-mcp orders resolve KEY --bought ID": COMMANDS["orders", "resolve", "--bought", "ID", "KEY"],
    "zinc-mcp orders resolve KEY --not-bought": COMMANDS["orders", "resolve", "--not-bought", "KEY"],
    "zinc-mcp logout --wallet": Expected("Nothing to forget"),
    SERVE_ALONE: NotRun("run with the block beside it"),
    **{
        " ".join(("zinc-mcp", *words)): COMMANDS[words]
        for words in (
            ("addresses", "add", "home"),
            ("approve", "KEY"),
            ("decline", "KEY"),
            ("doctor",),
            ("login",),
            ("orders",),
            ("orders", "refunded", "KEY", "CENTS"),
            ("orders", "show", "KEY"),
            ("pin", "forget"),
            ("resume",),
        )
    },
}
"""The expected result of each command in a home with orders, or the reason why it is not run."""

BENCHES = r"python -m (bench\.\w+)(?: .*)?"
NAMED = list(dict.fromkeys(command for _, command in commands_in_lines()))


def test_every_command_between_the_lines_is_known_and_none_besides() -> None:
    assert len(NAMED) > 25
    assert [each for each in NAMED if each not in LINES and not re.fullmatch(BENCHES, each)] == []
    assert set(LINES) - set(NAMED) == set()


@cache
def help_of(module: str) -> str:
    """Return the help of a bench, in this process: an interpreter of its own takes a second for each."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(said):
        patched.setattr(sys, "argv", [module, "--help"])
        with pytest.raises(SystemExit) as ended:
            found = importlib.import_module(module)
            if hasattr(found, "__path__"):
                found = importlib.import_module(f"{module}.__main__")
            sys.exit(found.main())
    assert ended.value.code == 0
    return said.getvalue()


@pytest.mark.parametrize("command", [each for each in NAMED if re.fullmatch(BENCHES, each)])
def test_a_bench_that_is_named_takes_the_options_that_are_named(command: str) -> None:
    found = re.fullmatch(BENCHES, command)
    assert found is not None and importlib.import_module(found[1])
    options = re.findall(r"--[a-z-]+", command)
    if options:
        helped = help_of(found[1])
        assert [option for option in options if option not in helped] == []


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home") / ".zinc-mcp"
    furnish(home)
    return home


TAKES_LONG = "python3 -m venv .venv && . .venv/bin/activate"
RUN = [each for each in NAMED if isinstance(LINES.get(each), Expected)]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("command", usual(RUN, lambda command: command != TAKES_LONG))
def test_a_command_between_the_lines_works_as_printed(place: Place, furnished: Path, command: str) -> None:
    expected = LINES[command]
    assert isinstance(expected, Expected)
    shutil.copytree(furnished, place.home / ".zinc-mcp")
    if "--member ada" in command:
        place.sh("zinc-mcp members add ada")
    line = command
    for placeholder, value in {**PLACEHOLDERS, "KEY": expected.about}.items():
        line = re.sub(rf"\b{placeholder}\b", value, line)
    typed: Typed = expected.typed
    code, screen = at_a_terminal(
        ["-c", line], place.environment, typed, program=["/bin/sh"], cwd=place.folder, passed_on=True
    )
    assert (code, expected.shows in " ".join(screen.split())) == (expected.code, True), screen


def test_nothing_that_is_printed_installs_or_runs_the_package_by_a_name_that_nobody_has_published() -> None:
    by_name = re.compile(r"\b(?:uvx|pipx run|pip install|uv tool install|uv add)\b[^`\n]*\bzinc-mcp\b")
    for block in PRINTED:
        assert not by_name.search(block.text) or block.text.startswith("pip install . && zinc-mcp demo"), block.name
        assert '"uvx"' not in block.text
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "**Not `uvx zinc-mcp` yet.** No package index has this package. Somebody else could take the name" in readme
    assert [each for each in NAMED if by_name.match(each)] == ["uvx zinc-mcp"]
