"""The checks of the evidence file of a return or report.

Zinc keeps no field of ours with a return or a case, so there is no anchor.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from zinc_mcp.journal.records.entry import CHANGES
from zinc_mcp.text import plain
from zinc_mcp.views.evidence.check import Line, check_order, is_sound, part_of
from zinc_mcp.views.evidence.file import shown_of
from zinc_mcp.zinc.aftercare.returns import is_return
from zinc_mcp.zinc.credits import CaseSummary, ReturnSummary
from zinc_mcp.zinc.responses import Order


def is_about_a_change(document: Mapping[str, Any]) -> bool:
    """Say whether a file is about a return or report."""
    return part_of(document, "order").get("kind") in CHANGES


def check_content(document: Mapping[str, Any]) -> list[Line]:
    """Return lines that say whether the parts of the file agree with each other."""
    request = part_of(document, "request")
    if request.get("kept") is not True:
        return [Line("us", None, "The request's content was forgotten by a purge: its digests alone are left.")]
    said = [Line("us", None, "A return or report has no anchor: Zinc keeps no field of ours with it.")]
    if not isinstance(request.get("content"), str):
        sentence = "The bytes that were sent are not in the file (--with-address puts them in): see sha256."
        return [*said, Line("us", None, sentence)]
    content = str(request["content"]).encode()
    same = hashlib.sha256(content).hexdigest() == request.get("sha256") and shown_of(content) == request.get("public")
    what = "are" if same else "are not"
    return [*said, Line("file", same, f"The bytes in the file {what} the request that the file describes.")]


def check_at_zinc(document: Mapping[str, Any], order: Order) -> list[Line]:
    """Return lines that say whether the order, as Zinc shows it now, has the return or case of the file."""
    request, public = part_of(document, "request"), part_of(part_of(document, "request"), "public")
    is_a_return = part_of(document, "order").get("kind") == "return"
    name, listed = ("return", "returns") if is_a_return else ("case", "cases")
    said = check_order(document, order)
    if not is_sound(said):
        return said
    if part_of(document, "order").get("rail") == "v1":
        return [*said, Line("Zinc", None, f"Zinc's v1 shows no {name} with its order, so it confirms no more here.")]
    rows: Sequence[ReturnSummary | CaseSummary] = order.returns if is_a_return else order.cases
    zinc_id = request.get("zinc_id") or request.get("case_id")
    if not isinstance(zinc_id, str):
        return [*said, Line("Zinc", None, f"No id of the {name} is in the file, so Zinc can confirm no more.")]
    row = next((each for each in rows if each.id.lower() == zinc_id.lower()), None)
    if row is None:
        is_whole = listed not in order.rows_cut
        missing = f"Zinc does not show this {name} with the order."
        return [*said, Line("Zinc", False if is_whole else None, missing)]
    said.append(
        Line("Zinc", True, f"Zinc shows this {name} with the order, and says that it is {plain(row.status, 40)}.")
    )
    if request.get("kept") is not True:
        return said
    if isinstance(row, ReturnSummary):
        same = _is_same_return(row, public)
        said.append(Line("Zinc", same, f"Zinc's items and reason are {'the same' if same else 'OTHERS'}."))
    elif public.get("reason") is not None:  # a message and a closing say no reason
        same = row.reason == public["reason"]
        said.append(Line("Zinc", same, f"Zinc's reason is {'the same' if same else 'ANOTHER ONE'}."))
    return said


def unasked(document: Mapping[str, Any]) -> list[Line]:
    """Return a line about the facts that Zinc could confirm, for a check that does not ask it."""
    if not isinstance(part_of(document, "request").get("zinc_id"), str):
        return [Line("us", None, "No id of Zinc's is known for it, so Zinc can confirm nothing.")]
    return [Line("Zinc", None, "Zinc was not asked (--ask-zinc): it can confirm that it has it, and what it is about.")]


def _is_same_return(row: ReturnSummary, public: Mapping[str, Any]) -> bool:
    try:
        return is_return(row, public)
    except (KeyError, TypeError, ValueError, AttributeError):  # a forged file may hold what is no request
        return False
