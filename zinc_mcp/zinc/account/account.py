"""The account's own facts at Zinc: balance, order fee, and whether Zinc works."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from zinc_mcp.zinc.client import ZincClient, members

_CHALLENGE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")  # base64url, which may begin with any of its letters


async def get_wallet(client: ZincClient, api_key: SecretStr) -> Mapping[str, Any]:
    """Read `GET /wallet/me`: the Zinc balance and the order fee, in cents."""
    return members(await client.get_json("/wallet/me", api_key))


async def get_health(client: ZincClient) -> str:
    """Read `GET /health` (public) and return its `status`."""
    status = members(await client.get_json("/health")).get("status")
    return status if isinstance(status, str) else "unknown"


async def get_practice_settlement(client: ZincClient, challenge_id: str) -> Mapping[str, Any]:
    """Read the ending of a practice payment. Only our sandbox has this endpoint."""
    if not _CHALLENGE_ID.fullmatch(challenge_id):
        return {}
    return members(await client.get_json(f"/practice/settlements/{challenge_id}"))
