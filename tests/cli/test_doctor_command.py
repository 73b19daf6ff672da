"""`zinc-mcp doctor` and `policy` say what is configured and what is wrong, and never show a secret."""

import ast
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import get_args

import preloaded
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from started import PLANTED, Started
from wanted import book, intent

from zinc_mcp import errors
from zinc_mcp.checkout.place_order import place
from zinc_mcp.cli.screen import BY_CODE, advice
from zinc_mcp.errors import ErrorCode, RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.members import add_member
from zinc_mcp.owner.pin import hashed
from zinc_mcp.owner.team.member import Identity

NOBODY = "http://127.0.0.1:9"


def in_words(screen: str) -> str:
    return " ".join(screen.split())


ADDRESS = """
[addresses.home]
first_name = "Ada"
last_name = "Lovelace"
address_line1 = "1 Secret St"
city = "New York"
state = "NY"
postal_code = "10001"
phone_number = "2125550100"
"""


@pytest.fixture
def clock() -> Callable[[], float]:
    return time.time  # the commands' own


@pytest.fixture
def sandbox_url(tmp_path: Path) -> Generator[str]:
    """A sandbox on a port, run by the command itself."""
    with subprocess.Popen(
        [*preloaded.command("zinc_mcp"), "sandbox", "--port", "0"],
        env=Started(tmp_path).environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as running:
        assert running.stdout is not None
        try:
            yield running.stdout.readline().strip()
        finally:
            running.send_signal(signal.SIGTERM)


def test_practising_needs_nothing_and_nothing_is_wrong(tmp_path: Path) -> None:
    ended = Started(tmp_path).run("doctor", ZINC_MCP_SANDBOX="1")
    assert ended.returncode == 0
    assert "money: sandbox" in ended.stdout
    assert "sandbox on (environment ZINC_MCP_SANDBOX)" in in_words(ended.stdout)
    assert "Nothing is wrong." in ended.stdout


def test_without_a_key_it_says_which_setting_is_missing(tmp_path: Path) -> None:
    ended = Started(tmp_path).run("doctor", ZINC_API_URL=NOBODY)
    assert ended.returncode == 1
    assert "WRONG place_order: needs an API key." in ended.stdout
    assert "ZINC_MCP_SANDBOX=1" in ended.stdout


def test_a_test_key_against_a_zinc_that_answers_is_accepted(tmp_path: Path, sandbox_url: str) -> None:
    ended = Started(tmp_path).run("doctor", ZINC_API_URL=sandbox_url, ZINC_API_KEY="zn_test_1")
    assert "ok    Zinc: reachable" in ended.stdout
    assert "ok    API key: accepted; balance $" in ended.stdout
    assert ended.returncode == 0


def test_a_key_that_zinc_refuses_is_named_as_such(tmp_path: Path, sandbox_url: str) -> None:
    ended = Started(tmp_path).run("doctor", ZINC_API_URL=sandbox_url, ZINC_API_KEY=PLANTED, ZINC_MCP_APPROVAL="none")
    assert "WRONG API key:" in ended.stdout
    assert ended.returncode == 1


def test_doctor_names_the_person_who_will_be_asked_with_a_live_key(tmp_path: Path) -> None:
    started = Started(tmp_path)
    by_default = started.run("doctor", ZINC_API_URL=NOBODY, ZINC_API_KEY=PLANTED).stdout
    assert "ok    place_order: buys for real; you are asked in your host, on a page or in a terminal" in by_default
    trusting = started.run("doctor", ZINC_API_URL=NOBODY, ZINC_API_KEY=PLANTED, ZINC_MCP_APPROVAL="host").stdout
    assert "ok    place_order: buys for real; your MCP host asks, nothing else does" in trusting
    unasked = started.run("doctor", ZINC_API_URL=NOBODY, ZINC_API_KEY=PLANTED, ZINC_MCP_APPROVAL="none").stdout
    assert "nobody is asked, the limits alone hold" in unasked


def test_a_wallet_that_is_not_whole_is_wrong_and_shows_no_secret(tmp_path: Path) -> None:
    started = Started(tmp_path)
    missing = started.run("doctor", ZINC_API_URL=NOBODY, ZINC_WALLET="tempo").stdout
    assert "WRONG place_agent_order: ZINC_WALLET is tempo, but ZINC_TEMPO_PRIVATE_KEY is not set." in missing
    whole = started.run(
        "doctor",
        ZINC_API_URL=NOBODY,
        ZINC_WALLET="stripe",
        ZINC_STRIPE_SECRET_KEY="rk_test_" + PLANTED.replace("_", ""),
        ZINC_STRIPE_PAYMENT_METHOD="pm_1",
    ).stdout
    assert "ok    place_agent_order: pays for real with the wallet stripe" in whole
    assert "stripe_secret_key set" in in_words(whole)


def test_a_zinc_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    ended = Started(tmp_path).run("doctor", ZINC_API_URL=NOBODY, ZINC_API_KEY="zn_test_1")
    assert "WRONG Zinc: Zinc could not be reached" in ended.stdout


@pytest.mark.parametrize("url", ["http://api.zinc.com", f"ftp://{PLANTED}", "zinc"])
def test_an_address_that_is_no_zinc_is_wrong_and_not_repeated(tmp_path: Path, url: str) -> None:
    ended = Started(tmp_path).run("doctor", ZINC_API_URL=url, ZINC_API_KEY="zn_test_1")
    assert "api_url not usable" in in_words(ended.stdout)
    assert "WRONG Zinc: ZINC_API_URL" in ended.stdout


def test_no_secret_of_any_source_is_printed(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.configure(f'api_key = "{PLANTED}"\njournal = "postgresql://u:{PLANTED}@127.0.0.1:9/z"\n{ADDRESS}')
    ended = started.run("doctor", ZINC_API_URL=NOBODY, ZINC_TEMPO_PRIVATE_KEY=PLANTED)
    assert ended.returncode == 1
    assert "api_key set (zinc.toml api_key)" in in_words(ended.stdout)
    assert "journal PostgreSQL (zinc.toml journal)" in in_words(ended.stdout)
    assert "WRONG journal:" in ended.stdout
    assert "addresses: 1 saved: home" in ended.stdout
    assert "Secret St" not in ended.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX")
def test_a_key_that_other_users_can_read_is_noted(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.configure('api_key = "zn_test_1"\n')
    started.config.chmod(0o644)
    assert "chmod 600" in started.run("doctor", ZINC_MCP_SANDBOX="1").stdout
    started.config.chmod(0o600)
    assert "chmod 600" not in started.run("doctor", ZINC_MCP_SANDBOX="1").stdout


def test_a_broken_policy_and_a_broken_address_are_both_named(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.configure(f"[policy]\nmax_ordr = 5\n{ADDRESS.replace('10001', 'abc')}")
    ended = started.run("doctor", ZINC_MCP_SANDBOX="1")
    assert ended.returncode == 1
    assert "WRONG policy:" in ended.stdout
    assert "max_ordr" in ended.stdout
    assert "WRONG addresses:" in ended.stdout
    assert "2 to mend." in ended.stdout


def test_a_pause_is_noted(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.run("pause", "on holiday")
    assert "note  pause: paused: on holiday" in started.run("doctor", ZINC_MCP_SANDBOX="1").stdout


def test_the_browser_and_the_pin_are_named_and_the_pin_is_not_shown(tmp_path: Path) -> None:
    started = Started(tmp_path)
    off = started.run("doctor", ZINC_MCP_SANDBOX="1").stdout
    assert "browser the approval page never opens in it (environment ZINC_MCP_BROWSER)" in in_words(off)
    assert "ok    PIN: not set" in off
    with Journal.open(f"sqlite:///{started.home / 'journal.db'}") as journal:
        journal.set_pin(hashed("2468-planted"))
    on = started.run("doctor", ZINC_MCP_SANDBOX="1", ZINC_MCP_BROWSER="").stdout
    assert "browser the approval page may open in it (default)" in in_words(on)
    assert "ok    PIN: set; every yes needs it" in on
    assert "2468" not in on
    assert "scrypt" not in on


async def test_the_policy_says_what_each_member_has_used(
    open_test_process: OpenProcess, tmp_path: Path, home: Path
) -> None:
    started = Started(tmp_path)
    async with open_test_process() as ours:
        await place(ours, intent("ada"))
        await place(ours, intent("ada", products=book(2)))
    alone = Started(tmp_path / "alone").run("policy").stdout
    assert alone.endswith(
        "Used of the limits (live):\n  local: $0.00 by 0 orders in 24 hours, $0.00 by 0 orders in 30 days\n"
    )
    add_member(home / "members.json", "bob")
    told = started.run("policy", ZINC_API_KEY="zn_test_1").stdout
    used = told[told.index("Used of the limits (test)") :].splitlines()[1:]
    assert used == [
        "  local: $0.00 by 0 orders in 24 hours, $0.00 by 0 orders in 30 days",
        "  bob: $0.00 by 0 orders in 24 hours, $0.00 by 0 orders in 30 days",
        "  ada: $102.00 by 2 orders in 24 hours, $102.00 by 2 orders in 30 days",
    ]


def test_the_doctor_names_members_who_count_as_two_people_where_everybody_of_an_issuer_is_let_in(
    tmp_path: Path,
) -> None:
    started = Started(tmp_path)
    issuer = "https://id.example.com/realms/team"
    started.configure(f'sandbox = true\noauth_issuer = "{issuer}"\noauth_everyone = true\n')
    members = started.home / "members.json"
    add_member(members, "ada", identities=[Identity(issuer, "8f1c")])
    add_member(members, "boss", role="admin", identities=[Identity("https://other.example.com", "8f1d")])
    for number in range(5):
        add_member(members, f"cy-{number}")
    ended = started.run("doctor")
    assert ended.returncode == 0, "it is a note"
    told = in_words(ended.stdout)
    assert f"Everybody at {issuer} is let in (oauth_everyone), and these members have no identity there: " in told
    assert "there: boss, cy-0, cy-1, cy-2 and 2 more. One of them who signs in there counts as two people:" in told
    assert "members change NAME --identity ISSUER SUBJECT" in told
    assert in_words(started.run("doctor", ZINC_MCP_OAUTH_EVERYONE="0").stdout).count("two people") == 0
    for number, name in enumerate(["boss", *(f"cy-{number}" for number in range(5))]):
        assert started.run("members", "change", name, "--identity", issuer, f"s-{number}").returncode == 0
    assert "two people" not in in_words(started.run("doctor").stdout)


def test_the_policy_is_printed_with_the_source_of_each_value(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.configure(f'[policy]\nmax_day = 30000\nretailers_allowed = ["amazon.com"]\n{ADDRESS}')
    ended = started.run("policy", ZINC_MCP_MAX_ORDER="9900", ZINC_MCP_MAX_DAY="40000", ZINC_MCP_APPROVAL="none")
    rows = {line.split()[0]: line.split()[1:] for line in ended.stdout.splitlines() if line.startswith("  ")}
    assert rows["max_order"] == ["$99.00", "environment", "ZINC_MCP_MAX_ORDER"]
    assert rows["max_day"] == ["$300.00", "zinc.toml"]
    assert rows["approval"] == ["none", "environment", "ZINC_MCP_APPROVAL"]
    assert rows["retailers_allowed"] == ["amazon.com", "zinc.toml"]
    assert rows["max_month"] == ["no", "limit", "default"]
    assert "Saved addresses: home\n" in ended.stdout
    assert os.linesep + os.linesep in ended.stdout


def test_a_policy_that_cannot_be_understood_is_a_sentence(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.configure('[policy]\nmax_order = "250"\n')
    ended = started.run("policy")
    assert ended.returncode == 1
    assert "max_order" in ended.stderr


def test_addresses_saved_in_the_journal_are_counted(tmp_path: Path) -> None:
    started = Started(tmp_path)
    assert "addresses: none saved" in started.run("doctor", ZINC_MCP_SANDBOX="1").stdout
    fields = "--first-name A --last-name B --address-line1 1st --city York --state NY --postal-code 10001 --country US"
    started.run("addresses", "add", "office", *fields.split(), "--phone-number", "2125550100")
    assert "ok    addresses: 1 saved: office" in started.run("doctor", ZINC_MCP_SANDBOX="1").stdout
    started.configure(ADDRESS)
    assert "ok    addresses: 2 saved: home, office" in started.run("doctor", ZINC_MCP_SANDBOX="1").stdout


def test_a_wallet_whose_extra_is_missing_is_wrong(tmp_path: Path) -> None:
    started = Started(tmp_path)
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "pytempo.py").write_text("raise ImportError\n", encoding="utf-8")
    ended = started.process(
        "-m",
        "zinc_mcp",
        "doctor",
        ZINC_API_URL=NOBODY,
        ZINC_WALLET="tempo",
        ZINC_TEMPO_PRIVATE_KEY="0x" + "1" * 64,
        PYTHONPATH=f"{tmp_path / 'blocked'}{os.pathsep}{started.environment['PYTHONPATH']}",
    )
    assert "WRONG place_agent_order: ZINC_WALLET is tempo, but its signer is not installed." in ended.stdout


@pytest.mark.parametrize("key", ["0x" + "0" * 64, "f" * 64])
def test_a_wallet_whose_key_can_sign_nothing_is_wrong_and_the_key_is_not_shown(tmp_path: Path, key: str) -> None:
    pytest.importorskip("pytempo")
    ended = Started(tmp_path).run("doctor", ZINC_API_URL=NOBODY, ZINC_WALLET="tempo", ZINC_TEMPO_PRIVATE_KEY=key)
    assert "WRONG place_agent_order: ZINC_TEMPO_PRIVATE_KEY is not a private key that can sign." in ended.stdout
    assert key not in ended.stdout + ended.stderr


def test_a_wallet_whose_program_is_not_there_is_wrong(tmp_path: Path) -> None:
    started = Started(tmp_path)
    gone = started.run("doctor", ZINC_API_URL=NOBODY, ZINC_WALLET="command", ZINC_WALLET_COMMAND="/no/such/wallet pay")
    assert "WRONG place_agent_order: ZINC_WALLET_COMMAND names a program that cannot be found" in gone.stdout
    there = started.run("doctor", ZINC_API_URL=NOBODY, ZINC_WALLET="command", ZINC_WALLET_COMMAND=sys.executable)
    assert "ok    place_agent_order: pays for real with the wallet command" in there.stdout


async def test_doubt_is_found_however_many_orders_came_after_it(
    open_test_process: OpenProcess, zinc: FakeZinc, tmp_path: Path, home: Path
) -> None:
    started = Started(tmp_path)
    zinc.script = ["lose_before", "lose_before"]
    async with open_test_process() as ours:
        doubted = (await place(ours, intent())).entry
        await place(ours, intent(products=book(2)))
    assert doubted is not None
    with closing(sqlite3.connect(home / "journal.db")) as database:
        columns = [row[1] for row in database.execute("pragma table_info(zinc_entries)") if row[1] not in ("id", "key")]
        names = ", ".join(columns)
        database.execute(
            f"with recursive n(i) as (select 1 union all select i + 1 from n where i < 1500) "
            f"insert into zinc_entries (key, {names}) select 'copy-' || i, {names} from zinc_entries, n where id = 2"
        )
        database.commit()
    said = started.run("doctor", ZINC_MCP_SANDBOX="1").stdout
    assert f"note  doubt: 1 order was sent or paid, and how it ended is not known: {doubted.key}" in said
    assert f"orders show {doubted.key}\n" in said


def test_a_placeholder_is_wrong_and_named_at_start_and_by_doctor(tmp_path: Path) -> None:
    started = Started(tmp_path)
    ended = started.run("doctor", ZINC_API_URL=NOBODY, ZINC_API_KEY="${env:ZINC_API_KEY}")
    assert "WRONG settings: environment ZINC_API_KEY holds a placeholder that was not filled in" in ended.stdout
    served = started.process("-m", "zinc_mcp", ZINC_API_KEY="{env:ZINC_API_KEY}", ZINC_MCP_SANDBOX="1")
    assert "zinc-mcp: environment ZINC_API_KEY holds a placeholder" in served.stderr
    assert served.stdout == ""


# Sentences in a terminal are written for the owner


MODELS_WORDS = re.compile(r"(?i)get_order|place_order|place_agent_order|(tell|ask) the user|the user |\bcall again")


def test_there_is_advice_for_each_code_and_none_of_it_is_a_models() -> None:
    assert set(BY_CODE) == set(get_args(ErrorCode))
    for code in get_args(ErrorCode):
        said = advice(RefusedError("No.", "Tell the user; call get_order.", code=code, facts={"key": "k-1"}))
        assert said.endswith((".", "`")), said
        assert not MODELS_WORDS.search(said)
        assert not re.search("LOOK|RESUME|ORDERS", said)


def test_a_command_tells_its_refusal_to_the_owner() -> None:
    models: list[str] = []
    package = Path(errors.__file__).parent
    for path in [*sorted((package / "cli").rglob("*.py")), package / "owner" / "members.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("RefusedError", "OrderNotFoundError"):
                words = {each.arg for each in node.keywords}
                if len(node.args) > 1 or "next_step" in words:
                    models.append(f"{path.name}:{node.lineno}")
    assert models == []
    shown = [
        f"{path.name}: {line.strip()}"
        for path in sorted((package / "cli").rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\berror\.next_step|wallet\.next_step", line)
    ]
    assert shown == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["orders", "show", "nothing"], "orders` lists them."),
        (["orders", "resolve", "nothing", "--not-bought"], "Run it in a terminal of your own"),
        (["addresses", "remove", "nowhere"], "addresses list` prints the names"),
        (["members", "remove", "nobody"], "members list` prints the names."),
        (["members", "add", "No Name"], "Use 1 to 40 of a-z"),
        (["approve", "nothing"], "Run it in a terminal of your own"),
    ],
)
def test_a_refusal_in_a_terminal_says_what_the_owner_can_do(tmp_path: Path, words: list[str], said: str) -> None:
    ended = Started(tmp_path).run(*words)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert not MODELS_WORDS.search(ended.stderr)
