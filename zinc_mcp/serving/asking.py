"""Asking a person: through the host where it can ask, otherwise on a page or in a terminal.

Four endings are kept apart: yes, no, silence (the dialogue was closed or ran out) and "cannot ask here". Only a yes
sends anything, and silence goes on to the page.
"""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import anyio
import anyio.lowlevel
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from pydantic import BaseModel, Field, ValidationError

from zinc_mcp.errors import RefusedError
from zinc_mcp.invocation import invocation
from zinc_mcp.ordering.approval import Decision, question_of
from zinc_mcp.ordering.earlier import Answer
from zinc_mcp.ordering.entry import Entry
from zinc_mcp.ordering.question import Question

if TYPE_CHECKING:
    from zinc_mcp.shop import Shop

Said = Literal["yes", "no", "silence", "cannot_ask"]

MODERN = "2026-07-28"

_CONSENT = "consent"


class Approve(BaseModel):
    """The one field of the dialogue."""

    approve: bool = Field(description="Buy this?")


class Page(Protocol):
    """A place away from the model where a person can decide."""

    async def offer(self, entry: Entry) -> str:
        """Put the entry's question where its person sees it; return a sentence that says where that is."""
        ...


class Terminal:
    """No page: the owner decides in a terminal of their own."""

    async def offer(self, entry: Entry) -> str:
        """Return the commands to decide with."""
        return f"Ask the user to run {in_a_terminal(entry)} in a terminal of their own."


def in_a_terminal(entry: Entry) -> str:
    """Return the command to decide with. A model may have written the key, and it is pasted into a shell."""
    return f"`{invocation()} approve {shlex.quote(entry.key)}` (or `decline`)"


async def asked(
    shop: "Shop", page: Page, answer: Answer, question: Question, ctx: Context, caller: str
) -> tuple[Answer, str | None] | InputRequiredResult:
    """Ask the person about an entry that waits, and return what came of it.

    The second of the pair is where the question still stands, when nobody has decided yet. In the newer protocol the
    question itself is the result of this leg, and the host calls again with the answer.

    Raises:
        ZincMcpError: what the sending ended with.
    """
    entry = answer.entry
    if entry is None:
        return answer, None
    said: Said = "cannot_ask"
    # A host's dialogue cannot take a PIN (MCP, "Elicitation", "Security Considerations"), and one that is set is meant.
    if shop.policy().approval != "page" and can_ask(ctx) and not await shop.checkout.has_pin():
        if str(ctx.protocol_version) >= MODERN:
            form = ElicitRequestFormParams(message=question.text(), requested_schema=Approve.model_json_schema())
            return InputRequiredResult(input_requests={_CONSENT: ElicitRequest(params=form)}, request_state=entry.key)
        said = await _in_the_older_era(ctx, question, shop.checkout.form_seconds)
    return await heard(shop, page, answer, said, caller)


async def heard(shop: "Shop", page: Page, answer: Answer, said: Said, caller: str) -> tuple[Answer, str | None]:
    """Act on what the person said; where they said nothing, offer the page and wait a while for a decision there.

    Raises:
        ZincMcpError: what the sending ended with.
    """
    entry = answer.entry
    if entry is None:
        return answer, None
    if said in ("yes", "no"):
        decision = Decision(yes=said == "yes", how="elicitation", who=caller)
        return await shop.checkout.decide(entry.key, decision, caller=caller), None
    where = await page.offer(entry)
    answer = await shop.checkout.await_decision(entry, earlier=answer.earlier)
    waiting = answer.entry is not None and question_of(answer.entry) is not None
    return answer, where if waiting else None


def said_in(responses: Mapping[str, Any] | None) -> Said:
    """Return what the person said in the newer protocol's second leg."""
    response = (responses or {}).get(_CONSENT)
    return _said(response) if isinstance(response, ElicitResult) else "silence"


def can_ask(ctx: Context) -> bool:
    """Say whether the host can show a form; a bare capability means that it can (MCP, "Elicitation")."""
    declared = ctx.client_capabilities.elicitation if ctx.client_capabilities else None
    return declared is not None and (declared.form is not None or declared.url is None)


def expired() -> RefusedError:
    """Return the refusal of an answer to a question that does not stand (any more)."""
    return RefusedError(
        "This answer belongs to no question that still stands, so nothing was sent.",
        "Place the order again to be asked again.",
        code="approval_expired",
    )


async def _in_the_older_era(ctx: Context, question: Question, seconds: float) -> Said:
    schema = Approve.model_json_schema()
    with anyio.move_on_after(seconds):
        try:
            return _said(await ctx.session.elicit_form(question.text(), schema, ctx.request_id))
        except (MCPError, ValidationError):
            # A host whose connection ended is gone, and its call with it: this is where the call is cancelled.
            await anyio.lowlevel.checkpoint()
            return "cannot_ask"
    return "silence"


def _said(result: ElicitResult) -> Said:
    if result.action == "accept":
        return "yes" if (result.content or {}).get("approve") is True else "no"
    return "no" if result.action == "decline" else "silence"
