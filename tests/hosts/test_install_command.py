"""`zinc-mcp install`, `uninstall` and `status`, as a person types them and pastes what they print."""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from hosts.shapes import FILES
from keyboard import at_a_terminal
from mcp import Client, StdioServerParameters
from pasting import pasted
from started import PLANTED, ROOT, Started
from variants import rare
from wanted import LISTED

from zinc_mcp.errors import RefusedError
from zinc_mcp.hosts.entries import Start
from zinc_mcp.hosts.files import read_file, replace
from zinc_mcp.hosts.plan import carry_out, plan_install, plan_uninstall
from zinc_mcp.hosts.record import read_record
from zinc_mcp.hosts.table import HOSTS, Host

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")

SERVERS = {"claude-desktop": "mcpServers", "claude-code": "mcpServers", "cursor": "mcpServers", "vscode": "servers"}
FEW = {"PATH": "/usr/bin:/bin"}


class Desk:
    """A person's home in which some hosts were used."""

    def __init__(self, folder: Path, *hosts: str) -> None:
        self.user = folder / "user's home"
        self.user.mkdir()
        self.home = self.user / ".zinc-mcp"
        for host in hosts:
            (self.user / ("x" if host == "claude-code" else FILES[host])).parent.mkdir(parents=True, exist_ok=True)
            if host == "claude-code":
                (self.user / ".claude").mkdir()
        self.started = Started(folder)
        kept = {name: value for name, value in self.started.environment.items() if not name.endswith("_HOME")}
        self.started.environment = {**kept, "HOME": str(self.user), "ZINC_MCP_HOME": str(self.home)}

    def file(self, host: str) -> Path:
        return self.user / FILES[host]

    def run(self, *words: str, **variables: str) -> tuple[int, str]:
        ended = self.started.run(*words, **variables)
        return ended.returncode, ended.stdout + ended.stderr

    def typed(self, *words: str, keys: list[tuple[str, str]]) -> tuple[int, str]:
        return at_a_terminal(words, self.started.environment, keys, cwd=self.user)

    def bare(self) -> dict[str, str]:
        return {"HOME": str(self.user)}


