"""A browser without a screen: it opens the file that opens the page, and sends the page's own forms.

It keeps cookies as browsers do; the page must need none.
"""

import html
import re
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

WINDOW = "0123456789abcdef" * 4
"""The value that the opening document's script would make."""


class Shown:
    """A desktop that keeps the files shown to the person, with their content at that moment."""

    def __init__(self, works: bool = True) -> None:
        self.works = works
        self.documents: list[str] = []
        self.paths: list[Path] = []

    def __call__(self, path: Path) -> bool:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        self.paths.append(path)
        self.documents.append(path.read_text(encoding="utf-8"))
        return self.works

    @property
    def address(self) -> str:
        """The address of the last page."""
        return html.unescape(re.findall(r'<form[^>]* action="([^"]+)"', self.documents[-1])[0])

    @property
    def secret(self) -> str:
        """The secret that opens the last page."""
        return fields(self.documents[-1])["secret"]


@dataclass
class Form:
    """One form of a page: its target and its hidden fields."""

    action: str | None
    fields: dict[str, str]
    buttons: list[str]


class Visitor:
    """One browser window, and the page that it shows."""

    def __init__(self, client: httpx.AsyncClient, address: str) -> None:
        self.client = client
        self.address = address
        self.page = ""

    @property
    def origin(self) -> str:
        """The page's own origin."""
        return self.address.partition("/approve/")[0]

    @property
    def visit(self) -> str:
        """The token of this visit, as it stands in the page's forms."""
        return fields(self.page)["visit"]

    async def send(
        self, origin: str | None = "", host: str | None = None, to: str | None = None, **form: str
    ) -> httpx.Response:
        """Post a form; by default from the page's own origin, None for a browser that names none."""
        headers = {} if origin is None else {"Origin": origin or self.origin}
        if host is not None:
            headers["Host"] = host
        return await self.client.post(self.address if to is None else self.origin + to, data=form, headers=headers)

    async def open(self, secret: str, window: str = WINDOW) -> httpx.Response:
        """Come from the file, which has no origin."""
        return self.shows(await self.send("null", secret=secret, window=window))

    async def sign_in(self, token: str) -> httpx.Response:
        """Send the form in which members sign in."""
        return self.shows(await self.send(token=token))

    async def view(self, to: str | None = None) -> httpx.Response:
        """Press the button that shows the page again, or the one that shows everything."""
        return self.shows(await self.send(to=to, visit=self.visit))

    async def look(self, to: str | None = None) -> str:
        """Return the text of the page, which must answer 200."""
        answer = await self.view(to)
        assert answer.status_code == 200, answer.text
        return words(answer.text)

    async def decide(self, decision: str, number: int = 0, **more: str) -> httpx.Response:
        """Press one of the buttons under a question of the page, by default under the first."""
        form = [each for each in forms(self.page) if "about" in each.fields][number]
        return self.shows(await self.send(to=form.action, **form.fields, decision=decision, **more))

    def shows(self, answer: httpx.Response) -> httpx.Response:
        """Keep the page that an answer shows, if it is one of this visit; return the answer."""
        if 'name="visit"' in answer.text:
            self.page = answer.text
        return answer


@asynccontextmanager
async def visitor(address: str) -> AsyncGenerator[Visitor]:
    """Give a browser of its own."""
    async with httpx.AsyncClient(timeout=20) as client:
        yield Visitor(client, address)


def words(page: str) -> str:
    """Return the visible text of a page in one line."""
    body = re.sub(r"<(style|script|head)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def forms(page: str) -> list[Form]:
    """Return the forms of a page."""
    found = re.findall(r"<form([^>]*)>(.*?)</form>", page, flags=re.DOTALL)
    return [Form(_attribute(head, "action"), fields(body), re.findall(r"<button", body)) for head, body in found]


def fields(page: str) -> dict[str, str]:
    """Return the hidden fields of a page or a form, the first of each name."""
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in reversed(hidden)}


def _attribute(head: str, name: str) -> str | None:
    found = re.search(rf'\b{name}="([^"]+)"', head)
    return None if found is None else html.unescape(found[1])
