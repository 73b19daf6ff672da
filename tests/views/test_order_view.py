"""One view of an order: a model and a person are told the same facts, each in words that are for them."""

from dataclasses import fields, replace
from typing import Any, get_args

import pytest

from zinc_mcp.journal.records.entry import Entry, State
from zinc_mcp.process import Answer
from zinc_mcp.views.order import OrderView, order_view
from zinc_mcp.views.sentences import Reader
from zinc_mcp.zinc.responses import Order

STATES: tuple[State, ...] = get_args(State)
PROBLEMS = ("order_exists", "not_sent", "price_unclear", "ending_unclear", "above_ceiling", "another_order")


def entry(state: State, **changes: Any) -> Entry:
    items = [{"url": "https://www.amazon.com/dp/B07JGBW826", "quantity": 2}]
    values: dict[str, Any] = {
        **dict.fromkeys(each.name for each in fields(Entry)),
        **{"id": 1, "key": "key-1", "caller": "local", "mode": "live", "rail": "account", "kind": "order"},
        **{"ceiling_cents": 5000, "fee_cents": 100, "reserved_cents": 5100, "counts_cents": 5100, "attempts": 1},
        **{"state": state, "updated_at": 0.0, "facts": {"retailer": "amazon.com", "items": items}},
        **changes,
    }
    return Entry(**values)


def told(answer: Answer, reader: Reader) -> OrderView:
    return order_view(answer, reader, mode="live", now=60.0)


@pytest.mark.parametrize("problem", [None, *PROBLEMS])
@pytest.mark.parametrize("state", STATES)
def test_a_person_is_told_of_themselves_and_of_no_tool(state: State, problem: str | None) -> None:
    kept = None if problem is None else {"code": problem, "summary": "Our sentence."}
    view = told(Answer(entry(state, problem=kept)), "person")
    words = f"{view.title} {view.summary} {view.next_step}"
    assert view.title
    assert view.summary.endswith(".") or view.summary.endswith(").")
    for word in ("the user", "get_order", "wait_seconds", "idempotency_key", "  "):
        assert word not in words


@pytest.mark.parametrize("state", STATES)
def test_both_are_told_the_same_facts(state: State) -> None:
    order = Order.read({"id": "02aa8179-3ae7", "status": "pending", "items": []})
    model, person = (told(Answer(entry(state), order), reader) for reader in ("look", "person"))
    for name in ("outcome", "is_final", "money_may_have_moved", "price", "order_id", "key", "failure", "not_coming"):
        assert getattr(model, name) == getattr(person, name), name


@pytest.mark.parametrize("state", ["signing", "sending", "unknown"])
def test_that_money_may_have_moved_is_told_to_a_person_too(state: State) -> None:
    assert told(Answer(entry(state)), "person").summary.endswith("Money may have moved.")
    before = entry(state, problem={"code": "order_exists", "summary": "It was there."})
    assert told(Answer(before), "person").money_may_have_moved == (state != "unknown")


def test_a_person_is_shown_all_items_and_a_model_some() -> None:
    items = [{"url": f"https://www.amazon.com/dp/B0000000{number}", "quantity": 1} for number in range(10, 40)]
    answer = Answer(replace(entry("waiting"), facts={"items": items}))
    model, person = told(answer, "look"), told(answer, "person")
    assert (len(model.items), model.items_left_out) == (10, 20)
    assert [item.words for item in person.items][29] == "1 x product B000000039 at amazon.com"


def test_the_price_is_broken_down_once_its_total_is_known() -> None:
    components = {"total": 4_900, "subtotal": 4_500, "tax": 250, "shipping": 150, "currency": "USD"}
    shown = {"id": "02aa8179-3ae7", "status": "order_placed", "job_result": {"price_components": components}}
    bought = replace(entry("placed"), spent_cents=5_000)
    assert told(Answer(bought), "person").breakdown == []
    assert told(Answer(bought, Order.read(shown)), "person").breakdown == [
        ("Subtotal", "$45.00"),
        ("Tax", "$2.50"),
        ("Shipping", "$1.50"),
        ("Total at the retailer", "$49.00"),
        ("Zinc's fee", "$1.00"),
        ("Paid in all", "$50.00"),
    ]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("order_rejected", "Zinc did not accept the order"),
        ("resolved_not_bought", "The owner stated that nothing was bought."),
        ("payment_not_taken", "The payment was not taken"),
    ],
)
@pytest.mark.parametrize("reader", get_args(Reader))
def test_an_order_that_was_not_bought_is_told_with_what_ended_it(code: str, said: str, reader: Reader) -> None:
    summary = told(Answer(entry("rejected", problem={"code": code, "summary": "Ours."})), reader).summary
    assert said in summary
    assert ("Zinc did not accept" in summary) == (code == "order_rejected")
