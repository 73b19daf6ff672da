"""The pages as documents: made from templates that escape all facts, with headers that keep everything else out."""

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from starlette.responses import HTMLResponse, Response

from zinc_mcp.invocation import invocation
from zinc_mcp.server.http.requests import PAGE_PATH
from zinc_mcp.text import plain, printed
from zinc_mcp.views.words import in_words

if TYPE_CHECKING:
    from jinja2 import Environment

_SHEETS = Path(__file__).with_name("sheets")
_AMOUNT = re.compile(r"-?(?:\b(?:CA|A|MX|NZ)?\$|[$€£]|\b[A-Z]{3} )[0-9][0-9,]*(?:\.[0-9]+)?")
"""An amount as `text.printed` prints it."""


def closed(title: str, sentence: str, status: int, *, token: str | None = None) -> Response:
    """Return a page that says why nothing is shown; with the token of a visit, it leads to the waiting questions."""
    return sheet(
        "closed.html", status, title=title, sentence=sentence, visit=token, path=PAGE_PATH, command=invocation()
    )


def sheet(name: str, status: int, **facts: Any) -> Response:
    """Return a page made from a template, which escapes all facts."""
    return HTMLResponse(_environment().get_template(name).render(facts), status, _headers())


def opener(address: str, secret: str) -> str:
    """Return a document that takes its reader to an approval page by a POST, so that no URL holds the secret."""
    script = _text("opener.js")
    return (
        _environment()
        .get_template("opener.html")
        .render(
            address=address,
            origin=address.partition("/approve/")[0],
            secret=secret,
            script=script,
            script_hash=_hash(script),
        )
    )


def _headers() -> Mapping[str, str]:
    """Return the headers that tell a browser to keep everything else out of the page."""
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src '{_hash(_text('sheet.css'))}'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        # Not `no-referrer`: that would make browsers send `Origin: null` with the page's own forms (Fetch, "append a
        # request Origin header"). Other sites are told nothing either way.
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # loaded when the first page is shown
    from markupsafe import Markup, escape

    environment = Environment(
        loader=FileSystemLoader(_SHEETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = _text("sheet.css")
    ours: dict[str, Any] = {"style": Markup(style), "style_hash": _hash(style)}  # noqa: S704  # ours
    cast(dict[str, Any], environment.globals).update(ours)

    def whole(text: str) -> Markup:
        """Keep each amount of a text on one line."""
        return Markup(_AMOUNT.sub(r'<span class="amount">\g<0></span>', str(escape(text))))  # noqa: S704  # escaped

    def money(cents: int) -> Markup:
        return whole(printed(cents))

    environment.filters.update(money=money, whole=whole, plain=plain, ours=Markup, in_words=in_words)
    return environment


@cache
def _text(name: str) -> str:
    return (_SHEETS / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
