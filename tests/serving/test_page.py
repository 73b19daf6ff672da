"""The approval page as browsers talk to it: what opens it, who is turned away, what it says, what a decision does."""

import json
import re
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import HandClock, OpenShop
from fake_zinc import FakeZinc
from journals import entry_of, journal_of
from serving.on_a_port import served
from serving.visitor import Shown, Visitor, visitor
from wanted import ADDRESS, BOOK, book, intent

from zinc_mcp.ordering.entry import Entry
from zinc_mcp.ordering.journal import Journal
from zinc_mcp.ordering.pin import hashed
from zinc_mcp.serving.asking import Page
from zinc_mcp.serving.browser import has_desktop, page_beside
from zinc_mcp.serving.members import add_member, remove_member
from zinc_mcp.serving.page import address_of
from zinc_mcp.shop import Shop

WriteConfig = Callable[[str], Path]


@dataclass
class Asked:
    """One order that waits, and the page where its person decides."""

    shop: Shop
    page: Page
    entry: Entry
    shown: Shown
    said: str


@pytest.fixture(autouse=True)
def ask_always(write_config: WriteConfig) -> None:
    write_config('[policy]\napproval = "page"\n')


@asynccontextmanager
async def asked(open_test_shop: OpenShop, **changes: Any) -> AsyncGenerator[Asked]:
    shown = Shown()
    async with open_test_shop() as shop, page_beside(shop, show=shown) as page:
        entry = entry_of(await shop.checkout.place(intent(**changes)))
        yield Asked(shop, page, entry, shown, await page.offer(entry))


@asynccontextmanager
async def opened(open_test_shop: OpenShop, **changes: Any) -> AsyncGenerator[tuple[Asked, Visitor]]:
    async with asked(open_test_shop, **changes) as question, visitor(question.shown.address) as person:
        assert (await person.open(question.shown.secret)).status_code == 303
        yield question, person


async def test_a_yes_on_the_page_buys_it_and_shows_what_became_of_it(open_test_shop: OpenShop, zinc: FakeZinc) -> None:
    async with opened(open_test_shop) as (question, person):
        before = await person.look()
        assert zinc.posts == []
        answer = await person.decide("yes")
        after = await person.look()
        zinc.settle(next(iter(zinc.orders)), 4_000)
        later = await person.look()
    assert "Buy from amazon.com? $51.00 at most" in before
    assert answer.status_code == 303
    assert "Ordered" in after
    assert "Bought The retailer has the order. Paid: $41.00" in later
    assert len(zinc.posts) == 1
    assert question.said.startswith("The page where the user decides is open in their browser")


async def test_a_no_on_the_page_is_final(open_test_shop: OpenShop, zinc: FakeZinc, home: Path) -> None:
    async with opened(open_test_shop) as (_, person):
        csrf = await person.csrf()
        await person.send(csrf=csrf, decision="no")
        assert "Not bought The answer was no." in await person.look()
        await person.send(csrf=csrf, decision="yes")
        assert "Not bought" in await person.look()
    assert zinc.posts == []
    assert journal_of(home)[0][0].counts_cents == 0


