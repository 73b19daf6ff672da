"""The approval page opens only for its person, shows the whole question, and a decision on it counts once."""

import html
import json
import re
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from journals import entry_of, journal_of
from server.on_a_port import served, token_in
from server.visitor import Shown, Visitor, fields, visitor, words
from wanted import ADDRESS, BOOK, book, intent

from zinc_mcp.checkout import place_order
from zinc_mcp.journal.records.decision import reference_of
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.members import add_member, members_callers, remove_member
from zinc_mcp.process import Process
from zinc_mcp.server.mcp.asking import Page
from zinc_mcp.server.pages.approval import MOST_VIEWS, address_of
from zinc_mcp.server.pages.browser import has_desktop, page_beside
from zinc_mcp.server.pages.visits import MOST_VISITS

WriteConfig = Callable[[str], Path]


@dataclass
class Asked:
    """One order that waits, and the page where its person decides."""

    process: Process
    page: Page
    entry: Entry
    shown: Shown
    said: str


@pytest.fixture(autouse=True)
def ask_always(write_config: WriteConfig) -> None:
    write_config('[policy]\napproval = "page"\n')


@asynccontextmanager
async def asked(open_test_process: OpenProcess, **changes: Any) -> AsyncGenerator[Asked]:
    shown = Shown()
    async with open_test_process() as process, page_beside(process, show=shown) as page:
        entry = entry_of(await place_order.place(process, intent(**changes)))
        yield Asked(process, page, entry, shown, await page.offer(entry))


@asynccontextmanager
async def opened(open_test_process: OpenProcess, **changes: Any) -> AsyncGenerator[tuple[Asked, Visitor]]:
    async with asked(open_test_process, **changes) as question, visitor(question.shown.address) as person:
        assert (await person.open(question.shown.secret)).status_code == 200
        yield question, person