def test_on_a_terminal_it_shows_the_change_and_asks(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor")
    before = sorted(desk.user.rglob("*"))
    code, screen = desk.typed("install", "cursor", keys=[("Change it so?", "n")])
    assert code == 1
    assert "Nothing was changed." in screen
    assert sorted(desk.user.rglob("*")) == before
    code, screen = desk.typed("install", "cursor", "--sandbox", keys=[("Change it so?", "y")])
    assert code == 0, screen
    assert screen.index("+ mcpServers.zinc") < screen.index("Change it so?") < screen.index("Done.")
    assert f"it lists {len(LISTED)} tools" in screen
    entry = json.loads(desk.file("cursor").read_text())["mcpServers"]["zinc"]
    assert json.dumps(entry["env"]) in screen.replace("\n", "").replace("  ", "") or '"ZINC_MCP_SANDBOX": "1"' in screen


def test_without_a_name_it_lists_what_is_here_and_asks(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "codex", "gemini")
    code, screen = desk.typed("install", "--no-start", keys=[("Which?", "gemini"), ("Change it so?", "y")])
    assert code == 0, screen
    assert re.search(r"codex +Codex\n +gemini +Gemini CLI\n", screen)
    assert desk.file("gemini").exists() and not desk.file("codex").exists()
    code, screen = desk.typed("uninstall", keys=[("Which?", "")])
    assert (code, "Nothing was changed." in screen) == (1, True)
    assert "codex" not in screen


def test_without_a_terminal_and_without_a_name_it_says_what_to_type(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "codex")
    code, said = desk.run("install")
    assert code == 1
    line = said.strip().splitlines()[-1].strip()
    assert line.endswith("install codex")
    code, screen = pasted(line, [("Change it so?", "n")], Path("/"), desk.bare())
    assert (code, "Nothing was changed." in screen) == (1, True), screen


def test_a_machine_without_hosts_is_told_which_are_known(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for command in ("install", "uninstall", "status"):
        code, said = desk.run(command)
        assert code == (0 if command == "status" else 1)
        assert "Traceback" not in said
    assert "claude-desktop, claude-code" in desk.run("install")[1]
    assert list(desk.user.iterdir()) == []


def test_a_host_that_was_never_used_gets_a_file_only_with_create(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    code, said = desk.run("install", "vscode", "--yes", "--no-start")
    assert (code, "--create" in said) == (1, True)
    assert list(desk.user.iterdir()) == []
    code, said = desk.run("install", "vscode", "--yes", "--no-start", "--create")
    assert code == 0, said
    path = desk.file("vscode")
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o600, 0o700]


def test_a_name_that_is_no_host_is_answered_with_the_nearest(tmp_path: Path) -> None:
    code, said = Desk(tmp_path, "claude-code").run("install", "claude-cod", "--yes")
    assert code == 1
    assert "Did you mean claude-code?" in said


def test_one_host_that_cannot_be_changed_does_not_keep_the_others_from_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor", "gemini")
    desk.file("cursor").write_text("{ broken")
    code, said = desk.run("install", "cursor", "gemini", "--yes", "--no-start")
    assert (code, "cannot be read" in said) == (1, True)
    assert desk.file("cursor").read_text() == "{ broken"
    assert "zinc" in json.loads(desk.file("gemini").read_text())["mcpServers"]


async def test_a_written_entry_starts_with_nothing_but_a_home_and_a_short_path(tmp_path: Path) -> None:
    desk = Desk(tmp_path, *FILES)
    code, said = desk.run("install", *FILES, "--sandbox", "--yes", "--no-start")
    assert code == 0, said
    code, said = desk.run("status", "--json")
    rows = {row["host"]: row["servers"][0] for row in json.loads(said)["hosts"]}
    assert rows.keys() == FILES.keys()
    [command] = {tuple(row["command"]) for row in rows.values()}
    assert os.path.isabs(command[0])
    assert all(row["environment"]["ZINC_MCP_SANDBOX"] == "1" for row in rows.values())
    [home] = {row["environment"]["ZINC_MCP_HOME"] for row in rows.values()}
    assert home == str(desk.home)
    environ = {**FEW, **desk.bare(), **rows["codex"]["environment"]}
    async with Client(
        StdioServerParameters(command=command[0], args=list(command[1:]), env=environ, cwd="/")
    ) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == LISTED


def test_each_printed_command_works_as_printed(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor", "codex")
    code, screen = desk.run("install", "cursor", "--sandbox", "--yes", "--no-start")
    assert code == 0, screen
    [line] = [each.strip() for each in screen.splitlines() if each.endswith("uninstall cursor")]
    code, screen = pasted(line, [("Change it so?", "y")], Path("/"), desk.bare())
    assert (code, desk.file("cursor").exists()) == (0, False), screen
    [line] = [each.strip() for each in desk.run("status")[1].splitlines() if each.endswith("doctor")]
    assert pasted(f"{line} >/dev/null; true", (), Path("/"), desk.bare())[0] == 0
    desk.file("codex").write_text("[mcp_servers.zinc]\ncommand = '/gone/zinc-mcp'\n")
    screen = desk.run("doctor", ZINC_MCP_SANDBOX="1")[1]
    [line] = [each.strip() for each in screen.splitlines() if each.endswith("install codex")]
    code, screen = pasted(line, [("Change it so?", "y")], Path("/"), desk.bare())
    assert code == 0, screen
    assert re.search(r"it lists \d+ tools", screen)


@pytest.mark.parametrize("host", [each.id for each in HOSTS])
def test_an_entry_to_paste_is_printed_for_every_host_and_nothing_is_written(tmp_path: Path, host: str) -> None:
    desk = Desk(tmp_path)
    code, said = desk.run("install", host, "--print", "--sandbox")
    assert code == 0, said
    assert "ZINC_MCP_SANDBOX" in said
    assert list(desk.user.iterdir()) == []


def test_a_host_whose_file_is_not_written_is_told_what_to_paste(tmp_path: Path) -> None:
    code, said = Desk(tmp_path).run("install", "windsurf", "--yes")
    assert (code, "paste this into" in said, '"mcpServers"' in said) == (0, True, True)


def test_a_teams_server_is_written_without_its_token_and_known_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "codex", "claude-code", "claude-desktop")
    words = ("--remote", "https://team.example/mcp", "--token-env", "TEAM_TOKEN", "--yes")
    code, said = desk.run("install", "codex", "claude-code", *words, TEAM_TOKEN=PLANTED)
    assert code == 0, said
    written = desk.file("codex").read_text() + desk.file("claude-code").read_text()
    assert PLANTED not in written
    assert 'bearer_token_env_var = "TEAM_TOKEN"' in written
    assert desk.run("install", "codex", *words)[1].count("nothing was changed") == 1
    code, said = desk.run("install", "claude-desktop", *words)
    assert (code, "Connectors" in said) == (1, True)
    code, said = desk.run("uninstall", "codex", "claude-code", "--yes")
    assert code == 0, said
    assert not desk.file("codex").exists() and not desk.file("claude-code").exists()


def test_from_a_program_to_a_team_and_back_the_first_bytes_come_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "codex")
    before = "# mine\n[mcp_servers.docs]\ncommand = 'd'"
    desk.file("codex").write_text(before)
    for words in (["--sandbox"], ["--remote", "https://team.example/mcp"], ["--sandbox"], []):
        code, said = desk.run("install", "codex", *words, "--yes", "--no-start")
        assert code == 0, said
    assert "url" not in desk.file("codex").read_text()
    assert desk.run("uninstall", "codex", "--yes")[0] == 0
    assert desk.file("codex").read_text() == before


def test_a_journal_whose_address_may_hold_a_password_is_not_written(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor")
    code, said = desk.run("install", "cursor", "--yes", ZINC_MCP_JOURNAL=f"postgresql://ada:{PLANTED}@db/zinc")
    assert (code, "zinc.toml" in said) == (1, True)
    assert not desk.file("cursor").exists()


def test_a_program_in_a_cache_that_may_be_emptied_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor")
    passing = tmp_path / "cache" / "uv" / "archive-v0" / "x1" / "bin"
    passing.mkdir(parents=True)
    (passing / "python").symlink_to(sys.executable)
    places = os.pathsep.join([str(ROOT), *(each for each in sys.path if each.endswith("site-packages"))])
    ended = subprocess.run(
        [passing / "python", "-m", "zinc_mcp", "install", "cursor", "--yes"],
        env={**desk.started.environment, "PYTHONPATH": places},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (ended.returncode, "cache" in ended.stderr) == (1, True), ended.stderr
    assert not desk.file("cursor").exists()


class Environment:
    """A virtual environment of its own, whose interpreter finds this program."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=True)
        self.programs = folder / "bin"
        self.python = self.programs / "python"
        (places,) = folder.glob("lib/python*/site-packages")
        found = [str(ROOT), *(each for each in sys.path if each.endswith("site-packages"))]
        (places / "this_program.pth").write_text("\n".join(found))

    def script(self, interpreter: Path | str) -> Path:
        """Put a script there as installers write it."""
        path = self.programs / "zinc-mcp"
        path.write_text(f"#!{interpreter}\nfrom zinc_mcp.__main__ import main\nmain()\n")
        path.chmod(0o755)
        return path

    def install(self, desk: Desk) -> dict[str, object]:
        """Install into Cursor with it, and return the entry."""
        ended = subprocess.run(
            [self.python, "-m", "zinc_mcp", "install", "cursor", "--sandbox", "--yes"],
            env={name: value for name, value in desk.started.environment.items() if name != "PYTHONPATH"},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        entry: dict[str, object] = json.loads(desk.file("cursor").read_text())["mcpServers"]["zinc"]
        return entry


@pytest.mark.parametrize("another", [True, rare(False)])
def test_without_a_script_of_its_own_the_interpreter_is_started_with_the_module(tmp_path: Path, another: bool) -> None:
    desk, environment = Desk(tmp_path, "cursor"), Environment(tmp_path / "venv")
    if another:
        environment.script("/usr/bin/python3")
    entry = environment.install(desk)
    assert (entry["command"], entry["args"]) == (str(environment.python), ["-m", "zinc_mcp"])


@pytest.mark.thorough
def test_a_tool_of_uv_is_started_by_the_link_that_it_keeps(tmp_path: Path) -> None:
    desk, environment = Desk(tmp_path, "cursor"), Environment(tmp_path / "uv" / "tools" / "zinc-mcp")
    script = environment.script(environment.python)
    assert environment.install(desk)["command"] == str(script)
    link = desk.user / ".local" / "bin" / "zinc-mcp"
    link.parent.mkdir(parents=True)
    link.symlink_to(script)
    assert environment.install(desk)["command"] == str(link)


def test_a_file_that_another_program_changes_meanwhile_is_left_as_that_program_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text("{}")
    found = read_file(path)
    path.write_text('{"theirs": 1}')
    with pytest.raises(RefusedError, match="changed by another program"):
        replace(found, b"{}")
    assert path.read_text() == '{"theirs": 1}'
    assert list(tmp_path.iterdir()) == [path]


def test_if_the_file_cannot_be_replaced_the_record_and_the_folder_are_as_before(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor")
    desk.file("cursor").write_text("{}")
    # A folder's name that is as long as one may be: no file beside it can have a longer one.
    long = desk.file("cursor").with_name("m" * 251 + ".x")
    long.write_text("{}")
    desk.file("cursor").unlink()
    desk.file("cursor").symlink_to(long)
    code, said = desk.run("install", "cursor", "--yes", "--no-start")
    assert (code, "cannot be written" in said) == (1, True), said
    assert sorted(desk.file("cursor").parent.iterdir()) == sorted([desk.file("cursor"), long])
    assert read_record(desk.home) == {}


def _installed(folder: Path) -> tuple[Desk, Host, Path]:
    """Install the server in Cursor, whose file has a setting of its own; return the host and this file as well."""
    desk = Desk(folder, "cursor")
    path = desk.file("cursor")
    path.write_text('{"a": 1}')
    assert desk.run("install", "cursor", "--yes", "--no-start")[0] == 0
    return desk, next(each for each in HOSTS if each.id == "cursor"), path


def test_a_plan_whose_file_was_changed_meanwhile_leaves_record_file_and_folder_as_they_are(tmp_path: Path) -> None:
    desk, host, path = _installed(tmp_path)
    before, names = read_record(desk.home), sorted(path.parent.iterdir())
    coming = plan_install(host, path, Start(["/other/zinc-mcp"]), before, force=False)
    going = plan_uninstall(host, path, before, force=False)
    path.write_text(path.read_text() + "\n")
    text = path.read_text()
    for plan in (coming, going):
        assert plan is not None
        with pytest.raises(RefusedError, match="changed by another program"):
            carry_out(plan, desk.home, 1_795_000_000.0)
        assert (read_record(desk.home), path.read_text()) == (before, text)
        assert sorted(path.parent.iterdir()) == names


def test_an_uninstall_stands_even_if_the_record_cannot_be_written(tmp_path: Path) -> None:
    desk, host, path = _installed(tmp_path)
    before = read_record(desk.home)
    plan = plan_uninstall(host, path, before, force=False)
    assert plan is not None
    in_the_way = desk.home / f"hosts.json.{os.getpid()}.new"
    in_the_way.mkdir()  # a record is written under this name first
    carry_out(plan, desk.home, 1_795_000_000.0)
    assert (path.read_text(), read_record(desk.home)) == ('{"a": 1}', before)
    in_the_way.rmdir()
    assert desk.run("uninstall", "cursor", "--yes")[0] == 0
    assert desk.run("install", "cursor", "--yes", "--no-start")[0] == 0
    assert desk.run("uninstall", "cursor", "--yes")[0] == 0
    assert path.read_text() == '{"a": 1}'


def test_a_record_that_is_lost_or_broken_only_costs_exactness(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor")
    for broken in (None, "", "{", '{"files": 3}', '{"files": {"x": {"cuts": 1}}}', "[]"):
        desk.file("cursor").write_text('{"a": 1}')
        assert desk.run("install", "cursor", "--yes", "--no-start")[0] == 0
        record = desk.home / "hosts.json"
        assert stat.S_IMODE(record.stat().st_mode) == 0o600
        record.unlink() if broken is None else record.write_text(broken)
        code, said = desk.run("uninstall", "cursor", "--yes")
        assert code == 0, said
        assert json.loads(desk.file("cursor").read_text()) == {"a": 1, "mcpServers": {}}


def test_the_record_and_the_copies_hold_no_more_than_they_need(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor")
    desk.file("cursor").write_text(json.dumps({"mcpServers": {"a": {"env": {"KEY": PLANTED}}}}))
    desk.file("cursor").chmod(0o600)
    code, said = desk.run("install", "cursor", "--yes", "--no-start")
    assert (code, PLANTED in said) == (0, False)
    assert PLANTED not in (desk.home / "hosts.json").read_text()
    [copy] = desk.file("cursor").parent.glob("*.before-zinc-mcp")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert str(copy) in said
    words = shlex.split(f"cp {shlex.quote(str(copy))} {shlex.quote(str(desk.file('cursor')))}")
    shutil.copy(words[1], words[2])  # which is all it takes to go back by hand
    assert PLANTED in desk.file("cursor").read_text()


def test_a_terminal_that_practises_installs_a_server_that_practises(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor")
    code, said = desk.run("install", "cursor", "--yes", "--no-start", ZINC_MCP_SANDBOX="1", ZINC_MCP_MAX_DAY="100")
    assert code == 0, said
    assert json.loads(desk.file("cursor").read_text())["mcpServers"]["zinc"]["env"]["ZINC_MCP_SANDBOX"] == "1"
    assert "It practises: nothing is bought." in said
    assert re.search(r"Set in this terminal and not written: .*ZINC_MCP_MAX_DAY", said)


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("", "It has no API key and no payment wallet yet"),
        (f'api_key = "{PLANTED}"\n', "It can buy for real."),
        ('api_key = "zn_test_1"\n', "It has a test key"),
        ("sandbox = true\n", "It practises"),
    ],
)
def test_install_says_what_the_server_can_do_with_money_in_that_host(tmp_path: Path, toml: str, told: str) -> None:
    desk = Desk(tmp_path, "gemini")
    desk.home.mkdir(mode=0o700)
    (desk.home / "zinc.toml").write_text(toml)
    (desk.home / "zinc.toml").chmod(0o600)
    code, said = desk.run("install", "gemini", "--yes", "--no-start", ZINC_API_KEY="zn_live_of_the_terminal")
    assert (code, told in said) == (0, True), said
    assert re.search(r"Set in this terminal and not written: .*ZINC_API_KEY", said)
    assert "zn_live" not in desk.file("gemini").read_text()


def test_an_entry_that_changes_from_a_program_to_an_address_keeps_nothing_that_its_host_would_refuse(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path, "codex")
    text = '[mcp_servers.zinc]\ncommand = "zinc-mcp"\nenv_vars = ["X"]\nenabled_tools = ["get_order"]\n'
    desk.file("codex").write_text(text)
    code, said = desk.run("install", "codex", "--remote", "https://team.example/mcp", "--yes")
    assert code == 0, said
    written = desk.file("codex").read_text()
    assert written == '[mcp_servers.zinc]\nurl = "https://team.example/mcp"\nenabled_tools = ["get_order"]\n'


def test_an_entry_that_is_switched_off_stays_so_and_that_is_said(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor")
    entry = {"command": "/old/zinc-mcp", "disabled": True}
    desk.file("cursor").write_text(json.dumps({"mcpServers": {"zinc": entry}}))
    code, said = desk.run("install", "cursor", "--yes", "--no-start")
    assert (code, "switched off" in said) == (0, True)


def test_the_text_of_a_file_cannot_steer_the_terminal(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor")
    entry = {"command": "/old/zinc-mcp", "note\u009b31m": "\u202eabc\u009b2J", "env": {"\u009b1m": "\u009b1m"}}
    desk.file("cursor").write_text(json.dumps({"mcpServers": {"zinc": entry}}, ensure_ascii=False))
    for words in (["install", "cursor", "--yes", "--no-start"], ["status"], ["status", "--json"], ["doctor"]):
        said = desk.run(*words, ZINC_MCP_SANDBOX="1")[1]
        assert not {"\u009b", "\u202e", "\x1b"} & set(said), words


def test_a_huge_comment_that_does_not_end_is_refused_at_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "vscode")
    desk.file("vscode").write_text("/*" * 2_000_000)
    code, said = desk.run("install", "vscode", "--yes", "--no-start")
    assert (code, "does not end" in said) == (1, True)
