"""`zinc-mcp members` gives tokens, roles and identities, takes them back at once, and forgets whom it is told to."""

import json
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx2
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from keyboard import at_a_terminal
from server.as_a_host import call
from server.on_a_port import JSON, connected, held_stream, initialize, served
from started import Started
from wanted import arguments

from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.members import add_member, members_callers, read_members, remove_member, rotate_member
from zinc_mcp.owner.team.member import Identity

ISSUER = "https://id.example.com/realms/team"
PERSONAL = (b"Planted Street", b"Buyer", b"10001", b"ada#", b'"ada"')


@pytest.fixture
def started(tmp_path: Path, home: Path) -> Started:
    """Return the program in the home of the process that a test opens."""
    program = Started(tmp_path)
    program.home = home
    program.environment["ZINC_MCP_HOME"] = str(home)
    return program


def test_a_member_has_a_role_identities_and_an_address_that_is_only_shown(started: Started) -> None:
    added = started.run(
        "members", "add", "ada", "--role", "admin", "--identity", ISSUER, "8f1c", "--email", "ada@example.com"
    )
    assert added.returncode == 0, added.stderr
    assert started.run("members", "list").stdout == f"ada  admin  ada@example.com  8f1c at {ISSUER}\n"
    changed = started.run("members", "change", "ada", "--role", "read", "--no-identity")
    assert changed.stdout == "ada  read  ada@example.com\n"
    assert read_members(started.home / "members.json")["ada"].identities == ()
    for wrong in (
        ["change", "nobody", "--role", "read"],
        ["rotate", "nobody"],
        ["add", "bob", "--identity", ISSUER, ""],
        ["add", "bob", "--identity", ISSUER, "x" * 256],
        ["add", "bob", "--email", "nobody"],
        ["add", "bob", "--role", "owner"],
    ):
        assert started.run("members", *wrong).returncode in (1, 2), wrong
    assert started.run("members", "list").stdout == "ada  read  ada@example.com\n"


def test_one_identity_is_one_member(started: Started) -> None:
    assert started.run("members", "add", "ada", "--identity", ISSUER, "8f1c").returncode == 0
    again = started.run("members", "add", "bob", "--identity", ISSUER, "8f1c")
    assert again.returncode == 1
    assert "is ada's already" in again.stderr
    assert started.run("members", "add", "bob", "--identity", "https://other.example", "8f1c").returncode == 0
    path = started.home / "members.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    kept["members"]["bob"]["identities"] = kept["members"]["ada"]["identities"]
    path.write_text(json.dumps(kept), encoding="utf-8")
    assert "cannot be used" in started.run("members", "list").stderr, "a file in which one person is two"


@pytest.mark.parametrize("transport", ["mcp", "sse"])
async def test_a_rotated_token_ends_at_once_and_the_member_stays_who_they_were(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started, transport: str
) -> None:
    members = started.home / "members.json"
    old = add_member(members, "ada")
    async with open_test_process() as process, served(process) as origin:
        async with connected(origin, transport, "auto", old) as client:
            placed = await call(client, "place_order", arguments())
        headers = {**JSON, "Authorization": f"Bearer {old}"}
        async with held_stream(origin, transport, old) as ended:
            await anyio.sleep(1)
            assert not ended.is_set()
            new = rotate_member(members, "ada")
            with anyio.fail_after(15):
                await ended.wait()
        async with httpx2.AsyncClient(base_url=origin, headers=headers, timeout=20) as http:
            assert (await http.post("/mcp", json=initialize())).status_code == 401
        async with connected(origin, transport, "auto", new) as client:
            assert (await call(client, "place_order", arguments()))["order_id"] == placed["order_id"]
    assert len(zinc.posts) == 1


