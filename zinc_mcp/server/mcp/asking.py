"""Asks a person: through the host if it can ask, otherwise on a page or in a terminal.

A host may show a form, or offer to open the approval page by its address (MCP, "Elicitation"). The form is used if the
question fits in it and no PIN is needed; otherwise a host that can is asked to open the page. Opening the page decides
nothing: the person answers there, after the page has let them in.

Only a yes sends anything. Any answer but a yes or a no leads to the page or the terminal, as long as the question
stands.
"""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from mcp.server.mcpserver import Context
from mcp.types import (
    ElicitationCapability,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
)

from zinc_mcp.checkout.deciding.waiting import cannot_sign_in
from zinc_mcp.checkout.watch import entry_of
from zinc_mcp.consent.approval import AnyQuestion, question_of, seconds_to_decide
from zinc_mcp.consent.question import DIALOGUE_CHARACTERS
from zinc_mcp.decisions import await_decision, decide
from zinc_mcp.errors import RefusedError, ZincMcpError
from zinc_mcp.invocation import command
from zinc_mcp.journal.records.decision import SECOND_YES, Decision, QuestionRef, reference_of
from zinc_mcp.journal.records.entry import NAMES, Entry, Kind
from zinc_mcp.owner.pin import asked_pin
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.member import LOCAL, name_of
from zinc_mcp.process import Answer
from zinc_mcp.server.mcp.dialogue import (
    Dialogues,
    HostAnswer,
    ShownQuestion,
    answer_about_page,
    answer_in_form,
    form_for,
)

if TYPE_CHECKING:
    from zinc_mcp.process import Process

Outcome = tuple[Answer, str | None]
"""The order after the question, and a sentence that says where a person can decide, if nobody has decided yet."""

MODERN = "2026-07-28"

FIRST_WITH_ADDRESSES = "2025-11-25"
"""The first version of the protocol in which a host can be asked to open an address."""

_CONSENT = "consent"
_PAGE = "page"

_WHY_ELSEWHERE: Mapping[HostAnswer, str] = {
    "silence": "The host's dialogue ended without an answer. ",
    "unusable": "The host gave no usable answer to the question. ",
    "cannot_ask": "The host's dialogue failed. ",
    "opened": "The host was asked to open the approval page, and said that it did. ",
}
_STILL_OPEN = "The question is still open in the host's dialogue, and an answer there counts. "
_STOPPED = "The host's dialogue was closed, because this server is being stopped. "
_TOO_LONG = "The question is too long for the host's dialogue. "


@dataclass(frozen=True, slots=True)
class SealedQuestion:
    """The question that a host of the newer protocol sends back with its second call, and whether the page asks it."""

    about: QuestionRef
    on_the_page: bool

    def sealed(self) -> str:
        """Return the question as one word, for the protocol's sealed state."""
        return f"{_PAGE}:{self.about.sealed()}" if self.on_the_page else self.about.sealed()

    @classmethod
    def unsealed(cls, text: str) -> Self | None:
        """Read the word that `sealed` wrote; None for any other."""
        about = QuestionRef.unsealed(text.removeprefix(f"{_PAGE}:"))
        return None if about is None else cls(about, text.startswith(f"{_PAGE}:"))

    def answer_in(self, responses: Mapping[str, Any] | None) -> HostAnswer:
        """Return the meaning of the host's answers. The answer to a form does not answer a question on the page."""
        response = (responses or {}).get(_PAGE if self.on_the_page else _CONSENT)
        if not isinstance(response, ElicitResult):
            return "silence"
        return answer_about_page(response) if self.on_the_page else answer_in_form(response)


class Page(Protocol):
    """A place away from the model where a person can decide."""

    async def address(self, entry: Entry) -> str | None:
        """Return the address that a host may open for the person, or None. It holds no secret and lets nobody in."""
        ...

    async def offer(self, entry: Entry) -> str:
        """Show the entry's question to its person; return a sentence that says where."""
        ...


