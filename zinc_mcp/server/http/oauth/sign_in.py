"""A person signs in with the issuer in their browser: the authorization code flow of OpenID Connect, with PKCE.

Nothing of a sign-in that was begun is kept here, so that it ends at whichever server the browser comes back to, and
strangers who begin many take no room. One random secret stays in the browser that began, in a cookie of its own; state,
nonce and PKCE's verifier are made from it (OpenID Connect Core 1.0, section 3.1; RFC 7636; RFC 9700, section 4.7).
"""

import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import anyio
from starlette.datastructures import QueryParams

from zinc_mcp.known_settings import RIGHTS
from zinc_mcp.network import NoAnswerError, NotSentError
from zinc_mcp.owner.members import Members
from zinc_mcp.owner.team.member import Identity
from zinc_mcp.secret_body import SecretBody
from zinc_mcp.server.http.access import Access
from zinc_mcp.server.http.oauth.issuer import Issuer
from zinc_mcp.server.http.oauth.terms import Client, Terms, is_safe_address
from zinc_mcp.server.http.oauth.tokens import People, Signatures
from zinc_mcp.text import plain

BEGUN_SECONDS = 600
"""A browser keeps the secret of a sign-in that it began for this time."""
MOST_AT_ONCE = 8
"""Codes that are being exchanged. Strangers can send codes too, and the issuer is asked about each."""
MOST_CODE_CHARACTERS = 4096

_COOKIE = "zinc-sign-in-"
_STATE_IN_COOKIE = 16
"""Characters of the state in the cookie's name: two windows of one browser can sign in at once."""
_ELSEWHERE = "This sign-in was not begun in this browser, or more than ten minutes ago. Sign in again."
OVER = "This sign-in was used before, or has taken too long. Sign in again."
_NOT_USABLE = "The sign-in service did not prove who you are. The owner of this server finds the reason in its log."
_SAID: Mapping[str, str] = {
    "access_denied": "The sign-in was refused, by you or by the sign-in service.",
    "temporarily_unavailable": "The sign-in service cannot sign anybody in now. Try again in a few minutes.",
    "server_error": "The sign-in service failed. Try again in a few minutes.",
}
_NO_READING = "The sign-in service did not grant the scope {}, which is needed to look at orders."

logger = logging.getLogger("zinc_mcp")


class SignInError(Exception):
    """Nobody is signed in; the sentence is for the person."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class BegunSignIn:
    """A sign-in that has begun: the address for the browser, and the cookie that it keeps meanwhile."""

    address: str = field(repr=False)
    cookie: str
    """The name of the cookie."""
    kept: str = field(repr=False)
    """The cookie's value."""


@dataclass(frozen=True, slots=True)
class EndedSignIn:
    """A person who has signed in."""

    access: Access
    state: str = field(repr=False)
    """It names this sign-in, which opens the page once."""
    cookie: str
    """The name of its cookie, which is not needed any more."""
    place: str
    """The place that was given to `begin`, unless the browser changed it."""


