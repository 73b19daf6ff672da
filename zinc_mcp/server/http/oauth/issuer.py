"""The issuer's metadata and its keys, found by its own metadata and kept for a while.

Everything is asked through `network.Exchange`, so within bounds and without redirects. A stranger who sends tokens with
invented keys makes us ask at most once a minute.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import anyio

from zinc_mcp.network import Exchange, NoAnswerError, NotSentError
from zinc_mcp.proxies import Route
from zinc_mcp.secret_body import SecretBody
from zinc_mcp.server.http.oauth.terms import KEY_TYPES, is_safe_address

if TYPE_CHECKING:
    from jwt import PyJWK

KEYS_SECONDS = 300.0
"""Keys are used for this time before they are read again. A key that the issuer withdraws ends after that time."""
UNREACHABLE_SECONDS = 3600.0
"""The last keys count for this time while the issuer cannot be asked. After that no token counts."""
UNKNOWN_SECONDS = 60.0
"""The least time between two reads of the keys, however many unknown keys are named."""
FAILED_SECONDS = 10.0
"""The least time between two reads when the last one failed."""
ASK_SECONDS = 5.0
"""The longest time for one request to the issuer."""
MOST_KEYS = 50

logger = logging.getLogger("zinc_mcp")


class Issuer:
    """The metadata and the keys of one issuer."""

    def __init__(self, name: str, route: Route, clock: Callable[[], float]) -> None:
        """Prepare; nothing is asked yet.

        Args:
            name: the issuer, as `iss` of its tokens.
            route: the way to it.
            clock: seconds that only grow.
        """
        self.name = name
        self._route = route
        self._clock = clock
        self._keys: dict[str, Mapping[str, Any]] = {}
        self._metadata: Mapping[str, Any] = {}
        self._asked_at: float | None = None
        self._failed = False
        self._found_at: float | None = None
        self._asking = anyio.Lock()

    def holds(self, key_id: str) -> bool:
        """Say whether a key is one of those that were read last, not too long ago."""
        return self._is_recent() and key_id in self._keys

    async def key(self, key_id: str, algorithm: str) -> "PyJWK | None":
        """Return a key for an algorithm; None if the issuer has no such key, or has it for something else."""
        if self._should_ask(key_id) and not (self._asking.locked() and self.holds(key_id)):
            async with self._asking:
                if self._should_ask(key_id):  # only the first of those who waited asks
                    await self._ask()
        return _usable(self._keys[key_id], algorithm) if self.holds(key_id) else None

    async def metadata(self) -> Mapping[str, Any]:
        """Return the issuer's metadata; empty while they are not known."""
        await self.renew()
        return self._metadata if self._is_recent() else {}

    async def renew(self) -> None:
        """Ask for metadata and keys again, if they are old."""
        if self._should_ask(None):
            async with self._asking:
                if self._should_ask(None):
                    await self._ask()

    async def send_form(
        self, address: str, form: SecretBody, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, Any]]:
        """Send a form once; return the status, and the JSON object in the answer.

        Raises:
            NotSentError, NoAnswerError: there is no answer.
        """
        sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return await self._answer("POST", address, sent, form)

    def _is_recent(self) -> bool:
        return self._found_at is not None and self._clock() - self._found_at <= UNREACHABLE_SECONDS

    def _should_ask(self, key_id: str | None) -> bool:
        wait = FAILED_SECONDS if self._failed else UNKNOWN_SECONDS
        if self._asked_at is not None and self._clock() - self._asked_at < wait:
            return False
        old = self._found_at is None or self._clock() - self._found_at > KEYS_SECONDS
        return old or (key_id is not None and key_id not in self._keys)

    async def _ask(self) -> None:
        try:
            self._metadata, self._keys = await self._found()
            self._found_at, self._failed = self._clock(), False
        except (NotSentError, NoAnswerError, _UnusableError) as error:
            self._failed = True
            logger.warning("the keys of the OAuth issuer could not be read (%s)", error)
        finally:
            self._asked_at = self._clock()

    async def _found(self) -> tuple[Mapping[str, Any], dict[str, Mapping[str, Any]]]:
        metadata = await self._described()
        address = metadata.get("jwks_uri")
        if not isinstance(address, str) or not is_safe_address(address):
            raise _UnusableError("its metadata names no https address of keys")
        document = await self._document(address)
        listed = None if document is None else document.get("keys")
        if not isinstance(listed, list):
            raise _UnusableError("its keys are no JWK set")
        keys = [cast(Mapping[str, Any], key) for key in cast(list[object], listed)[:MOST_KEYS] if isinstance(key, dict)]
        names = [key.get("kid") for key in keys]
        # If two keys have one name, nobody knows which is meant, so neither counts.
        known = {str(name): key for name, key in zip(names, keys, strict=True) if name and names.count(name) == 1}
        return metadata, known

    async def _described(self) -> Mapping[str, Any]:
        for address in _addresses(self.name):
            document = await self._document(address)
            if document is None:
                continue
            # Otherwise one issuer could speak for another (RFC 8414, section 3.3).
            if document.get("issuer") != self.name:
                raise _UnusableError("its metadata is of another issuer")
            return document
        raise _UnusableError("it serves no metadata")

    async def _document(self, address: str) -> Mapping[str, Any] | None:
        """Return the JSON object at an address; None where there is none."""
        status, found = await self._answer("GET", address, {})
        if status >= 500:
            raise _UnusableError(f"it answered {status}")
        return found if status == 200 and found else None

    async def _answer(
        self, verb: str, address: str, headers: Mapping[str, str], content: SecretBody | None = None
    ) -> tuple[int, Mapping[str, Any]]:
        parts = urlsplit(address)
        exchange = Exchange(f"{parts.scheme}://{parts.netloc}", self._route)
        try:
            answer = await exchange.ask(verb, parts.path, headers, seconds=ASK_SECONDS, content=content)
        finally:
            await exchange.aclose()
        found = answer.json()
        return answer.status, cast(Mapping[str, Any], found) if isinstance(found, dict) else {}


class _UnusableError(Exception):
    """The issuer answered without the document that an issuer has to serve."""


def _addresses(issuer: str) -> Iterator[str]:
    """Yield the addresses where metadata may be: RFC 8414, section 3.1, then OpenID Connect Discovery 1.0, section 4.

    The order is MCP's (2025-11-25, Authorization, "Authorization Server Metadata Discovery").
    """
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    yield f"{origin}/.well-known/oauth-authorization-server{path}"
    if path:
        yield f"{origin}/.well-known/openid-configuration{path}"
    yield f"{origin}{path}/.well-known/openid-configuration"


def _usable(key: Mapping[str, Any], algorithm: str) -> "PyJWK | None":
    """Return a key for checking signatures by an algorithm, if that is what it is for (RFC 7517, section 4)."""
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    if key.get("kty") != KEY_TYPES[algorithm] or key.get("use", "sig") != "sig":
        return None
    if key.get("alg", algorithm) != algorithm:
        return None
    try:
        return PyJWK({**key}, algorithm)
    except (PyJWTError, ValueError, TypeError):
        return None
