"""Try real clients against a real server, without a model, and print the results or write docs/clients.md.

Each client is installed from its own registry into an environment below `--scratch`, which is kept and used again where
it is given. Nothing else leaves this machine: there is no log-in and no model, and all orders go to the practice Zinc.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.callers import ROOT, started
from bench.clients.environments import CLIENTS, ONE_A_TRANSPORT, Client, NotHadError, Way, made
from bench.clients.journey import OURS
from bench.clients.table import Row, page, table
from bench.clients.trial import listed_forms, tried

PAGE = ROOT / "docs" / "clients.md"


async def ran(clients: dict[Client, tuple[Way, ...]], scratch: Path, with_forms: bool) -> tuple[list[Row], Any]:
    """Try each client in each way; return the rows and, if asked, each client's version of the schema forms."""
    rows: list[Row] = []
    forms: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-clients-") as homes:
        async with started(["-m", "zinc_mcp", "sandbox", "--port", "0", "--pace", "10"], {}) as process:
            assert process.stdout is not None
            zinc = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
            for client, ways in clients.items():
                try:
                    environment = await asyncio.to_thread(made, client, scratch)
                except NotHadError as error:
                    rows.append(Row(client, "", {}, str(error)))
                    print(f"{client.name}: skipped, {error}", file=sys.stderr)
                    continue
                home = Path(homes) / client.driver
                seen = {
                    way: await tried(client, environment, way, zinc, home / way.transport / way.era) for way in ways
                }
                rows.append(Row(client, environment.version, seen))
                if with_forms:
                    forms |= await listed_forms(client, environment)
                for way, each in seen.items():
                    said = "; ".join(each.failures) or "ok"
                    print(f"{client.name}, {way.transport}, {each.spoke}: {said}", file=sys.stderr)
    return rows, forms


def main() -> int:
    """Try the clients, print the table or write the page, and return 1 if a client failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/clients.md")
    parser.add_argument("--one-a-transport", action="store_true", help="one client for each transport")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this client; may be repeated")
    parser.add_argument("--scratch", type=Path, help="keep the environments here")
    given = parser.parse_args()
    known = {client.name: client for client in CLIENTS}
    unknown = set(given.only or ()) - known.keys()
    if unknown:
        parser.error(f"no such client: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if given.one_a_transport:
        wanted: dict[Client, tuple[Way, ...]] = {known[name]: (Way(over),) for over, name in ONE_A_TRANSPORT.items()}
    else:
        wanted = {client: client.ways for client in CLIENTS if client.name in (given.only or known)}
    if given.scratch is None:
        with tempfile.TemporaryDirectory(prefix="zinc-mcp-environments-") as scratch:
            rows, forms = asyncio.run(ran(wanted, Path(scratch), given.write))
    else:
        rows, forms = asyncio.run(ran(wanted, given.scratch.resolve(), given.write))
    if given.write:
        PAGE.write_text(page(rows, forms, OURS["place_order"]), encoding="utf-8")
    else:
        print(table(rows))
    return int(any(seen.failures for row in rows for seen in row.seen.values()))


if __name__ == "__main__":
    sys.exit(main())
