"""The common part of all placing tools: the arguments of an order, the question to a person, and the result."""

import time
from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, Generic, TypeVar, cast

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.place_order import Intent
from zinc_mcp.checkout.watch import entry_of
from zinc_mcp.consent.approval import question_of
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.records.twin import body_digest
from zinc_mcp.known_settings import RailName
from zinc_mcp.owner.addresses import find_address
from zinc_mcp.owner.team.member import LOCAL
from zinc_mcp.process import Answer, Process
from zinc_mcp.server.mcp import asking
from zinc_mcp.server.mcp.arguments import input_schema, invalid_arguments, normalized, validated
from zinc_mcp.server.mcp.results import ALWAYS, crashed, failed, in_doubt, shown
from zinc_mcp.server.mcp.tools.tool import Service, caller_of, logged, published
from zinc_mcp.views.order import order_view
from zinc_mcp.zinc.orders import Address, OrderCreate
from zinc_mcp.zinc.wish import Wish

W = TypeVar("W", bound=BaseModel)
SHOWS = {**ALWAYS, "new_order": "boolean", "order_id": "string", "key": "string", "is_final": "boolean"}


@dataclass(frozen=True, slots=True)
class Form(Generic[W]):
    """The form in which a placing tool takes its orders."""

    model: type[W]
    address: Callable[[Address], object]
    """Turns an address that the owner saved into this form."""
    schema: Callable[[], dict[str, Any]]
    """Returns the published schema."""


def placing(
    service: Service, rail: RailName, name: str, title: str, description: str, form: Form[Any] | None = None
) -> Tool:
    """Return a tool that places orders and pays by `rail`; by default it takes orders of v2."""
    form = form or Form(OrderCreate, lambda address: address, order_schema)
    process, page = service.process, service.page

    async def place(given: Mapping[str, Any], ctx: Context) -> CallToolResult | InputRequiredResult:
        key = None
        reached = False
        try:
            caller = caller_of(ctx)
            find = partial(find_address, process.settings, process.journal)
            order, saved_as = await read_order(given, find, form)
            key = order.idempotency_key if caller == LOCAL else None
            with service.calls.one_more(caller):
                reached = True
                if ctx.request_state is None:
                    return await _first_leg(Intent(caller, rail, order, saved_as), ctx)
                return await _second_leg(caller, order, ctx)
        except ZincMcpError as error:
            return failed(error, "place")
        except Exception as error:
            return crashed(logged(error), "place", reached_checkout=reached, key=key)

    async def _first_leg(intent: Intent, ctx: Context) -> CallToolResult | InputRequiredResult:
        deadline = time.monotonic() + process.clocks.answer_seconds
        answer = await place_order.place(process, intent)
        question = question_of(answer.entry) if answer.entry is not None else None
        if question is None or answer.refusal is not None:  # a yes to a refused order would be of no use
            return _placed(answer, process)
        outcome = await asking.ask_person(
            process, page, service.dialogues, answer, question, ctx, intent.caller, deadline
        )
        return outcome if isinstance(outcome, InputRequiredResult) else _placed(outcome[0], process, outcome[1])

    async def _second_leg(caller: str, order: Wish, ctx: Context) -> CallToolResult:
        deadline = time.monotonic() + process.clocks.answer_seconds
        asked = asking.SealedQuestion.unsealed(str(ctx.request_state))
        entry = None if asked is None else await entry_of(process, asked.about.entry_id, caller=caller)
        if asked is None or entry is None or entry.body_digest != body_digest(order):
            raise asking.expired()
        given = asked.answer_in(ctx.input_responses)
        answer, where = await asking.take_answer(process, page, entry, asked.about, given, caller, deadline)
        return _placed(answer, process, where)

    # Claude Code then asks on every call, even where a rule allows the tool (its MCP page, `requiresUserInteraction`).
    meta = {"anthropic/requiresUserInteraction": True} if service.host_asks else None
    return published(place, name, title, description, arguments=form.schema(), shows=SHOWS, meta=meta)


@cache
def order_schema() -> dict[str, Any]:
    """Return the input schema of a tool that places orders of v2: OrderCreate's own, at the top level.

    Some converters lose the fields of an object (docs/clients.md), so the required names stand in words as well.
    """
    schema = deepcopy(input_schema(OrderCreate))
    address = schema["properties"]["shipping_address"]
    saved = {
        "type": "object",
        "properties": {"saved": {"type": "string"}},
        "required": ["saved"],
    }
    words = f'{", ".join(address["required"])} and state; or {{"saved": "home"}}'
    schema["properties"]["shipping_address"] = {"anyOf": [address, saved], "description": words}
    return schema


async def read_order(
    given: Mapping[str, Any], saved: Callable[[str], Awaitable[Address]], form: Form[W]
) -> tuple[W, str | None]:
    """Return the order and, if the address was given as `{"saved": name}`, that name; `saved` looks it up.

    Raises:
        InvalidArgumentsError: it names every field to change.
    """
    arguments = normalized(form.model, given)
    name = None
    address = arguments.get("shipping_address")
    if isinstance(address, dict):
        address = cast(dict[str, Any], address)
        if address.get("saved", "") is None:  # not given, as any other null
            del address["saved"]
    if isinstance(address, dict) and "saved" in address:
        # Told apart before validation: as a union, every mistake in an address would be reported twice.
        try:
            name = _Saved.model_validate(address).saved
        except ValidationError as error:
            raise invalid_arguments(error, _Saved, ("shipping_address",)) from None
        arguments["shipping_address"] = form.address(await saved(name))
    return validated(form.model, arguments), name


class _Saved(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    saved: Annotated[str, Field(strict=True, min_length=1, max_length=64)]


def _placed(answer: Answer, process: Process, where: str | None = None) -> CallToolResult:
    view = order_view(answer, "place", mode=process.settings.mode, now=process.times.clock(), decide_at=where)
    return in_doubt(view) if view.outcome in ("unknown", "paid_no_order") else shown(view)
