"""The clients to try, and an environment for each: a virtual environment, or a folder of npm packages."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

DRIVERS = Path(__file__).parent / "drivers"
NODE = "node@22"
_NEWEST_NEEDED = 22
_PATIENCE = 900.0


class NotHadError(Exception):
    """A client cannot be installed here. The message tells the reason."""


Era = Literal["", "newer", "older"]


@dataclass(frozen=True)
class Way:
    """A transport, and the era of the protocol that a client with both eras must speak there."""

    transport: str
    era: Era = ""
    """Empty: the client chooses the era by itself."""


TRANSPORTS = tuple(map(Way, ("stdio", "http", "sse")))
_ERAS: tuple[Era, ...] = ("newer", "older")
BOTH_ERAS = tuple(Way(each.transport, era) for era in _ERAS for each in TRANSPORTS)


@dataclass(frozen=True, eq=False)
class Client:
    """A client, the names of its packages, its abilities and its known losses."""

    name: str
    driver: str
    packages: tuple[str, ...]
    ways: tuple[Way, ...] = TRANSPORTS
    asks: bool = False
    """Whether it can ask its person (elicitation)."""
    offers: tuple[str, ...] = ("resources", "resource", "prompts", "prompt")
    """Its abilities besides tools: the lists of resources and prompts, and one of each."""
    loses: Mapping[str, str] = field(default_factory=dict[str, str])
    """A pattern of the known losses of each converter ("" is the client's own). Any other loss is a failure."""

    @property
    def on_node(self) -> bool:
        """Whether it is a JavaScript package."""
        return self.driver.endswith(".mjs") or self.name == "MCP Inspector"

    @property
    def package(self) -> str:
        """The package whose version is shown."""
        at = self.packages[0].find("@", 1)
        return self.packages[0][:at] if self.on_node and at > 0 else self.packages[0].split("[")[0].split(">")[0]


_NESTED = r"\w+(?:\[\])?\.\w+"
CLIENTS = (
    Client("MCP Inspector", "with_inspector.py", ("@modelcontextprotocol/inspector@2",)),
    Client("TypeScript SDK 1", "with_typescript_sdk.mjs", ("@modelcontextprotocol/sdk@1",), asks=True),
    Client("TypeScript SDK 2", "with_typescript_sdk_2.mjs", ("@modelcontextprotocol/client@2",), BOTH_ERAS, asks=True),
    Client("Python SDK 1", "with_mcp_1.py", ("mcp>=1.30,<2",), asks=True),
    Client("Python SDK 2", "with_mcp_2.py", ("mcp>=2.3,<3",), BOTH_ERAS, asks=True),
    Client("FastMCP", "with_fastmcp.py", ("fastmcp>=4,<5",), asks=True),
    Client("AI SDK", "with_ai_sdk.mjs", ("@ai-sdk/mcp@2", "ai"), asks=True),
    Client(
        "LangChain",
        "with_langchain.py",
        ("langchain-mcp-adapters>=0.3,<0.4",),
        offers=("resources", "resource", "prompt"),
    ),
    Client("OpenAI Agents", "with_openai_agents.py", ("openai-agents>=0.24,<1",)),
    Client("Pydantic AI", "with_pydantic_ai.py", ("pydantic-ai-slim[mcp]>=2.60,<3",), asks=True),
    Client("LlamaIndex", "with_llama_index.py", ("llama-index-tools-mcp>=0.6,<0.7",), loses={"": _NESTED}),
    Client("Google ADK", "with_google_adk.py", ("google-adk>=2.13,<3", "mcp>=2.3,<3"), offers=("resources",)),
    Client(
        "smolagents",
        "with_smolagents.py",
        ("smolagents[mcp]>=1.26,<2", "mcp>=1.30,<2"),
        offers=(),
        loses={"": r"\w+: required"},
    ),
)
ONE_A_TRANSPORT = {"stdio": "AI SDK", "http": "TypeScript SDK 1", "sse": "LangChain"}


@dataclass(frozen=True)
class Environment:
    """The folder and the version of an installed client."""

    folder: Path
    version: str
    program: tuple[str, ...]
    """The command that runs the client's driver."""
    inspector: tuple[str, ...] = ()


def made(client: Client, scratch: Path) -> Environment:
    """Make a client's environment below `scratch`, or find the one that is there.

    Raises:
        NotHadError: it cannot be installed here.
    """
    folder = scratch / client.name.lower().replace(" ", "-")
    if client.on_node:
        node = _node(scratch)
        _installed(folder, client.packages)
        package = folder / "node_modules" / client.package / "package.json"
        version: str = json.loads(package.read_text(encoding="utf-8"))["version"]
        if not client.driver.endswith(".mjs"):
            tool = folder / "node_modules" / ".bin" / "mcp-inspector"
            return Environment(folder, version, (sys.executable, str(DRIVERS / client.driver)), (node, str(tool)))
        for name in (client.driver, "steps.mjs"):  # Node looks for packages beside the program
            shutil.copy(DRIVERS / name, folder / name)
        return Environment(folder, version, (node, str(folder / client.driver)))
    python = folder / "bin" / "python"
    if not _is_made(folder, client.packages):
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", *client.packages])
        _mark(folder, client.packages)
    asked = f"import importlib.metadata as m; print(m.version({client.package!r}))"
    return Environment(folder, _run([str(python), "-c", asked]).strip(), (str(python), str(DRIVERS / client.driver)))


def command_line(package: str, name: str, scratch: Path) -> list[Path]:
    """Install a host's command line below `scratch`, and return the folders to have in `PATH` for it.

    Raises:
        NotHadError: it cannot be installed here.
    """
    folder = scratch / f"host-{name}"
    _installed(folder, (package,))
    return [folder / "node_modules" / ".bin", Path(_node(scratch)).parent]


def program(package: str, path: str, scratch: Path) -> tuple[str, str]:
    """Install a program of one exact version, `NAME@VERSION`, below `scratch`; return Node and the program's file.

    Args:
        package: its name at npm, with the version.
        path: its file in the package.
        scratch: the folder of the environments.

    Raises:
        NotHadError: the program, or a Node that is new enough, cannot be installed here.
    """
    name = package[: package.rindex("@")]
    folder = scratch / name.rpartition("/")[2]
    node = _node(scratch)
    _installed(folder, (package,))
    return node, str(folder / "node_modules" / name / path)


def _node(scratch: Path) -> str:
    """Return a Node that is new enough: this machine's, or one that npm installs."""
    ours = shutil.which("node")
    if ours and int(_run([ours, "--version"]).lstrip("v").split(".")[0]) >= _NEWEST_NEEDED:
        return ours
    folder = scratch / "node"
    _installed(folder, (NODE,))
    return str(folder / "node_modules" / ".bin" / "node")


def _installed(folder: Path, packages: tuple[str, ...]) -> None:
    if _is_made(folder, packages):
        return
    if shutil.which("npm") is None:
        raise NotHadError("no npm here")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}', encoding="ascii")
    _run(["npm", "install", "--no-audit", "--no-fund", "--silent", *packages], cwd=folder)
    _mark(folder, packages)


def _is_made(folder: Path, packages: tuple[str, ...]) -> bool:
    marker = folder / "made-of"
    return marker.exists() and marker.read_text(encoding="utf-8") == "\n".join(packages)


def _mark(folder: Path, packages: tuple[str, ...]) -> None:
    (folder / "made-of").write_text("\n".join(packages), encoding="utf-8")


def _run(words: list[str], cwd: Path | None = None) -> str:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("ZINC_", "PYTHONPATH"))}
    try:
        done = subprocess.run(words, cwd=cwd, env=ours, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHadError(f"{Path(words[0]).name}: {type(error).__name__}") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise NotHadError(f"`{Path(words[0]).name}` failed: {last[:120]}")
    return done.stdout
