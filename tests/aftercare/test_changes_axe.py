"""People with any eyes, hands and screens can decide about returns and cases on the page."""

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aftercare.after import ADDRESS_MESSAGE, SUCCESS, delivered
from anyio import to_thread
from conftest import HandClock, OpenProcess
from server.as_a_host import call, host
from server.axe import complaints
from server.chromium import PHONE, Person, person_at_chromium

from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.process import Clocks
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.server.pages.browser import page_beside


@pytest.fixture
def zinc(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Generator[Person]:
    with person_at_chromium(tmp_path_factory.mktemp("chromium")) as person:
        yield person


KINDS: Mapping[str, tuple[str, Mapping[str, Any], tuple[str, ...]]] = {
    "a return": (
        "return_order",
        {
            "items": [{"number": 1, "quantity": 1}],
            "reason": "not_as_described",
            "notes": "שלום " + "W" * 300,
        },
        ("Send 1 piece back to zinc.com?", "not as described"),
    ),
    "a case with a new address": (
        "report_problem",
        {"reason": "address_change", "message": ADDRESS_MESSAGE},
        ("Report a problem", "address change", "99 Other Street"),
    ),
}


@pytest.mark.parametrize("answer", ["asked", "yes", "no"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_change_can_be_decided_by_everybody(
    chromium: Person,
    open_test_process: OpenProcess,
    zinc: Sandbox,
    clock: HandClock,
    write_config: Callable[[str], Path],
    kind: str,
    answer: str,
) -> None:
    tool, given, said = KINDS[kind]
    async with (
        open_test_process(clocks=Clocks(answer_seconds=1.5)) as process,
        page_beside(process, show=chromium.show) as page,
    ):
        async with host(process, "auto") as client:
            order_id = await delivered(client, clock, SUCCESS)
            write_config('[policy]\napproval = "page"\n')
            told = await call(client, tool, {"order_id": order_id, **given})
        assert told["outcome"] == "waiting"
        [entry] = await questions_for(process, "local")
        await page.offer(entry)
        for part in said:
            await to_thread.run_sync(chromium.sees, part)
        if answer != "asked":
            question = {"return_order": "Send it back", "report_problem": "Report it"}[tool]
            await to_thread.run_sync(chromium.press, question if answer == "yes" else "Do nothing")
            text = await to_thread.run_sync(chromium.sees, "Go back to your chat.")
            assert given["reason"] not in text
        found = await to_thread.run_sync(complaints, chromium)
        assert found == [], "\n".join(found)
        name = f"axe-{tool}-{answer}".replace("_", "-")
        await to_thread.run_sync(lambda: chromium.screenshot(name, PHONE))
        await to_thread.run_sync(chromium.go, "about:blank")
