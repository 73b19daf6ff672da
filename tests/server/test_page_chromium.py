"""The approval page works in a real Chromium and withstands other sites, tabs and people."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import httpx
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from journals import entry_of, journal_of
from server.chromium import DESKTOP, DOCS, ENTER, PHONE, SMALL_PHONES, SPACE, TAB, Person, person_at_chromium
from server.issuer import running_issuer
from server.on_a_port import listening, served
from server.visitor import Shown
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from wanted import ADDRESS, BOOK, book, intent

from zinc_mcp.checkout.place_order import place
from zinc_mcp.checkout.watch import entry_with_key
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.decision import reference_of
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.known_settings import RailName
from zinc_mcp.owner.pin import hashed
from zinc_mcp.owner.team.member import Identity
from zinc_mcp.process import Process
from zinc_mcp.server.mcp.asking import Page
from zinc_mcp.server.pages.browser import page_beside

T = TypeVar("T")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Generator[Person]:
    with person_at_chromium(tmp_path_factory.mktemp("chromium")) as person:
        yield person


@pytest.fixture(autouse=True)
def ask_always(write_config: Callable[[str], Path]) -> None:
    write_config('[policy]\napproval = "page"\n')


class Before:
    """A person before an open page, and the process behind it."""

    def __init__(self, person: Person, shown: Shown, process: Process, page: Page, entry: Entry) -> None:
        self._person = person
        self.document = shown.documents[-1]
        self.address = shown.address
        self.process = process
        self.page = page
        self.key = entry.key
        self.entry_id = entry.id

    async def does(self, what: Callable[[Person], T]) -> T:
        """Use the browser, which blocks, while the page is served."""
        return await anyio.to_thread.run_sync(what, self._person)

    async def sees(self, part: str) -> str:
        return await self.does(lambda person: person.sees(part))


@asynccontextmanager
async def before(
    chromium: Person,
    open_test_process: OpenProcess,
    *,
    key: str = "zn_test_1",
    saved_as: str | None = None,
    rail: RailName = "account",
    **changes: Any,
) -> AsyncGenerator[Before]:
    """Ask about an order and let the real browser open the page, by the real file."""
    shown = Shown()

    def show(path: Path) -> bool:
        return shown(path) and chromium.show(path)

    products = [{"url": BOOK, "quantity": 2, "variant": [{"label": "Cover", "value": "Paperback"}]}]
    changes.setdefault("products", products)
    wanted = intent(**changes)
    await anyio.to_thread.run_sync(chromium.forget)
    await anyio.to_thread.run_sync(chromium.complaints)  # those of the page before are not this one's
    wallet = "sandbox" if rail == "agent" else None
    async with open_test_process(api_key=key, wallet=wallet) as process, page_beside(process, show=show) as page:
        entry = entry_of(await place(process, replace(wanted, saved_as=saved_as, rail=rail)))
        await page.offer(entry)
        yield Before(chromium, shown, process, page, entry)
        await anyio.to_thread.run_sync(chromium.go, "about:blank")


async def test_a_person_approves(chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc, home: Path) -> None:
    async with before(chromium, open_test_process) as page:
        await page.sees("Buy from amazon.com?")
        assert list(home.glob("*.html")) == [], "the file is gone once it was used"
        address = await page.does(lambda person: str(person.driver.current_url))
        assert address == page.address, "no secret in the address"
        assert zinc.posts == []
        await page.does(lambda person: person.press("Buy for at most $51.00"))
        await page.sees("Ordered")
        zinc.settle(next(iter(zinc.orders)), 4_000)
        await page.does(lambda person: person.press("Look again"))
        await page.sees("Paid: $41.00")
        assert await page.does(lambda person: person.complaints()) == []
    assert len(zinc.posts) == 1


async def test_a_person_declines(chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc, home: Path) -> None:
    async with before(chromium, open_test_process) as page:
        await page.sees("Buy from amazon.com?")
        await page.does(lambda person: person.press("Do not buy"))
        await page.sees("The answer was no.")
    assert (zinc.posts, journal_of(home)[0][0].state) == ([], "declined")


async def test_words_of_zinc_and_retailers_are_plain_text_to_the_browser(
    chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    hostile = '</code></dl><script>document.title="x"</script><img src=x onerror=alert(1)><form method=post><button>y'
    zinc.products["B07JGBW826"] = {"status": "completed", "title": hostile, "seller_name": hostile}
    zinc.script = [httpx.Response(201, json={"id": "ord-1", "status": hostile[:60]})]
    count = "return [...document.querySelectorAll('script, img, form, button')].map((each) => each.tagName).join()"
    async with before(chromium, open_test_process, key="zn_live_1") as page:
        await page.sees('<script>document.title="x"</script><img src=x')
        assert (
            await page.does(lambda person: str(person.driver.execute_script(count))) == "FORM,BUTTON,BUTTON,FORM,BUTTON"
        )
        await page.does(lambda person: person.press("Buy for"))
        await page.sees("Order ord-1 Key")
        assert await page.does(lambda person: str(person.driver.execute_script(count))) == "FORM,BUTTON"
        assert await page.does(lambda person: str(person.driver.title)) == "Ordered · zinc-mcp"
        assert await page.does(lambda person: person.complaints()) == []


async def test_a_page_that_stood_too_long_buys_nothing(
    chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    async with before(chromium, open_test_process) as page:
        await page.sees("Buy from amazon.com?")
        clock.pass_seconds(601)
        await page.does(lambda person: person.press("Buy for"))
        await page.sees("Nobody approved it in time.")
    assert zinc.posts == []


async def test_the_file_works_once_and_a_tampered_one_never(
    chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc, tmp_path: Path
) -> None:
    async with before(chromium, open_test_process) as page:
        await page.sees("Buy from amazon.com?")
        copy = tmp_path / "copy.html"
        copy.write_text(page.document, encoding="utf-8")
        await page.does(lambda person: person.show(copy))
        await page.sees("This page was opened before")
        secret = page.document.partition('name="secret" value="')[2].partition('"')[0]
        copy.write_text(page.document.replace(secret, secret.swapcase()), encoding="utf-8")
        await page.does(lambda person: person.show(copy))
        await page.sees("The file that should open it is not valid.")
        await page.does(lambda person: person.go(page.address))
        await page.sees("This page is closed")
    assert zinc.posts == []


async def test_the_browser_keeps_no_cookie_and_sends_none_to_a_neighbour_s_port(
    chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    sent: list[str | None] = []

    async def note(request: Request) -> Response:
        sent.append(request.headers.get("cookie"))
        return HTMLResponse("noted")

    async with before(chromium, open_test_process) as page, at_a_port(note) as port:
        await page.sees("Buy from amazon.com?")
        await page.does(lambda person: person.press("Look again"))
        await page.sees("Buy from amazon.com?")
        assert await page.does(lambda person: person.cookies()) == []
        await page.does(lambda person: person.go(f"http://127.0.0.1:{port}/"))
        await page.sees("noted")
        await page.does(lambda person: person.go(page.address))
        await page.sees("This page is closed")
    assert sent == [None]
    assert zinc.posts == []


async def test_all_that_waits_is_decided_in_one_window(
    chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with before(chromium, open_test_process) as page:
        await page.sees("Buy from amazon.com?")
        second = entry_of(await place(page.process, intent(products=book(2), max_price=2000)))
        assert "press “Look again”" in await page.page.offer(second)
        await page.does(lambda person: person.press("Look again"))
        await page.sees("1 more waits for your answer")
        await page.does(lambda person: person.press("See all that wait"))
        await page.sees("Buy for at most $21.00")
        await page.does(lambda person: person.press("Buy for at most $51.00"))
        await page.sees("Ordered")
        await page.does(lambda person: person.press("See all that wait"))
        await page.sees("Buy for at most $21.00")
        await page.does(lambda person: person.press("Do not buy"))
        await page.sees("The answer was no.")
        await page.does(lambda person: person.driver.refresh())
        await page.sees("The answer was no.")
        assert await page.does(lambda person: person.complaints()) == []
    assert len(zinc.posts) == 1


async def test_the_whole_saved_address_is_revealed_without_a_script(
    chromium: Person, open_test_process: OpenProcess, write_config: Callable[[str], Path]
) -> None:
    fields = "\n".join(f'{name} = "{value}"' for name, value in ADDRESS.items())
    write_config(f'[policy]\napproval = "page"\n[addresses.home]\n{fields}\n')
    async with before(chromium, open_test_process, saved_as="home") as page:
        assert "12 Planted Street" not in await page.sees("your saved address “home”")
        await page.does(lambda person: person.driver.find_element("tag name", "summary").click())
        await page.sees("12 Planted Street")


@asynccontextmanager
async def at_a_port(answer: Callable[[Request], Awaitable[Response]]) -> AsyncGenerator[int]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with listening(Starlette(routes=[Route("/", answer)]), listener):
            yield listener.getsockname()[1]


def evil_site(document: str) -> AbstractAsyncContextManager[int]:
    async def answer(request: Request) -> Response:
        return HTMLResponse(document)

    return at_a_port(answer)


@pytest.mark.parametrize("name", ["127.0.0.1", "evil.example"])
async def test_another_site_cannot_press_the_buttons_nor_show_the_page_in_a_frame(
    chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc, name: str
) -> None:
    async with before(chromium, open_test_process) as page:
        await page.sees("Buy from amazon.com?")
        visit, about = [
            await page.does(partial(Person.hidden, name=name)) for name in ("visit", "about")
        ]  # even if they were known
        forged = (
            f'<form method="post" action="{page.address}"><input name="visit" value="{visit}">'
            f'<input name="about" value="{about}"><button name="decision" value="yes">Win</button></form>'
        )
        async with evil_site(forged) as port:
            await page.does(lambda person: person.go(f"http://{name}:{port}/"))
            await page.does(lambda person: person.press("Win"))
            await page.sees("The answer came from somewhere else")
        async with evil_site(f'<p>evil</p><iframe src="{page.address}"></iframe>') as port:
            await page.does(lambda person: person.go(f"http://{name}:{port}/"))

            def framed(person: Person) -> str:
                person.driver.switch_to.frame(0)
                text = person.text
                person.driver.switch_to.default_content()
                return text

            assert "Buy from" not in await page.does(framed)
            await page.does(lambda person: person.complaints())
        entry = await entry_with_key(page.process, page.key)
        assert entry is not None
        assert reference_of(entry) is not None, "the question still stands"
    assert zinc.posts == []


@pytest.mark.parametrize("name", ["localhost", "evil.example"])
async def test_under_another_name_the_page_does_not_open(
    chromium: Person, open_test_process: OpenProcess, name: str
) -> None:
    async with before(chromium, open_test_process) as page:
        await page.sees("Buy from amazon.com?")
        await page.does(lambda person: person.go(page.address.replace("127.0.0.1", name)))
        await page.sees("This is not the server's name")
        await page.does(lambda person: person.complaints())


async def test_back_and_reload_show_the_true_state_and_buy_nothing_again(
    chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with before(chromium, open_test_process) as page:
        await page.sees("Buy from amazon.com?")
        for _ in range(2):
            await page.does(lambda person: person.driver.refresh())  # what the file sent is sent again
            await page.sees("Buy from amazon.com?")
        await page.does(lambda person: person.press("Buy for"))
        await page.sees("Ordered")
        for _ in range(2):
            await page.does(lambda person: person.driver.refresh())
            await page.sees("Ordered")
        await page.does(lambda person: person.driver.back())
        text = await page.does(lambda person: person.text)
        assert "Buy for at most" not in text, "the question is not shown from memory"
    assert len(zinc.posts) == 1


async def test_the_keyboard_is_enough(
    chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        journal.set_pin(hashed("2468"))
    async with before(chromium, open_test_process) as page:
        await page.sees("Your PIN")
        await page.does(lambda person: person.keys(ENTER, SPACE))
        assert zinc.posts == [], "what is typed before anything is chosen decides nothing"
        focused: list[str] = []
        for _ in range(4):
            await page.does(lambda person: person.keys(TAB))
            focused.append(await page.does(lambda person: person.focused()))
        assert focused == [f"pin-{page.entry_id}", "Buy for at most $51.00", "Do not buy", "Look again"]
        await page.does(lambda person: person.driver.refresh())
        await page.sees("Your PIN")
        await page.does(lambda person: person.keys(TAB, "1", "1", "1", "1", ENTER))
        await page.sees("That was not the PIN.")
        await page.does(lambda person: person.keys("2", "4", "6", "8", TAB, ENTER))
        await page.sees("Ordered")
        assert await page.does(lambda person: person.focused()) == "Ordered", "a screen reader starts there"
    assert len(zinc.posts) == 1


async def test_a_screen_reader_meets_landmarks_headings_and_named_controls(
    chromium: Person, open_test_process: OpenProcess, home: Path
) -> None:
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        journal.set_pin(hashed("2468"))
    async with before(chromium, open_test_process) as page:
        await page.sees("Your PIN")
        met = await page.does(lambda person: person.accessible())
        assert await page.does(lambda person: person.driver.find_element("tag name", "html").get_attribute("lang"))
    for expected in (
        ("main", ""),
        ("heading", "Buy from amazon.com?"),
        ("region", "What would be bought"),
        ("region", "Where it goes and how it is paid"),
        ("textbox", "Your PIN"),
        ("button", "Buy for at most $51.00"),
        ("button", "Do not buy"),
    ):
        assert expected in met, (expected, met)


async def test_colours_can_be_read_in_light_and_dark(chromium: Person, open_test_process: OpenProcess) -> None:
    script = """
      const shown = [...document.querySelectorAll('h1,h2,p,dt,dd,span,strong,label,button,code')];
      const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
      const ground = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
      const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255;
        return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126*r + 0.7152*g + 0.0722*b; };
      return Math.min(...shown.map((e) => { const a = light(rgb(getComputedStyle(e).color)), b = light(ground(e));
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }));
    """
    async with before(chromium, open_test_process) as page:
        await page.sees("Buy from amazon.com?")
        for scheme in ("light", "dark"):
            media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}

            def contrast(person: Person, media: Any = media) -> float:
                person.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
                return float(person.driver.execute_script(script))

            assert await page.does(contrast) >= 4.5, scheme


async def test_pictures_of_it_are_kept(
    chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc, write_config: Callable[[str], Path]
) -> None:
    write_config('[policy]\napproval = "page"\nmax_month = 200000\n')
    zinc.products["B07JGBW826"] = {
        "status": "completed",
        "title": "The Old Man and the Sea, paperback, 127 pages",
        "seller_name": "Harbour Books",
        "price": 1499,
    }
    address = {**ADDRESS, "last_name": "Lovelace", "address_line1": "350 Fifth Avenue", "postal_code": "10118"}
    pictures = (("phone", PHONE, False), ("desktop", DESKTOP, False), ("dark", PHONE, True), ("docs", DOCS, False))
    async with before(chromium, open_test_process, key="zn_live_1", shipping_address=address) as page:
        await page.sees("Harbour Books")
        for name, size, dark in pictures:
            path = await page.does(partial(Person.screenshot, name=name, size=size, dark=dark))
            assert path.stat().st_size > 10_000
        await page.does(lambda person: person.press("Buy for"))
        await page.sees("Ordered")
        await page.does(lambda person: person.screenshot("ordered", PHONE))


CROWDED: Any = {
    "products": [
        {
            "url": f"{BOOK}?th=1",
            "quantity": 12,
            "variant": [{"label": "Size of the cover, as the shop words it", "value": "Large, 12.5 x 18.25 in"}],
            "condition_in": ["UsedLikeNew", "Refurbished"],
            "condition_not_in": ["UsedAcceptable"],
        }
    ],
    "max_price": 2_345_678,
    "handling_days_max": 3,
    "is_gift": True,
    "gift_message": "For your shelf, with love",
    "fulfillment": {"quantity": "best_effort", "excluded_merchants": ["A merchant of a rather long name"]},
    "metadata": {"cost centre of the department": "4711-0815"},
}
"""An order with the longest labels that there are, and with long amounts."""

LAYOUT = r"""
  const lines = (node, from, to) => { const range = document.createRange(); range.setStart(node, from);
    range.setEnd(node, to); return new Set([...range.getClientRects()].map((each) => Math.round(each.top))).size; };
  const broken = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());)
    for (const found of node.data.matchAll(/\$[0-9][0-9,.]*[0-9]/g))
      if (lines(node, found.index, found.index + found[0].length) > 1) broken.push(found[0]);
  const beside = [...document.querySelectorAll("dt")].filter((label) =>
    label.nextElementSibling.getBoundingClientRect().top < label.getBoundingClientRect().bottom - 1);
  const pin = document.querySelector("input[name=pin]"), said = document.querySelector("[role=alert]");
  return { broken, beside: beside.map((label) => label.innerText),
    wide: document.documentElement.scrollWidth - innerWidth,
    apart: pin && said ? pin.getBoundingClientRect().top - said.getBoundingClientRect().bottom : null,
    below: pin && said ? said.getBoundingClientRect().top - pin.getBoundingClientRect().bottom : null };
