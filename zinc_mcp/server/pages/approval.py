"""The approval page: the questions that wait for a visitor, the answer to each, and the endings of the orders.

`/approve/` shows all that waits, `/approve/ENTRY` one order. No script, no cookie, nothing from elsewhere, nothing
cached. Every view and every answer is a POST that carries the visit's token from the page before it, so that only the
page's own document can make one; a GET shows nothing. The model never sees this page: no tool result carries a
secret that opens it. Only the sign-in with an issuer has a cookie, and a GET that changes something
(`server.pages.sign_in`).
"""

from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from zinc_mcp.aftercare.followed import current
from zinc_mcp.checkout.deciding.waiting import is_for_admins, questions_for, questions_of_others
from zinc_mcp.checkout.watch import entry_of, look
from zinc_mcp.consent.approval import question_of, seconds_to_decide
from zinc_mcp.decisions import decide
from zinc_mcp.errors import JournalError, RefusedError, SettingsError, ZincMcpError
from zinc_mcp.invocation import invocation
from zinc_mcp.journal.records.decision import Decision, QuestionRef, reference_of
from zinc_mcp.journal.records.entry import CHANGES, Entry
from zinc_mcp.owner.pin import asked_pin, notices
from zinc_mcp.owner.team.member import name_of
from zinc_mcp.owner.team.places import let_in
from zinc_mcp.process import Answer
from zinc_mcp.server.http.connections import Connection, connection_of
from zinc_mcp.server.http.oauth.sign_in import SignIn
from zinc_mcp.server.http.requests import PAGE_PATH, REDIRECT_PATH, Hosts
from zinc_mcp.server.pages.documents import closed, sheet
from zinc_mcp.server.pages.forms import Form, entry_id, read_form
from zinc_mcp.server.pages.sign_in import SignInPages
from zinc_mcp.server.pages.visits import NoVisitError, Visit, Visits
from zinc_mcp.views.change import ChangeView, change_view
from zinc_mcp.views.order import OrderView, order_view

if TYPE_CHECKING:
    from zinc_mcp.process import Process

MOST_VIEWS = 4
"""Requests of one visitor at once; a view may wait for the journal and for Zinc."""
SOON_SECONDS = 3.0
"""After a decision, the page waits at most this long for the order to be sent and answered. Then it is shown again."""

_TOO_LATE = "Nobody approved it in time. Go back to your chat: your agent can ask again."
_MAY_LOOK = (
    "Your role or your sign-in lets you look and say no. A yes needs the right to order, which the owner of this "
    "server can give you."
)
_CLOSED = {
    "unknown": ("This page is closed", "The file that should open it is not valid."),
    "used": ("This page was opened before", "The file that opens it works once, and was used."),
    "over": ("The time is over", "This page could be opened for ten minutes."),
    "none": ("This page is closed", "It opens in the browser window that zinc-mcp opened for it: look there."),
    "ended": ("This page has ended", "It was not used for half an hour, or the server was started anew."),
}


