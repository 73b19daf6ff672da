"""`serve --metrics` shows figures that Prometheus reads, on a port of their own, and no label names anybody."""

import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import preloaded
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from server.as_a_host import call, host, refused
from server.on_a_port import connected, token_in
from started import Started
from wanted import arguments, book, intent

from zinc_mcp.checkout.place_order import place
from zinc_mcp.telemetry.measures import HAPPENING, LOOK_EVERY_SECONDS, STANDING, JournalFigures
from zinc_mcp.telemetry.watch import Watch

pytest.importorskip("prometheus_client", reason="the extra metrics is not installed")
from prometheus_client.parser import text_string_to_metric_families  # only where it is installed

from zinc_mcp.server.http.metrics import Metrics  # needs it, too

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Figures:
    """Return the samples as Prometheus's own library reads them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labelled(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


async def shown(metrics: Metrics) -> Figures:
    transport = httpx2.ASGITransport(app=metrics.app("zinc.internal"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:9464") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return read(answer.text)


def watching(clock: HandClock) -> tuple[Metrics, Watch]:
    """Return metrics whose looks at the journal go by the test's clock."""
    metrics = Metrics(JournalFigures(clock))
    return metrics, Watch(metrics.figures, (metrics,))


async def test_the_figures_are_those_of_calls_and_of_the_journal(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    metrics, watch = watching(clock)
    async with open_test_process(watch=watch) as process, host(process, "auto") as client:
        first = await call(client, "place_order", arguments())
        await refused(client, "place_order", {})
        before = await shown(metrics)
        zinc.settle(first["order_id"], 4_000)
        await call(client, "get_order", {"order_id": first["order_id"]})
        zinc.script.append("500_after")
        zinc.listing = False
        await place(process, intent("ada#0123456789abcdef", products=book(2)))
        await process.journal.run(lambda journal: journal.pause("planted"))
        soon = await shown(metrics)
        clock.pass_seconds(LOOK_EVERY_SECONDS)
        figures = await shown(metrics)
        await process.journal.run(lambda journal: journal.resume())
        later = await shown(metrics)
    assert figures[labelled("zinc_mcp_calls_total", tool="place_order", ending="accepted")] == 1
    assert figures[labelled("zinc_mcp_calls_total", tool="place_order", ending="refused")] == 1
    assert figures[labelled("zinc_mcp_calls_total", tool="get_order", ending="placed")] == 1
    assert figures[labelled("zinc_mcp_call_seconds_count", tool="place_order")] == 2
    sent = {"service": "zinc", "request": "POST /orders"}
    assert figures[labelled("zinc_mcp_zinc_seconds_count", **sent, answer="2xx")] == 1
    assert figures[labelled("zinc_mcp_zinc_seconds_count", **sent, answer="5xx")] == 1
    assert figures[labelled("zinc_mcp_journal_up")] == 1
    ended = labelled("zinc_mcp_orders_total", mode="test", rail="account", ending="placed")
    assert (before.get(ended), soon.get(ended), figures[ended]) == (None, None, 1)
    assert before[labelled("zinc_mcp_reserved_cents", mode="test", state="accepted")] == 5_100
    assert before[labelled("zinc_mcp_spent_day_cents", mode="test")] == 0
    assert figures[labelled("zinc_mcp_spent_day_cents", mode="test")] == 4_100
    assert figures[labelled("zinc_mcp_orders_open", mode="test", state="unknown")] == 1
    assert figures[labelled("zinc_mcp_reserved_cents", mode="test", state="unknown")] == 5_100
    assert labelled("zinc_mcp_orders_open", mode="test", state="placed") not in figures
    assert figures[labelled("zinc_mcp_pauses")] == 1
    assert later == figures, f"the journal is asked once in {LOOK_EVERY_SECONDS} seconds"
    names = {label for name, labels in figures for label, _ in labels if not name.endswith("_bucket")}
    assert names <= {"tool", "ending", "mode", "state", "rail", "service", "request", "answer"}
    assert not any("ada" in value or "B0" in value for _, labels in figures for _, value in labels)


async def test_every_metric_of_the_table_is_shown_with_its_meaning(
    open_test_process: OpenProcess, clock: HandClock
) -> None:
    metrics, watch = watching(clock)
    assert labelled("zinc_mcp_journal_up") not in await shown(metrics), "nobody has tried to read it"
    async with open_test_process(watch=watch):
        transport = httpx2.ASGITransport(app=metrics.app("zinc.internal"))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:9464") as client:
            text = (await client.get("/metrics")).text
    for each in (*HAPPENING, *STANDING):
        name = f"{each.name}_total" if each.kind == "counter" else each.name
        assert f"# HELP {name} {each.meaning}\n# TYPE {name} {each.kind}\n" in text
        assert ("US cents" in each.meaning) is each.name.endswith("_cents")


async def test_a_web_page_cannot_read_them_and_a_broken_journal_is_told(
    open_test_process: OpenProcess, tmp_path: Path, clock: HandClock
) -> None:
    (tmp_path / "journal.db").write_text("no database " * 1_000, encoding="ascii")
    metrics, watch = watching(clock)
    async with open_test_process(journal=f"sqlite:///{tmp_path / 'journal.db'}", watch=watch):
        transport = httpx2.ASGITransport(app=metrics.app("zinc.internal"))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:9464") as client:
            for name in ("evil.example", "127.0.0.1.evil.example", ""):
                assert (await client.get("/metrics", headers={"Host": name})).status_code == 421
            for name in ("localhost:9464", "10.0.0.7:9464", "[::1]:9464", "zinc.internal"):
                assert (await client.get("/metrics", headers={"Host": name})).status_code == 200
            assert (await client.post("/metrics")).status_code == 405
            assert (await client.get("/mcp")).status_code == 404
        assert (await shown(metrics))[labelled("zinc_mcp_journal_up")] == 0


@contextmanager
def serving(folder: Path, port: int, metrics: int) -> Generator[None]:
    words = ["serve", "--http", f"127.0.0.1:{port}", "--metrics", f"127.0.0.1:{metrics}"]
    environment = {**Started(folder).environment, "ZINC_MCP_SANDBOX": "1"}
    with subprocess.Popen([*preloaded.command("zinc_mcp"), *words], env=environment) as running:
        try:
            until = time.monotonic() + 60
            while True:
                try:
                    httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
                    break
                except httpx2.TransportError:
                    assert running.poll() is None and time.monotonic() < until
                    time.sleep(0.1)
            yield
        finally:
            running.terminate()
            assert running.wait(30) == 0


async def test_a_server_shows_them_on_a_port_of_their_own_and_ends_as_it_should(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        port, metrics = one.getsockname()[1], other.getsockname()[1]
    with serving(tmp_path, port, metrics):
        origin = f"http://127.0.0.1:{port}"
        async with connected(origin, "mcp", "auto", token_in(tmp_path / "home")) as client:
            await refused(client, "place_order", {})
        async with httpx2.AsyncClient() as scraper:
            figures = read((await scraper.get(f"http://127.0.0.1:{metrics}/metrics")).text)
            assert (await scraper.get(f"{origin}/metrics")).status_code == 401
    assert figures[labelled("zinc_mcp_calls_total", tool="place_order", ending="refused")] == 1
