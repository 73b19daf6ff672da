"""Whose request or call it is: noted in a request's scope, read by whatever works for it."""

from collections.abc import Mapping, MutableMapping
from typing import Any

_SCOPE_KEY = "zinc_mcp.member"


def member_of(scope: Mapping[str, Any]) -> str | None:
    """Return whose token this HTTP request carried: a member's caller, or `local`."""
    return scope.get(_SCOPE_KEY)


def let_in(scope: MutableMapping[str, Any], caller: str) -> None:
    """Note in a request's scope who makes it, for us and for the SDK.

    The SDK binds a session to `scope["user"]` and answers 404 to everybody else (mcp 2.3,
    `StreamableHTTPSessionManager._handle_stateful_request`, `SseServerTransport._handle_post_message`).
    """
    from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
    from mcp.server.auth.provider import AccessToken

    scope[_SCOPE_KEY] = caller
    scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=caller, scopes=[]))
