"""Make docs/hosts.md, the page about hosts, from the program's own table.

python -m bench.hosts_page            # print it
python -m bench.hosts_page --write    # write docs/hosts.md
"""

import argparse
import sys
from pathlib import Path, PurePath, PureWindowsPath

from zinc_mcp.hosts.entries import Remote, Start, entry_for
from zinc_mcp.hosts.machine import Machine, System, machine_of
from zinc_mcp.hosts.snippet import snippet
from zinc_mcp.hosts.table import HOSTS, Host

PAGE = Path(__file__).parents[1] / "docs" / "hosts.md"
PROGRAM = "/full/path/of/zinc-mcp"
URL = "https://zinc.example.com/mcp"
TOKEN = "TEAM_TOKEN"  # noqa: S105 - the name of a variable
_HOMES: dict[System, str] = {"mac": "~", "linux": "~", "windows": "%USERPROFILE%"}
_READ = {
    "json": "JSON, without comments",
    "commented": "JSON, with comments, without a comma after a last member",
    "jsonc": "JSON, with comments",
    "toml": "TOML",
    "yaml": "YAML",
}
_HANDED = {
    "all": "It hands a server all variables of the terminal.",
    "few": "Rely on no more variables than a few, such as `HOME` and `PATH`.",
    "not secrets": "It hands a server the variables of the terminal, but none with a name that looks secret.",
}
_BEGIN = """\
# Hosts

Made by `python -m bench.hosts_page --write` from the program's own table; nothing here is written by hand.

`zinc-mcp install HOST` puts this server into the file of a host, and `zinc-mcp uninstall HOST` takes it out again.
Without a name, `zinc-mcp install` lists the hosts that were used on this machine, and asks. `zinc-mcp status` says
which of them start this server; `zinc-mcp doctor` also starts it as each of them would, and lists its tools.

`install` changes a file in these steps. It reads the file, and does not change a file that its host could not read. It
shows the change and asks (not with `--yes`). It copies the file to one beside it that ends in `.before-zinc-mcp`. It
writes a new file and puts it in the old one's place, with the same mode, and with the same owner if it may. It reads
the result again. All other bytes of the file stay, comments included. `uninstall` restores the bytes from before, if
nobody has changed the file since; otherwise it removes only our entry.

- **No key is written into a host's file.** The server finds the key in its home (`HOME` in every host).
  An older entry of ours that holds a key is replaced only with `--force`, so that the key is not lost.
- **The entry starts what is installed now**, by its full path: an app has a short `PATH`. If you remove that
  environment, `zinc-mcp doctor` says so, and `install` from another one renews the entry. An entry of ours keeps its
  variables, such as limits and the sandbox, and your own choices, such as tools to leave out.
- **`--sandbox`** practises: nothing is bought. `--print` writes nothing and prints what to paste. For a host whose file
  is not written, `install` always prints.
- **`--remote URL`** is for a team's server. With `--token-env NAME` the host takes your token from that variable, if it
  can; the token itself is never written. Without this option the host signs in by OAuth, if that server offers it.
- A server of another program that has the name `zinc` is replaced only with `--force`. `uninstall` restores it, if
  nobody has changed the file since.
- Hosts with different homes keep different journals, so limits and repeats are counted in each journal alone.
  `zinc-mcp doctor` names them.
- The server asks you before it buys for real, whatever the host does. Only with `approval = "host"` in the policy the
  host alone asks. Then read the remarks below about calls without asking.

| host | name | its file | is written |
|---|---|---|---|
"""


def page() -> str:
    """Return the page in Markdown."""
    rows = [
        f"| {host.title} | {host.id} | {_READ[host.form]} | {'yes' if host.written else 'no: it is printed'} |\n"
        for host in HOSTS
    ]
    return _BEGIN + "".join(rows) + "".join(_section(host) for host in HOSTS)


def _section(host: Host) -> str:
    lines = ["", f"## {host.title}", ""]
    lines += [f"- {named}: `{path}`" for named, path in _paths(host)]
    lines.append(f"- The servers stand under `{'.'.join(host.key)}`.")
    lines.append(f"- {_HANDED[host.passes]}")
    lines += [f"- {host.note}"] if host.note else []
    lines.append(f"- After a change: {host.after}")
    lines += [f"- Calls without asking: {host.hazard}"] if host.hazard else []
    entry = entry_for(host, Start([PROGRAM], {"ZINC_MCP_SANDBOX": "1"}))
    lines += ["", f"```{_language(host)}", snippet(host, entry), "```"]
    if host.remote is None:
        lines += ["", f"A team's server: {host.no_remote}"]
    elif host.token is None:
        lines += ["", "A team's server that offers OAuth; it takes no token from a variable:", ""]
        lines += [f"```{_language(host)}", snippet(host, entry_for(host, Remote(URL))), "```"]
    else:
        lines += ["", f"A team's server, with the token in `{TOKEN}`:", ""]
        lines += [f"```{_language(host)}", snippet(host, entry_for(host, Remote(URL, TOKEN))), "```"]
    return "\n".join(lines) + "\n"


def _language(host: Host) -> str:
    return {"toml": "toml", "yaml": "yaml"}.get(host.form, "json")


def _paths(host: Host) -> list[tuple[str, str]]:
    found = {system: [str(path) for path in host.files(_machine(system))] for system in _HOMES}
    named = {"mac": "macOS", "linux": "Linux", "windows": "Windows"}
    if found["mac"] == found["linux"]:
        del found["mac"]
        named["linux"] = "macOS and Linux"
    return [(named[system], "` or `".join(paths)) for system, paths in found.items()]


def _machine(system: System) -> Machine:
    if system != "windows":
        return machine_of(system, _HOMES[system], {})
    environ = {"APPDATA": "%APPDATA%", "LOCALAPPDATA": "%LOCALAPPDATA%"}
    return Machine(system, PureWindowsPath(_HOMES[system]), environ, _packages)


def _packages(folder: PurePath, pattern: str) -> list[str]:
    return [pattern]


def main() -> int:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/hosts.md")
    if parser.parse_args().write:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