class SignIn:
    """Signs people in with one issuer."""

    def __init__(self, terms: Terms, client: Client, issuer: Issuer, members: Members, redirect: str) -> None:
        """Prepare; nothing is asked yet.

        Args:
            terms: the owner's terms.
            client: this server, as the issuer knows it.
            issuer: the issuer that `terms` names.
            members: the people who may be let in.
            redirect: the one address to which the issuer sends browsers back.
        """
        self._terms = terms
        self._client = client
        self._issuer = issuer
        self._redirect = redirect
        self._signatures = Signatures(terms, issuer)
        self._people = People(terms, members)
        self._exchanging = anyio.Semaphore(MOST_AT_ONCE)

    @property
    def service(self) -> str:
        """The name of the issuer's host, for people."""
        return urlsplit(self._terms.issuer).hostname or self._terms.issuer

    @property
    def is_over_tls(self) -> bool:
        """Whether browsers come back over TLS, so that cookies can be kept from everything else."""
        return self._redirect.startswith("https://")

    async def begin(self, place: str) -> BegunSignIn:
        """Return the address where a browser signs in, and the cookie that it keeps until it comes back.

        The cookie holds a secret, and `place`, from which the browser came.

        Raises:
            SignInError: the issuer names no usable address, or cannot be asked.
        """
        at = await self._endpoint("authorization_endpoint")
        secret = secrets.token_urlsafe(32)
        state = _made(secret, "state")
        asked = {
            "response_type": "code",
            "client_id": self._client.id,
            "redirect_uri": self._redirect,
            "scope": self._scope(),
            "state": state,
            "nonce": _made(secret, "nonce"),
            "code_challenge": _unpadded(hashlib.sha256(_made(secret, "verifier").encode()).digest()),
            "code_challenge_method": "S256",
            **self._resource(),
        }
        return BegunSignIn(f"{at}?{urlencode(asked, quote_via=quote)}", self._cookie_of(state), f"{secret}.{place}")

    async def end(self, answer: QueryParams, cookies: Mapping[str, str]) -> EndedSignIn:
        """Return the person who has signed in, from the answer with which the issuer sent the browser back.

        Raises:
            SignInError: nobody has signed in.
            StrangerError: the person is not let in.
            SettingsError: the file of members cannot be used.
        """
        state = _one(answer, "state")
        cookie = self._cookie_of(state)
        secret, _, place = cookies.get(cookie, "").partition(".")
        if not secret or not hmac.compare_digest(_made(secret, "state").encode(), state.encode()):
            raise SignInError(_ELSEWHERE)
        await self._check_sender(answer)
        if error := _one(answer, "error"):
            said = _SAID.get(error, f"The sign-in service refused and gave the reason {plain(error, 60)!r}.")
            raise SignInError(said)
        code = _one(answer, "code")
        if not 0 < len(code) <= MOST_CODE_CHARACTERS:
            raise SignInError(_NOT_USABLE)
        tokens = await self._exchanged(code, secret)
        claims = await self._identified(tokens.get("id_token"), _made(secret, "nonce"))
        identity = Identity(self._terms.issuer, str(claims["sub"]))
        if not identity.is_usable:
            raise SignInError(_NOT_USABLE)
        # Without `scope`, it granted what was asked for (RFC 6749, section 5.1).
        granted = self._terms.rights_in({"scope": tokens.get("scope", self._scope())})
        if "read" not in granted:
            raise SignInError(_NO_READING.format(self._terms.scopes["read"]))
        return EndedSignIn(self._people.access(identity, granted), state, cookie, place)

    def _cookie_of(self, state: str) -> str:
        # `__Host-`: no other host, not even a part of this one's domain, can set it (RFC 6265bis, section 4.1.3.2).
        return f"{'__Host-' if self.is_over_tls else ''}{_COOKIE}{state[:_STATE_IN_COOKIE]}"

    def _scope(self) -> str:
        return f"openid {self._terms.names_of(RIGHTS)}"

    def _resource(self) -> Mapping[str, str]:
        """Return the parameter that names this server, if its audience is an address (RFC 8707). Entra ID has ids."""
        audience = self._terms.audiences[0]
        return {"resource": audience} if "://" in audience else {}

    async def _check_sender(self, answer: QueryParams) -> None:
        """Refuse an answer that names another issuer (RFC 9207, section 2.4)."""
        metadata = await self._issuer.metadata()
        is_named = metadata.get("authorization_response_iss_parameter_supported") is True
        if "iss" in answer or is_named:
            if _one(answer, "iss") != self._terms.issuer:
                raise SignInError(_NOT_USABLE)

    async def _endpoint(self, name: str) -> str:
        address = (await self._issuer.metadata()).get(name)
        if not isinstance(address, str) or not is_safe_address(address):
            logger.warning("the OAuth issuer serves no usable %s", name)
            raise SignInError("The sign-in service cannot be reached now, or does not sign people in.")
        return address

    async def _exchanged(self, code: str, secret: str) -> Mapping[str, Any]:
        """Exchange a code for the issuer's answer with tokens (RFC 6749, section 4.1.3)."""
        at = await self._endpoint("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": _made(secret, "verifier"),
        }
        headers: dict[str, str] = {}
        if self._client.secret is None:
            form["client_id"] = self._client.id
        else:
            given = self._client.secret.get_secret_value()
            if await self._takes_basic():
                words = f"{quote(self._client.id, safe='')}:{quote(given, safe='')}"
                headers["Authorization"] = f"Basic {base64.b64encode(words.encode()).decode()}"
            else:
                form |= {"client_id": self._client.id, "client_secret": given}
        if self._exchanging.value == 0:
            raise SignInError("Too many people are signing in at this moment. Sign in again.")
        try:
            async with self._exchanging:
                status, found = await self._issuer.send_form(at, SecretBody(urlencode(form).encode()), headers)
        except (NotSentError, NoAnswerError) as error:
            logger.warning("a sign-in was not finished, since the OAuth issuer gave no answer (%s)", error)
            raise SignInError("The sign-in service cannot be reached now. Sign in again.") from None
        if status == 200:
            return found
        why = plain(str(found.get("error", "")), 60)
        logger.warning("a sign-in was not finished, since the OAuth issuer answered %d %s", status, why)
        raise SignInError(OVER if why == "invalid_grant" else _NOT_USABLE)

    async def _takes_basic(self) -> bool:
        """Say whether the secret goes into the header: the usual way (OpenID Connect Discovery 1.0, section 3)."""
        ways = (await self._issuer.metadata()).get("token_endpoint_auth_methods_supported")
        return not isinstance(ways, list) or "client_secret_basic" in ways

    async def _identified(self, token: object, nonce: str) -> Mapping[str, Any]:
        """Return the claims of an ID token that is for us and this sign-in (OpenID Connect Core 1.0, 3.1.3.7)."""
        checked = None
        if isinstance(token, str):
            checked = await self._signatures.claims(token, [self._client.id], ("iat", "nonce"), "an ID token")
        claims: Mapping[str, Any] = {} if checked is None else checked[0]
        given = claims.get("nonce")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
            raise SignInError(_NOT_USABLE)
        is_ours_alone = claims["aud"] in (self._client.id, [self._client.id])
        if claims.get("azp", self._client.id if is_ours_alone else None) != self._client.id:
            raise SignInError(_NOT_USABLE)
        return claims


def _made(secret: str, name: str) -> str:
    """Return one of the values that are made from the secret of a sign-in. No value reveals another, or the secret."""
    return _unpadded(hmac.digest(secret.encode("utf-8", "surrogatepass"), name.encode(), hashlib.sha256))


def _unpadded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _one(answer: QueryParams, name: str) -> str:
    """Return a parameter that was sent once, or an empty text (RFC 6749, section 3.1)."""
    given: Sequence[str] = answer.getlist(name)
    return given[0] if len(given) == 1 else ""
