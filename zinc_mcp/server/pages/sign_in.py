"""The sign-in of people to the approval page: with their token of this server, or with the team's issuer.

The way to the issuer and back has the only cookie of the page, and the only GET that changes something. Neither shows
anything: a browser that comes back gets a button, whose POST carries the token of the new visit like every other.
"""

from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.errors import JournalError, SettingsError
from zinc_mcp.owner.team.member import Identity, is_by_issuer, name_of
from zinc_mcp.server.http.oauth.sign_in import BEGUN_SECONDS, OVER, EndedSignIn, SignIn, SignInError
from zinc_mcp.server.http.oauth.tokens import StrangerError
from zinc_mcp.server.http.requests import PAGE_PATH
from zinc_mcp.server.pages.documents import closed, sheet
from zinc_mcp.server.pages.forms import entry_id
from zinc_mcp.server.pages.visits import Visits


class SignInPages:
    """The pages on which people sign in."""

    def __init__(self, visits: Visits, sign_in: SignIn | None, base: str) -> None:
        """Open `visits`. With `sign_in`, people sign in with the issuer too, under the origin `base` alone."""
        self._visits = visits
        self._sign_in = sign_in
        self._base = base

    @property
    def is_offered(self) -> bool:
        """Whether people sign in here."""
        return self._sign_in is not None or self._visits.has_members()

    @property
    def has_issuer(self) -> bool:
        """Whether people sign in with an issuer."""
        return self._sign_in is not None

    def shown(
        self, status: int, objection: str | None = None, *, at_the_token: bool = False, to: str | None = None
    ) -> Response:
        """Return the page with the ways to sign in.

        Args:
            status: the HTTP status of the answer.
            objection: the reason why the last try failed.
            at_the_token: whether the token was wrong.
            to: the path that signs in; None for the one of the request.
        """
        return sheet(
            "sign_in.html",
            status,
            objection=objection,
            at_the_token=at_the_token,
            to=to,
            tokens=self._visits.has_members(),
            service=None if self._sign_in is None else self._sign_in.service,
        )

    async def begin(self, origin: str, place: str) -> Response:
        """Send a browser to the issuer, by a page that goes on by itself.

        If a form led to a redirect, browsers would check every address that the issuer redirects to against the page's
        `form-action` (Content Security Policy 3, section 6.5.1).
        """
        if self._sign_in is None:
            return self.shown(401)
        place = "" if entry_id(place) in (None, 0) else place
        if origin.lower() != self._base.lower():
            sentence = f"People sign in under another name of this server: open {self._base}{PAGE_PATH}{place} instead."
            return closed("Open it by its other name", sentence, 421)
        try:
            begun = await self._sign_in.begin(place)
        except SignInError as error:
            return self.shown(503, error.sentence)
        answer = sheet("leaving.html", 200, address=begun.address, service=self._sign_in.service)
        answer.set_cookie(
            begun.cookie,
            begun.kept,
            max_age=BEGUN_SECONDS,
            secure=self._sign_in.is_over_tls,
            httponly=True,
            samesite="lax",
        )
        return answer

    async def end(self, request: Request) -> Response:
        """Open a visit for a browser that the issuer has sent back, and lead it to the page that it came from."""
        if self._sign_in is None:
            return self.shown(401, to=PAGE_PATH)
        try:
            ended = await self._sign_in.end(request.query_params, request.cookies)
            token = await self._visits.open_for(ended.access, ended.state)
        except SignInError as error:
            return self.shown(403, error.sentence, to=PAGE_PATH)
        except StrangerError as error:
            return _not_let_in(error.identity)
        except JournalError as error:
            return closed("This cannot be shown now", error.summary, 503)
        except SettingsError:
            return closed("This cannot be shown now", "The members of this server cannot be read now.", 503)
        if token is None:
            return self.shown(403, OVER, to=PAGE_PATH)
        answer = self._signed_in(ended, token)
        answer.delete_cookie(ended.cookie, secure=self._sign_in.is_over_tls, httponly=True, samesite="lax")
        return answer

    def _signed_in(self, ended: EndedSignIn, token: str) -> Response:
        caller = ended.access.caller
        chosen = entry_id(ended.place)
        return sheet(
            "signed_in.html",
            200,
            member=None if is_by_issuer(caller) else name_of(caller),
            service=None if self._sign_in is None else self._sign_in.service,
            visit=token,
            to=f"{PAGE_PATH}{chosen or ''}",
        )


def _not_let_in(identity: Identity) -> Response:
    """Return the answer to a person who signed in and is no member. It tells only them their name here."""
    return closed(
        "You are not a member",
        f"You are signed in as {identity.subject} of {identity.issuer}, who is not a member of this server. Its "
        "owner can add you by these two names.",
        403,
    )
