"""`zinc-mcp install`, `uninstall` and `status`: this server in the files of the hosts on this machine."""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from zinc_mcp.cli.hosts.on_screen import in_words, say_written, server_record, show_change, show_notes, try_entry
from zinc_mcp.cli.screen import advice, agreed, show_command, show_line
from zinc_mcp.errors import RefusedError, ZincMcpError
from zinc_mcp.hosts.entries import NAME, Remote, Start, entry_for, remote_server
from zinc_mcp.hosts.machine import Machine, this_machine
from zinc_mcp.hosts.plan import carry_out, files_of, plan_install, plan_uninstall, was_used
from zinc_mcp.hosts.program import start_of_this_program
from zinc_mcp.hosts.record import read_record
from zinc_mcp.hosts.snippet import snippet
from zinc_mcp.hosts.survey import FoundEntry, look
from zinc_mcp.hosts.table import BY_ID, HOSTS, Host
from zinc_mcp.known_settings import did_you_mean
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.text import plain


@dataclass(frozen=True, slots=True)
class _Options:
    """The options of a command, and the home that holds the record of earlier changes."""

    home: Path
    force: bool
    yes: bool
    no_start: bool = False


_named = click.argument("hosts", nargs=-1, metavar="[HOST]...")
_yes = click.option("--yes", is_flag=True, help="Write without asking.")
_force = click.option("--force", is_flag=True, help=f"Also where another server has the name {NAME}.")


@click.command()
@_named
@click.option("--sandbox", is_flag=True, help="Practise: nothing is bought.")
@click.option("--remote", metavar="URL", help="A team's server at this address, instead of this program.")
@click.option("--token-env", metavar="NAME", help="With --remote: the variable that holds your token.")
@click.option("--print", "only_print", is_flag=True, help="Write nothing, and print what to paste.")
@click.option("--create", is_flag=True, help="Also for a host that was never used here.")
@click.option("--no-start", is_flag=True, help="Do not start the server to try the entry.")
@_force
@_yes
def install(
    hosts: tuple[str, ...],
    sandbox: bool,
    remote: str | None,
    token_env: str | None,
    only_print: bool,
    create: bool,
    no_start: bool,
    force: bool,
    yes: bool,
) -> None:
    """Put this server into the files of hosts. Without a name it lists the hosts that are here, and asks.

    It shows the change before it writes, keeps a copy of the file, and changes nothing else in it. No key is written:
    the server finds it in its home.
    """
    settings, machine = load_settings(), this_machine(os.environ)
    options = _Options(settings.home, force, yes, no_start)
    if sandbox and remote is not None:
        raise RefusedError(
            "A server elsewhere decides itself whether it practises.", owner_step="Leave --sandbox or --remote out."
        )
    practises = sandbox or (settings.sandbox and settings.sources["sandbox"].startswith("environment"))
    wanted = _wanted(sandbox=practises and remote is None, remote=remote, token_env=token_env)
    chosen = _chosen(hosts, [host for host in HOSTS if was_used(host, machine)], "install")

    def install_in(host: Host) -> bool:
        if only_print or not host.written:
            _print(host, machine, wanted)
            return True
        if not create and not was_used(host, machine):
            raise RefusedError(
                f"{host.title} was not used on this machine, so nothing was written.",
                owner_step="Start it once, or say --create to make its file all the same.",
            )
        ended = [_install(host, path, wanted, options) for path in files_of(host, machine)]
        return all(ended)

    _for_each(chosen, install_in)


