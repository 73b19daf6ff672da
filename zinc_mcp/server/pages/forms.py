"""The input of a visitor of the approval page: a form, and the entry that the path names."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from zinc_mcp.server.http.requests import is_announced_over

MAX_FORM_BYTES = 8192

Form = Mapping[str, str]


def entry_id(path: str) -> int | None:
    """Return the entry that a path names; None for all that wait, and 0 for a path that names no entry."""
    if not path:
        return None
    return int(path) if path.isascii() and path.isdecimal() and len(path) <= 18 else 0


async def read_form(request: Request) -> Form | None:
    """Return the form of a request; None if it has no form, or a too large one."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        return None
    if is_announced_over(request.scope, MAX_FORM_BYTES):
        return None
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_FORM_BYTES:
                return None
    except ClientDisconnect:
        return None  # nobody is there to be answered
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=8, errors="strict"))
    except ValueError:
        return None
