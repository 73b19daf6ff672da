"""Makes the page about clients, `docs/clients.md`, from what they did."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.clients.environments import Client
from bench.clients.kept import lost, statements
from bench.clients.trial import Seen

_NAMES = {"stdio": "stdio", "http": "HTTP", "sse": "SSE"}
HEADER = """\
| client | version | over | tools, order, follow, refuse | the schema | an error | asks its person | the model sees |
|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """A client with its results over each transport, or the reason why there are none."""

    client: Client
    version: str
    seen: Mapping[str, Seen]
    skipped: str = ""


def page(rows: Sequence[Row], forms: Mapping[str, Mapping[str, Any]], ours: Mapping[str, Any]) -> str:
    """Return the whole page."""
    return f"""\
# Real clients

Made by `python -m bench.clients --write`; nothing here is written by hand. Each client is installed in an environment
of its own and driven without a model against a real server of ours and the practice Zinc. It lists the tools, searches,
checks a product, places an order and follows it, lists the orders, asks for the balance, tries to cancel what is placed
already, sends the order back, reports a problem, and is refused twice: by a limit, and for an argument that does not
exist. "The schema" compares what the client's converter hands to a model with what the server publishes, of every tool:
each name, type, required field and choice, at every depth. "The model sees" says which half of a result reaches it.

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
order needs stand in the descriptions of `products` and `shipping_address` as well, which that converter keeps.
"""


def table(rows: Sequence[Row]) -> str:
    """Return the table alone."""
    return HEADER + "".join(_row(row) for row in rows)


def _row(row: Row) -> str:
    if row.skipped:
        return f"| {row.client.name} | | | skipped: {_cell(row.skipped)} | | | | |\n"
    groups: dict[tuple[str, ...], list[str]] = {}
    for transport, seen in row.seen.items():
        groups.setdefault(_cells(row.client, seen), []).append(_NAMES[transport])
    return "".join(
        f"| {row.client.name} | {row.version} | {', '.join(over)} | {' | '.join(cells)} |\n"
        for cells, over in groups.items()
    )


def _cells(client: Client, seen: Seen) -> tuple[str, ...]:
    if seen.failures:
        return (f"no: {_cell('; '.join(seen.failures))}", "", "", "", "")
    schema = [_loss(name, gone) for name, gone in seen.lost.items() if gone] or ["all fields"]
    asks = ("yes" if seen.asked else "cannot here") if client.asks else "no"
    return ("yes", "; ".join(schema), f"{seen.mark or 'no mark'}, says it", asks, seen.half)


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
