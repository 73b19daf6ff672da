"""The sandbox's page on which a person says yes or no to a code, instead of Zinc's own page."""

from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.sign_in.sign_in import PAGE, decided, described, is_person, open_code, with_person

_MOST_BYTES = 4096
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SHEET = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Practice sign-in</title><style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:2rem auto;
padding:0 1rem}}code{{font-size:1.4rem}}button{{font:inherit;padding:.5rem 1.5rem;margin-right:1rem}}</style></head>
<body><h1>Practice sign-in</h1><p>This is the sandbox: nothing here is an account, and nothing is ever bought.</p>
{body}</body></html>
"""


async def show(sandbox: Sandbox, request: Request) -> Response:
    """`GET /device`: ask about the code in the query, or for a code."""
    given = request.query_params.get("user_code", "")
    row = open_code(sandbox, given) if given else None
    if row is None:
        wrong = "<p>There is no such code, or it has ended.</p>" if given else ""
        return with_person(sandbox, _sheet(wrong + _entry(), 404 if given else 200))
    about = described(sandbox, row)
    if about["status"] != "pending":
        return _sheet(_over(about["status"]))
    attached = "<p>Its test orders come along.</p>" if about["sandbox_attached"] else ""
    body = (
        f"<p><strong>{escape(about['name'])}</strong> ({escape(about['source'])}) asks for a key. Give it only if your "
        f"terminal shows this code:</p><p><code>{about['user_code']}</code></p>{attached}"
        f'<form method="post" action="{PAGE}"><input type="hidden" name="user_code" value="{about["user_code"]}">'
        '<button name="granted" value="yes">Yes, give it a key</button>'
        '<button name="granted" value="no">No</button></form>'
    )
    return with_person(sandbox, _sheet(body))


async def decide(sandbox: Sandbox, request: Request) -> Response:
    """`POST /device`: take a decision. Only a browser that has opened the page can decide."""
    content = await request.body()
    if not is_person(sandbox, request) or len(content) > _MOST_BYTES:
        return _sheet("<p>Open the page first.</p>" + _entry(), 403)
    fields = parse_qs(content.decode("ascii", "replace"))
    answer, code = fields.get("granted", [""])[0], fields.get("user_code", [""])[0]
    if answer not in ("yes", "no"):
        return _sheet("<p>Nothing was decided.</p>" + _entry(), 422)
    row = decided(sandbox, code, granted=answer == "yes")
    if row is None:
        return _sheet("<p>There is no such code, or it has ended.</p>" + _entry(), 404)
    return _sheet(_over(row["status"]))


def _entry() -> str:
    return (
        f'<form method="get" action="{PAGE}"><label>The code in your terminal <input name="user_code" '
        'autocomplete="off"></label> <button>Go on</button></form>'
    )


def _over(status: str) -> str:
    said = "It gets a key." if status == "approved" else "It gets no key."
    return f"<p><strong>{said}</strong> Go back to your terminal; this page can be closed.</p>"


def _sheet(body: str, status: int = 200) -> Response:
    return HTMLResponse(_SHEET.format(body=body), status, headers=_HEADERS)
