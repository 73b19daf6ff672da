"""Asking a person: through the host where it can ask, otherwise on a page or in a terminal.

Five endings are kept apart: yes, no, silence (the dialogue was closed), an answer that is none, and "cannot ask here".
Only a yes sends anything, and everything but a no leads to the page or the terminal as long as the question stands.
"""

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import anyio
import anyio.lowlevel
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from pydantic import BaseModel, Field, ValidationError

from zinc_mcp.errors import RefusedError, ZincMcpError
from zinc_mcp.invocation import command
from zinc_mcp.ordering.approval import question_of, seconds_to_decide
from zinc_mcp.ordering.decision import Decision, QuestionRef, reference_of
from zinc_mcp.ordering.earlier import Answer
from zinc_mcp.ordering.entry import Entry
from zinc_mcp.ordering.question import DIALOGUE_CHARACTERS, Question

if TYPE_CHECKING:
    from zinc_mcp.shop import Shop

logger = logging.getLogger("zinc_mcp")

Said = Literal["yes", "no", "silence", "unusable", "cannot_ask"]
Told = tuple[Answer, str | None]
"""What came of asking, and where the question still stands when nobody has decided yet."""

MODERN = "2026-07-28"

_CONSENT = "consent"
_PROGRESS_SECONDS = 5.0
_LOOK_SECONDS = 1.0
"""How often an open dialogue looks whether its question was answered elsewhere."""

_WHY_ELSEWHERE: Mapping[Said, str] = {
    "silence": "The host's dialogue ended without an answer. ",
    "unusable": "The host gave no usable answer to the question. ",
}
_STILL_OPEN = "The question is still open in the host's dialogue, and an answer there counts. "
_TOO_LONG = "The question is too long for the host's dialogue. "


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
    """Return the command to decide with. A model may have written the key; it is quoted for the shell."""
    return f"{command('approve', given=[entry.key])} (to say no: decline in place of approve)"


async def asked(
    shop: "Shop", page: Page, answer: Answer, question: Question, ctx: Context, caller: str, deadline: float
) -> Told | InputRequiredResult:
    """Ask the person about an entry that waits, and return what came of it by the deadline (`time.monotonic`).

    In the newer protocol the question itself is the result of this leg, and the host calls again with the answer. In
    the older one the dialogue stays open behind the answer.

    Raises:
        ZincMcpError: what the sending ended with.
    """
    entry = answer.entry
    about = None if entry is None else reference_of(entry)
    if entry is None or about is None:
        return answer, None
    # A host's dialogue cannot take a PIN (MCP, "Elicitation", "Security Considerations"), and one that is set is meant.
    if shop.policy().approval == "page" or not can_ask(ctx) or await shop.checkout.has_pin(caller):
        return await _elsewhere(shop, page, entry, deadline, earlier=answer.earlier)
    if len(text := question.text()) > DIALOGUE_CHARACTERS:
        return await _elsewhere(shop, page, entry, deadline, earlier=answer.earlier, why=_TOO_LONG)
    if str(ctx.protocol_version) >= MODERN:
        form = ElicitRequestFormParams(message=text, requested_schema=Approve.model_json_schema())
        return InputRequiredResult(input_requests={_CONSENT: ElicitRequest(params=form)}, request_state=about.sealed())
    dialogue = Dialogue(shop, ctx, about, text, caller, seconds_to_decide(entry, shop.checkout.now()))
    await dialogue.heard(min(shop.checkout.form_seconds, deadline - time.monotonic()))
    if dialogue.answer is not None:
        return dialogue.answer, None
    if dialogue.error is not None and not _leads_elsewhere(dialogue.error):
        raise dialogue.error
    why = _why(dialogue.error, dialogue.said)
    return await _elsewhere(shop, page, entry, deadline, earlier=answer.earlier, why=why)


async def answered(
    shop: "Shop", page: Page, entry: Entry, about: QuestionRef, said: Said, caller: str, deadline: float
) -> Told:
    """Act on the answer that the newer protocol's second leg brings for the question it was asked about.

    An answer to a question that was answered elsewhere meanwhile says how the order stands.

    Raises:
        ZincMcpError: what the sending ended with.
    """
    why = _why(None, said)
    if said in ("yes", "no") and reference_of(entry) == about:
        decision = Decision(about, yes=said == "yes", how="elicitation", who=caller)
        try:
            return await shop.checkout.decide(decision, caller=caller), None
        except RefusedError as error:
            if not _leads_elsewhere(error):
                raise
            why = f"{error.summary} "
    if entry.state == "refused":
        raise expired()
    return await _elsewhere(shop, page, entry, deadline, earlier=False, why=why)


