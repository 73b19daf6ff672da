"""Nothing of OpenTelemetry is loaded unless its own variables ask for it, and what is asked for is told by them."""

import inspect
import json
import re
from pathlib import Path

import pytest
from started import ROOT, Started

from zinc_mcp.telemetry import watching
from zinc_mcp.telemetry.measures import HAPPENING, STANDING
from zinc_mcp.telemetry.watching import Asked, asked_in

ADDRESS = "http://127.0.0.1:4318"
BOTH = Asked(traces=True, metrics=True)


@pytest.mark.parametrize(
    ("variables", "asked"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "zinc", "OTEL_RESOURCE_ATTRIBUTES": "a=b"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ADDRESS}, BOTH),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ADDRESS, "OTEL_SDK_DISABLED": "True"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ADDRESS, "OTEL_TRACES_EXPORTER": "none"}, Asked(traces=False, metrics=True)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ADDRESS}, Asked(traces=True, metrics=False)),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, Asked(traces=False, metrics=True)),
        ({"OTEL_TRACES_EXPORTER": "console"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ADDRESS, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, None),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": ADDRESS,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf",
            },
            Asked(traces=False, metrics=True),
        ),
    ],
)
def test_the_variables_of_opentelemetry_say_what_is_sent(variables: dict[str, str], asked: Asked | None) -> None:
    assert asked_in(variables) == asked


CALLING = """
import json, sys
import anyio
from mcp import Client
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.telemetry import watched
from zinc_mcp.wiring import open_process

async def main():
    async with watched() as watch, open_process(load_settings(), watch=watch) as process:
        async with Client(build_server(process)) as client:
            await client.call_tool("list_orders", {})
    print(json.dumps([watch is None, sorted(sys.modules)]))

anyio.run(main)
"""


@pytest.mark.thorough
def test_a_server_that_nobody_has_asked_loads_nothing_for_it(tmp_path: Path) -> None:
    ended = Started(tmp_path).process("-c", CALLING, ZINC_MCP_SANDBOX="1")
    assert ended.returncode == 0, ended.stderr
    unwatched, modules = json.loads(ended.stdout)
    assert unwatched
    assert "zinc_mcp.server.mcp.tools.noted" in modules
    others = ("zinc_mcp.telemetry.", "opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf", "requests")
    assert [name for name in modules if name.startswith(others)] == []


def test_the_page_names_every_metric_with_its_labels_every_step_and_every_variable() -> None:
    page = (ROOT / "docs" / "seeing.md").read_text(encoding="utf-8")
    for each in (*HAPPENING, *STANDING):
        name = f"{each.name}_total" if each.kind == "counter" else each.name
        assert f"| `{name}{{{', '.join(each.labels)}}}` |" in page or (not each.labels and f"| `{name}` |" in page), (
            name
        )
    for step in ("journal", "wire", "wallet", "person"):
        assert f"| `{step}` |" in page
    variables = {name for name in re.findall(r"OTEL_[A-Z_]+", inspect.getsource(watching)) if not name.endswith("_")}
    assert variables and all(name in page for name in variables)