class ApprovalPage:
    """Serves the pages of the orders that wait in one process."""

    def __init__(
        self, process: "Process", hosts: Hosts, visits: Visits, sign_in: SignIn | None = None, base: str = ""
    ) -> None:
        """Serve the visitors of `visits`, under the names in `hosts`; with `sign_in`, under the origin `base`."""
        self._sign_in = SignInPages(visits, sign_in, base)
        self._process = process
        self._hosts = hosts
        self._visits = visits
        self._views: Counter[str] = Counter()

    def route(self) -> Route:
        """Return the one route, for an application."""
        return Route(f"{PAGE_PATH}{{entry:path}}", self.answer, methods=["GET", "POST"])

    async def answer(self, request: Request) -> Response:
        """Answer one request. Another web page cannot choose Host and Origin (DNS rebinding, CSRF)."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._hosts.allow_host(hosts[0]):
            return closed("This is not the server's name", "Open the page by the address that was given.", 421)
        if self._sign_in.has_issuer and request.method == "GET" and request.url.path == REDIRECT_PATH:
            return await self._sign_in.end(request)
        if request.method != "POST":
            return self._stranger("none")
        origins = request.headers.getlist("origin")
        own = len(origins) == 1 and self._hosts.allow_origin(origins[0])
        from_a_file = origins in ([], ["null"])  # a file has no origin
        if not own and not from_a_file:
            return _elsewhere()
        form = await read_form(request)
        if form is None:
            return closed("Not understood", "The request is not this page's form.", 400)
        if not own and "secret" not in form:
            return _elsewhere()
        if own and self._sign_in.has_issuer and "issuer" in form:
            return await self._sign_in.begin(origins[0], str(request.path_params["entry"]))
        try:
            token = await self._visits.admit(form)
            visit = None if token is None else await self._visits.visit(token)
            is_admin = visit is not None and self._visits.is_admin(visit)
        except NoVisitError as error:
            return closed(*_CLOSED[error.why], 403)
        except JournalError as error:
            return closed("This cannot be shown now", error.summary, 503)
        except SettingsError:
            token = visit = None
            is_admin = False
        if token is None and "token" in form:
            return self._sign_in.shown(403, "That token is not one of this server's members.", at_the_token=True)
        if token is None or visit is None:
            return self._stranger("ended")
        if self._views[visit.visitor] >= MOST_VIEWS:
            return closed(
                "Too much at once", "Wait until the other pages have come, then look again.", 429, token=token
            )
        can_be_second = partial(self._visits.can_be_second, visit, issuer=self._process.settings.oauth_issuer)
        view = _View(self._process, token, visit, can_be_second, is_admin=is_admin)
        with self._one_more(visit.visitor, connection_of(request.scope)):
            try:
                chosen = entry_id(str(request.path_params["entry"]))
                return await (view.decided(form) if "decision" in form else view.shown(chosen))
            except ZincMcpError as error:
                return closed("This cannot be shown now", error.summary, 503, token=token)

    @contextmanager
    def _one_more(self, visitor: str, connection: Connection | None) -> Generator[None]:
        """Count a request of a visitor while inside. Its connection counts as a member's, where there is room."""
        taken = connection is not None and connection.take()
        self._views[visitor] += 1
        try:
            yield
        finally:
            self._views[visitor] -= 1
            if not self._views[visitor]:
                del self._views[visitor]
            if connection is not None and taken:
                connection.release(visitor)

    def _stranger(self, why: str) -> Response:
        return self._sign_in.shown(401) if self._sign_in.is_offered else closed(*_CLOSED[why], 403)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The reason why an answer was not taken, if it was not."""

    objection: str | None = None
    at_the_pin: bool = False
    closed: str | None = None
    """A sentence, if the question is answered or over."""


class _View:
    """The answers to one request of a visit."""

    def __init__(
        self, process: "Process", token: str, visit: Visit, can_be_second: Callable[[str], bool], *, is_admin: bool
    ) -> None:
        self._process = process
        self._token = token
        self._visitor, self._mark = visit.visitor, visit.mark
        self._may_order = {"read", "place"} <= visit.rights
        self._is_admin = is_admin
        self._can_be_second = can_be_second

    async def shown(self, chosen: int | None) -> Response:
        """Return the page of one order, or of all that wait."""
        waiting = await self._waiting()
        if chosen is None:
            return await self._page(waiting, [], _Refusal())
        entry = await self._visible(chosen)
        if entry is None:
            sentence = "There is no order here to decide on."
            return closed("No such order", sentence, 404, token=self._token)
        return await self._one(entry, waiting, _Refusal())

    async def decided(self, form: Form) -> Response:
        """Take a decision about the question that the form showed, and return the page of its order."""
        about = QuestionRef.unsealed(form.get("about", ""))
        said = form["decision"]
        if about is None or said not in ("yes", "no"):
            return closed("Not understood", "The request is not this page's form.", 400, token=self._token)
        entry = await self._visible(about.entry_id)
        if entry is None:
            return await self.shown(about.entry_id)
        decision = Decision(
            about,
            yes=said == "yes",
            how="page",
            who=name_of(self._visitor),
            pin=form.get("pin") or None,
            by=self._visitor,
            can_be_second=self._can_be_second(entry.caller),
        )
        if decision.yes and not self._may_order:
            return await self._one(await self._current(entry), await self._waiting(), _Refusal(objection=_MAY_LOOK))
        refusal = _Refusal()
        try:
            watch = self._process.watch
            step = nullcontext() if watch is None else watch.step("person", alone=True)
            with let_in(self._visitor, self._mark), step:
                await decide(self._process, decision, caller=entry.caller, wait_seconds=SOON_SECONDS)
        except RefusedError as error:
            if error.code != "question_closed":
                refusal = _Refusal(objection=error.summary, at_the_pin=error.code == "approval_required")
            elif not _is_known(entry, decision):
                refusal = _Refusal(closed=error.summary)
        except ZincMcpError as error:
            entry = await self._current(entry)
            if question_of(entry) is not None:
                return closed("The answer was not taken", error.summary, 503, token=self._token)
        return await self._one(await self._current(entry), await self._waiting(), refusal)

    async def _one(self, entry: Entry, waiting: list[Entry], refusal: _Refusal) -> Response:
        others = [each for each in waiting if each.id != entry.id]
        followed = None
        if question_of(entry) is None:
            # The ending of the order gives the reason.
            followed, refusal = await self._followed(entry), replace(refusal, objection=None)
        elif len(others) == len(waiting) and seconds_to_decide(entry, self._process.times.clock()) <= 0:
            return closed("The time is over", _TOO_LATE, 200, token=self._token)
        elif len(others) == len(waiting):
            sentence = "This order waits for an answer where real orders are placed. Nothing is decided on it here."
            return closed("Not here", sentence, 404, token=self._token)
        return await self._page([entry], others, refusal, followed)

    async def _page(
        self, entries: list[Entry], others: list[Entry], refusal: _Refusal, followed: Answer | None = None
    ) -> Response:
        now = self._process.times.clock()
        asked = await asked_pin(self._process.journal, self._visitor)
        return sheet(
            "waiting.html",
            403 if refusal.objection is not None else 409 if refusal.closed is not None else 200,
            visit=self._token,
            parts=[_part(entry, now, self._visitor, followed) for entry in entries],
            others=[_part(entry, now, self._visitor) for entry in others],
            path=PAGE_PATH,
            pin=asked is not None,
            pin_notices=[] if asked is None else notices(asked, "page", now),
            objection=refusal.objection,
            at_the_pin=refusal.at_the_pin and asked is not None,
            closed=refusal.closed,
            command=invocation(),
        )

    async def _waiting(self) -> list[Entry]:
        """Return the entries that wait for this visitor, the newest first; their own before those of others."""
        others = await questions_of_others(self._process, self._visitor) if self._is_admin else []
        return [*reversed(await questions_for(self._process, self._visitor)), *reversed(others)]

    async def _visible(self, entry_id: int) -> Entry | None:
        """Return an entry that this visitor may see, or None."""
        entry = await entry_of(self._process, entry_id)
        if entry is None or entry.caller == self._visitor:
            return entry
        return entry if self._is_admin and is_for_admins(self._process, entry, self._visitor) else None

    async def _current(self, entry: Entry) -> Entry:
        return await entry_of(self._process, entry.id, caller=entry.caller) or entry

    async def _followed(self, entry: Entry) -> Answer:
        """Return the state of an order, or of a change of one, as Zinc tells it if it can be asked."""
        if entry.kind in CHANGES:
            return Answer(await current(self._process, entry))
        try:
            found = await look(self._process, entry.caller, entry.order_id or entry.key)
        except ZincMcpError:
            return Answer(entry)
        return found if found.entry is not None and found.entry.id == entry.id else Answer(entry)


def address_of(base: str, entry_id: int) -> str:
    """Return the address of the page of an order. It holds no secret."""
    return f"{base}{PAGE_PATH}{entry_id}"


def _part(entry: Entry, now: float, visitor: str, followed: Answer | None = None) -> Mapping[str, object]:
    reference, question = reference_of(entry), question_of(entry)
    answer = followed or Answer(entry)
    return {
        "entry": entry,
        "whose": "" if entry.caller == visitor else name_of(entry.caller),
        "question": question,
        "is_change": entry.kind in CHANGES,
        "view": None if question else _view_of(answer, entry, now),
        "about": "" if reference is None else reference.sealed(),
        "seconds": seconds_to_decide(entry, now),
    }


def _view_of(answer: Answer, entry: Entry, now: float) -> OrderView | ChangeView:
    if entry.kind in CHANGES:
        return change_view(answer, "person")
    return order_view(answer, "person", mode=entry.mode, now=now)


def _is_known(entry: Entry, decision: Decision) -> bool:
    """Say whether this very answer to this very question was taken before: a page that is reloaded sends it again."""
    consent = entry.consent or {}
    taken: Mapping[str, object] = consent.get("decision") or {}
    same = (consent.get("id"), consent.get("digest")) == (decision.about.id, decision.about.digest)
    return same and taken.get("yes") == decision.yes and taken.get("how") == decision.how


def _elsewhere() -> Response:
    return closed("Not from this page", "The answer came from somewhere else, so it was not taken.", 403)