"""


@pytest.mark.parametrize("size", SMALL_PHONES, ids=["360", "320"])
async def test_on_a_small_phone_labels_stand_above_and_amounts_and_words_stay_whole(
    chromium: Person,
    open_test_process: OpenProcess,
    write_config: Callable[[str], Path],
    home: Path,
    size: tuple[int, int],
) -> None:
    write_config(
        '[policy]\napproval = "page"\nmax_order = 100000000\nmax_day = 123456789\nmax_month = 987654321\n'
        "max_orders_day = 40\n"
    )
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        journal.set_pin(hashed("2468"))
    async with before(chromium, open_test_process, key="zn_live_1", **CROWDED) as page:
        text = await page.sees("used, like new")
        assert [word for word in ("UsedLikeNew", "UsedAcceptable", "best_effort", "“true”") if word in text] == []
        await page.does(partial(Person.screenshot, name="crowded-desktop", size=DESKTOP))
        await page.does(lambda person: person.hold(size))
        for dark in (False, True):
            name = f"crowded-{size[0]}{'-dark' if dark else ''}"
            await page.does(partial(Person.screenshot, name=name, size=size, dark=dark))
        await page.does(lambda person: person.hold(size))
        await page.does(lambda person: person.keys(TAB, "1", "1", "1", "1", ENTER))
        await page.sees("That was not the PIN.")
        await page.does(partial(Person.screenshot, name=f"crowded-{size[0]}-pin", size=size))
        await page.does(lambda person: person.hold(size))
        found: Any = await page.does(lambda person: person.driver.execute_script(LAYOUT))
        focused = "return document.activeElement.id"
        at = await page.does(lambda person: str(person.driver.execute_script(focused)))
    assert at == f"pin-{page.entry_id}"
    assert (found["broken"], found["beside"], found["wide"]) == ([], [], 0)
    assert 0 <= found["below"] <= 12, "the reason stands at the field"


async def test_a_person_signs_in_at_a_service_of_another_site_and_decides(
    chromium: Person, open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    await anyio.to_thread.run_sync(chromium.forget)
    with running_issuer() as issuer:
        settings = {"oauth_issuer": issuer.name, "oauth_client_id": "page", "oauth_everyone": True}
        base = "http://page.example:{port}"
        async with (
            open_test_process(**settings) as process,
            served(process, members_only=True, base=base) as origin,
        ):
            base = base.format(port=origin.rpartition(":")[2])
            issuer.change(client={"id": "page", "redirect": f"{base}/approve/signed-in"})
            caller = Identity(issuer.name, "ada").caller
            entry = entry_of(await place(process, replace(intent(), caller=caller)))

            def decide(person: Person) -> list[str]:
                person.go(f"{base}/approve/{entry.id}")
                person.press("Sign in at 127.0.0.1")
                person.sees("You are signed in")
                kept = person.cookies()
                person.press("See what waits")
                person.sees("Buy from")
                assert person.driver.current_url == f"{base}/approve/{entry.id}"
                person.press("Buy for")
                person.sees("Ordered")
                assert not any("Content Security Policy" in each for each in person.complaints())
                return kept

            assert await anyio.to_thread.run_sync(decide, chromium) == [], "the cookie was for the way alone"
            await anyio.to_thread.run_sync(chromium.go, "about:blank")
    assert len(zinc.posts) == 1
