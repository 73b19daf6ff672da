"""A server sends steps and figures to a collector of OpenTelemetry, and nothing of a person or an order."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import httpx2
import pytest
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult, RequestParamsMeta
from server.on_a_port import connected
from started import PLANTED, Started
from telemetry.collector import Collector, collecting, labels_of
from wanted import ADDRESS, arguments

from zinc_mcp.owner.members import add_member

pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed, so nothing can be sent"
)

SERVER = 2
"""The kind of a span that the SDK makes of a message (OTLP, `SpanKind`)."""
CARD = "4111111111111111"
TOKEN = "tok_planted_8f3e"
PERSON = "Grace-Planted-Hopper"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
META = {
    "traceparent": f"00-{TRACE}-{PARENT}-01",
    "tracestate": f"vendor={PERSON}-{CARD}",
    "baggage": f"person={PERSON},token={TOKEN}",
}
URL = "https://zinc.com/shop/products/test-success?planted=query-of-ada"
WISH: dict[str, Any] = {"products": [{"url": URL}], "idempotency_key": f"key-{PERSON}"}
BY_WALLET: dict[str, Any] = {"products": [{"url": URL, "quantity": 2}], "max_price": 9_000}
VARIABLES = {
    "ZINC_MCP_SANDBOX": "1",
    "ZINC_API_KEY": "zn_test_planted_key_5a1e",
    "OTEL_SERVICE_NAME": "the-teams-zinc",
    "OTEL_RESOURCE_ATTRIBUTES": f"user.email=grace@planted.example,host.name={PERSON},deployment.environment=trial",
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {TOKEN}",
    "OTEL_METRIC_EXPORT_INTERVAL": "500",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "otel,process,os,host",
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "true",
}
POLICY = '[policy]\napproval = "auto"\n'


PLACES = [name for name in (str(Path.home()), socket.gethostname(), sys.executable) if len(name) > 5]
"""Short names stand in any bytes by chance."""


def is_clean(collector: Collector, *more: str) -> None:
    """Check that nothing planted, and no place on this machine, is in anything that was sent."""
    planted = [CARD, TOKEN, PERSON, PLANTED, "planted", "test-success", "Planted Street", "555-0147", "shop/"]
    planted += [str(value) for value in ADDRESS.values() if not str(value).isdigit() and len(str(value)) > 4]
    everything = b"\n".join(body for _, body in collector.sent)
    assert len(everything) > 1_000
    for word in (*planted, *more, *PLACES):
        assert word.lower().encode() not in everything.lower(), word


def is_whole(collector: Collector) -> None:
    """Check that the steps of the calls lie below the spans that the SDK makes of the calls."""
    spans = {span.span_id: span for span in collector.spans()}
    steps = [span for span in spans.values() if span.name in ("journal", "wire", "wallet", "person")]
    assert {span.name for span in steps} == {"journal", "wire", "wallet", "person"}
    for step in steps:
        above = step
        while above.parent_span_id in spans:
            above = spans[above.parent_span_id]
            assert above.trace_id == step.trace_id
        assert above.kind == SERVER, above
        assert step.start_time_unix_nano >= above.start_time_unix_nano
    facts = {
        span.name: [labels_of(each) for each in spans.values() if each.name == span.name] for span in spans.values()
    }
    wire = {"zinc_mcp.service": "zinc", "http.request.method": "POST", "url.template": "/orders"}
    assert {**wire, "http.response.status_code": 201} in facts["wire"]
    assert any(each["code.function.name"] == "pay" for each in facts["wallet"])
    assert all(each["code.function.name"] for each in facts["journal"])
    placing = facts["tools/call place_order"][0]
    assert placing["gen_ai.tool.name"] == "place_order"
    assert placing["zinc_mcp.ending"] in ("accepted", "placed")
    assert all(not span.status.message and not span.events and not span.trace_state for span in spans.values())


def is_measured(collector: Collector) -> None:
    """Check that the metrics are those of the one table, of calls and of the journal."""
    metrics = collector.metrics()
    placed = [each for each in metrics["zinc_mcp_calls"] if each["tool"] == "place_order"]
    assert sum(each[""] for each in placed) >= 1
    assert metrics["zinc_mcp_journal_up"] == [{"": 1}]
    sent = [each for each in metrics["zinc_mcp_zinc_seconds"] if each["request"] == "POST /orders"]
    assert sent == [{"service": "zinc", "request": "POST /orders", "answer": "2xx", "": 1}]
    assert {each["mode"] for each in metrics["zinc_mcp_orders_open"]} <= {"sandbox"}
    assert not any(
        each["tool"] not in ("place_order", "place_agent_order", "get_order") for each in metrics["zinc_mcp_calls"]
    )


class Host:
    """A host on stdin and stdout, which writes what it likes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None and process.stdout is not None
        self._stdin: IO[str] = process.stdin
        self._stdout: IO[str] = process.stdout

    def send(self, **message: Any) -> None:
        self._stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._stdin.flush()

    def ask(self, number: str | int, method: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer; say yes to what the server asks meanwhile."""
        self.send(id=number, method=method, params=parameters)
        while True:
            message: dict[str, Any] = json.loads(self._stdout.readline())
            if message.get("method") == "elicitation/create":
                self.send(id=message["id"], result={"action": "accept", "content": {"approve": True}})
            elif message.get("id") == number:
                return message

    def call(self, number: str | int, tool: str, given: Mapping[str, Any]) -> dict[str, Any]:
        message = self.ask(number, "tools/call", {"name": tool, "arguments": given, "_meta": META})
        result: dict[str, Any] | None = message.get("result")
        return result or message


def open_session(host: Host) -> None:
    about = {"name": PERSON, "version": CARD}
    asked: dict[str, Any] = {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": about}
    host.ask(1, "initialize", asked)
    host.send(method="notifications/initialized")


@contextmanager
def on_stdio(started: Started, **variables: str) -> Generator[tuple[Host, "subprocess.Popen[str]"]]:
    with subprocess.Popen(
        [sys.executable, "-m", "zinc_mcp"],
        env={**started.environment, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            yield Host(process), process
        finally:
            process.kill()


@pytest.mark.thorough
def test_a_collector_that_refuses_or_hangs_stops_no_server_and_is_told_once(tmp_path: Path) -> None:
    started = Started(tmp_path)
    with collecting(status=400) as refusing, socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = f"http://127.0.0.1:{silent.getsockname()[1]}/{TOKEN}"
        addresses = {**refusing.variables, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": hanging}
        with on_stdio(started, ZINC_MCP_SANDBOX="1", OTEL_BSP_SCHEDULE_DELAY="50", **addresses) as (host, process):
            open_session(host)
            for number in range(2, 6):
                host.call(number, "list_orders", {})
                until = time.monotonic() + 30
                while len(refusing.sent) < number - 1 and time.monotonic() < until:
                    time.sleep(0.02)
            stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 0, stderr
    assert len(refusing.sent) > 2
    assert stderr.count("spans cannot be sent") == 1
    # The library's own log may quote addresses, and answers of a collector.
    assert not any(word in stderr for word in (TOKEN, "Traceback", "opentelemetry.", "Failed to export"))


@pytest.mark.thorough
def test_without_the_extra_a_server_that_is_asked_works_and_says_so(tmp_path: Path) -> None:
    started = Started(tmp_path)
    without = tmp_path / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text("import sys\nsys.modules['opentelemetry.sdk'] = None\n", encoding="utf-8")
    path = os.pathsep.join([str(without), started.environment["PYTHONPATH"]])
    with collecting() as collector:
        with on_stdio(started, ZINC_MCP_SANDBOX="1", **collector.variables, PYTHONPATH=path) as (host, process):
            open_session(host)
            host.call(2, "list_orders", {})
            stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 0, stderr
    assert stderr.count("OpenTelemetry needs the extra `otel`") == 1
    assert "'opentelemetry-sdk" in stderr
    assert collector.sent == []


@pytest.mark.thorough
def test_a_server_on_stdio_sends_no_name_of_a_person_or_an_order(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.configure(POLICY)
    with collecting() as collector, on_stdio(started, **VARIABLES, **collector.variables) as (host, process):
        open_session(host)
        placed = host.call(2, "place_order", arguments(**WISH))
        host.call(f"id-{PERSON}", "get_order", {"order_id": placed["structuredContent"]["key"]})
        host.call(3, "place_agent_order", arguments(**BY_WALLET))
        host.call(4, "place_order", {f"{PERSON}": CARD})
        host.call(5, f"buy-for-{PERSON}-{CARD}", {})
        host.ask(CARD, f"{PERSON}/{TOKEN}", {})
        host.ask(6, "prompts/get", {"name": PERSON})
        host.ask(7, "resources/read", {"uri": f"zinc://orders/{PERSON}"})
        stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 0, stderr
    assert PERSON not in stderr and TOKEN not in stderr and collector.address not in stderr
    is_clean(collector, str(started.home), "zn_test")
    is_whole(collector)
    is_measured(collector)
    spans = collector.spans()
    assert {span.trace_id.hex() for span in spans if span.name == "tools/call place_order"} == {TRACE}
    assert PARENT in {span.parent_span_id.hex() for span in spans}
    assert {"initialize", "tools/call", "other", "prompts/get", "elicitation/create"} <= {span.name for span in spans}
    references = [labels_of(span).get("zinc_mcp.reference") for span in spans]
    assert any(reference and reference in stderr for reference in references), "a failed call is found in the log"
    everything = b"".join(body for _, body in collector.sent)
    assert b"the-teams-zinc" in everything and b"trial" in everything
    assert {each["authorization"] for each in collector.headers} == {f"Bearer {TOKEN}"}


@contextmanager
def on_a_port(started: Started, port: int, **variables: str) -> Generator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-m", "zinc_mcp", "serve", "--http", f"127.0.0.1:{port}"],
        env={**started.environment, **variables},
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            until = time.monotonic() + 60
            while True:
                try:
                    httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
                    break
                except httpx2.TransportError:
                    assert process.poll() is None and time.monotonic() < until
                    time.sleep(0.1)
            yield process
        finally:
            process.kill()


async def test_a_server_over_http_sends_no_name_of_a_person_or_an_order(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.configure(POLICY)
    member = add_member(started.home / "members.json", "grace")
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]

    async def say_yes(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"approve": True})

    with collecting() as collector, on_a_port(started, port, **VARIABLES, **collector.variables) as process:
        async with connected(
            f"http://127.0.0.1:{port}", "mcp", "legacy", member, asks=say_yes, **{"X-Person": PERSON, "Cookie": TOKEN}
        ) as client:
            placed = await client.call_tool("place_order", arguments(**WISH), meta=cast(RequestParamsMeta, META))
            assert not placed.is_error, placed
            await client.call_tool("place_agent_order", arguments(**BY_WALLET), meta=cast(RequestParamsMeta, META))
            await client.call_tool("get_order", {"order_id": PERSON}, meta=cast(RequestParamsMeta, META))
        process.send_signal(signal.SIGTERM)
        stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 0, stderr
    is_clean(collector, str(started.home), member, "grace", "zn_test")
    is_whole(collector)
    is_measured(collector)