class Terminal:
    """No page: the owner decides in a terminal of their own."""

    async def address(self, entry: Entry) -> str | None:
        """Return None: a terminal has no address."""
        return None

    async def offer(self, entry: Entry) -> str:
        """Return the commands to decide with."""
        return f"Ask the user to run {in_a_terminal(entry)} in a terminal of their own."


def in_a_terminal(entry: Entry) -> str:
    """Return the command to decide with. A model may have written the key; it is quoted for the shell."""
    return f"{command('approve', given=[entry.key])} (to say no: decline in place of approve)"


def on_the_page(settings: Settings, entry: Entry, address: str) -> str:
    """Return a sentence that says who decides about an entry on the approval page, and at which address."""
    if needs_another(entry) or cannot_sign_in(settings, entry.caller):
        return f"Ask the user to have an admin of this server decide: they open {address} and sign in."
    return f"Ask the user to open {address} and to sign in there."


def needs_another(entry: Entry) -> bool:
    """Say whether the question of an entry needs the yes of another person."""
    return bool((entry.consent or {}).get(SECOND_YES))


async def where_to_decide(process: "Process", page: Page, caller: str, entry: Entry) -> str:
    """Return a sentence that says where the user decides about a standing question. It opens no page."""
    if caller != LOCAL and (address := await page.address(entry)) is not None:
        return on_the_page(process.settings, entry, address)
    terminal = f"they can run {in_a_terminal(entry)} in a terminal of their own"
    return f"Ask the user to decide: in the host's dialogue, on the approval page if it is open, or {terminal}."


async def ask_person(
    process: "Process",
    page: Page,
    dialogues: Dialogues,
    answer: Answer,
    question: AnyQuestion,
    ctx: Context,
    caller: str,
    deadline: float,
) -> Outcome | InputRequiredResult:
    """Ask the person about an entry that waits, and return its state at the deadline (`time.monotonic`).

    In the newer protocol the question itself is the result of this leg, and the host calls again with the answer. In
    the older one the dialogue stays open behind the answer, and a call that asks the same listens to it too.

    Raises:
        ZincMcpError: the error with which the sending ended.
    """
    entry = answer.entry
    about = None if entry is None else reference_of(entry)
    if entry is None or about is None:
        return answer, None
    with nullcontext() if process.watch is None else process.watch.step("person"):
        if needs_another(entry):  # the person at this host may not decide
            return await _ask_elsewhere(process, page, entry, deadline, earlier=answer.earlier)
        text = question.text()
        # A host's dialogue cannot take a PIN (MCP, "Elicitation", "Security Considerations").
        in_a_form = (
            can_ask(ctx) and process.policy().approval != "page" and await asked_pin(process.journal, caller) is None
        )
        why = _TOO_LONG if in_a_form and len(text) > DIALOGUE_CHARACTERS else ""
        address = None
        if not in_a_form or why:
            address = await page.address(entry) if can_open(ctx) else None
            if address is None:
                return await _ask_elsewhere(process, page, entry, deadline, earlier=answer.earlier, why=why)
            text = question.invitation
        shown = ShownQuestion(about, text, address, form_for(entry))
        if str(ctx.protocol_version) >= MODERN:
            return _input_required(shown)
        dialogue, is_shared = dialogues.open(ctx, shown, caller, seconds_to_decide(entry, process.times.clock()))
        if dialogue is None:
            return await _ask_elsewhere(process, page, entry, deadline, earlier=answer.earlier)
        await dialogue.wait(ctx, min(process.clocks.form_seconds, deadline - time.monotonic()))
        if dialogue.answer is not None:
            # Several calls may listen to one answer. The order is new only for the call that asked.
            return replace(dialogue.answer, earlier=dialogue.answer.earlier or is_shared), None
        if dialogue.error is not None and not _leads_elsewhere(dialogue.error):
            raise dialogue.error
        why = _STILL_OPEN if dialogue.is_open else _why(dialogue.error, dialogue.given)
        if not why and dialogue.given is None and process.stopping.is_set():
            why = _STOPPED
        return await _ask_elsewhere(process, page, entry, deadline, earlier=answer.earlier, why=why)


