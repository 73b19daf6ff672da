"""Questions in the dialogues of hosts of the older era, and the meaning of a host's answer in both eras.

An answer is a yes, a no, `opened` (the page, which decides nothing), `silence` (the dialogue was closed), `unusable`,
or `cannot_ask`.
"""

import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import anyio
import anyio.lowlevel
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitResult
from pydantic import BaseModel, Field, ValidationError

from zinc_mcp.checkout.watch import entry_of
from zinc_mcp.decisions import decide
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.records.decision import Decision, QuestionRef, reference_of
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.team.member import name_of
from zinc_mcp.process import Answer

if TYPE_CHECKING:
    from zinc_mcp.process import Process

logger = logging.getLogger("zinc_mcp")

MOST_DIALOGUES = 12
"""Dialogues of one caller that are open at once, in all of their hosts."""

HostAnswer = Literal["yes", "no", "opened", "silence", "unusable", "cannot_ask"]

_PROGRESS_SECONDS = 5.0
_LEAST_SECONDS = 0.2
"""The least time before a call answers. An earlier answer would end the stream before its dialogue goes out on it."""
_LOOK_SECONDS = 1.0
"""The interval at which an open dialogue checks whether its question was answered elsewhere."""


class Approve(BaseModel):
    """The one field of the dialogue."""

    approve: bool = Field(description="Buy this?")


class ApproveChange(BaseModel):
    """The one field of the dialogue about a change of a placed order."""

    approve: bool = Field(title="Approve", description="Do this?")


def form_for(entry: Entry) -> dict[str, Any]:
    """Return the form in which a host shows the question about an entry."""
    return (Approve if entry.kind == "order" else ApproveChange).model_json_schema()


@dataclass(frozen=True, slots=True)
class ShownQuestion:
    """A question, or the invitation to open the page, as a host shows it."""

    about: QuestionRef
    text: str
    address: str | None
    """The address of the page that the host is asked to open instead of showing a form; None for a form."""
    form: dict[str, Any]


