"""The approval page at /approve/KEY: what would be bought, a yes or a no, and what became of it.

No script, nothing from elsewhere, nothing cached. Whoever has no pass learns nothing, not even whether there is such an
order. The model never sees this page: no tool result carries what opens it.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zinc_mcp.errors import RefusedError, SettingsError, ZincMcpError
from zinc_mcp.invocation import invocation
from zinc_mcp.ordering.approval import question_of, seconds_to_decide
from zinc_mcp.ordering.decision import Decision, QuestionRef, reference_of
from zinc_mcp.ordering.ending import ending_of
from zinc_mcp.ordering.entry import Entry
from zinc_mcp.serving.door import PAGE_PATH, Hosts
from zinc_mcp.serving.members import LOCAL, Members
from zinc_mcp.serving.passes import VISIT_SECONDS, NoPassError, Passes, Visit
from zinc_mcp.serving.sheet import headers, sheet

if TYPE_CHECKING:
    from zinc_mcp.shop import Shop

MAX_FORM_BYTES = 8192
SOON_SECONDS = 3.0
"""How long a decision waits for what comes of it before the page is shown again."""

Form = Mapping[str, str]

_MEMBERS_COOKIE = "zinc_approve_member"

_CLOSED = {
    "unknown": ("This page is closed", "What should have opened it is not valid."),
    "used": ("This page was opened before", "What opened it works once, and was used."),
    "over": ("The time is over", "This page could be opened for ten minutes."),
    "none": ("This page is closed", "It opens in the browser window that zinc-mcp opened for it."),
}


class ApprovalPage:
    """Serves the pages of one shop's waiting orders."""

    def __init__(
        self, shop: "Shop", hosts: Hosts, passes: Passes, members: Members | None = None, *, secure: bool = False
    ) -> None:
        """Remember who may come in.

        Args:
            shop: takes the decisions.
            hosts: the names browsers may reach this page by.
            passes: secrets and visits.
            members: who may sign in; None where there is one owner.
            secure: it is reached over TLS, so that its cookie may travel over nothing else.
        """
        self._shop = shop
        self._hosts = hosts
        self._passes = passes
        self._members = members
        self._secure = secure

    def route(self) -> Route:
        """Return the one route, for an application."""
        return Route(f"{PAGE_PATH}{{key:path}}", self.answer, methods=["GET", "POST"])

    async def answer(self, request: Request) -> Response:
        """Answer one request. Host and Origin are what a web page elsewhere cannot choose (DNS rebinding, CSRF)."""
        key = str(request.path_params["key"])
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._hosts.allow_host(hosts[0]):
            return _closed("This is not the server's name", "Open the page by the address that was given.", 421)
        if request.method != "POST":
            return await self._show(request, key)
        form = await _form(request)
        if form is None:
            return _closed("Not understood", "What was sent is not this page's form.", 400)
        origins = request.headers.getlist("origin")
        own = len(origins) == 1 and self._hosts.allow_origin(origins[0])
        if "secret" in form and (own or origins in ([], ["null"])):
            return self._open(key, form["secret"])  # from a file, which has no origin
        if not own:
            return _closed("Not from this page", "The answer came from somewhere else, so it was not taken.", 403)
        if "token" in form:
            return self._sign_in(key, form["token"])
        return await self._decide(request, key, form)

    def _open(self, key: str, secret: str) -> Response:
        try:
            return self._let_in(key, _cookie_name(key), self._passes.redeem(key, secret))
        except NoPassError as error:
            title, sentence = _CLOSED[error.why]
            return _closed(title, sentence, 403, key=key)

    def _sign_in(self, key: str, token: str) -> Response:
        try:
            name = self._members.named_by(token.strip()) if self._members is not None else None
        except SettingsError:
            name = None
        if name is None:
            return sheet("sign_in.html", 403, wrong=True)
        return self._let_in(key, _MEMBERS_COOKIE, self._passes.sign_in(name))

    def _let_in(self, key: str, name: str, cookie: str) -> Response:
        answer = _to(key)
        answer.set_cookie(
            name,
            cookie,
            max_age=int(VISIT_SECONDS),
            path=PAGE_PATH,
            httponly=True,
            samesite="lax",
            secure=self._secure,
        )
        return answer

    async def _show(self, request: Request, key: str) -> Response:
        visit = self._visit(request, key)
        if visit is None:
            if self._has_members():
                return sheet("sign_in.html", 401, wrong=False)
            return _closed(*_CLOSED["none"], 403)
        try:
            entry = await self._entry(visit, key)
            if entry is None:
                return _closed("No such order", "There is no order here to decide on.", 404)
            return await self._page(entry, visit)
        except ZincMcpError as error:
            return _closed("This cannot be shown now", error.summary, 503)

    async def _decide(self, request: Request, key: str, form: Form) -> Response:
        visit = self._visit(request, key)
        given = form.get("csrf", "").encode("utf-8", "surrogatepass")
        if visit is None or not hmac.compare_digest(given, visit.csrf.encode()):
            return _closed("Not from this page", "The answer was not taken. Open the page anew.", 403, key=key)
        said = form.get("decision")
        if said not in ("yes", "no"):
            return _closed("Not understood", "An answer is yes or no.", 400, key=key)
        caller = visit.member or LOCAL
        about = QuestionRef.unsealed(form.get("about", ""))
        if about is None:
            return _closed("Not understood", "What was sent is not this page's form.", 400, key=key)
        decision = Decision(about, yes=said == "yes", how="page", who=caller, pin=form.get("pin") or None)
        try:
            await self._shop.checkout.decide(decision, caller=caller, wait_seconds=SOON_SECONDS)
        except RefusedError as error:
            entry = await self._shop.checkout.entry(key, caller=caller)
            if error.code == "approval_required" and entry is not None:
                return await self._page(entry, visit, objection=error.summary)
        except ZincMcpError as error:
            entry = await self._shop.checkout.entry(key, caller=caller)
            if entry is None or question_of(entry) is not None:
                return _closed("The answer was not taken", error.summary, 503, key=key)
        return _to(key)

    async def _entry(self, visit: Visit, key: str) -> Entry | None:
        """Return the entry as it stands, brought up to date where Zinc can be asked."""
        checkout, caller = self._shop.checkout, visit.member or LOCAL
        entry = await checkout.entry(key, caller=caller)
        if entry is None:
            return None
        try:
            return (await checkout.look(caller, key)).entry or entry
        except ZincMcpError:
            return entry

    async def _page(self, entry: Entry, visit: Visit, *, objection: str | None = None) -> Response:
        question = question_of(entry)
        if question is None:
            return sheet("ending.html", 200, ending=ending_of(entry), entry=entry, command=invocation())
        return sheet(
            "question.html",
            200 if objection is None else 403,
            question=question,
            about=reference.sealed() if (reference := reference_of(entry)) is not None else "",
            csrf=visit.csrf,
            seconds=seconds_to_decide(entry, self._shop.checkout.now()),
            pin=await self._shop.checkout.has_pin(),
            pin_notice=await self._shop.checkout.pin_notice(),
            objection=objection,
        )

    def _visit(self, request: Request, key: str) -> Visit | None:
        cookies = [request.cookies.get(name, "") for name in (_cookie_name(key), _MEMBERS_COOKIE)]
        visit = next((found for cookie in cookies if (found := self._passes.visit(cookie, key))), None)
        if visit is None or visit.member is None:
            return visit
        try:
            # A member who was removed meanwhile decides nothing any more.
            return visit if self._members is not None and visit.member in self._members.known() else None
        except SettingsError:
            return None

    def _has_members(self) -> bool:
        try:
            return self._members is not None and bool(self._members.known())
        except SettingsError:
            return True


def address_of(base: str, key: str) -> str:
    """Return where the page of an order is. It holds no secret."""
    return f"{base}{PAGE_PATH}{quote(key, safe='')}"


def _to(key: str) -> Response:
    return RedirectResponse(address_of("", key), 303, headers())


def _closed(title: str, sentence: str, status: int, *, key: str | None = None) -> Response:
    way = address_of("", key) if key is not None else None
    return sheet("closed.html", status, title=title, sentence=sentence, way=way)


def _cookie_name(key: str) -> str:
    # One for each order: several pages may be open, and cookies are shared by all ports of a host.
    return f"zinc_approve_{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


async def _form(request: Request) -> Form | None:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            return None
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=8, errors="strict"))
    except ValueError:
        return None
