"""The Dockerfile, as far as it can be tried without Docker: its user, its layers, its health check, its commands."""

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import httpx2
import pytest
from server.on_a_port import until_healthy
from started import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
WRITTEN = re.sub(r"^#.*\n", "", re.sub(r"\\\n\s*", "", DOCKERFILE), flags=re.MULTILINE)
LINES = [line.strip() for line in WRITTEN.splitlines() if line.strip()]


def of(word: str) -> list[str]:
    """Return what follows an instruction, each time it is given."""
    return [line.removeprefix(f"{word} ") for line in LINES if line.startswith(f"{word} ")]


def runs(image: str) -> list[list[str]]:
    """Return the words after an image's name in each `docker run` of the page."""
    lines = re.findall(rf"^docker run .* {image}( .*)?$", PAGE, re.MULTILINE)
    return [shlex.split(each) for each in lines]


def test_the_image_runs_without_rights_and_copies_only_named_files() -> None:
    assert of("USER") == ["10001:10001"] and "`--build-arg EXTRAS=postgres`" in PAGE and "uid 10001" in PAGE
    assert of("COPY") == [
        "pyproject.toml README.md LICENSE ./",
        "zinc_mcp ./zinc_mcp",
        "--from=build /program /program",
    ]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in ignored if not line.startswith("#")]
    assert rules == ["*", "!pyproject.toml", "!README.md", "!LICENSE", "!zinc_mcp", "**/__pycache__"]


def test_no_secret_is_in_a_layer() -> None:
    assert not re.search(r"KEY|SECRET|TOKEN|PASSWORD|zn_", WRITTEN)
    assert not re.search(r"--env ZINC_API_KEY=|zn_live_", PAGE)


def test_the_page_builds_the_targets_that_there_are() -> None:
    targets = [found[1] for each in of("FROM") if (found := re.search(r" AS (\w+)$", each))]
    assert (
        set(re.findall(r"docker build --file deploy/Dockerfile --target (\w+)", PAGE))
        == {"stdio", "http"}
        <= set(targets)
    )
    assert targets[-1] == "stdio", "the last is built without a choice"
    assert of("ENTRYPOINT") == ['["zinc-mcp"]']


@pytest.mark.parametrize(("extras", "wanted"), [("", "."), ("postgres", ".[postgres]"), ("a,b", ".[a,b]")])
def test_the_extras_are_asked_for_by_a_build_argument(extras: str, wanted: str) -> None:
    [argument] = re.findall(r'pip install ("[^"]+")', WRITTEN)
    said = subprocess.run(["/bin/sh", "-c", f"printf %s {argument}"], env={"EXTRAS": extras}, capture_output=True)
    assert said.stdout.decode() == wanted


async def test_the_server_of_the_page_starts_and_its_health_check_notices_when_it_ends(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {
        "ZINC_MCP_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "ZINC_MCP_SANDBOX": "1",
        "PATH": "/usr/bin:/bin",
    }
    add, serve = runs("zinc-mcp-http")
    await anyio.run_process([sys.executable, "-m", "zinc_mcp", *add], env=environ, cwd=tmp_path)
    words = [each.replace("0.0.0.0:8765", f"127.0.0.1:{port}") for each in serve]
    process = await anyio.open_process(
        [sys.executable, "-m", "zinc_mcp", *words], env=environ, cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        async with httpx2.AsyncClient(timeout=20) as client:
            await until_healthy(client, f"http://127.0.0.1:{port}")
        assert await checked(port, environ) == 0
    finally:
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(30):
            await process.wait()
        await process.aclose()
    assert await checked(port, environ) != 0


async def checked(port: int, environ: Mapping[str, str]) -> int:
    """Run the image's health check and return how it ended."""
    [check] = of("HEALTHCHECK")
    python, *words = json.loads(check.partition("CMD ")[2])
    assert python == "python"
    words = [word.replace("8765", str(port)) for word in words]
    return (await anyio.run_process([sys.executable, *words], env=environ, check=False)).returncode


@pytest.mark.thorough
def test_without_a_name_the_image_says_what_is_missing_and_ends(tmp_path: Path) -> None:
    [words] = [json.loads(each) for each in of("CMD")]
    ended = subprocess.run(
        [sys.executable, "-m", "zinc_mcp", *words],
        env={"ZINC_MCP_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert "--allow-host" in ended.stderr and "members add" in ended.stderr


def test_a_linter_finds_nothing() -> None:
    if (linter := shutil.which("hadolint")) is None:
        pytest.skip("hadolint is not there; .ci/full brings it")
    ended = subprocess.run([linter, "deploy/Dockerfile"], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert (ended.returncode, ended.stdout) == (0, "")