class Dialogues:
    """The open dialogues of one server: one for each host and question, and at most `MOST_DIALOGUES` of a caller."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._open: dict[tuple[int, QuestionRef], Dialogue] = {}

    def open(self, ctx: Context, shown: ShownQuestion, caller: str, seconds: float) -> "tuple[Dialogue | None, bool]":
        """Return the dialogue in the host of this call, and whether it was open already.

        A new dialogue is opened in the background, for `seconds`. It is None if the caller has too many.
        """
        # The SDK makes a session for every call, but keeps one object with the host's capabilities for a connection.
        host: object = ctx.session.client_params or ctx.session
        key = id(host), shown.about
        earlier = self._open.get(key)
        if earlier is not None and earlier.is_open:
            return earlier, True
        of_this_caller = sum(each.caller == caller for each in self._open.values() if each is not earlier)
        if of_this_caller >= MOST_DIALOGUES:
            return None, False
        dialogue = Dialogue(self._process, ctx, host, shown, caller, seconds, earlier)
        self._open[key] = dialogue
        self._process.tasks.start_soon(self._run, key, dialogue)
        return dialogue, False

    async def _run(self, key: tuple[int, QuestionRef], dialogue: "Dialogue") -> None:
        try:
            await dialogue.run()
        finally:
            if self._open.get(key) is dialogue:
                del self._open[key]


class Dialogue:
    """One question in a host's dialogue of the older era. It stays open as long as the question stands and the process
    is not told to stop."""

    def __init__(
        self,
        process: "Process",
        ctx: Context,
        host: object,
        shown: ShownQuestion,
        caller: str,
        seconds: float,
        earlier: "Dialogue | None",
    ) -> None:
        """Prepare it; `earlier` is the last dialogue about the same question, in which the page was opened."""
        self.caller = caller
        self.host = host  # kept, so that no other host gets its `id` meanwhile
        self._process = process
        self._ctx = ctx
        self._shown = shown
        self._name = secrets.token_urlsafe(16)
        self._was_opened = False
        self._is_followed = False
        self._scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)
        self._watching = anyio.CancelScope(deadline=anyio.current_time() + seconds)
        self._ended = anyio.Event()
        self._opened_at = anyio.current_time()
        self._listeners = 0
        self.given: HostAnswer | None = None
        """The host's answer; None before it, and if the dialogue was closed before it."""
        self.answer: Answer | None = None
        self.error: ZincMcpError | None = None
        if earlier is not None:  # the host is told once, by one name, when the question is answered
            self._name, self._was_opened = earlier._name, True
            earlier._is_followed = True
            earlier._watching.cancel()

    @property
    def is_open(self) -> bool:
        """Whether an answer in this dialogue would still count."""
        return not self._ended.is_set() and not self._scope.cancel_called

    async def wait(self, ctx: Context, seconds: float) -> None:
        """Wait for an answer for at most `seconds`, and report progress meanwhile.

        A new dialogue gets the time to go out (`_LEAST_SECONDS`). A cancelled call closes the dialogue, unless another
        call listens.

        Raises:
            CancelledError: the call was cancelled. If it was the last, no answer to this dialogue counts any more.
        """
        steps = 0
        self._listeners += 1
        least = self._opened_at + _LEAST_SECONDS - anyio.current_time()
        try:
            with anyio.move_on_after(max(0.0, least, seconds)):
                while not self._ended.is_set():
                    steps += 1
                    await ctx.report_progress(steps, message="Waiting for the user's decision")
                    with anyio.move_on_after(_PROGRESS_SECONDS):
                        await self._ended.wait()
        except anyio.get_cancelled_exc_class():
            if self._listeners == 1:
                self._scope.cancel()
            raise
        finally:
            self._listeners -= 1
        if self._ended.is_set() and self.given == "cannot_ask":
            # The connection of this host has ended: its call is cancelled here.
            await anyio.lowlevel.checkpoint()

    async def run(self) -> None:
        """Ask, and take the decision."""
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._cancel_when_answered, tasks.cancel_scope)
                    tasks.start_soon(self._cancel_at_the_stop, tasks.cancel_scope)
                    given = await self._ask()
                    tasks.cancel_scope.cancel()
                    self.given = given
            if self.given in ("yes", "no") and not self._scope.cancel_called:
                await self._decide(yes=self.given == "yes")
        except Exception:
            # It runs beside the calls of other people, so only this dialogue may fail.
            logger.exception("a dialogue failed")
            self.given = "cannot_ask"
        finally:
            self._ended.set()
        if self.given == "opened" or self._was_opened:
            await self._tell_host()

    async def _ask(self) -> HostAnswer:
        try:
            session, call = self._ctx.session, self._ctx.request_id
            text, address = self._shown.text, self._shown.address
            if address is not None:
                return answer_about_page(await session.elicit_url(text, address, self._name, call))
            return answer_in_form(await session.elicit_form(text, self._shown.form, call))
        except ValidationError:
            return "unusable"
        except MCPError:
            return "cannot_ask"

    async def _decide(self, *, yes: bool) -> None:
        decision = Decision(self._shown.about, yes=yes, how="elicitation", who=name_of(self.caller))
        try:
            self.answer = await decide(self._process, decision, caller=self.caller)
        except ZincMcpError as error:
            self.error = error

    async def _tell_host(self) -> None:
        """Tell the host when the question of the page it opened is answered, so that it waits no longer."""
        with self._watching:
            await self._cancel_when_answered(self._watching)
        if self._is_followed:
            return
        await self._ctx.session.send_elicit_complete(self._name)

    async def _cancel_when_answered(self, scope: anyio.CancelScope) -> None:
        """Cancel a scope once the question was answered on a page or in a terminal, or is over."""
        while not scope.cancel_called:
            await anyio.sleep(_LOOK_SECONDS)
            try:
                entry = await entry_of(self._process, self._shown.about.entry_id)
            except ZincMcpError:
                continue
            if entry is None or reference_of(entry) != self._shown.about:
                scope.cancel()

    async def _cancel_at_the_stop(self, scope: anyio.CancelScope) -> None:
        """Cancel a scope once this process was told to stop: soon nobody hears an answer here."""
        await self._process.stopping.wait()
        scope.cancel()


def answer_in_form(result: ElicitResult) -> HostAnswer:
    """Return the meaning of an answer: only `decline` and a plain false are a no, only a plain true is a yes."""
    if result.action == "decline":
        return "no"
    if result.action != "accept":
        return "silence"
    approve = (result.content or {}).get("approve")
    return "yes" if approve is True else "no" if approve is False else "unusable"


def answer_about_page(result: ElicitResult) -> HostAnswer:
    """Return the meaning of the answer to the offer of a page. It is never a yes: `accept` says that it was opened.

    `decline` is a no to the purchase: the specification keeps it for a person who refuses, and `cancel` for a person
    who closed the dialogue. If a person only refused to open the page, the model has to call again, and nothing is
    bought.
    """
    if result.action == "decline":
        return "no"
    return "opened" if result.action == "accept" else "silence"
