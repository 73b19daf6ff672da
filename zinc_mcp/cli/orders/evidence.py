"""`zinc-mcp orders evidence KEY` makes an evidence file; `zinc-mcp evidence verify FILE` prints what it proves."""

import json
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast, get_args

import anyio
import click

from zinc_mcp.cli.own_journal import open_journal
from zinc_mcp.cli.screen import show_line
from zinc_mcp.errors import OrderNotFoundError, RefusedError, ZincMcpError
from zinc_mcp.invocation import command
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry, Mode
from zinc_mcp.owner.secrets.evidence_key import is_signed, public_key, sign
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.process import Process
from zinc_mcp.text import plain
from zinc_mcp.views.evidence import change_check as of_change
from zinc_mcp.views.evidence import check as checking
from zinc_mcp.views.evidence.file import evidence as content_of
from zinc_mcp.views.evidence.file import signed_content
from zinc_mcp.wiring import open_process
from zinc_mcp.zinc.responses import Order

_RESTS_ON: Mapping[str, str] = {"Zinc": "Zinc ", "chain": "chain", "file": "file ", "us": "us   "}


@click.command("evidence")
@click.argument("key_or_id")
@click.option("--with-address", is_flag=True, help="Put in who it is for: name, address, and all that was sent.")
@click.option("--mode", type=click.Choice(get_args(Mode)), help="Of several with this key: its mode.")
@click.option("--caller", metavar="NAME", help="Of several with this key: whose it is.")
def make_evidence(key_or_id: str, with_address: bool, mode: Mode | None, caller: str | None) -> None:
    """Print a signed JSON file about one order, for a dispute: what was asked, decided, sent and answered."""
    settings = load_settings()
    with open_journal(settings) as journal:
        entry = _one(journal, key_or_id, mode, caller)
        events, payment = journal.events(entry.id), journal.payment(entry.id)
    program = f"zinc-mcp {version('zinc-mcp')}"
    document = content_of(entry, events, payment, with_address=with_address, program=program, now=time.time())
    public, signature = sign(settings.home, signed_content(document))
    signed = {**document, "signature": {"algorithm": "Ed25519", "public_key": public, "value": signature}}
    click.echo(json.dumps(signed, indent=2, ensure_ascii=True))


@click.group()
def evidence() -> None:
    """Check evidence files, which `orders evidence` makes."""


@evidence.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--ask-zinc", is_flag=True, help="Read the order at Zinc and compare.")
def verify(file: Path, ask_zinc: bool) -> None:
    """Say line by line what a file proves. Ends with exit code 1 if anything contradicts it."""
    with file.open("rb") as opened:
        content = opened.read(checking.MAX_FILE_BYTES + 1)
    document = checking.read(content) if len(content) <= checking.MAX_FILE_BYTES else None
    if document is None:
        raise RefusedError("This is not an evidence file.", owner_step="`orders evidence` makes one.")
    settings = load_settings()
    found: object = document.get("signature")
    signature = cast(dict[str, Any], found) if isinstance(found, dict) else dict[str, Any]()
    signed = is_signed(str(signature.get("public_key")), str(signature.get("value")), signed_content(document))
    lines = checking.check_signature(document, is_signed=signed, home_key=public_key(settings.home))
    if of_change.is_about_a_change(document):
        lines += of_change.check_content(document)
        told = of_change.unasked
    else:
        lines += checking.check_content(document)
        told = checking.unasked
    lines += _at_zinc(settings, document) if ask_zinc else told(document)
    lines += checking.resting_on_us(document)
    for line in lines:
        mark = {True: "ok   ", False: "WRONG", None: "-    "}[line.is_right]
        show_line(f"  {mark} {_RESTS_ON[line.rests_on]}  {line.sentence}")
    is_sound = checking.is_sound(lines)
    click.echo("\nNothing contradicts the file." if is_sound else "\nThe file is not to be believed.")
    sys.exit(0 if is_sound else 1)


def _one(journal: Journal, handle: str, mode: Mode | None, caller: str | None) -> Entry:
    found = [
        entry for entry in journal.all_under(handle) if mode in (None, entry.mode) and caller in (None, entry.caller)
    ]
    if not found:
        raise OrderNotFoundError(
            "No order with this key or id is in the journal.", owner_step=f"{command('orders')} lists them."
        )
    if len(found) > 1:
        shared = "; ".join(f"--mode {entry.mode} --caller {plain(entry.caller, 64)}" for entry in found[:10])
        raise RefusedError("Several orders share this key.", owner_step=f"Say which one beside the key: {shared}")
    return found[0]


def _at_zinc(settings: Settings, document: Mapping[str, Any]) -> list[checking.Line]:
    found: object = document.get("order")
    claimed = cast(dict[str, Any], found) if isinstance(found, dict) else dict[str, Any]()
    order_id = claimed.get("order_id")
    if not isinstance(order_id, str):
        return checking.unasked(document)
    try:
        order = anyio.run(_read, settings, order_id, str(claimed.get("rail")))
    except ZincMcpError as error:
        return [checking.Line("Zinc", None, f"Zinc could not confirm it: {plain(error.summary, 200)}")]
    if of_change.is_about_a_change(document):
        return of_change.check_at_zinc(document, order)
    return checking.check_at_zinc(document, order)


async def _read(settings: Settings, order_id: str, rail: str) -> Order:
    failure: ZincMcpError | None = None
    order: Order | None = None
    async with open_process(settings) as process:
        try:
            order = await _asked(process, order_id, rail)
        except ZincMcpError as error:  # raised after the process is closed, whose tasks would wrap it in a group
            failure = error
    if failure is not None:
        raise failure
    if order is None:
        raise OrderNotFoundError("This home cannot read the order at Zinc.")
    return order


async def _asked(process: Process, order_id: str, rail: str) -> Order | None:
    """Read an order at Zinc: by the API key, or, where a wallet paid, by the order's own key from this journal."""
    if rail != "agent":
        payer = process.rails.get("v1" if rail == "v1" else "account")
        return None if payer is None else await payer.read(order_id)
    entry = await process.journal.find(order_id)
    paying = process.rails["agent"].paying if "agent" in process.rails else None
    payment = None if entry is None else await process.unwritten.payment(entry.id)
    if paying is None or payment is None or payment.order_key is None:
        return None
    return await paying.read_paid(order_id, payment.order_key)