class Dialogue:
    """One question in a host's dialogue of the older era. It stays open as long as the question stands."""

    def __init__(
        self, shop: "Shop", ctx: Context, about: QuestionRef, text: str, caller: str, seconds_left: float
    ) -> None:
        """Ask now, in the background.

        Args:
            shop: takes the decision.
            ctx: of the call that asks.
            about: what is shown.
            text: how it is shown.
            caller: whose dialogue it is.
            seconds_left: how long the question stands.
        """
        self._shop = shop
        self._ctx = ctx
        self._about = about
        self._text = text
        self._caller = caller
        self._scope = anyio.CancelScope(deadline=anyio.current_time() + seconds_left)
        self._ended = anyio.Event()
        self.said: Said | None = None
        """None while nothing was said."""
        self.answer: Answer | None = None
        self.error: ZincMcpError | None = None
        shop.checkout.in_background(self._run)

    async def heard(self, seconds: float) -> None:
        """Wait for an answer, and tell the host meanwhile that it is waited for. A cancelled call closes the dialogue.

        Raises:
            CancelledError: the call was cancelled, so no answer to this dialogue counts any more.
        """
        steps = 0
        try:
            with anyio.move_on_after(max(0.0, seconds)):
                while not self._ended.is_set():
                    steps += 1
                    await self._ctx.report_progress(steps, message="Waiting for the user's decision")
                    with anyio.move_on_after(_PROGRESS_SECONDS):
                        await self._ended.wait()
        except anyio.get_cancelled_exc_class():
            self._scope.cancel()
            raise
        if self._ended.is_set() and self.said == "cannot_ask":
            # A host whose connection ended is gone, and its call with it: this is where the call is cancelled.
            await anyio.lowlevel.checkpoint()

    async def _run(self) -> None:
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._closed_elsewhere, tasks.cancel_scope)
                    said = await self._asked()
                    tasks.cancel_scope.cancel()
                    self.said = said
            if self.said in ("yes", "no") and not self._scope.cancel_called:
                await self._decided(yes=self.said == "yes")
        except Exception:
            # It runs beside the calls of other people: what fails here is this dialogue alone.
            logger.exception("a dialogue failed")
            self.said = "cannot_ask"
        finally:
            self._ended.set()

    async def _asked(self) -> Said:
        try:
            schema = Approve.model_json_schema()
            return _said(await self._ctx.session.elicit_form(self._text, schema, self._ctx.request_id))
        except ValidationError:
            return "unusable"
        except MCPError:
            return "cannot_ask"

    async def _decided(self, *, yes: bool) -> None:
        decision = Decision(self._about, yes=yes, how="elicitation", who=self._caller)
        try:
            self.answer = await self._shop.checkout.decide(decision, caller=self._caller)
        except ZincMcpError as error:
            self.error = error

    async def _closed_elsewhere(self, scope: anyio.CancelScope) -> None:
        """Take the dialogue back once its question was answered on a page or in a terminal."""
        while True:
            await anyio.sleep(_LOOK_SECONDS)
            try:
                entry = await self._shop.checkout.entry_of(self._about.entry_id)
            except ZincMcpError:
                continue
            if entry is None or reference_of(entry) != self._about:
                scope.cancel()


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


async def _elsewhere(shop: "Shop", page: Page, entry: Entry, deadline: float, *, earlier: bool, why: str = "") -> Told:
    """Offer the page or the terminal while the question stands; say how the order stands at the deadline."""
    where = ""
    current = await shop.checkout.entry_of(entry.id) or entry
    if reference_of(current) is not None:
        where = await page.offer(current)
    answer = await shop.checkout.await_decision(current, earlier=earlier, deadline=deadline)
    waits = answer.entry is not None and question_of(answer.entry) is not None
    return answer, f"{why}{where}" if waits else None


def _why(error: ZincMcpError | None, said: Said | None) -> str:
    if error is not None:
        return f"{error.summary} "
    return _STILL_OPEN if said is None else _WHY_ELSEWHERE.get(said, "")


def _leads_elsewhere(error: ZincMcpError) -> bool:
    return error.code in ("question_closed", "approval_required")


def _said(result: ElicitResult) -> Said:
    """Return what an answer means: only `decline` and a plain false are a no, only a plain true is a yes."""
    if result.action == "decline":
        return "no"
    if result.action != "accept":
        return "silence"
    approve = (result.content or {}).get("approve")
    return "yes" if approve is True else "no" if approve is False else "unusable"
