"""`zinc-mcp doctor`: print the configuration, what works, and what is wrong with a next step. It prints no secret."""

import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import anyio
import click

from zinc_mcp.cli.console import working
from zinc_mcp.cli.doctor.configured import configured
from zinc_mcp.cli.doctor.findings import Configured, Finding, findings_record, show_configured, show_finding
from zinc_mcp.cli.doctor.hosts import host_findings
from zinc_mcp.cli.doctor.journal import journal_findings
from zinc_mcp.cli.doctor.members import members
from zinc_mcp.cli.doctor.retailer_accounts import retailer_accounts
from zinc_mcp.cli.doctor.ways_to_buy import ways_to_buy
from zinc_mcp.cli.own_journal import open_journal
from zinc_mcp.cli.screen import advice, show_line, show_sentences
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.invocation import started_as
from zinc_mcp.owner.kept_settings import opened
from zinc_mcp.owner.notify import EVENTS
from zinc_mcp.owner.policy import Policy, read_policy
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.payments.tempo_chain import NETWORKS
from zinc_mcp.payments.terms import is_confidential_address
from zinc_mcp.proxies import UnusableRouteError, certificates, check_certificates, shown
from zinc_mcp.server.http.replicas import missing_for_replicas
from zinc_mcp.text import plain, printed
from zinc_mcp.zinc.account.account import get_health, get_wallet
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.origin import check_origin

_ZINC_SECONDS = 5.0
_PROXY_ADVICE = "Correct HTTPS_PROXY, or set ZINC_MCP_PROXY to none or to an address like http://proxy.example:3128."


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def doctor(as_json: bool) -> None:
    """Say what is configured, what can work and what is wrong.

    Ends with exit code 1 if something is wrong. Asks Zinc for its health, and for the balance when there is a key.
    """
    settings = opened(load_settings())
    stated = [Configured(name, value, settings.sources[name]) for name, value in configured(settings)]
    if as_json:
        findings = list(examine(settings))
    else:
        show_line(f"zinc-mcp {version('zinc-mcp')}, money: {settings.mode}")
        show_sentences(f"Started as `{started_as()}`")
        click.echo("")
        show_configured(stated)
        click.echo("")
        findings = list(_shown_one_by_one(examine(settings)))
    wrong = sum(finding.level == "wrong" for finding in findings)
    if as_json:
        record = {
            "version": version("zinc-mcp"),
            "started_as": started_as(),
            "mode": settings.mode,
            "settings": [asdict(each) for each in stated],
            "findings": findings_record(findings),
            "wrong": wrong,
        }
        click.echo(json.dumps(record, indent=2))
    else:
        click.echo(f"\n{f'{wrong} to mend.' if wrong else 'Nothing is wrong.'}")
    sys.exit(1 if wrong else 0)


