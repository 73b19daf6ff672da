"""A question shows every field that is sent, at the longest value that the field takes.

The fields are found by walking the model, so that a new one cannot be forgotten.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Union, cast, get_args, get_origin

import pytest
from conftest import OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from journals import entry_of
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from pydantic import BaseModel, ValidationError
from server.as_a_host import both_eras, said
from variants import rare
from wanted import ADDRESS, BOOK, arguments, intent

from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.checkout.place_order import place
from zinc_mcp.consent.approval import question_of
from zinc_mcp.consent.field_words import in_words
from zinc_mcp.consent.question import DIALOGUE_CHARACTERS, MOST_BYTES, question_about
from zinc_mcp.errors import RefusedError
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.zinc.orders import OrderCreate

WHOLE: dict[str, Any] = arguments(
    products=[{"url": BOOK, "quantity": 2, "variant": [{"label": "Color", "value": "Red"}]}],
    idempotency_key="key-1",
    retailer_credentials_id="zn_acct_1",
    metadata={"note": "a note"},
    po_number="PO-7",
    handling_days_max=3,
    is_gift=True,
    gift_message="Enjoy",
    payment={
        "mode": "connect",
        "payment_method": "pm_1",
        "customer": "cus_1",
        "margin": {"type": "percent", "value": 12.5},
    },
    customer_notifications={"email": "ada@example.com"},
    fulfillment={
        "gift": "best_effort",
        "items": "best_effort",
        "quantity": "best_effort",
        "excluded_merchants": ["Some merchant"],
    },
    shipping_address={**ADDRESS, "address_line2": "Floor 3", "country": "US"},
)
WHOLE["products"][0] |= {"condition_in": ["New"], "condition_not_in": ["UsedGood"]}
"""An order that gives every field of the model; a test holds that it does."""

Path = tuple[str, ...]


def fields(model: type[BaseModel], way: Path = ()) -> Iterator[Path]:
    """Walk a model down to the fields that hold values and no further models."""
    for name, field in model.model_fields.items():
        inner = [part for part in parts(field.annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
        for nested in inner:
            yield from fields(nested, (*way, name))
        if not inner:
            yield (*way, name)


def parts(annotation: Any) -> Iterator[Any]:
    """Return the types that an annotation is made of: through unions, lists and what else is annotated."""
    origin = get_origin(annotation)
    if origin is None or origin is Literal:
        yield annotation
    else:
        for each in get_args(annotation)[:1] if origin not in (list, Union) else get_args(annotation):
            yield from parts(each)


FIELDS = list(fields(OrderCreate))


def at(value: Any, path: Path) -> Any:
    """Return the value at a path; of a list, the one in its first row."""
    for name in path:
        row = cast(Any, value)[0] if isinstance(value, list) else value
        value = row[name]
    return value


def replaced(value: Any, path: Path, new: object) -> Any:
    """Return a copy with another value at a path."""
    if not path:
        return new
    if isinstance(value, list):
        rows = cast(list[Any], value)
        return [replaced(rows[0], path, new), *rows[1:]]
    whole = dict(cast(Mapping[str, Any], value))
    whole[path[0]] = replaced(whole[path[0]], path[1:], new)
    return whole


def text_of(length: int, begins: str = "") -> str:
    """Return text of this length in which no part looks like another."""
    numbered = " ".join(f"{number}." for number in range(length // 2 + 2))
    return (begins + numbered)[:length]


STARTS = {"payment_method": "pm_", "customer": "cus_", "url": "https://www.amazon.com/dp/B07JGBW826?x=", "email": "a"}


def longer(path: Path, given: object, length: int) -> object:
    """Return another value for a field, of about this length; the given one where the field knows only a few."""
    name = path[-1]
    if name in ("country", "state", "mode", "type", "is_gift", "gift", "items", "quantity", "postal_code", "value"):
        return given
    if isinstance(given, bool):
        return given
    if isinstance(given, int | float):
        return min(length, 10**8)
    if isinstance(given, dict):
        return {f"note {number}": text_of(50) for number in range(length // 60)} | {"long": text_of(length % 60)}
    if isinstance(given, list):
        if name.startswith("condition"):
            return cast(object, given)
        return [text_of(500, f"{number}-") for number in range(1, 2 + length // 500)]
    if name == "email":
        return f"{'a' * length}@example.com"
    if name in ("url", "idempotency_key"):
        return text_of(length, STARTS.get(name, "")).replace(" ", "")
    if name == "phone_number":
        return "2125550100" + "5" * length
    return text_of(length, STARTS.get(name, "")).strip()


def longest(path: Path) -> dict[str, Any]:
    """Return an order that holds the longest value at a path that validation lets through."""
    return longest_of(OrderCreate, WHOLE, path, longer, 12)


def longest_of(
    model: type[BaseModel],
    whole: dict[str, Any],
    path: Path,
    longer: Callable[[Path, object, int], object],
    least: int,
) -> dict[str, Any]:
    """Return an order of a model with the longest value at a path that validation lets through.

    `longer` returns another value of about a length; `least` is the shortest length to try.
    """

    def made(length: int) -> dict[str, Any] | None:
        order = replaced(whole, path, longer(path, at(whole, path), length))
        try:
            model.model_validate(order)
        except ValidationError:
            return None
        return cast(dict[str, Any], order)

    low, high = least, 4096
    best = made(low) or whole
    while high < 1_000_000 and (tried := made(high)) is not None:
        low, high, best = high, 2 * high, tried
    while low < high - 1:
        middle = (low + high) // 2
        tried = made(middle)
        low, high, best = (middle, high, tried) if tried is not None else (low, middle, best)
    return best


def leaves(value: object, path: str = "") -> Iterator[str]:
    """Return every text and number of JSON as a person reads it; Zinc's own names are replaced by words."""
    if isinstance(value, Mapping):
        for name, part in cast(Mapping[str, object], value).items():
            yield from leaves(part, "" if name == "products" else f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for part in cast(list[object], value):
            yield from leaves(part, path)
    else:
        yield in_words(path, value if isinstance(value, str) else json.dumps(value))


def missing(order: OrderCreate, text: str) -> list[str]:
    """Return the values that would be sent and are missing in a text."""
    return missing_of(order.to_wire(), text, "metadata")


def missing_of(wire: dict[str, Any], text: str, notes: str) -> list[str]:
    """Return the values of what would be sent that are missing in a text; the names of the notes are values, too."""
    wire.pop("max_price")  # as money
    found = "".join(text.split())
    names = cast(Mapping[str, object], wire.get(notes) or {})
    sent: list[str] = [*leaves(wire), *names]
    shown_as = str.maketrans({"\u201c": '"', "\u201d": '"', "\n": "⏎"})
    return [each for each in sent if "".join(each.translate(shown_as).split()) not in found]


def test_the_audit_walks_every_field_of_the_model() -> None:
    wire = OrderCreate.model_validate(WHOLE).to_wire()
    assert len(FIELDS) >= 33
    assert [path for path in FIELDS if at(wire, path) is None] == []


def literals(model: type[BaseModel], way: Path = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Walk a model down to the fields that know only a few texts, with these."""
    for name, field in model.model_fields.items():
        kinds = list(parts(field.annotation))
        for nested in (each for each in kinds if isinstance(each, type) and issubclass(each, BaseModel)):
            yield from literals(nested, () if name == "products" else (*way, name))
        for known in (each for each in kinds if get_origin(each) is Literal):
            yield ".".join((*way, name)), tuple(value for value in get_args(known) if isinstance(value, str))


def test_a_person_reads_words_in_place_of_zinc_s_own_value_names() -> None:
    few = dict(literals(OrderCreate))
    assert {"condition_in", "condition_not_in", "payment.mode", "payment.margin.type"} <= set(few)
    for path, values in few.items():
        said = [in_words(path, value) for value in values]
        assert len(set(said)) == len(values), "no two values read alike"
        assert [each for each in said if not re.fullmatch("[a-z', ]+", each) or each in values] == [], path


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_every_field_is_in_the_question_whole(path: Path) -> None:
    order = OrderCreate.model_validate(longest(path))
    question = question_about(
        order, [None], rail="account", mode="live", fee_cents=100, left_day_cents=None, saved_as=None
    )
    assert missing(order, question.text()) == []


@pytest.mark.sampled(8)
@pytest.mark.parametrize("mode", ["auto", rare("legacy")])
@pytest.mark.parametrize("path", FIELDS, ids=".".join)
async def test_every_field_reaches_the_person_whole_by_every_way_of_asking(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Callable[[str], Any], mode: str, path: Path
) -> None:
    write_config(
        '[policy]\napproval = "auto"\nmax_order = 1000000000\nmax_day = 1000000000\nconnect = true\n'
        "retailer_accounts = true\npaid_notifications = true\n"
    )
    wanted = longest(path)
    read: list[str] = []

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        read.append(params.message)
        return ElicitResult(action="accept", content={"approve": True})

    async with open_test_process() as process:
        async with Client(build_server(process), mode=mode, elicitation_callback=agree) as client:
            facts = said(await client.call_tool("place_order", wanted))
        order = OrderCreate.model_validate(wanted)
        if facts["outcome"] == "waiting":
            assert "too long for the host's dialogue" in facts["next_step"]
            assert f"approve {facts['key']}" in facts["next_step"]
            [entry] = await questions_for(process, "local")
            question = question_of(entry)
            assert question is not None
            assert len(question.text()) > DIALOGUE_CHARACTERS
            read.append(question.text())
            await decide(process, yes(entry))
    assert missing(order, read[0]) == []
    [sent] = zinc.bodies()
    ours = {name: value for name, value in sent["metadata"].items() if not name.startswith("zinc_mcp_")}
    assert {**sent, "metadata": ours, "idempotency_key": sent["idempotency_key"]} == order.to_wire()


HONEST = arguments(
    products=[
        {"url": f"https://www.amazon.com/{'a-well-made-thing-' * 9}/dp/B{number:09d}", "quantity": 2}
        for number in range(20)
    ],
    is_gift=True,
    gift_message="With love. " * 21,
    metadata={f"cost centre {number}": text_of(40) for number in range(10)},
)


@both_eras
async def test_an_honest_large_order_is_asked_in_the_host_s_dialogue(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Callable[[str], Any], mode: str
) -> None:
    write_config('[policy]\napproval = "auto"\n')
    read: list[str] = []

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        read.append(params.message)
        return ElicitResult(action="accept", content={"approve": True})

    async with open_test_process() as process:
        async with Client(build_server(process), mode=mode, elicitation_callback=agree) as client:
            facts = said(await client.call_tool("place_order", HONEST))
    assert facts["outcome"] == "accepted"
    assert missing(OrderCreate.model_validate(HONEST), read[0]) == []


async def test_an_order_beyond_every_bound_is_refused_before_anybody_is_asked(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Callable[[str], Any]
) -> None:
    write_config('[policy]\napproval = "auto"\n')
    options = [{"label": f"Option {number}", "value": text_of(500)} for number in range(50)]
    line = {"variant": options, "quantity": 1}
    huge = intent(products=[{**line, "url": f"https://www.amazon.com/dp/B{number:09d}"} for number in range(20)])
    assert len(json.dumps(huge.order.to_wire())) > MOST_BYTES
    async with open_test_process() as process:
        with pytest.raises(RefusedError) as refused:
            await place(process, huge)
        assert await questions_for(process, "local") == []
        smaller = entry_of(await place(process, intent(products=[{**line, "url": BOOK}])))
        assert question_of(smaller) is not None
    assert refused.value.code == "order_too_large"
    assert zinc.posts == []