async def test_a_forgotten_member_leaves_money_digests_and_keys_and_nothing_personal(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started
) -> None:
    members = started.home / "members.json"
    token, other = add_member(members, "ada", email="ada@example.com"), add_member(members, "bob")
    caller = members_callers(members)["ada"]
    async with open_test_process() as process, served(process) as origin:
        for each, quantity in ((token, 1), (token, 2), (other, 3)):
            async with connected(origin, "mcp", "auto", each) as client:
                place = arguments()["shipping_address"]
                if each == other:
                    place = {**place, "last_name": "Other", "address_line1": "9 Elsewhere", "postal_code": "10002"}
                wish = arguments(
                    products=[{**arguments()["products"][0], "quantity": quantity}], shipping_address=place
                )
                placed = await call(client, "place_order", wish)
                if quantity != 2:
                    zinc.settle(placed["order_id"], 4_000)
                    await call(client, "get_order", {"order_id": placed["key"], "wait_seconds": 5})
        before = await process.journal.run(lambda journal: journal.entries(caller=caller))
    code, screen = at_a_terminal(["members", "forget", "ada"], started.environment, [("Type ada", "no")])
    assert (code, "Nothing was changed." in screen) == (1, True)
    assert "ada" in members_callers(members)
    code, screen = at_a_terminal(["members", "forget", "ada"], started.environment, [("Type ada", "ada")])
    assert code == 0, screen
    assert "with bodies and addresses of 1 order." in " ".join(screen.split())
    assert "Their orders that are not over yet stay (1)" in " ".join(screen.split())
    assert list(members_callers(members)) == ["bob"]
    async with open_test_process() as process:
        rows = await process.journal.run(lambda journal: journal.entries())
        [forgotten] = [row for row in rows if row.caller.startswith("forgotten#")]
        [open_] = [row for row in rows if row.caller == caller]
        [bob] = [row for row in rows if row.caller not in (caller, forgotten.caller)]
        [was] = [entry for entry in before if entry.id == forgotten.id]
        kept = ("key", "twin", "body_digest", "state", "order_id", "spent_cents", "reserved_cents", "counts_cents")
        assert [getattr(forgotten, name) for name in kept] == [getattr(was, name) for name in kept]
        assert (forgotten.body, open_.state) == (None, "accepted")
        assert bob.body is not None
        zinc.settle(str(open_.order_id), 4_000)
        await anyio.lowlevel.checkpoint()
        from zinc_mcp.checkout.watch import look

        await look(process, caller, open_.key)
        await process.journal.run(lambda journal: journal.purge(0))
    code, screen = at_a_terminal(["members", "forget", "ada"], started.environment, [("Type ada", "ada")])
    assert code == 0, screen
    journal = started.home / "journal.db"
    assert [each for each in PERSONAL if each in journal.read_bytes()] == []
    with Journal.open(f"sqlite:///{journal}") as opened:
        assert sorted({entry.caller.partition("#")[0] for entry in opened.entries()}) == ["bob", "forgotten"]
    code, screen = at_a_terminal(["members", "forget", "ada"], started.environment)
    assert (code, "There is no member ada." in screen) == (1, True)


async def test_of_two_former_members_of_one_name_the_caller_says_which_to_forget(
    open_test_process: OpenProcess, started: Started
) -> None:
    members = started.home / "members.json"
    callers: list[str] = []
    async with open_test_process() as process, served(process, members_only=True) as origin:
        for _ in range(2):
            token = add_member(members, "ada", identities=[Identity(ISSUER, "ada")])
            callers.append(members_callers(members)["ada"])
            async with connected(origin, "mcp", "auto", token) as client:
                await call(client, "place_order", arguments())
            remove_member(members, "ada")
    code, screen = at_a_terminal(["members", "forget", "ada"], started.environment)
    told = "".join(screen.split())
    assert code == 1
    assert all(caller in told for caller in callers)
    first = [(f"Type {callers[0]}", callers[0])]
    assert at_a_terminal(["members", "forget", callers[0]], started.environment, first)[0] == 0
