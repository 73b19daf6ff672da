"""A browser without a screen: opens the file that opens the page, keeps cookies, sends the page's own forms."""

import html
import re
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx


class Shown:
    """Stands for the desktop: remembers which files were put before the person, as they were then."""

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
        """Where the last page is."""
        return _attribute(self.documents[-1], "action")

    @property
    def secret(self) -> str:
        """What opens the last page."""
        return _attribute(self.documents[-1], "value")


class Visitor:
    """One browser at one address."""

    def __init__(self, client: httpx.AsyncClient, address: str) -> None:
        self.client = client
        self.address = address

    @property
    def origin(self) -> str:
        """The page's own origin."""
        return self.address.partition("/approve/")[0]

    async def send(self, origin: str | None = "", host: str | None = None, **form: str) -> httpx.Response:
        """Post a form; by default from the page's own origin, None for a browser that names none."""
        headers = {} if origin is None else {"Origin": origin or self.origin}
        if host is not None:
            headers["Host"] = host
        return await self.client.post(self.address, data=form, headers=headers)

    async def open(self, secret: str) -> httpx.Response:
        """Come from the file, which has no origin."""
        return await self.send("null", secret=secret)

    async def look(self) -> str:
        """Return what the page shows, which must be there."""
        answer = await self.client.get(self.address)
        assert answer.status_code == 200, answer.text
        return words(answer.text)

    async def csrf(self) -> str:
        """Return what stands in the page's form."""
        return _attribute((await self.client.get(self.address)).text, "value")

    async def decide(self, decision: str, **more: str) -> httpx.Response:
        """Press one of the page's buttons."""
        return await self.send(csrf=await self.csrf(), decision=decision, **more)


@asynccontextmanager
async def visitor(address: str) -> AsyncGenerator[Visitor]:
    """Give a browser of its own."""
    async with httpx.AsyncClient(timeout=20) as client:
        yield Visitor(client, address)


def words(page: str) -> str:
    """Return what a person reads of a page, in one line."""
    body = re.sub(r"<(style|script|head)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def _attribute(document: str, name: str) -> str:
    found = re.search(rf'<(?:form|input)[^>]*\b{name}="([^"]+)"', document)
    assert found is not None, words(document)
    return html.unescape(found[1])
