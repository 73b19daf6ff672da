"""Makes the page about clients, `docs/clients.md`, from the results of the trials."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.clients.environments import Client, Way
from bench.clients.kept import lost, statements
from bench.clients.trial import Seen

_NAMES = {"stdio": "stdio", "http": "HTTP", "sse": "SSE"}
_BESIDES = {
    "resources": "listed resources",
    "resource": "any order",
    "prompts": "listed prompts",
    "prompt": "any prompt",
}
"""The words for each ability of a client besides tools (`bench.clients.environments.Client.offers`)."""
HEADER = """\
| client | version | over | protocol | journey | the schema | besides tools | an error | asks | the model sees |
|---|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """A client with its results over each transport, or the reason why there are none."""

    client: Client
    version: str
    seen: Mapping[Way, Seen]
    skipped: str = ""


def page(rows: Sequence[Row], forms: Mapping[str, Mapping[str, Any]], ours: Mapping[str, Any]) -> str:
    """Return the whole page."""
    return f"""\
# Real clients

Made by `python -m bench.clients --write`; nothing here is written by hand. Each client is installed in an environment
of its own and driven without a model against a real server of ours and the practice Zinc. "Protocol" is the revision
that the client was heard to speak; two clients can be told which, and are tried with both.

The journey uses every tool: search, check a product, place an order and follow it to its end, pay another by wallet,
list the orders, ask for the balance, try to cancel what is placed already, send the order back, report a problem and
read it again, and be refused twice, by a limit and for an argument that does not exist. Then the client gets what it
can of the resources (the list, an order) and the prompts. With a person to be asked, it orders, sends back and reports
a problem with a yes to each; a client that cannot ask is told where to decide instead, and withdraws the question.

"The schema" compares what the client's converter hands to a model with what the server publishes, of every tool: each
name, type, required field and choice, at every depth. "Besides tools" names the resources and prompts that a person or
a program can get through the client. "Asks" says whether it can ask its person. "The model sees" is the half of a
result that reaches it.

{HEADER}{"".join(_row(row) for row in rows)}
Each half of a result states the same facts, and the text of a failure begins with "Error:", since several clients do
not pass the mark on. Where a client cannot ask, or has no person, the answer says where to decide instead.

## Nested objects: inlined, not in `$defs`

The same arguments were published in both forms. Each converter lost so many of {len(statements(ours))} statements:

| converter | inlined | in `$defs`, with `$ref` |
|---|---|---|
{"".join(_form(name, tools, ours) for name, tools in forms.items())}
One converter here keeps only references. Others refuse references or lose them, and most of these are hosts: the
Gemini API and Gemini CLI (google-gemini/gemini-cli#13326, #13142), Codex (openai/codex#3152), n8n (n8n-io/n8n#25964),
Copilot CLI (github/copilot-cli#1876), OpenCode (anomalyco/opencode#12295), Kiro and Cursor (davideast/stitch-mcp#184),
Moonshot (MoonshotAI/kimi-code#830), Open WebUI (open-webui/computer#87). So objects stay inlined, and the names that an
order or a return needs stand in the descriptions of `products`, `shipping_address` and `items` as well, which that
converter keeps.
"""


def table(rows: Sequence[Row]) -> str:
    """Return the table alone."""
    return HEADER + "".join(_row(row) for row in rows)


def _row(row: Row) -> str:
    if row.skipped:
        return f"| {row.client.name} | | | skipped: {_cell(row.skipped)} | | | | | | |\n"
    groups: dict[tuple[str, ...], list[str]] = {}
    for way, seen in row.seen.items():
        groups.setdefault(_cells(row.client, seen), []).append(_NAMES[way.transport])
    return "".join(
        f"| {row.client.name} | {row.version} | {', '.join(over)} | {' | '.join(cells)} |\n"
        for cells, over in groups.items()
    )


def _cells(client: Client, seen: Seen) -> tuple[str, ...]:
    if seen.failures:
        return (seen.spoke, f"no: {_cell('; '.join(seen.failures))}", "", "", "", "", "")
    schema = [_loss(name, gone) for name, gone in seen.lost.items() if gone] or ["all fields"]
    besides = ", ".join(said for what, said in _BESIDES.items() if what in client.offers) or "nothing"
    error = f"{seen.mark or 'no mark'}, says it"
    return (seen.spoke, "yes", "; ".join(schema), besides, error, "yes" if seen.asked else "no", seen.half)


def _loss(name: str, gone: Sequence[str]) -> str:
    shown = ", ".join(f"`{each}`" for each in gone[:2])
    more = f" and {len(gone) - 2} more" if len(gone) > 2 else ""
    return f"{name and name + ': '}loses {shown}{more}"


def _form(name: str, tools: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    counts = [
        str(len(lost(ours, tools[form]))) if isinstance(tools.get(form), dict) else _cell(str(tools.get(form)))
        for form in ("inlined", "defs")
    ]
    return f"| {name} | {' | '.join(counts)} |\n"


def _cell(text: str) -> str:
    """Return the words about a failure, without addresses and paths of this machine."""
    return " ".join(re.sub(r"\w+://\S+|(?<![\w.])/[\w./-]+", "…", text).replace("|", "/").split())