@click.command()
@_named
@_force
@_yes
def uninstall(hosts: tuple[str, ...], force: bool, yes: bool) -> None:
    """Take this server out of the files of hosts again.

    A file that nobody has changed since becomes what it was before, byte for byte. From any other only our entry is
    removed.
    """
    options, machine = _Options(load_settings().home, force, yes), this_machine(os.environ)
    record = read_record(options.home)
    have_it = [each.host for each in look(machine, record) if any(seen.name == NAME for seen in each.seen)]

    def uninstall_from(host: Host) -> bool:
        if not host.written:
            show_line(f"{host.title}: its file is not written by this program. Remove the server {NAME} in it by hand.")
            return True
        paths = [path for path in map(Path, host.files(machine)) if os.path.lexists(path)]
        ended = [_uninstall(host, path, options) for path in paths]
        if not any(each is not None for each in ended):
            show_line(f"{host.title} has no server {NAME}; nothing was changed.")
        return all(each is not False for each in ended)

    _for_each(_chosen(hosts, have_it, "uninstall"), uninstall_from)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Say which hosts are on this machine, and which of them start this server, and how."""
    looked = list(look(this_machine(os.environ), read_record(load_settings().home)))
    if as_json:
        rows = [
            {
                "host": each.host.id,
                "files": [str(path) for path in each.files],
                "servers": [server_record(seen) for seen in each.seen],
                "problems": [plain(error.summary, 600) for error in each.trouble],
            }
            for each in looked
        ]
        click.echo(json.dumps({"hosts": rows}, indent=2))
        return
    for each in looked:
        said = [in_words(seen) for seen in each.seen] + [plain(error.summary, 600) for error in each.trouble]
        if not said:
            is_unread = each.host.form == "yaml" and each.files
            said = ["its file is not read here" if is_unread else "does not have this server"]
        for words in said:
            show_line(f"{each.host.title} ({each.host.id}): {words}")
    if not looked:
        show_line("No host that is known here was used on this machine.")
    click.echo("This tries the servers:")
    show_command("doctor")


def _wanted(*, sandbox: bool, remote: str | None, token_env: str | None) -> Start | Remote:
    if remote is None:
        if token_env is not None:
            raise RefusedError("--token-env goes with --remote.", owner_step="Give the address of the server as well.")
        return start_of_this_program(os.environ, sandbox=sandbox)
    return remote_server(remote, token_env)


def _chosen(names: Sequence[str], here: Sequence[Host], verb: str) -> list[Host]:
    """Return the hosts that are named, or that the person picks from those that are here."""
    if not names:
        _list(here, verb)
        if not here:
            sys.exit(1)
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            click.echo("Name some of them, as in:")
            if verb == "install":
                show_command("install", given=[here[0].id])
            else:
                show_command("uninstall", given=[here[0].id])
            sys.exit(1)
        names = click.prompt("Which? Names with blanks between them", default="", show_default=False).split()
        if not names:
            click.echo("Nothing was changed.")
            sys.exit(1)
    return [_host(name) for name in dict.fromkeys(names)]


def _list(here: Sequence[Host], verb: str) -> None:
    if verb == "install":
        click.echo("Hosts that were used on this machine:" if here else "No known host was used on this machine.")
    else:
        click.echo(f"Hosts that have the server {NAME}:" if here else f"No host has the server {NAME}.")
    width = max((len(host.id) for host in here), default=0)
    for host in here:
        click.echo(f"  {host.id:<{width}}  {host.title}{'' if host.written else ' (prints what to paste)'}")
    if not here and verb == "install":
        click.echo(f"These are known: {', '.join(BY_ID)}.")


def _host(name: str) -> Host:
    wanted = name.strip().lower().replace("_", "-").replace(" ", "-")
    if wanted not in BY_ID:
        raise RefusedError(
            f"There is no host {plain(name, 40)!r} here.{did_you_mean(wanted, BY_ID)} Nothing was changed.",
            owner_step=f"These are known: {', '.join(BY_ID)}.",
            code="invalid_arguments",
        )
    return BY_ID[wanted]


def _for_each(hosts: Sequence[Host], do: Callable[[Host], bool]) -> None:
    """Call a function for each host. A failure with one host does not stop the others."""
    is_well = True
    for host in hosts:
        try:
            is_well = do(host) and is_well
        except ZincMcpError as error:
            is_well = False
            click.echo(f"zinc-mcp: {plain(error.summary, 600)}\n{plain(advice(error), 1200)}", err=True)
    if not is_well:
        sys.exit(1)


def _print(host: Host, machine: Machine, wanted: Start | Remote) -> None:
    entry = entry_for(host, wanted)
    place = files_of(host, machine)[0] if host.form != "yaml" else host.files(machine)[0]
    show_line(f"{host.title}: paste this into {plain(place, 400)}, beside what is there already:")
    click.echo(snippet(host, entry))


def _install(host: Host, path: Path, wanted: Start | Remote, options: _Options) -> bool:
    plan = plan_install(host, path, wanted, read_record(options.home), force=options.force)
    if plan is None:
        show_line(f"{host.title}: {plain(path, 400)} has this entry already; nothing was changed.")
        return True
    show_change(plan)
    if not agreed("Change it so?", "change it", yes=options.yes):
        return False
    copy = carry_out(plan, options.home, time.time())
    say_written(copy)
    seen = FoundEntry(host, path, NAME, plan.entry or {}, is_ours=True)
    if isinstance(wanted, Start) and not options.no_start and not try_entry(seen):
        return False
    show_notes(seen, plan.content.other_names)
    show_line(host.after)
    click.echo("This takes it out again:")
    show_command("uninstall", given=[host.id])
    return True


def _uninstall(host: Host, path: Path, options: _Options) -> bool | None:
    """Take our entry out of one file; None if it has none."""
    plan = plan_uninstall(host, path, read_record(options.home), force=options.force)
    if plan is None:
        return None
    show_change(plan)
    if not agreed("Change it so?", "change it", yes=options.yes):
        return False
    copy = carry_out(plan, options.home, time.time())
    if plan.data is None:
        show_line("The file, which install had made, is removed.")
    elif plan.puts_back:
        show_line(f"The file is what it was before install, with the server {NAME} of then.")
    elif plan.is_exact:
        show_line("The file is what it was before install.")
    else:
        say_written(copy)
    show_line(f"If {host.title} runs, it may go on with it until it is started anew.")
    return True
