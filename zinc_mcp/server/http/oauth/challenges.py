"""The answers that tell clients where to get an access token, and for which scopes (RFC 9728, RFC 6750)."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from zinc_mcp.known_settings import RIGHTS, Right
from zinc_mcp.owner.team.member import Identity
from zinc_mcp.server.http.oauth.terms import RESOURCES, Terms

METADATA_PATH = "/.well-known/oauth-protected-resource"
METADATA_PATHS = frozenset(f"{METADATA_PATH}{path}" for path in RESOURCES)
_RESOURCE_OF_MESSAGES = "/sse"


def metadata_routes(terms: Terms) -> list[Route]:
    """Return the routes of the metadata, one for each resource (RFC 9728, section 3)."""

    async def describe(request: Request) -> Response:
        resource = f"{terms.base}{request.url.path.removeprefix(METADATA_PATH)}"
        return JSONResponse(
            {
                "resource": resource,
                "authorization_servers": [terms.issuer],
                "scopes_supported": [terms.scopes[right] for right in RIGHTS],
                "bearer_methods_supported": ["header"],
                "resource_name": "Zinc orders",
            },
            headers={"Cache-Control": "max-age=300"},
        )

    return [Route(path, describe, methods=["GET"]) for path in sorted(METADATA_PATHS)]


def unauthorized(terms: Terms | None, path: str) -> Response:
    """Return the answer to a request without a token that counts.

    It names the scope for looking. A client that goes on to order is then told the scopes for that, and asks its
    person.
    """
    said = "A token of this server is needed."
    challenge = 'Bearer realm="zinc-mcp", error="invalid_token"'
    if terms is not None:
        challenge += f', error_description="{said}", {_where(terms, path)}, scope="{terms.names_of(["read"])}"'
    return JSONResponse({"error": "invalid_token", "error_description": said}, 401, {"WWW-Authenticate": challenge})


def insufficient(terms: Terms, path: str, needed: Sequence[Right]) -> Response:
    """Return the answer to a request that needs more scopes than its token has. It names all scopes that are needed.

    MCP (2025-11-25, Authorization, "Scope Challenge Handling"): a client then asks its person for these.
    """
    scope = terms.names_of(needed)
    said = f"This needs the scopes {scope}; nothing was done."
    challenge = f'Bearer error="insufficient_scope", error_description="{said}", {_where(terms, path)}, scope="{scope}"'
    body = {"error": "insufficient_scope", "error_description": said, "scope": scope}
    return JSONResponse(body, 403, {"WWW-Authenticate": challenge})


def not_let_in(identity: Identity) -> Response:
    """Return the answer to a person who signed in and is no member. Signing in once more would change nothing.

    It tells only this person the name by which we know them, so that they can be added.
    """
    told = f"{identity.subject} of {identity.issuer} is not a member of this server; its owner can add them."
    return JSONResponse(
        {"error": "not_a_member", "error_description": told, "iss": identity.issuer, "sub": identity.subject}, 403
    )


def _where(terms: Terms, path: str) -> str:
    resource = path if path in RESOURCES else _RESOURCE_OF_MESSAGES if path.startswith("/messages") else RESOURCES[0]
    return f'resource_metadata="{terms.base}{METADATA_PATH}{resource}"'
