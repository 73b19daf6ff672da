"""The owner's terms for access tokens: their issuer, audiences, algorithms, and the names of the scopes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from pydantic import SecretStr

from zinc_mcp.errors import SettingsError
from zinc_mcp.known_settings import RIGHTS, Right
from zinc_mcp.owner.settings import Settings
from zinc_mcp.proxies import is_confidential

SCOPES: tuple[str, ...] = ("orders:read", "orders:place", "orders:admin")
"""Their usual names, in the order of `known_settings.RIGHTS`."""
KEY_TYPES: Mapping[str, str] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "EdDSA": "OKP",
}
"""The algorithms that a setting may name, with the type of their keys (RFC 7518, RFC 8037). There is none with a shared
secret, because a server that checks such a token could also make one."""
ALGORITHMS: tuple[str, ...] = ("RS256", "ES256")
RESOURCES: tuple[str, ...] = ("/mcp", "/sse")
"""The paths that clients name as the resource for which they want a token (RFC 8707)."""


_MOST_CLIENT_ID_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Client:
    """This server as a client of the issuer, for the sign-in of people to the approval page."""

    id: str
    secret: SecretStr | None
    """None for a public client."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The owner's conditions for access tokens, and for the sign-in of people with the issuer."""

    issuer: str
    audiences: tuple[str, ...]
    """A token is for one of them."""
    algorithms: tuple[str, ...]
    scopes: Mapping[Right, str]
    """The scopes that clients ask the issuer for, by the right that each grants."""
    everyone: bool
    """Whether each identity of the issuer is let in, and not only those of members."""
    base: str
    """The origin by which clients reach this server."""
    client: Client | None = None
    """None: nobody signs in to the approval page with the issuer."""

    def rights_in(self, claims: Mapping[str, object]) -> frozenset[Right]:
        """Return the rights that the scopes of a token grant: `scope` (RFC 9068), or `scp` (Entra ID, Okta).

        Entra ID is asked for `api://.../orders.read` and writes `orders.read`, of its audience.
        """
        words = {word for name in ("scope", "scp") for word in _words(claims.get(name))}
        return frozenset(
            right for right, name in self.scopes.items() if name in words or name.rpartition("/")[2] in words
        )

    def names_of(self, rights: Sequence[Right]) -> str:
        """Return the scopes for some rights, as a challenge names them."""
        return " ".join(self.scopes[right] for right in rights)


def terms_of(settings: Settings, base: str) -> Terms | None:
    """Return the owner's terms; None where there is no issuer.

    Raises:
        SettingsError: they contradict each other, or cannot be met.
    """
    issuer = settings.oauth_issuer
    if issuer is None:
        if _client_of(settings) is not None:
            raise SettingsError(
                "ZINC_MCP_OAUTH_CLIENT_ID needs an issuer to sign in with.", "Set ZINC_MCP_OAUTH_ISSUER as well."
            )
        return None
    if not is_safe_address(issuer):
        raise SettingsError(
            "The OAuth issuer must be an https address without a query.", "Correct ZINC_MCP_OAUTH_ISSUER."
        )
    algorithms = settings.oauth_algorithms or ALGORITHMS
    unknown = [name for name in algorithms if name not in KEY_TYPES]
    if unknown:
        raise SettingsError(
            f"Access tokens cannot be signed with {unknown[0][:20]!r}.",
            f"ZINC_MCP_OAUTH_ALGORITHMS takes {', '.join(KEY_TYPES)}.",
        )
    scopes = settings.oauth_scopes or SCOPES
    if len(scopes) != len(RIGHTS) or len(set(scopes)) != len(RIGHTS) or not all(map(_is_scope, scopes)):
        raise SettingsError(
            "ZINC_MCP_OAUTH_SCOPES must name three scopes: to look, to order, and to decide about orders of others.",
            f"Leave it out for {','.join(SCOPES)}.",
        )
    audiences = settings.oauth_audience or tuple(f"{base}{path}" for path in RESOURCES)
    named = dict(zip(RIGHTS, scopes, strict=True))
    return Terms(issuer, audiences, algorithms, named, settings.oauth_everyone, base, _client_of(settings))


def _client_of(settings: Settings) -> Client | None:
    name, secret = settings.oauth_client_id, settings.oauth_client_secret
    if name is None:
        if secret is not None:
            raise SettingsError(
                "ZINC_MCP_OAUTH_CLIENT_SECRET is set without a client.", "Set ZINC_MCP_OAUTH_CLIENT_ID as well."
            )
        return None
    if len(name) > _MOST_CLIENT_ID_CHARACTERS or not all(33 <= ord(sign) <= 126 for sign in name):
        raise SettingsError(
            "That cannot be the id of a client.", "Give ZINC_MCP_OAUTH_CLIENT_ID exactly as the issuer shows it."
        )
    return Client(name, secret)


def is_safe_address(address: str) -> bool:
    """Say whether an address may be asked for keys: https, or http on this machine, and only host, port and path."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    hidden = parts.username is not None or parts.query or parts.fragment or not address.isprintable() or " " in address
    return bool(host) and port != 0 and is_confidential(parts.scheme, host or "") and not hidden


def _is_scope(name: str) -> bool:
    """Say whether this can be one scope (RFC 6749, section 3.3)."""
    return bool(name) and all(33 <= ord(sign) <= 126 and sign not in '"\\' for sign in name)


def _words(claim: object) -> list[str]:
    if isinstance(claim, str):
        return claim.split(" ")
    return [str(word) for word in cast(list[object], claim)] if isinstance(claim, list) else []
