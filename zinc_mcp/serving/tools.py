"""The tool bodies: arguments in, one call to the checkout, a result out."""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult

from zinc_mcp.errors import ZincMcpError
from zinc_mcp.ordering.entry import RailName
from zinc_mcp.prose import plain
from zinc_mcp.serving.arguments import read_lookup, read_order
from zinc_mcp.serving.facts import order_view
from zinc_mcp.serving.members import LOCAL, member_of
from zinc_mcp.serving.results import crashed, failed, in_doubt, shown
from zinc_mcp.serving.sentences import told

if TYPE_CHECKING:
    from zinc_mcp.ordering.earlier import Answer
    from zinc_mcp.shop import Shop

logger = logging.getLogger("zinc_mcp")

Tool = Callable[[Mapping[str, Any], Context], Awaitable[CallToolResult]]


def placing(shop: "Shop", rail: RailName) -> Tool:
    """Return the body of a placing tool that pays by `rail`."""

    async def place(given: Mapping[str, Any], ctx: Context) -> CallToolResult:
        # The checkout brings the journal's machinery along, and `tools/list` must not wait for that.
        from zinc_mcp.ordering.checkout import Intent

        key = None
        reached = False
        try:
            caller = caller_of(ctx)
            order, saved_as = read_order(given, shop.saved)
            key = order.idempotency_key if caller == LOCAL else None
            reached = True
            return _placed(await shop.checkout.place(Intent(caller, rail, order, saved_as)), shop)
        except ZincMcpError as error:
            return failed(error, "place")
        except Exception as error:
            return crashed(_logged(error), "place", reached_checkout=reached, key=key)

    return place


def looking(shop: "Shop") -> Tool:
    """Return the body of `get_order`."""

    async def look(given: Mapping[str, Any], ctx: Context) -> CallToolResult:
        steps = 0

        async def progress(status: str) -> None:
            nonlocal steps
            steps += 1
            await ctx.report_progress(steps, message=plain(status, 60))

        try:
            lookup = read_lookup(given)
            answer = await shop.checkout.look(
                caller_of(ctx), lookup.order_id, wait_seconds=lookup.wait_seconds, progress=progress
            )
            return shown(told(order_view(answer.entry, answer.order, shop.settings.mode), "look"))
        except ZincMcpError as error:
            return failed(error, "look")
        except Exception as error:
            return crashed(_logged(error), "look", reached_checkout=False, key=None)

    return look


def caller_of(ctx: Context) -> str:
    """Return who calls: the member whose token came with this very message, otherwise `local`.

    Never the session's: a session id may be known to more people than the one who opened it.
    """
    request = ctx.request_context.request
    return LOCAL if request is None else member_of(request.scope) or LOCAL


def _placed(answer: "Answer", shop: "Shop") -> CallToolResult:
    view = order_view(answer.entry, answer.order, shop.settings.mode)
    view = view.model_copy(update={"new_order": not answer.earlier})
    view = told(view, "place")
    return in_doubt(view) if view.outcome == "unknown" else shown(view)


def _logged(error: Exception) -> str:
    reference = secrets.token_hex(4)
    logger.error("unexpected failure %s", reference, exc_info=error)
    return reference
