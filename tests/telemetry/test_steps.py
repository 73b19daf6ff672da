"""The steps of a call are spans below it; what a process does by itself makes none, and errors keep their texts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from journals import entry_of
from server.visitor import Shown, visitor
from wanted import intent

from zinc_mcp.checkout import place_order
from zinc_mcp.server.pages.browser import page_beside
from zinc_mcp.telemetry.measures import JournalFigures
from zinc_mcp.telemetry.spans import Spans
from zinc_mcp.telemetry.watch import Watch
from zinc_mcp.telemetry.watched import template_of

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
from opentelemetry.sdk.resources import Resource  # only where it is installed
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from zinc_mcp.telemetry.scrub import NAME, clean


class Traced:
    """A watch whose spans are kept here, as they would be sent."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = provider.get_tracer(NAME)
        self.watch = Watch(JournalFigures(), (), Spans(self.tracer))

    @property
    def spans(self) -> list[ReadableSpan]:
        """Those that have ended."""
        cleaned = [clean(each, Resource({})) for each in self._kept.get_finished_spans()]
        return [each for each in cleaned if each is not None]


@pytest.fixture
def traced() -> Traced:
    return Traced()


async def test_a_decision_on_the_page_is_a_span_with_its_steps(
    open_test_process: OpenProcess, zinc: FakeZinc, traced: Traced, write_config: Callable[[str], Path]
) -> None:
    write_config('[policy]\napproval = "page"\n')
    shown = Shown()
    async with open_test_process(watch=traced.watch) as process, page_beside(process, show=shown) as page:
        entry = entry_of(await place_order.place(process, intent()))
        await page.offer(entry)
        async with visitor(shown.address) as person:
            await person.open(shown.secret)
            assert traced.spans == [], "nobody has called or decided anything"
            await person.decide("yes")
    assert len(zinc.posts) == 1
    [decision] = [each for each in traced.spans if each.parent is None]
    assert decision.name == "person"
    assert decision.context is not None
    below = [each for each in traced.spans if each.context and each.context.trace_id == decision.context.trace_id]
    assert {each.name for each in below} == {"person", "journal", "wire"}


async def test_a_step_that_fails_says_how_and_not_why(
    open_test_process: OpenProcess, zinc: FakeZinc, traced: Traced
) -> None:
    zinc.script = ["lose_after"]
    zinc.listing = False
    async with open_test_process(watch=traced.watch) as process:
        with traced.tracer.start_as_current_span("person"):
            entry = entry_of(await place_order.place(process, intent()))
            with pytest.raises(LookupError):
                await process.journal.run(fail)
    assert entry.state == "unknown"
    failed = [each for each in traced.spans if each.status.status_code is StatusCode.ERROR]
    assert {(each.name, (each.attributes or {}).get("error.type")) for each in failed} == {
        ("wire", "NoAnswerError"),
        ("journal", "LookupError"),
    }
    assert all(each.status.description is None and not each.events for each in failed)


def fail(journal: object) -> None:
    raise LookupError("planted: 12 Planted Street")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/orders", "/orders"),
        ("/orders/0f1e2d3c-0000-4000-8000-000000000000/timeline", "/orders/{}/timeline"),
        ("/agent/orders?method=tempo", "/agent/orders"),
        ("/agent/search?query=a+present+for+ada", "/agent/search"),
        ("/products/Ada%20Lovelace/offers?retailer=amazon", "/products/{}/offers"),
        ("/cases/grace/messages", "/cases/{}/messages"),
    ],
)
def test_of_an_address_only_the_words_of_zincs_paths_are_told(path: str, told: str) -> None:
    assert template_of(path) == told