def _shown_one_by_one(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Print and yield each finding as soon as it is there, because some checks wait for the network."""
    while True:
        with working("Checking..."):
            finding = next(findings, None)
        if finding is None:
            return
        show_finding(finding)
        yield finding


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield the findings, the cheapest check first."""
    for place in settings.unfilled:
        sentence = f"{place} holds a placeholder that was not filled in, so it counts as not set."
        yield Finding("wrong", "settings", sentence, "Fill it in where the host is configured, or remove it there.")
    for path in settings.readable:
        sentence = f"Other users of this machine can read {path}, which holds a secret."
        yield Finding("note", "config", sentence, f"chmod 600 {shlex.quote(str(path))}")
    policy = None
    try:
        policy = read_policy(settings)
        yield Finding("ok", "policy", limits_in_words(policy))
    except ZincMcpError as error:
        yield Finding("wrong", "policy", error.summary, "Correct it; until then every order is refused.")
    yield from _route(settings)
    yield from journal_findings(settings)
    yield from members(settings)
    for sentence, step in missing_for_replicas(settings):
        yield Finding("note", "replicas", sentence, step)
    yield from _notify(settings)
    yield from ways_to_buy(settings, policy)
    yield from retailer_accounts(settings, policy)
    yield from _zinc(settings)
    yield from host_findings(settings)


def _route(settings: Settings) -> Iterator[Finding]:
    """Yield the proxy for each host, and which certificates are trusted."""
    if settings.sandbox:
        return
    for host, url in _asked_hosts(settings):
        try:
            proxy = settings.route.proxy_to(url)
        except UnusableRouteError as error:
            yield Finding("wrong", "proxy", f"{error}.", _PROXY_ADVICE)
            return
        yield Finding("ok", "proxy", f"{host} through {plain(shown(proxy)) if proxy else 'none'}")
    named = certificates()
    try:
        check_certificates()
    except UnusableRouteError as error:
        yield Finding("wrong", "certificates", f"{error}.", "Correct the variable or remove it.")
        return
    where = f"those that {named[0]} names ({plain(named[1])})" if named else "the usual authorities"
    yield Finding("ok", "certificates", f"{where} are trusted")


def _asked_hosts(settings: Settings) -> Iterator[tuple[str, str]]:
    try:
        yield "Zinc", check_origin(settings.api_url)
    except ZincMcpError:
        pass  # `_zinc` reports it
    if settings.has_v1:
        with suppress(ZincMcpError):  # `ways_to_buy` reports it
            yield "Zinc's v1", check_origin(settings.v1_api_url, "ZINC_V1_API_URL")
    if settings.wallet == "tempo":
        network = NETWORKS.get(settings.tempo_chain_id or 4217)
        url = settings.tempo_rpc_url or (network.rpc_url if network else "")
        if is_confidential_address(url):  # `ways_to_buy` reports any other address
            yield "the Tempo node", url
    if settings.wallet == "stripe":
        yield "Stripe", "https://api.stripe.com"
    if settings.notify is not None and settings.notify.url is not None:
        yield "your messages", settings.notify.url.get_secret_value()


def limits_in_words(policy: Policy) -> str:
    """Return the limits that hold."""
    month = f", {printed(policy.max_month)} in 30 days" if policy.max_month is not None else ""
    count = f", {policy.max_orders_day} orders in 24 hours" if policy.max_orders_day is not None else ""
    asking: str = policy.approval or "auto"
    if policy.second_yes_above is not None:
        asking += f", and of another person above {printed(policy.second_yes_above)} in 24 hours"
    team = "".join(f", {key} {value}" for key, value in policy.team_lines())
    return (
        f"{printed(policy.max_order)} an order, {printed(policy.max_day)} in 24 hours{month}{count}{team}; "
        f"approval: {asking}"
    )


def _notify(settings: Settings) -> Iterator[Finding]:
    """Yield where the owner is told about orders, and what came of the latest message; nothing is sent."""
    notify = settings.notify
    if notify is None:
        return
    subject, place = "notify", plain(notify.place, 200)
    if notify.url is None and shutil.which(notify.command[0]) is None:
        yield Finding("wrong", subject, f"the command {place} cannot be found or started.", "Correct [notify].")
        return
    by = f"messages to {place}{'' if notify.secret else ', not signed'}" if notify.url else f"the command {place}"
    named = "everything" if len(notify.events) == len(EVENTS) else ", ".join(sorted(notify.events))
    yield Finding("ok", subject, f"{by}; about {named}", "This tries it:", ("notify", "test"))
    try:
        with open_journal(settings) as journal:
            last = journal.last_notice()
    except ZincMcpError:
        return  # `journal_findings` reports it
    if last:
        level: Literal["ok", "note"] = "ok" if last.get("ending") == "taken" else "note"
        yield Finding(level, subject, f"the latest message: {plain(last.get('said'), 200)}")


def _zinc(settings: Settings) -> Iterator[Finding]:
    if settings.sandbox:
        yield Finding("ok", "Zinc", "the built-in sandbox; no network is used")
        return
    try:
        check_origin(settings.api_url)
        health, wallet = anyio.run(partial(_ask_zinc, settings))
    except ZincMcpError as error:
        yield Finding("wrong", "Zinc", error.summary, advice(error))
        return
    yield Finding("ok", "Zinc", f"reachable, health: {plain(health, 40)}")
    if isinstance(wallet, ZincMcpError):
        yield Finding("wrong", "API key", wallet.summary, advice(wallet))
    elif wallet is not None:
        yield Finding("ok", "API key", _balance(wallet))


async def _ask_zinc(settings: Settings) -> tuple[str, Mapping[str, Any] | ZincMcpError | None]:
    client = ZincClient(settings.api_url, route=settings.route, read_seconds=_ZINC_SECONDS)
    try:
        health = await get_health(client)
        if settings.api_key is None:
            return health, None
        try:
            return health, await get_wallet(client, settings.api_key)
        except ZincMcpError as error:
            return health, error
    finally:
        await client.aclose()


def _balance(wallet: Mapping[str, Any]) -> str:
    balance, fee = wallet.get("spendable_balance", wallet.get("balance")), wallet.get("order_fee_cents")
    said = [f"balance {printed(balance)}"] if type(balance) is int else []
    said += [f"fee {printed(fee)} an order"] if type(fee) is int else []
    return "accepted" + (f"; {', '.join(said)}" if said else "")
