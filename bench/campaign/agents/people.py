"""The people of the campaign: they see the open questions, and answer current, old and doubled ones.

`python -m bench.campaign.agents.server people` is one of them: a process that opens the product as the page does (with
a way to pay) or as a terminal does (without one), and decides by the reference of the question that it saw. Before each
yes or no it writes down the answer, the bytes of the order, and the text of the question, so that the judge can
compare every POST with them.
"""

import json
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import anyio
import anyio.to_thread

from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.decisions import decide
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.records.decision import Decision, QuestionRef, reference_of
from zinc_mcp.journal.records.entry import Entry, StaleEntryError
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.process import Clocks, Process
from zinc_mcp.wiring import open_process

CALLER = "local"
_PAUSE = 0.08
_OLD = 0.25
"""The part of all looks at which a question that was seen before is answered as well."""

Plan = Literal["yes", "no", "twice", "both", "nothing"]
_PLANS: dict[Plan, int] = {"yes": 45, "no": 15, "twice": 15, "both": 10, "nothing": 15}


@dataclass(frozen=True, slots=True)
class Seen:
    """A question that a person has seen, and the digest of the bytes that a yes would send."""

    about: QuestionRef
    key: str
    mode: str
    body_sha256: str
    question: object
    """The text of the question."""


class Person:
    """Reads questions and decides, at random."""

    def __init__(self, process: Process, log: Path, seed: str) -> None:
        self._process = process
        self._log = log
        self._source = random.Random(seed)
        self._how: Literal["page", "terminal"] = "page" if process.rails else "terminal"
        self._seen: dict[str, Seen] = {}

    async def decide_for_ever(self) -> None:
        """Look at the open questions again and again, and answer them, and sometimes one that is over."""
        while True:
            with suppress(ZincMcpError):
                for entry in await questions_for(self._process, CALLER):
                    await self._look_at(entry)
            if self._seen and self._source.random() < _OLD:
                await self._decide(self._source.choice(list(self._seen.values())), yes=self._source.random() < 0.8)
            await anyio.sleep(_PAUSE)

    async def _look_at(self, entry: Entry) -> None:
        about = reference_of(entry)
        if about is None or about.id in self._seen or entry.body is None:
            return
        shown = (entry.consent or {}).get("question")
        seen = Seen(about, entry.key, entry.mode, sha256(entry.body).hexdigest(), shown)
        self._seen[about.id] = seen
        await anyio.sleep(self._source.uniform(0.0, 0.3))  # reading takes time
        plan = self._source.choices(list(_PLANS), list(_PLANS.values()))[0]
        async with anyio.create_task_group() as answers:
            if plan in ("yes", "twice", "both"):
                answers.start_soon(self._given, seen, True)
            if plan == "twice":
                answers.start_soon(self._given, seen, True)
            if plan in ("no", "both"):
                answers.start_soon(self._given, seen, False)

    async def _given(self, seen: Seen, yes: bool) -> None:
        await self._decide(seen, yes=yes)

    async def _decide(self, seen: Seen, *, yes: bool) -> None:
        facts = {**asdict(seen.about), "key": seen.key, "mode": seen.mode, "body_sha256": seen.body_sha256}
        facts["question"] = seen.question
        self._write({"at": time.time(), "yes": yes, "how": self._how, **facts})
        decision = Decision(seen.about, yes=yes, how=self._how, who="owner")
        result = "taken"
        try:
            await decide(self._process, decision, wait_seconds=0.0)
        except ZincMcpError as error:
            result = error.code
        except StaleEntryError:
            result = "stale"
        self._write({"at": time.time(), "yes": yes, "id": seen.about.id, "result": result})

    def _write(self, line: dict[str, object]) -> None:
        with self._log.open("a", encoding="ascii") as log:
            log.write(json.dumps(line) + "\n")


def run(clocks: Clocks, clock: Callable[[], float]) -> None:
    """Act as one person until stdin ends."""
    settings = load_settings()
    log, seed = Path(os.environ["CAMPAIGN_DECISIONS"]), os.environ["CAMPAIGN_SEED"]

    async def live() -> None:
        async with open_process(settings, clocks=clocks, clock=clock) as process, anyio.create_task_group() as tasks:
            tasks.start_soon(Person(process, log, seed).decide_for_ever)
            await anyio.to_thread.run_sync(_until_stdin_ends, abandon_on_cancel=True)
            tasks.cancel_scope.cancel()

    anyio.run(live)


def _until_stdin_ends() -> None:
    while os.read(0, 4096):
        pass