async def take_answer(
    process: "Process", page: Page, entry: Entry, about: QuestionRef, given: HostAnswer, caller: str, deadline: float
) -> Outcome:
    """Act on the answer that the newer protocol's second leg brings for the question it was asked about.

    If the question was answered elsewhere meanwhile, the result tells the state of the order.

    Raises:
        ZincMcpError: the error with which the sending ended.
    """
    why = _why(None, given)
    if given in ("yes", "no") and reference_of(entry) == about:
        decision = Decision(about, yes=given == "yes", how="elicitation", who=name_of(caller))
        try:
            return await decide(process, decision, caller=caller), None
        except RefusedError as error:
            if not _leads_elsewhere(error):
                raise
            why = f"{error.summary} "
    is_over = question_of(entry) is not None and seconds_to_decide(entry, process.times.clock()) <= 0
    if entry.state == "refused" or is_over:
        raise expired(entry.kind)
    return await _ask_elsewhere(process, page, entry, deadline, earlier=False, why=why)


def can_ask(ctx: Context) -> bool:
    """Say whether the host can show a form; a bare capability means that it can (MCP, "Elicitation")."""
    declared = _elicitation(ctx)
    return declared is not None and (declared.form is not None or declared.url is None)


def can_open(ctx: Context) -> bool:
    """Say whether the host can be asked to open an address."""
    declared = _elicitation(ctx)
    return declared is not None and declared.url is not None and str(ctx.protocol_version) >= FIRST_WITH_ADDRESSES


def _elicitation(ctx: Context) -> ElicitationCapability | None:
    return ctx.client_capabilities.elicitation if ctx.client_capabilities else None


def expired(kind: Kind = "order") -> RefusedError:
    """Return the refusal of an answer to a question that does not stand (any more)."""
    return RefusedError(
        "This answer belongs to no question that still stands, so nothing was sent.",
        f"{NAMES[kind][1]} to be asked again.",
        code="approval_expired",
    )


def _input_required(shown: ShownQuestion) -> InputRequiredResult:
    state = SealedQuestion(shown.about, on_the_page=shown.address is not None).sealed()
    if shown.address is not None:
        opening = ElicitRequest(params=ElicitRequestURLParams(message=shown.text, url=shown.address))
        return InputRequiredResult(input_requests={_PAGE: opening}, request_state=state)
    form = ElicitRequestFormParams(message=shown.text, requested_schema=shown.form)
    return InputRequiredResult(input_requests={_CONSENT: ElicitRequest(params=form)}, request_state=state)


async def _ask_elsewhere(
    process: "Process", page: Page, entry: Entry, deadline: float, *, earlier: bool, why: str = ""
) -> Outcome:
    """Offer the page or the terminal while the question stands; return the order's state at the deadline."""
    where = ""
    current = await entry_of(process, entry.id) or entry
    if reference_of(current) is not None:
        where = await page.offer(current)
    answer = await await_decision(process, current, earlier=earlier, deadline=deadline)
    if answer.entry is None or question_of(answer.entry) is None:
        return answer, None
    if process.stopping.is_set():
        where = await page.offer(answer.entry)
        if why == _STILL_OPEN:  # it was, before the stop closed it
            why = _STOPPED
    return answer, f"{why}{where}"


def _why(error: ZincMcpError | None, given: HostAnswer | None) -> str:
    if error is not None:
        return f"{error.summary} "
    return "" if given is None else _WHY_ELSEWHERE.get(given, "")


def _leads_elsewhere(error: ZincMcpError) -> bool:
    return error.code in ("question_closed", "approval_required", "policy_differs")
