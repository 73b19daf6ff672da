"""A host is asked only in a way that it declares, and opening an approval page buys nothing."""

import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from mcp import ClientSession
from mcp.types import (
    ClientCapabilities,
    ElicitationCapability,
    FormElicitationCapability,
    UrlElicitationCapability,
)
from server.as_a_host import both_eras, said
from server.in_a_process import ClockInAFile
from server.test_consent_matrix import Somebody, on_pipes, on_the_wire
from variants import rare
from wanted import arguments, book

from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.pin import hashed
from zinc_mcp.process import Clocks

unix = pytest.mark.skipif(sys.platform == "win32", reason="a shell, and a browser that is a script")


@pytest.fixture
def clock(tmp_path: Path) -> ClockInAFile:
    return ClockInAFile(tmp_path / "time")


Kind = Literal["form", "url", "both", "neither"]
KINDS: tuple[Kind, ...] = ("form", "url", "both", "neither")


@contextmanager
def declaring(kind: Kind) -> Generator[None]:
    """Let the SDK's client, which declares both ways of asking, declare others."""
    form, url = FormElicitationCapability(), UrlElicitationCapability()
    declared = {
        "form": ElicitationCapability(form=form),
        "url": ElicitationCapability(url=url),
        "both": ElicitationCapability(form=form, url=url),
    }
    capabilities = ClientCapabilities(elicitation=declared.get(kind))

    def declared_by(session: ClientSession, version: str) -> ClientCapabilities:
        return capabilities

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ClientSession, "_build_capabilities", declared_by)
        yield


def goods(number: int, why_not_a_form: str) -> list[dict[str, Any]]:
    """Return products; so many that no form can hold the question if that is the reason against a form."""
    if why_not_a_form != "its length":
        return book(number)
    return [{"url": f"https://www.amazon.com/{'x' * 1_900}/dp/B{number:04d}{each:05d}"} for each in range(20)]


def asked_of(kind: Kind, why_not_a_form: str) -> str:
    """Return the way in which a host is asked: a form first, and only what it declares."""
    if kind in ("form", "both") and not why_not_a_form:
        return "form"
    return "url" if kind in ("url", "both") else "nothing"


@pytest.mark.sampled(2)
@both_eras
@pytest.mark.parametrize(
    ("why_not_a_form", "transport"),
    [
        pytest.param("", "stdio", marks=unix),
        ("the policy", "mcp"),
        ("a PIN", "mcp"),
        ("its length", "mcp"),
        rare("", "mcp"),
        *(
            pytest.param(why, "stdio", marks=[unix, pytest.mark.thorough])
            for why in ("the policy", "a PIN", "its length")
        ),
    ],
)
async def test_a_host_is_asked_in_a_way_that_it_declares_and_opening_a_page_buys_nothing(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clock: ClockInAFile,
    clocks: Clocks,
    home: Path,
    tmp_path: Path,
    write_config: Callable[[str], Path],
    mode: str,
    transport: str,
    why_not_a_form: str,
) -> None:
    approval = "page" if why_not_a_form == "the policy" else "auto"
    write_config(f'[policy]\napproval = "{approval}"\nmax_day = 1000000\n')
    if why_not_a_form == "a PIN":
        with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
            journal.set_pin(hashed("246810"))
    stdio = transport == "stdio"
    async with on_pipes(tmp_path, clock, zinc, home) if stdio else on_the_wire(transport, open_test_process) as place:
        for number, kind in enumerate(KINDS):
            person, posts = Somebody("elicits", mode, clock, place.pages), len(zinc.posts)
            wanted = asked_of(kind, why_not_a_form)
            short = replace(
                clocks, wire_seconds=30.0, form_seconds=20.0, answer_seconds=20.0 if wanted == "form" else 0.5
            )
            with declaring(kind), anyio.fail_after(60):
                async with place.connect(person, short) as client:
                    result = await client.call_tool("place_order", arguments(products=goods(number, why_not_a_form)))
                    await person.has_a_page() if wanted != "form" else None
            facts = said(result)
            assert person.modes == ([] if wanted == "nothing" else [wanted]), kind
            assert facts["outcome"] == ("accepted" if wanted == "form" else "waiting"), kind
            assert len(zinc.posts) - posts == (1 if wanted == "form" else 0), kind
            assert (person.pages() > person.pages_before) == (wanted != "form"), kind
            for address in person.addresses:
                assert re.fullmatch(r"http://127\.0\.0\.1:\d+/approve/\d+", address), "it holds nothing but a number"
                assert address not in result.model_dump_json()
