"""People with any eyes, hands and screens can use the approval page: axe-core finds nothing, whatever is asked."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from journals import entry_of
from server.axe import complaints, objection_to
from server.chromium import ENTER, PHONE, TAB, Person, person_at_chromium
from server.on_a_port import served
from server.test_page_chromium import CROWDED, Before, before
from wanted import ADDRESS, BOOK, book, intent

from zinc_mcp.checkout.place_order import place
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.members import add_member
from zinc_mcp.owner.pin import hashed

ASK = (
    '[policy]\napproval = "page"\nmax_order = 100000000\nmax_day = 123456789\nmax_month = 987654321\n'
    "max_orders_day = 40\n"
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Generator[Person]:
    with person_at_chromium(tmp_path_factory.mktemp("chromium")) as person:
        yield person


@pytest.fixture(autouse=True)
def ask_always(write_config: Callable[[str], Path]) -> None:
    write_config(ASK)


def test_a_page_that_nobody_can_use_is_noticed(chromium: Person, tmp_path: Path) -> None:
    bad = '<html><head><title>x</title></head><body style="color:#aaa;background:#bbb"><input><p>Grey</p></body></html>'
    found = objection_to(bad, chromium, tmp_path)
    for rule in ("label", "html-has-lang", "color-contrast"):
        assert [each for each in found if f": {rule}:" in each], rule


SAID_AT_THE_FIELD = """
const field = document.activeElement;
return [field.id, document.getElementById(field.getAttribute("aria-describedby")).innerText];
"""

Then = Callable[[Before, HandClock], Awaitable[None]]


async def as_it_is(page: Before, clock: HandClock) -> None:
    await page.sees("Buy for")


async def yes(page: Before, clock: HandClock) -> None:
    await page.does(lambda person: person.press("Buy for"))
    await page.sees("Go back to your chat.")


async def no(page: Before, clock: HandClock) -> None:
    await page.does(lambda person: person.press("Do not buy"))
    await page.sees("The answer was no.")


async def too_late(page: Before, clock: HandClock) -> None:
    clock.pass_seconds(601)
    await page.does(lambda person: person.press("Buy for"))
    await page.sees("Nobody approved it in time.")


async def decided_elsewhere(page: Before, clock: HandClock) -> None:
    from zinc_mcp.decisions import decide
    from zinc_mcp.journal.records.decision import Decision, reference_of

    entry = await page.process.journal.read(page.entry_id)
    about = reference_of(entry)
    assert about is not None
    await decide(page.process, Decision(about, yes=False, how="terminal", who="owner"))
    await page.does(lambda person: person.press("Buy for"))
    await page.sees("Below is how it stands now.")


async def nothing_waits(page: Before, clock: HandClock) -> None:
    await no(page, clock)
    await page.does(lambda person: person.driver.execute_script("document.forms[0].action = '/approve/'"))
    await page.does(lambda person: person.press("Look again"))
    await page.sees("Nothing waits for your answer")


async def several(page: Before, clock: HandClock) -> None:
    for number in (2, 3):
        entry_of(await place(page.process, intent(products=book(number), max_price=2000)))
    await page.does(lambda person: person.press("Look again"))
    await page.sees("2 more wait")
    await page.does(lambda person: person.press("See all that wait"))
    await page.sees("3 questions wait for your answer")


async def pin_wrong(page: Before, clock: HandClock) -> None:
    await page.does(lambda person: person.driver.find_element("css selector", "input[name=pin]").send_keys("1111"))
    await page.does(lambda person: person.press("Buy for"))
    await page.sees("That was not the PIN.")


WORLDLY: Any = {
    "shipping_address": {
        **ADDRESS,
        "first_name": "محمد عبد الرحمن",
        "last_name": "בן־דוד",
        "address_line1": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk 1",
    },
    "is_gift": True,
    "gift_message": "שלום " + "W" * 200,
    "metadata": {"k" * 40: "v" * 400},
}
"""Names from right to left, and words that are longer than any line."""
LARGE: Any = {
    "products": [{"url": f"https://www.amazon.com/dp/B{number:09d}?th=1", "quantity": 9} for number in range(60)],
    "max_price": 9_999_999,
}

KINDS: Mapping[str, tuple[Mapping[str, Any], Then]] = {
    "an order": ({}, as_it_is),
    "an order with everything": (CROWDED, as_it_is),
    "words of any script and length": (WORLDLY, as_it_is),
    "a large honest order": (LARGE, as_it_is),
    "practice": ({"key": "zn_test_1"}, as_it_is),
    "several that wait": ({}, several),
    "bought": ({}, yes),
    "declined": ({}, no),
    "expired": ({}, too_late),
    "decided elsewhere": ({}, decided_elsewhere),
    "nothing waits": ({}, nothing_waits),
}


async def _is_usable(page: Before) -> None:
    found = await page.does(complaints)
    assert found == [], "\n".join(found)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_page_can_be_used_by_everybody(
    chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, kind: str
) -> None:
    changes, then = KINDS[kind]
    zinc.products["B07JGBW826"] = {"status": "completed", "title": "W" * 150, "seller_name": "חנות", "price": 1499}
    given: Any = {"key": "zn_live_1", **changes}
    async with before(chromium, open_test_process, **given) as page:
        await page.sees("Buy for")
        await then(page, clock)
        await _is_usable(page)
        name = f"axe-{kind.replace(' ', '-')}"
        await page.does(partial(Person.screenshot, name=name, size=PHONE))


@pytest.mark.parametrize("then", [as_it_is, pin_wrong], ids=["asked", "wrong"])
async def test_the_page_with_a_pin_can_be_used_by_everybody(
    chromium: Person, open_test_process: OpenProcess, home: Path, clock: HandClock, then: Then
) -> None:
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        journal.set_pin(hashed("2468"))
    async with before(chromium, open_test_process, key="zn_live_1") as page:
        await page.sees("Your PIN")
        await then(page, clock)
        await _is_usable(page)


async def test_an_order_like_an_earlier_one_can_be_judged_by_everybody(
    chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc, write_config: Callable[[str], Path]
) -> None:
    write_config('[policy]\napproval = "none"\n')
    async with open_test_process(api_key="zn_live_1") as process:
        entry_of(await place(process, intent(products=[{"url": BOOK}])))
    write_config(ASK)
    async with before(chromium, open_test_process, key="zn_live_1") as page:
        await page.sees("Part of this was ordered before")
        await _is_usable(page)


async def test_an_order_paid_by_a_wallet_can_be_judged_by_everybody(
    chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with before(chromium, open_test_process, rail="agent") as page:
        await page.sees("by the payment wallet")
        await _is_usable(page)


async def test_a_page_that_is_closed_can_be_read_by_everybody(chromium: Person, open_test_process: OpenProcess) -> None:
    async with before(chromium, open_test_process) as page:
        await page.sees("Buy for")
        await page.does(lambda person: person.go(page.address))
        await page.sees("This page is closed")
        await _is_usable(page)


async def test_everybody_can_sign_in_and_is_told_at_the_field_what_was_wrong(
    chromium: Person, open_test_process: OpenProcess, home: Path
) -> None:
    add_member(home / "members.json", "ada")
    async with open_test_process(sandbox=True) as process, served(process, members_only=True) as origin:
        await to_thread.run_sync(chromium.go, f"{origin}/approve/")
        await to_thread.run_sync(chromium.sees, "Sign in to decide")
        assert await to_thread.run_sync(complaints, chromium) == []
        await to_thread.run_sync(chromium.keys, TAB, "w", "r", "o", "n", "g", ENTER)
        await to_thread.run_sync(chromium.sees, "That token is not one of this server's members.")
        assert await to_thread.run_sync(complaints, chromium) == []
        found: list[str] = await to_thread.run_sync(chromium.driver.execute_script, SAID_AT_THE_FIELD)
        assert found == ["token", "That token is not one of this server's members."]
        await to_thread.run_sync(chromium.go, "about:blank")
