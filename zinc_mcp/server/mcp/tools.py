"""The tool bodies: arguments in, one call to the checkout, a result out."""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, InputRequiredResult

from zinc_mcp.checkout import place_order, watch
from zinc_mcp.checkout.place_order import Intent
from zinc_mcp.checkout.watch import entry_of
from zinc_mcp.consent.approval import question_of
from zinc_mcp.errors import RefusedError, ZincMcpError
from zinc_mcp.journal.entry import RailName
from zinc_mcp.journal.twin import body_digest
from zinc_mcp.owner.addresses import find_address
from zinc_mcp.owner.members import LOCAL
from zinc_mcp.process import Answer
from zinc_mcp.server.callers import member_of
from zinc_mcp.server.mcp import asking
from zinc_mcp.server.mcp.arguments import read_lookup, read_order
from zinc_mcp.server.mcp.asking import Page
from zinc_mcp.server.mcp.calls import Calls
from zinc_mcp.server.mcp.results import crashed, failed, in_doubt, shown
from zinc_mcp.text import plain
from zinc_mcp.views.facts import order_view, unasked_view
from zinc_mcp.views.order import RefusalView
from zinc_mcp.views.sentences import add_sentences
from zinc_mcp.zinc.orders import OrderCreate

if TYPE_CHECKING:
    from zinc_mcp.process import Process

logger = logging.getLogger("zinc_mcp")

Tool = Callable[[Mapping[str, Any], Context], Awaitable[CallToolResult | InputRequiredResult]]


def placing(process: "Process", rail: RailName, page: Page, calls: Calls) -> Tool:
    """Return the body of a placing tool that pays by `rail` and asks, where it cannot through the host, on `page`."""

    async def place(given: Mapping[str, Any], ctx: Context) -> CallToolResult | InputRequiredResult:
        key = None
        reached = False
        try:
            caller = caller_of(ctx)
            order, saved_as = await read_order(given, partial(find_address, process.settings, process.journal))
            key = order.idempotency_key if caller == LOCAL else None
            with calls.one_more(caller):
                reached = True
                if ctx.request_state is None:
                    return await _first_leg(Intent(caller, rail, order, saved_as), ctx)
                return await _second_leg(caller, order, ctx)
        except ZincMcpError as error:
            return failed(error, "place")
        except Exception as error:
            return crashed(_logged(error), "place", reached_checkout=reached, key=key)

    async def _first_leg(intent: Intent, ctx: Context) -> CallToolResult | InputRequiredResult:
        deadline = time.monotonic() + process.clocks.answer
        answer = await place_order.place(process, intent)
        question = question_of(answer.entry) if answer.entry is not None else None
        if question is None or answer.refusal is not None:  # a yes to what is refused would be of no use
            return _placed(answer, process)
        outcome = await asking.asked(process, page, answer, question, ctx, intent.caller, deadline)
        return outcome if isinstance(outcome, InputRequiredResult) else _placed(outcome[0], process, outcome[1])

    async def _second_leg(caller: str, order: OrderCreate, ctx: Context) -> CallToolResult:
        deadline = time.monotonic() + process.clocks.answer
        asked = asking.Asked.unsealed(str(ctx.request_state))
        entry = None if asked is None else await entry_of(process, asked.about.entry_id, caller=caller)
        if asked is None or entry is None or entry.body_digest != body_digest(order):
            raise asking.expired()
        said = asked.said(ctx.input_responses)
        answer, where = await asking.answered(process, page, entry, asked.about, said, caller, deadline)
        return _placed(answer, process, where)

    return place


def looking(process: "Process", calls: Calls) -> Tool:
    """Return the body of `get_order`."""

    async def look(given: Mapping[str, Any], ctx: Context) -> CallToolResult:
        steps = 0

        async def progress(status: str) -> None:
            nonlocal steps
            steps += 1
            await ctx.report_progress(steps, message=plain(status, 60))

        try:
            lookup = read_lookup(given)
            caller = caller_of(ctx)
            with calls.one_more(caller):
                answer = await watch.look(
                    process, caller, lookup.order_id, wait_seconds=lookup.wait_seconds, progress=progress
                )
            view = order_view(answer.entry, answer.order, process.settings.mode)
            if answer.entry is not None and answer.unasked is not None:
                unasked = unasked_view(answer.entry, answer.unasked, process.times.clock())
                view = view.model_copy(update={"unasked": unasked})
            return shown(add_sentences(view, "look"))
        except ZincMcpError as error:
            return failed(error, "look")
        except Exception as error:
            return crashed(_logged(error), "look", reached_checkout=False, key=None)

    return look


def caller_of(ctx: Context) -> str:
    """Return who calls: `local` on stdio; over HTTP whoever's token came with this very message.

    Never the session's: a session id may be known to more people than the one who opened it.

    Raises:
        RefusedError: no token came with a message over HTTP, so that nobody is known who could order or approve.
    """
    request = ctx.request_context.request
    if request is None:
        return LOCAL
    caller = member_of(request.scope)
    if caller is None:
        raise RefusedError("This connection carries no token, so nothing was done.", "Connect with the server's token.")
    return caller


def _placed(answer: Answer, process: "Process", where: str | None = None) -> CallToolResult:
    view = order_view(answer.entry, answer.order, process.settings.mode)
    view = view.model_copy(update={"new_order": not answer.earlier, "decide_at": where})
    if answer.refusal is not None:
        refusal = answer.refusal
        new_orders = RefusalView(code=refusal.code, reason=refusal.summary, next_step=refusal.next_step)
        view = view.model_copy(update={"new_orders": new_orders})
    view = add_sentences(view, "place")
    return in_doubt(view) if view.outcome in ("unknown", "paid_no_order") else shown(view)


def _logged(error: Exception) -> str:
    reference = secrets.token_hex(4)
    logger.error("unexpected failure %s", reference, exc_info=error)
    return reference
