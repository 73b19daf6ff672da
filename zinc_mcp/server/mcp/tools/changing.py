"""The common part of the tools that change a placed order: the question to a person, and the result."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import BaseModel

from zinc_mcp.checkout.watch import entry_of
from zinc_mcp.consent.approval import question_of
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.records.entry import Kind
from zinc_mcp.process import Answer
from zinc_mcp.server.mcp import asking
from zinc_mcp.server.mcp.arguments import input_schema
from zinc_mcp.server.mcp.results import ALWAYS, crashed, failed, shown
from zinc_mcp.server.mcp.tools.tool import Service, caller_of, logged, published
from zinc_mcp.views.change import change_view

SHOWS = {**ALWAYS, "new_request": "boolean", "is_final": "boolean", "key": "string", "order_id": "string"}

A = TypeVar("A", bound=BaseModel)


def changing(
    service: Service,
    kind: Kind,
    name: str,
    title: str,
    description: str,
    *,
    arguments: type[A],
    read: Callable[[Mapping[str, Any]], A],
    handle: Callable[[A], str],
    do: Callable[[str, A], Awaitable[Answer]],
) -> Tool:
    """Return a tool that changes a placed order.

    Args:
        service: the objects that the tools share.
        kind: the kind of its entries.
        name: for the model.
        title: for people.
        description: for the model.
        arguments: the model of its arguments.
        read: reads the arguments as they came.
        handle: returns the order that the arguments name.
        do: makes the change for a caller, with the arguments.
    """
    process, page = service.process, service.page

    async def change(given: Mapping[str, Any], ctx: Context) -> CallToolResult | InputRequiredResult:
        reached = False
        try:
            caller = caller_of(ctx)
            wanted = read(given)
            with service.calls.one_more(caller):
                if ctx.request_state is not None:
                    reached = True
                    return await _second_leg(caller, wanted, ctx)
                deadline = time.monotonic() + process.clocks.answer_seconds
                reached = True
                answer = await do(caller, wanted)
                question = question_of(answer.entry) if answer.entry is not None else None
                if question is None:
                    return _told(answer)
                outcome = await asking.ask_person(
                    process, page, service.dialogues, answer, question, ctx, caller, deadline
                )
                return outcome if isinstance(outcome, InputRequiredResult) else _told(*outcome)
        except ZincMcpError as error:
            return failed(error, "change")
        except Exception as error:
            return crashed(logged(error), "change", reached_checkout=reached, key=None)

    async def _second_leg(caller: str, wanted: A, ctx: Context) -> CallToolResult:
        deadline = time.monotonic() + process.clocks.answer_seconds
        asked = asking.SealedQuestion.unsealed(str(ctx.request_state))
        entry = None if asked is None else await entry_of(process, asked.about.entry_id, caller=caller)
        named = handle(wanted)
        if asked is None or entry is None or entry.kind != kind:
            raise asking.expired(kind)
        order = await process.journal.find(named, caller=caller)
        same = {named.lower(), (order.order_id or "").lower()} if order is not None else {named.lower()}
        if (entry.order_id or "").lower() not in same:
            raise asking.expired(kind)
        given = asked.answer_in(ctx.input_responses)
        return _told(*await asking.take_answer(process, page, entry, asked.about, given, caller, deadline))

    meta = {"anthropic/requiresUserInteraction": True} if service.host_asks else None
    return published(change, name, title, description, arguments=input_schema(arguments), shows=SHOWS, meta=meta)


def _told(answer: Answer, where: str | None = None) -> CallToolResult:
    view = change_view(answer, "model", decide_at=where)
    return shown(view, failed=view.outcome == "unknown")
