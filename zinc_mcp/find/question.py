"""A question about products as an entry of the journal: its digest, and its answer as the entry keeps it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic

from zinc_mcp.journal.records.entry import Draft, Entry
from zinc_mcp.known_settings import Role
from zinc_mcp.rails import Rail
from zinc_mcp.zinc.find.products import LOOK_UP_CENTS, A, DataCall, LookUpAnswer, to_json
from zinc_mcp.zinc.orders import canonical

REMEMBERED_SECONDS = 600.0
MOST_KEPT_BYTES = 512 * 1024
"""The largest answer that is remembered. It is larger than any answer that is read."""


@dataclass(frozen=True, slots=True)
class Found(Generic[A]):
    """Zinc's answer, and its cost this time."""

    answer: A
    cost_cents: int
    age_seconds: float | None = None
    """The age of a remembered answer; None for a new one."""


def draft_of(caller: str, role: Role | None, rail: Rail, call: DataCall[Any]) -> Draft:
    """Return the entry of a question before it is opened. The same question has one digest for all callers."""
    asked = canonical(["look_up", rail.origin, call.path, call.compared]).encode()
    digest = hashlib.sha256(asked).hexdigest()[:40]
    return Draft(
        caller=caller,
        mode=rail.mode,
        origin=rail.origin,
        account=rail.account,
        rail=rail.name,
        twin=digest,
        body_digest=digest,
        given_key=None,
        to_bytes=lambda key: asked,
        ceiling_cents=LOOK_UP_CENTS,
        fee_cents=0,
        facts={"path": call.path},
        kind="look_up",
        role=role,
    )


def kept_facts(answer: LookUpAnswer) -> Mapping[str, Any]:
    """Return the facts with which an entry keeps an answer; none if it is too large."""
    content = to_json(answer)
    return {"answer": content} if len(canonical(content).encode()) <= MOST_KEPT_BYTES else {}


def kept_answer(call: DataCall[A], entry: Entry) -> A | None:
    """Return the answer that an entry keeps; None without one.

    Raises:
        UnreadableAnswerError: it is no answer to this question.
    """
    content = entry.facts.get("answer")
    return None if content is None else call.read(content)