async def test_a_yes_on_the_page_buys_it_and_shows_what_became_of_it(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with opened(open_test_process) as (question, person):
        before = await person.look()
        assert zinc.posts == []
        answer = await person.decide("yes")
        after = words(answer.text)
        zinc.settle(next(iter(zinc.orders)), 4_000)
        later = await person.look()
    assert "Buy from amazon.com? $51.00 at most" in before
    assert answer.status_code == 200
    assert "Ordered Practice with a test key: no real money, no real goods." in after
    assert "no real goods. The retailer has the order. Paid: $41.00" in later
    assert "Total at the retailer $40.00 Zinc's fee $1.00 Paid in all $41.00" in later
    assert len(zinc.posts) == 1
    assert question.said.startswith("The page where the user decides is open in their browser")


async def test_a_no_on_the_page_is_final(open_test_process: OpenProcess, zinc: FakeZinc, home: Path) -> None:
    async with opened(open_test_process) as (_, person):
        old = person.page
        assert "Not bought The answer was no." in words((await person.decide("no")).text)
        person.page = old  # as a tab that still shows it
        late = await person.decide("yes")
        assert (late.status_code, "This question is closed" in late.text, "Not bought" in late.text) == (
            409,
            True,
            True,
        )
    assert zinc.posts == []
    assert journal_of(home)[0][0].counts_cents == 0


async def test_everything_that_a_yes_would_allow_stands_on_the_page(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig
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
    async with (
        open_test_process(api_key="zn_live_planted") as process,
        page_beside(process, show=(shown := Shown())) as page,
    ):
        entry = entry_of(await place_order.place(process, intent(**wanted)))
        await page.offer(entry)
        async with visitor(shown.address) as person:
            await person.open(shown.secret)
            text = await person.look()
    for part in (
        "Buy from amazon.com?",
        "$51.00 at most",
        "$50.00 for items, tax and shipping, and at most $1.00 for Zinc",
        "2 \u00d7 product B07JGBW826 at amazon.com https://www.amazon.com/dp/B07JGBW826",
        "Zinc says: “A book about fish”",
        "sold by “Fish & Sons”",
        "Listed at $14.99 each",
        "Looking this up cost $0.01",
        "With “Color” Red",
        "Ada Buyer 12 Planted Street New York NY 10001 US tel. 212-555-0147",
        "from the Zinc balance",
        "Sent as a gift yes",
        "Gift message Enjoy!",
        "Purchase order number PO-7",
        "Note “note” x",
        "$448.99 in 24 hours $548.99 in 30 days 1 more order in 24 hours",
        "Buy for at most $51.00 Do not buy",
        "ends in 10 minutes",
    ):
        assert part in text, (part, text)
    assert "Practice" not in text


async def test_an_earlier_twin_is_named_on_the_page(open_test_process: OpenProcess, clock: HandClock) -> None:
    async with opened(open_test_process) as (question, person):
        await person.decide("yes")
        clock.pass_seconds(3 * 3600)
        again = entry_of(await place_order.place(question.process, intent(max_price=6000)))
        await question.page.offer(again)
        async with visitor(question.shown.address) as other:
            shown = words((await other.open(question.shown.secret)).text)
    assert "The same was ordered 3 hours ago, and that order is accepted." in shown


async def test_with_a_saved_address_the_page_shows_name_city_and_country_and_the_rest_on_demand(
    open_test_process: OpenProcess,
) -> None:
    wanted = intent(
        shipping_address={**ADDRESS, "city": "Paris", "country": "FR", "state": None, "postal_code": "75001"}
    )
    async with open_test_process() as process, page_beside(process, show=(shown := Shown())) as page:
        answer = await place_order.place(process, type(wanted)("local", "account", wanted.order, saved_as="home"))
        await page.offer(entry_of(answer))
        async with visitor(shown.address) as person:
            markup = (await person.open(shown.secret)).text
    closed = words(re.sub(r"<details>.*?</details>", "", markup, flags=re.DOTALL))
    assert "your saved address “home” , Ada Buyer , Paris , FR" in closed
    for private in ("Planted", "75001", "212-555"):
        assert private not in closed
        assert private in words(markup)
    assert "<details><summary>Show the whole address</summary>" in markup


async def test_an_order_of_any_length_stands_on_the_page_whole(open_test_process: OpenProcess) -> None:
    urls = [f"https://shop.example/{number}/{'long-' * 30}end" for number in range(20)]
    lines = [{"url": url, "quantity": 2} for url in urls]
    notes = {f"note-{number}": f"{number} " + "word " * 40 + "end" for number in range(10)}
    message = "Line one\n\n  indented   and spaced\n" + "Greetings! " * 15
    wanted: dict[str, Any] = {"products": lines, "metadata": notes, "is_gift": True, "gift_message": message}
    async with opened(open_test_process, **wanted) as (_, person):
        shown = html.unescape(person.page)
        for part in (*urls, *notes.values(), message):
            assert part.strip() in shown
        assert len(person.page) > 8192, "what is asked may be longer than what a form may send"
        assert "Ordered" in words((await person.decide("yes")).text)


async def test_a_secret_works_once(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with asked(open_test_process) as question, visitor(question.shown.address) as first:
        secret = question.shown.secret
        async with visitor(question.shown.address) as second:
            for tampered in ("", "x", secret[:-1], secret + "x", secret.swapcase()):
                assert (await second.open(tampered)).status_code == 403
            assert (await first.open(secret)).status_code == 200
            for window in ("", "0" * 64, "1"):
                again = await second.open(secret, window)
                assert (again.status_code, "opened before" in again.text) == (403, True)
        assert "Buy from" in await first.look(), "the one who was let in stays in"
    assert zinc.posts == []


async def test_a_reload_of_the_first_page_does_not_lose_the_person(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    async with asked(open_test_process) as question, visitor(question.shown.address) as person:
        secret = question.shown.secret
        assert (await person.open(secret)).status_code == 200
        first = person.page
        clock.pass_seconds(900)
        for _ in range(3):
            assert "Nobody approved it in time." in words((await person.open(secret)).text)
        person.page = first
        assert "Nobody approved it in time." in await person.look(), "and the window before it still works"
        clock.pass_seconds(1801)
        assert (await person.open(secret)).status_code == 403, "a visit that ended stays ended"
    assert zinc.posts == []


async def test_without_the_script_of_the_file_the_secret_opens_once(open_test_process: OpenProcess) -> None:
    async with asked(open_test_process) as question, visitor(question.shown.address) as person:
        assert (await person.open(question.shown.secret, "")).status_code == 200
        again = await person.open(question.shown.secret, "")
        assert (again.status_code, "opened before" in again.text) == (403, True)
        assert "a new window opens" in again.text


async def test_no_cookie_is_set_and_none_shows_or_decides_anything(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with opened(open_test_process) as (question, person):
        visit = person.visit
        own = {"Origin": person.origin}
        assert list(person.client.cookies.jar) == []
        names = ("visit", "zinc_approve", "zinc_approve_member", "secret", "token", "about")
        form = fields(forms_with(person.page, "about"))
        del form["visit"]
        async with visitor(person.address) as neighbour:  # with all that the browser sends to any port of 127.0.0.1
            for value in (visit, question.shown.secret):
                cookies = {"Cookie": "; ".join(f"{name}={value}" for name in names), **own}
                for answer in (
                    await neighbour.client.get(person.address, headers=cookies),
                    await neighbour.client.get(f"{person.address}?visit={visit}", headers=cookies),
                    await neighbour.client.post(person.address, data={**form, "decision": "yes"}, headers=cookies),
                    await neighbour.client.post(f"{person.address}?visit={visit}", data={"a": "b"}, headers=cookies),
                ):
                    shown = "Buy from" in answer.text or "amazon" in answer.text
                    assert (answer.status_code, shown) == (403, False)
        assert "set-cookie" not in (await person.decide("yes")).headers
    assert len(zinc.posts) == 1


async def test_a_get_shows_nothing_also_to_whom_the_page_is_open(open_test_process: OpenProcess) -> None:
    async with opened(open_test_process) as (_, person):
        for path in ("", "1", "nothing", "999999999999999999999", "0", "1/2", "%2e%2e"):
            answer = await person.client.get(f"{person.origin}/approve/{path}")
            assert (answer.status_code, "It opens in the browser window that zinc-mcp opened" in answer.text) == (
                403,
                True,
            )
            assert 'name="visit"' not in answer.text


async def test_a_visit_ends_half_an_hour_after_it_was_last_used(
    open_test_process: OpenProcess, clock: HandClock
) -> None:
    async with opened(open_test_process) as (_, person):
        for _ in range(3):
            clock.pass_seconds(1799)
            assert (await person.view()).status_code == 200
        clock.pass_seconds(1801)
        ended = await person.view()
        assert (ended.status_code, "This page has ended" in ended.text) == (403, True)
        clock.pass_seconds(-1801)
        assert (await person.send(visit="")).status_code == 403


async def test_all_that_waits_stands_on_one_page_each_with_its_own_answer(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with opened(open_test_process) as (question, person):
        later = [
            entry_of(await place_order.place(question.process, intent(products=book(number), max_price=1000 + number)))
            for number in (1, 2)
        ]
        said = [await question.page.offer(entry) for entry in later]
        assert len(question.shown.paths) == 1, "no second window"
        assert all("press “Look again”" in each for each in said)
        one = await person.look()
        assert ("2 more wait for your answer" in one, one.count("Buy for at most")) == (True, 1)
        everything = await person.look("/approve/")
        amounts = re.findall(r"Buy for at most (\$[0-9.]+)", everything)
        assert amounts == ["$11.02", "$11.01", "$51.00"], "the newest first"
        await person.decide("yes", number=1)
        await person.look("/approve/")
        await person.decide("no", number=0)
        assert "Nothing waits" not in await person.look("/approve/")
        await person.decide("yes")
        assert "Nothing waits for your answer" in await person.look("/approve/")
    assert [post["max_price"] for post in map(body_of, zinc.posts)] == [1001, 5000]


async def test_an_old_tab_decides_only_the_question_that_it_shows(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    wanted: dict[str, Any] = {"idempotency_key": "order-1", "max_price": 24_000}
    async with opened(open_test_process, **wanted) as (question, person):
        old = person.page
        await person.decide("no")
        dear = entry_of(await place_order.place(question.process, intent(**wanted)))
        assert dear.key == question.entry.key
        assert dear.id != question.entry.id
        person.page = old
        answer = await person.decide("yes")
        assert (answer.status_code, "This question is closed" in answer.text) == (409, True)
        assert "Not bought" in answer.text
        form = fields(old)
        crossed = await person.send(to=f"/approve/{dear.id}", **form, decision="yes")  # by the other order's address
        assert (crossed.status_code, "This question is closed" in crossed.text) == (409, True)
        assert zinc.posts == []
        assert "Buy for at most $241.00" in await person.look("/approve/")


@pytest.mark.parametrize("part", ["entry_id", "id", "digest"])
async def test_an_answer_that_names_another_question_decides_none(
    open_test_process: OpenProcess, zinc: FakeZinc, part: str
) -> None:
    async with opened(open_test_process) as (question, person):
        other = entry_of(await place_order.place(question.process, intent(products=book(1))))
        first, second = reference_of(question.entry), reference_of(other)
        assert first is not None
        assert second is not None
        mixed = replace(first, **{part: getattr(second, part)}).sealed()
        answer = await person.send(visit=person.visit, about=mixed, decision="yes")
        assert answer.status_code == 409
        for nothing in ("", "x", f"{first.sealed()}0", f" {first.sealed()}", "0.aaaaaaaa." + "0" * 64):
            assert (await person.send(visit=person.visit, about=nothing, decision="yes")).status_code in (400, 404)
        assert (await person.look("/approve/")).count("Buy for at most") == 2
    assert zinc.posts == []


async def test_practice_and_real_orders_under_one_key_are_two_questions(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    key = {"idempotency_key": "order-1"}
    zinc.keys_honoured = False  # at Zinc a test key and a live one are two accounts
    async with (
        open_test_process() as practice,
        open_test_process(api_key="zn_live_planted") as real,
        page_beside(practice, show=(there := Shown())) as page,
        page_beside(real, show=(here := Shown())) as real_page,
    ):
        rehearsal = entry_of(await place_order.place(practice, intent(**key, max_price=500)))
        dear = entry_of(await place_order.place(real, intent(**key, max_price=24_000)))
        assert dear.key == rehearsal.key
        await page.offer(rehearsal)
        await real_page.offer(dear)
        async with visitor(there.address) as person, visitor(here.address) as owner:
            await person.open(there.secret)
            await owner.open(here.secret)
            assert "$241.00" not in await person.look("/approve/"), "practice shows nothing that it cannot decide"
            assert (await person.view(f"/approve/{dear.id}")).status_code == 404
            about = fields(forms_with(owner.page, "about"))["about"]
            taken = await person.send(visit=person.visit, about=about, decision="yes")
            assert taken.status_code in (404, 409)
            assert zinc.posts == []
            await person.look("/approve/")
            shown = words((await person.decide("yes")).text)
            assert "Practice with a test key: no real money, no real goods." in shown
            assert [post["max_price"] for post in map(body_of, zinc.posts)] == [500]
            both = await owner.look("/approve/")
            assert "Buy for at most $241.00" in both
            assert "practice" not in words((await owner.decide("yes")).text).lower()
    assert [post["max_price"] for post in map(body_of, zinc.posts)] == [500, 24_000]


def forms_with(page: str, name: str) -> str:
    found: list[str] = re.findall(r"<form.*?</form>", page, flags=re.DOTALL)
    return next(form for form in found if f'name="{name}"' in form)


def body_of(request: httpx.Request) -> dict[str, Any]:
    return dict(json.loads(request.content))


async def test_a_reload_after_an_answer_shows_what_became_of_it(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with opened(open_test_process) as (_, person):
        before = person.page
        assert "Ordered" in words((await person.decide("yes")).text)
        for _ in range(2):
            person.page = before
            again = await person.decide("yes")
            assert (again.status_code, "Ordered" in again.text, "closed" in words(again.text)) == (200, True, False)
    assert len(zinc.posts) == 1


async def test_windows_are_opened_one_after_the_other_however_much_is_asked(
    open_test_process: OpenProcess, clock: HandClock, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "page"\nmax_day = 10000000\n')
    async with asked(open_test_process) as question:
        place = partial(place_order.place, question.process)
        more = [entry_of(await place(intent(products=book(number)))) for number in range(1, 5)]
        entries = [question.entry, *more]
        async with anyio.create_task_group() as tasks:
            for entry in entries * 3:
                tasks.start_soon(question.page.offer, entry)
        assert len(question.shown.paths) == 1, "one is on its way"
        clock.pass_seconds(61)
        await question.page.offer(entries[1])
        assert len(question.shown.paths) == 2, "the first never came up"
        async with visitor(question.shown.address) as person:
            await person.open(question.shown.secret)
            for _ in range(3):
                clock.pass_seconds(119)
                await question.page.offer(entries[2])
                await person.view()
            assert len(question.shown.paths) == 2, "it is in use"
            clock.pass_seconds(121)
            await question.page.offer(entries[3])
            assert len(question.shown.paths) == 3, "nobody has used it for two minutes"
            assert f"/approve/{entries[3].id}" in question.shown.address
            assert (await person.view()).status_code == 200, "and the older window still works"


async def test_after_ten_minutes_neither_the_secret_nor_the_page_buys(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    async with opened(open_test_process) as (question, person):
        clock.pass_seconds(130)
        other = entry_of(await place_order.place(question.process, intent(products=book(2))))
        await question.page.offer(other)
        assert len(question.shown.paths) == 2
        clock.pass_seconds(601)
        async with visitor(question.shown.address) as late:
            answer = await late.open(question.shown.secret)
            assert (answer.status_code, "The time is over" in answer.text) == (403, True)
        assert "Nobody approved it in time." in words((await person.decide("yes")).text)
    assert zinc.posts == []
    assert journal_of(home)[0][1].counts_cents == 0


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://127.0.0.1:1", "http://localhost", None])
async def test_a_decision_from_elsewhere_is_not_taken(
    open_test_process: OpenProcess, zinc: FakeZinc, origin: str | None
) -> None:
    async with opened(open_test_process) as (_, person):
        form = fields(forms_with(person.page, "about"))
        about = {"about": form["about"]}
        for decision in ("yes", "no"):
            assert (await person.send(origin, **form, decision=decision)).status_code == 403
        assert (await person.send(origin, visit=person.visit)).status_code == 403
        assert (await person.send(**about, visit="wrong", decision="yes")).status_code == 403
        assert (await person.send(**about, decision="yes")).status_code == 403
        assert (await person.send(**form, decision="maybe")).status_code == 400
        assert "Buy from" in await person.look()
    assert zinc.posts == []


async def test_a_secret_sent_by_another_site_opens_nothing(open_test_process: OpenProcess) -> None:
    async with asked(open_test_process) as question, visitor(question.shown.address) as person:
        assert (await person.send("https://evil.example", secret=question.shown.secret)).status_code == 403
        assert (await person.open(question.shown.secret)).status_code == 200, "and it was not used up by that"


@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example"])
async def test_under_another_name_there_is_no_page(open_test_process: OpenProcess, zinc: FakeZinc, host: str) -> None:
    async with opened(open_test_process) as (_, person):
        form = fields(forms_with(person.page, "about"))
        assert (await person.client.get(person.address, headers={"Host": host})).status_code == 421
        assert (await person.send(host=host, **form, decision="yes")).status_code == 421
    assert zinc.posts == []


async def test_a_foreign_form_is_not_read(open_test_process: OpenProcess) -> None:
    async with opened(open_test_process) as (_, person):
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


async def test_every_answer_keeps_everything_else_out(open_test_process: OpenProcess) -> None:
    async with opened(open_test_process) as (question, person):
        answers = [
            await person.view(),
            await person.send(visit="wrong", decision="yes"),
            await person.send(visit=person.visit, about="", decision="yes"),
            await person.decide("no"),
            await person.view("/approve/"),
            await person.view("/approve/77"),
            await visitor_free(question.shown.address),
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
        assert "set-cookie" not in answer.headers


async def visitor_free(address: str) -> Any:
    async with visitor(address) as person:
        return await person.client.get(address)


async def test_a_stranger_learns_nothing_of_whether_there_is_an_order(open_test_process: OpenProcess) -> None:
    async with asked(open_test_process) as question:
        base = question.shown.address.partition("/approve/")[0]
        there = await visitor_free(question.shown.address)
        not_there = await visitor_free(f"{base}/approve/77")
    assert (there.status_code, there.text) == (not_there.status_code, not_there.text)
    assert there.status_code == 403


async def test_the_file_is_gone_once_it_was_used_or_the_server_ends(
    open_test_process: OpenProcess, home: Path, clock: HandClock
) -> None:
    async with opened(open_test_process) as (question, _):
        assert list(home.glob("*.html")) == []
        clock.pass_seconds(130)
        other = entry_of(await place_order.place(question.process, intent(products=book(2))))
        await question.page.offer(other)
        assert len(list(home.glob("*.html"))) == 1
    assert list(home.glob("*.html")) == []


async def test_a_page_is_put_before_the_person_once_however_often_the_model_asks(
    open_test_process: OpenProcess,
) -> None:
    async with asked(open_test_process) as question:
        said = [await question.page.offer(question.entry) for _ in range(5)]
        assert len(question.shown.paths) == 1
        assert all(each.startswith("The page where the user decides is open in their browser") for each in said)


async def test_without_a_browser_the_person_is_sent_to_a_terminal(open_test_process: OpenProcess, home: Path) -> None:
    async with open_test_process() as process, page_beside(process, show=Shown(works=False)) as page:
        entry = entry_of(await place_order.place(process, intent(idempotency_key="a;rm$(x)")))
        said = await page.offer(entry)
        assert "approve 'a;rm$(x)'` (to say no: decline in place of approve) in a terminal of their own" in said
        assert list(home.glob("*.html")) == []
        async with page_beside(process) as switched_off:
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


async def test_many_presses_at_once_are_one_order(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.script = ["slow"]
    async with opened(open_test_process) as (_, person):
        form = fields(forms_with(person.page, "about"))
        async with anyio.create_task_group() as tasks:
            for _ in range(MOST_VIEWS):
                tasks.start_soon(lambda: person.send(**form, decision="yes"))
        await person.send(**form, decision="yes")
        assert "Ordered" in await person.look()
    assert len(zinc.posts) == 1


async def test_hostile_words_are_escaped_and_change_nothing_else(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
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
    async with (
        open_test_process(api_key="zn_live_planted") as process,
        page_beside(process, show=(shown := Shown())) as page,
    ):
        entry = entry_of(await place_order.place(process, intent(**wanted)))
        await page.offer(entry)
        async with visitor(shown.address) as person:
            markup = (await person.open(shown.secret)).text
    assert len(re.findall(r"<form\b", markup)) == 2
    assert len(re.findall(r"<button\b", markup)) == 3
    assert not re.search(r"<(script|img|b)\b", markup)
    assert "&lt;script&gt;" in markup
    assert "{{7*7}}" in markup
    assert not {"\u202e", "\x1b"} & set(markup)


async def test_a_lookalike_of_a_retailer_s_name_is_shown_in_plain_letters(open_test_process: OpenProcess) -> None:
    url = "https://www.\u0430mazon.com/dp/B07JGBW826"
    async with opened(open_test_process, products=[{"url": url}]) as (question, person):
        text = await person.look()
    assert "Buy from xn--mazon-3ve.com?" in text
    assert "Buy from amazon.com" not in text
    assert question.entry.facts["retailer"] == "xn--mazon-3ve.com"


async def test_a_member_signs_in_and_decides_on_their_own_orders_only(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    tokens = {name: add_member(home / "members.json", name) for name in ("ada", "bob")}
    caller = members_callers(home / "members.json")["ada"]
    async with open_test_process() as process, served(process) as origin:
        entry = entry_of(await place_order.place(process, intent(caller)))
        address = address_of(origin, entry.id)
        async with visitor(address) as ada, visitor(address) as bob:
            first = await ada.client.get(address)
            assert (first.status_code, "Sign in to decide" in first.text) == (401, True)
            assert (await ada.sign_in("zmcp_wrong")).status_code == 403
            assert (await ada.send("https://evil.example", token=tokens["ada"])).status_code == 403
            assert (await ada.send("null", token=tokens["ada"])).status_code == 403
            assert (await bob.sign_in(tokens["bob"])).status_code == 404
            assert (await ada.sign_in(f" {tokens['ada']} ")).status_code == 200
            about = {"about": fields(forms_with(ada.page, "about"))["about"], "decision": "yes"}
            assert (await bob.send(visit=bob.visit, **about)).status_code == 404
            assert "Nothing waits" in await bob.look("/approve/")
            assert zinc.posts == []
            assert "Ordered" in words((await ada.decide("yes")).text)
            second = entry_of(await place_order.place(process, intent(caller, products=book(2))))
            assert "Buy from" in await ada.look(f"/approve/{second.id}"), "one sign-in for all"
            assert (await bob.view(f"/approve/{second.id}")).status_code == 404
            remove_member(home / "members.json", "ada")
            assert (await ada.view()).status_code == 401
            assert (await ada.decide("yes")).status_code == 401
            add_member(home / "members.json", "ada")
            assert (await ada.view()).status_code == 401, "the next holder of the name is somebody else"
    assert len(zinc.posts) == 1
    consent = journal_of(home)[0][-1].consent or {}
    assert (consent["decision"]["how"], consent["decision"]["who"]) == ("page", "ada")


async def test_the_owner_s_visit_is_none_of_a_member_s_and_no_token_of_a_host_opens_the_owner_s_page(
    open_test_process: OpenProcess, home: Path
) -> None:
    shown = Shown()
    async with open_test_process() as process, served(process, show=shown) as origin:
        entry = entry_of(await place_order.place(process, intent()))
        async with visitor(address_of(origin, entry.id)) as host:
            assert (await host.sign_in(token_in(home))).status_code == 403
            assert (await host.send(visit=token_in(home))).status_code == 403
            add_member(home / "members.json", "ada")
            assert (await host.sign_in(token_in(home))).status_code == 403


async def test_no_secret_of_the_page_is_logged(
    open_test_process: OpenProcess, zinc: FakeZinc, caplog: pytest.LogCaptureFixture, home: Path
) -> None:
    caplog.set_level(0)
    async with opened(open_test_process) as (question, person):
        first = person.visit
        await person.open(question.shown.secret)
        await person.decide("yes", pin="2468-planted")
        secrets = [question.shown.secret, first, person.visit, "2468-planted"]
        assert all(secret not in question.said for secret in secrets)
    kept = (home / "journal.db").read_bytes().decode("latin-1") + json.dumps([str(each) for each in journal_of(home)])
    ours = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpcore", "hpack"))
    )
    for secret in secrets:
        assert secret not in kept
        assert secret not in ours


async def test_no_member_ends_another_s_visit(open_test_process: OpenProcess, home: Path, clock: HandClock) -> None:
    ada, bob = (add_member(home / "members.json", name) for name in ("ada", "bob"))
    async with open_test_process() as process, served(process) as origin, visitor(f"{origin}/approve/") as person:
        assert (await person.sign_in(ada)).status_code == 200
        async with visitor(f"{origin}/approve/") as other:
            assert (await other.sign_in(bob)).status_code == 200
            first, last = other.visit, ""
            for _ in range(MOST_VISITS * 2):
                clock.pass_seconds(1)
                last = fields((await other.send(token=bob)).text)["visit"]
            assert (await other.send(visit=last)).status_code == 200
            assert (await other.send(visit=first)).status_code == 401, "of their own, the oldest ends"
        await person.look()


async def test_the_visit_that_is_used_stays_however_many_are_opened(
    open_test_process: OpenProcess, home: Path, clock: HandClock
) -> None:
    ada = add_member(home / "members.json", "ada")
    async with open_test_process() as process, served(process) as origin, visitor(f"{origin}/approve/") as person:
        assert (await person.sign_in(ada)).status_code == 200
        for _ in range(MOST_VISITS * 2):
            clock.pass_seconds(1)
            assert (await person.send(token=ada)).status_code == 200
            await person.look()


async def test_requests_of_one_visitor_at_once_are_bounded(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    ada, bob = (add_member(home / "members.json", name) for name in ("ada", "bob"))
    caller = members_callers(home / "members.json")["ada"]
    async with open_test_process() as process, served(process) as origin, visitor(f"{origin}/approve/") as person:
        await place_order.place(process, replace(intent(), caller=caller))
        assert (await person.sign_in(ada)).status_code == 200
        zinc.script = ["slow"]
        form = fields(forms_with(person.page, "about"))
        statuses: list[int] = []

        async def press() -> None:
            statuses.append((await person.send(**form, decision="yes")).status_code)

        async with anyio.create_task_group() as tasks:
            for _ in range(MOST_VIEWS * 3):
                tasks.start_soon(press)
            async with visitor(f"{origin}/approve/") as other:
                assert (await other.sign_in(bob)).status_code == 200, "nobody else has less"
        # One that comes when another has been answered finds room.
        assert 0 < statuses.count(429) <= MOST_VIEWS * 2
        assert len(statuses) == MOST_VIEWS * 3
        await person.look()
    assert len(zinc.posts) == 1