async def test_everything_that_a_yes_would_allow_stands_on_the_page(
    open_test_shop: OpenShop, zinc: FakeZinc, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "page"\nmax_month = 60000\nmax_orders_day = 2\n')
    zinc.products["B07JGBW826"] = {
        "status": "completed",
        "title": "A book about fish",
        "seller_name": "Fish & Sons",
        "price": 1499,
    }
    wanted: dict[str, Any] = {
        "products": [{"url": BOOK, "quantity": 2, "variant": [{"label": "Color", "value": "Red"}]}],
        "is_gift": True,
        "gift_message": "Enjoy!",
        "po_number": "PO-7",
        "metadata": {"note": "x"},
    }
    async with open_test_shop(api_key="zn_live_planted") as shop, page_beside(shop, show=(shown := Shown())) as page:
        entry = entry_of(await shop.checkout.place(intent(**wanted)))
        await page.offer(entry)
        async with visitor(shown.address) as person:
            await person.open(shown.secret)
            text = await person.look()
    for part in (
        "Buy from amazon.com?",
        "$51.00 at most",
        "$50.00 for items, tax and shipping, and $1.00 for Zinc",
        "2 \u00d7 A book about fish",
        "sold by “Fish & Sons”",
        "Listed at $14.99 each",
        "Looking this up cost $0.01",
        "Color Red",
        "Ada Buyer 12 Planted Street New York NY 10001 US tel. 212-555-0147",
        "from the Zinc balance",
        "Gift message Enjoy!",
        "Purchase order number PO-7",
        "Notes sent along note = x",
        "$448.99 in 24 hours $548.99 in 30 days 1 more order in 24 hours",
        "Buy for at most $51.00 Do not buy",
        "ends in 10 minutes",
    ):
        assert part in text, (part, text)
    assert "Practice" not in text


async def test_an_earlier_twin_is_named_on_the_page(open_test_shop: OpenShop, clock: HandClock) -> None:
    async with opened(open_test_shop) as (question, person):
        await person.decide("yes")
        clock.pass_seconds(3 * 3600)
        again = entry_of(await question.shop.checkout.place(intent(max_price=6000)))
        await question.page.offer(again)
        async with visitor(question.shown.address) as other:
            await other.open(question.shown.secret)
            assert "The same was ordered 3 hours ago, and that order is accepted." in await other.look()


async def test_with_a_saved_address_the_page_shows_its_name_and_the_city(open_test_shop: OpenShop) -> None:
    wanted = intent()
    async with open_test_shop() as shop, page_beside(shop, show=(shown := Shown())) as page:
        answer = await shop.checkout.place(type(wanted)("local", "account", wanted.order, saved_as="home"))
        await page.offer(entry_of(answer))
        async with visitor(shown.address) as person:
            await person.open(shown.secret)
            text = await person.look()
    assert "your saved address “home” , New York" in text
    for private in ("Planted", "10001", "212-555"):
        assert private not in text


async def test_a_secret_works_once_and_only_for_its_order(open_test_shop: OpenShop, zinc: FakeZinc) -> None:
    async with asked(open_test_shop) as question, visitor(question.shown.address) as first:
        secret = question.shown.secret
        other = entry_of(
            await question.shop.checkout.place(intent(products=[{"url": "https://www.amazon.com/dp/B000000002"}]))
        )
        first_address = question.shown.address
        await question.page.offer(other)
        async with visitor(question.shown.address) as wrong_order:
            assert (await wrong_order.open(secret)).status_code == 403
        assert first.address == first_address
        assert (await first.open(secret)).status_code == 303
        async with visitor(first_address) as second:
            again = await second.open(secret)
            assert (again.status_code, "opened before" in again.text) == (403, True)
            assert (await second.client.get(first_address)).status_code == 403
            for tampered in ("", "x", secret[:-1], secret + "x", secret.swapcase()):
                assert (await second.open(tampered)).status_code == 403
        assert "Buy from" in await first.look(), "the one who was let in stays in"
    assert zinc.posts == []


async def test_after_ten_minutes_neither_the_secret_nor_the_page_buys(
    open_test_shop: OpenShop, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    async with opened(open_test_shop) as (question, person):
        csrf = await person.csrf()
        other = entry_of(
            await question.shop.checkout.place(intent(products=[{"url": "https://www.amazon.com/dp/B000000002"}]))
        )
        await question.page.offer(other)
        clock.pass_seconds(601)
        async with visitor(question.shown.address) as late:
            answer = await late.open(question.shown.secret)
            assert (answer.status_code, "The time is over" in answer.text) == (403, True)
        await person.send(csrf=csrf, decision="yes")
        assert "Nobody approved it in time." in await person.look()
    assert zinc.posts == []
    assert journal_of(home)[0][1].counts_cents == 0


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://127.0.0.1:1", "http://localhost", None])
async def test_a_decision_from_elsewhere_is_not_taken(
    open_test_shop: OpenShop, zinc: FakeZinc, origin: str | None
) -> None:
    async with opened(open_test_shop) as (question, person):
        csrf = await person.csrf()
        for decision in ("yes", "no"):
            assert (await person.send(origin, csrf=csrf, decision=decision)).status_code == 403
        assert (await person.send(csrf="wrong", decision="yes")).status_code == 403
        assert (await person.send(decision="yes")).status_code == 403
        assert (await person.send(csrf=csrf, decision="maybe")).status_code == 400
        async with visitor(question.shown.address) as stranger:  # who knows the token of the form, and has no cookie
            assert (await stranger.send(csrf=csrf, decision="yes")).status_code == 403
        assert "Buy from" in await person.look()
    assert zinc.posts == []


async def test_a_secret_sent_by_another_site_opens_nothing(open_test_shop: OpenShop) -> None:
    async with asked(open_test_shop) as question, visitor(question.shown.address) as person:
        assert (await person.send("https://evil.example", secret=question.shown.secret)).status_code == 403
        assert (await person.open(question.shown.secret)).status_code == 303, "and it was not used up by that"


@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example"])
async def test_under_another_name_there_is_no_page(open_test_shop: OpenShop, zinc: FakeZinc, host: str) -> None:
    async with opened(open_test_shop) as (_, person):
        csrf = await person.csrf()
        assert (await person.client.get(person.address, headers={"Host": host})).status_code == 421
        assert (await person.send(host=host, csrf=csrf, decision="yes")).status_code == 421
    assert zinc.posts == []


async def test_what_is_no_form_of_ours_is_not_read(open_test_shop: OpenShop) -> None:
    async with opened(open_test_shop) as (_, person):
        own = {"Origin": person.origin}
        form = {**own, "Content-Type": "application/x-www-form-urlencoded"}
        for content, headers in (
            (b'{"decision": "yes"}', {**own, "Content-Type": "application/json"}),
            (b"decision=yes", own),
            (b"a=" + b"x" * 10_000, form),
            (b"&".join(b"a=1" for _ in range(50)), form),
            (b"decision=%ff%fe", form),
            (b"\xff\xfe=yes", form),
        ):
            answer = await person.client.post(person.address, content=content, headers=headers)
            assert answer.status_code in (400, 403), content[:20]
        assert (await person.client.put(person.address)).status_code == 405
        assert "Buy from" in await person.look()


async def test_every_answer_keeps_everything_else_out(open_test_shop: OpenShop) -> None:
    async with opened(open_test_shop) as (question, person):
        stranger = await visitor_free(question.shown.address)
        answers = [
            await person.client.get(person.address),
            await person.send(csrf="wrong", decision="yes"),
            await person.decide("no"),
            await person.client.get(person.address),
            stranger,
        ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "script" not in policy
        for part in ("form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert part in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "script" not in answer.text
        assert not re.search(r"(?:src|href)=\"(?!/approve/)", answer.text), "nothing from elsewhere"
    cookie = person.client.cookies.jar
    [kept] = list(cookie)
    assert kept.has_nonstandard_attr("HttpOnly")
    assert kept.get_nonstandard_attr("SameSite") == "lax"


async def visitor_free(address: str) -> Any:
    async with visitor(address) as person:
        return await person.client.get(address)


async def test_a_stranger_learns_nothing_of_whether_there_is_an_order(open_test_shop: OpenShop) -> None:
    async with asked(open_test_shop) as question:
        base = question.shown.address.partition("/approve/")[0]
        there = await visitor_free(question.shown.address)
        not_there = await visitor_free(f"{base}/approve/nothing")
    assert (there.status_code, there.text) == (not_there.status_code, not_there.text)
    assert there.status_code == 403


async def test_the_file_is_gone_once_it_was_used_or_the_server_ends(open_test_shop: OpenShop, home: Path) -> None:
    async with opened(open_test_shop) as (question, _):
        assert list(home.glob("*.html")) == []
        other = entry_of(
            await question.shop.checkout.place(intent(products=[{"url": "https://www.amazon.com/dp/B000000002"}]))
        )
        await question.page.offer(other)
        assert len(list(home.glob("*.html"))) == 1
    assert list(home.glob("*.html")) == []


async def test_a_page_is_put_before_the_person_once_however_often_the_model_asks(open_test_shop: OpenShop) -> None:
    async with asked(open_test_shop) as question:
        said = [await question.page.offer(question.entry) for _ in range(5)]
        assert len(question.shown.paths) == 1
        assert set(said) == {question.said}


async def test_without_a_browser_the_person_is_sent_to_a_terminal(open_test_shop: OpenShop, home: Path) -> None:
    async with open_test_shop() as shop, page_beside(shop, show=Shown(works=False)) as page:
        entry = entry_of(await shop.checkout.place(intent(idempotency_key="a;rm$(x)")))
        said = await page.offer(entry)
        assert "approve 'a;rm$(x)'` (or `decline`) in a terminal of their own" in said
        assert list(home.glob("*.html")) == []
        async with page_beside(shop) as switched_off:
            assert "in a terminal of their own" in await switched_off.offer(entry)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="these always have a desktop")
@pytest.mark.parametrize(
    ("environ", "seen"),
    [
        ({}, False),
        ({"DISPLAY": ""}, False),
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({"BROWSER": "firefox"}, True),
        ({"BROWSER": "firefox", "SSH_CONNECTION": "1"}, False),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "1"}, True),
    ],
)
def test_a_browser_is_opened_only_where_the_person_sees_it(environ: dict[str, str], seen: bool) -> None:
    assert has_desktop(environ) is seen


async def test_many_presses_at_once_are_one_order(open_test_shop: OpenShop, zinc: FakeZinc) -> None:
    zinc.script = ["slow"]
    async with opened(open_test_shop) as (_, person):
        csrf = await person.csrf()
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(lambda: person.send(csrf=csrf, decision="yes"))
        await person.send(csrf=csrf, decision="yes")
        assert "Ordered" in await person.look()
    assert len(zinc.posts) == 1


async def test_the_pin_is_asked_for_and_counted(
    open_test_shop: OpenShop, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    async with opened(open_test_shop) as (_, person):
        with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
            journal.set_pin(hashed("2468"))
        shown = await person.look()
        assert ("Your PIN" in shown, "forgotten" in shown) == (True, False)
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.end_pin(clock() + 3700)
        assert "Somebody said that the PIN is forgotten, so it ends in 2 hours." in await person.look()
        for number, left in enumerate(("4 tries are left", "3 tries", "2 tries", "1 try is left")):
            answer = await person.decide("yes", pin=f"000{number}")
            assert (answer.status_code, left in answer.text) == (403, True)
        assert (await person.decide("yes")).status_code == 403, "none at all is not a try"
        await person.decide("yes", pin="9999")
        assert "The PIN was wrong 5 times." in await person.look()
    assert zinc.posts == []


async def test_hostile_words_are_escaped_and_change_nothing_else(open_test_shop: OpenShop, zinc: FakeZinc) -> None:
    bad = '</p><script>alert(1)</script><form action="https://evil.example"><img src=x onerror=a()>"\'{{7*7}}{%x%}'
    zinc.products["B07JGBW826"] = {
        "status": "completed",
        "title": f"\u202e{bad}\x1b[31m",
        "seller_name": bad,
        "price": 1499,
    }
    wanted: dict[str, Any] = {
        "products": [{"url": BOOK, "variant": [{"label": bad[:50], "value": bad}]}],
        "shipping_address": {**ADDRESS, "first_name": "<b>Ada", "address_line2": "Apt <script>"},
        "is_gift": True,
        "gift_message": bad,
        "po_number": bad,
        "metadata": {bad: bad},
    }
    async with open_test_shop(api_key="zn_live_planted") as shop, page_beside(shop, show=(shown := Shown())) as page:
        entry = entry_of(await shop.checkout.place(intent(**wanted)))
        await page.offer(entry)
        async with visitor(shown.address) as person:
            await person.open(shown.secret)
            markup = (await person.client.get(person.address)).text
    assert len(re.findall(r"<form\b", markup)) == 1
    assert len(re.findall(r"<button\b", markup)) == 2
    assert not re.search(r"<(script|img|b)\b", markup)
    assert "&lt;script&gt;" in markup
    assert "{{7*7}}" in markup
    assert not {"\u202e", "\x1b"} & set(markup)


async def test_a_retailer_that_only_looks_like_one_shows_as_what_it_is(open_test_shop: OpenShop) -> None:
    url = "https://www.\u0430mazon.com/dp/B07JGBW826"
    async with opened(open_test_shop, products=[{"url": url}]) as (question, person):
        text = await person.look()
    assert "Buy from xn--mazon-3ve.com?" in text
    assert "Buy from amazon.com" not in text
    assert question.entry.facts["retailer"] == "xn--mazon-3ve.com"


async def test_a_member_signs_in_and_decides_on_their_own_orders_only(
    open_test_shop: OpenShop, zinc: FakeZinc, home: Path
) -> None:
    tokens = {name: add_member(home / "members.json", name) for name in ("ada", "bob")}
    async with open_test_shop() as shop, served(shop) as origin:
        entry = entry_of(await shop.checkout.place(intent("ada")))
        address = address_of(origin, entry.key)
        async with visitor(address) as ada, visitor(address) as bob:
            first = await ada.client.get(address)
            assert (first.status_code, "Sign in to decide" in first.text) == (401, True)
            assert (await ada.send(token="zmcp_wrong")).status_code == 403
            assert (await ada.send("https://evil.example", token=tokens["ada"])).status_code == 403
            assert (await ada.send("null", token=tokens["ada"])).status_code == 403
            assert (await bob.send(token=tokens["bob"])).status_code == 303
            assert (await bob.client.get(address)).status_code == 404
            assert (await ada.send(token=f" {tokens['ada']} ")).status_code == 303
            assert "Buy from amazon.com?" in await ada.look()
            await ada.decide("yes")
            assert "Ordered" in await ada.look()
            second = entry_of(await shop.checkout.place(intent("ada", products=book(2))))
            assert "Buy from" in (await ada.client.get(address_of(origin, second.key))).text, "one sign-in for all"
            remove_member(home / "members.json", "ada")
            assert (await ada.client.get(address)).status_code == 401
    assert len(zinc.posts) == 1
    consent = journal_of(home)[0][-1].consent or {}
    assert (consent["decision"]["how"], consent["decision"]["who"]) == ("page", "ada")


async def test_no_secret_of_the_page_is_logged(
    open_test_shop: OpenShop, zinc: FakeZinc, caplog: pytest.LogCaptureFixture, home: Path
) -> None:
    caplog.set_level(0)
    async with opened(open_test_shop) as (question, person):
        csrf = await person.csrf()
        await person.open(question.shown.secret)
        await person.decide("yes", pin="2468-planted")
        cookies = [str(kept.value) for kept in person.client.cookies.jar]
        secrets = [question.shown.secret, csrf, *cookies, "2468-planted"]
        assert all(secret not in question.said for secret in secrets)
    kept = (home / "journal.db").read_bytes().decode("latin-1") + json.dumps([str(each) for each in journal_of(home)])
    ours = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpcore", "hpack"))
    )
    for secret in secrets:
        assert secret not in kept
        assert secret not in ours
