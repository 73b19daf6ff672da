"""`orders evidence` and `evidence verify`: the file says what happened, and a changed one is found."""

import hashlib
import json
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from conftest import OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from journals import entry_of
from server.on_a_port import zinc_on_a_port
from started import Started
from wanted import intent, order

from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.consent.anchor import anchor_over, leaf
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.journal.records.twin import ANCHOR_FIELD
from zinc_mcp.owner.secrets.evidence_key import FILE, sign
from zinc_mcp.views.evidence.file import signed_content

ASKS = '[policy]\napproval = "page"\n'
KEY = "zn_test_planted-secret"
PRIVATE = ("Ada", "Buyer", "Planted Street", "10001", "0147")


@pytest.fixture
def started(tmp_path: Path) -> Started:
    started = Started(tmp_path)
    started.configure(ASKS)
    return started


async def bought(open_test_process: OpenProcess, zinc: FakeZinc) -> Entry:
    """Let a person say yes to an order, and let Zinc place it."""
    zinc.products["B07JGBW826"] = {"status": "completed", "title": "A book\u202e", "price": 1000}
    async with open_test_process(api_key="zn_live_planted-secret") as process:
        waits = entry_of(await place(process, intent()))
        answer = await decide(process, yes(waits), caller="local")
        return entry_of(answer)


def made(started: Started, *words: str) -> dict[str, Any]:
    ended = started.run("orders", "evidence", *words)
    assert ended.returncode == 0, ended.stderr
    return cast(dict[str, Any], json.loads(ended.stdout))


def kept(started: Started, document: Mapping[str, Any]) -> str:
    path = started.home.parent / "evidence.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


async def test_a_file_tells_an_order_from_the_request_to_the_answer(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started
) -> None:
    entry = await bought(open_test_process, zinc)
    document = made(started, entry.key)
    [sent] = zinc.posts
    assert document["request"]["sha256"] == hashlib.sha256(sent.content).hexdigest()
    assert document["request"]["public"]["question"]["lines"][0]["title"] == "A book"
    assert (document["decision"]["how"], document["decision"]["yes"]) == ("page", True)
    assert document["order"]["order_id"] == entry.order_id
    assert [each["what"] for each in document["events"]][:3] == ["opened", "asked", "approved (page)"]
    assert document["request"]["metadata"][ANCHOR_FIELD] == json.loads(sent.content)["metadata"][ANCHOR_FIELD]
    text = json.dumps(document)
    assert [word for word in PRIVATE if word in text] == []
    assert "planted-secret" not in text and str((entry.consent or {})["id"]) not in text
    assert str(entry.facts["anchor_salt"]) not in text  # with it, who knows the address could be tried out
    whole = json.dumps(made(started, entry.key, "--with-address"))
    assert "12 Planted Street" in whole and "planted-secret" not in whole


async def test_the_key_is_made_once_and_is_the_owners_alone(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started
) -> None:
    entry = await bought(open_test_process, zinc)
    first, second = made(started, entry.key), made(started, entry.key)
    assert first["signature"]["public_key"] == second["signature"]["public_key"]
    if sys.platform != "win32":
        assert stat.S_IMODE((started.home / FILE).stat().st_mode) == 0o600
    assert list(started.home.glob(f"{FILE}.*")) == []


@pytest.mark.parametrize("words", [(), ("--with-address",)])
async def test_a_true_file_is_confirmed_by_its_signature_and_by_zinc(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started, words: tuple[str, ...]
) -> None:
    entry = await bought(open_test_process, zinc)
    path = kept(started, made(started, entry.key, *words))
    ended = started.run("evidence", "verify", path)
    assert ended.returncode == 0, ended.stdout
    assert "ok    file   The file is as it was signed." in ended.stdout
    assert "ok    us     It was signed by the key of this home." in ended.stdout
    assert "-     Zinc   Zinc was not asked" in ended.stdout
    assert "-     us     Only our own record says who decided, how and when." in ended.stdout
    asked = await verified_at_zinc(zinc, started, path)
    assert asked.returncode == 0, asked.stdout
    for what in ("Zinc has this order", "key of this order is the same", "anchor of this order is the same"):
        assert what in asked.stdout
    assert "products are the same" in asked.stdout and "Nothing contradicts the file." in asked.stdout


async def verified_at_zinc(zinc: FakeZinc, started: Started, path: str) -> Any:
    """Run `verify --ask-zinc` against the fake Zinc on a real socket."""
    async with zinc_on_a_port(zinc) as origin:
        environment = {"ZINC_API_URL": origin, "ZINC_API_KEY": KEY}
        return await anyio.to_thread.run_sync(
            lambda: started.quickly("evidence", "verify", "--ask-zinc", path, **environment)
        )


UNCLEAR = (
    b'{"format": "zinc-mcp evidence 1", "order": {}, "order": {}}',
    b'{"format": "zinc-mcp evidence 1", "order": NaN}',
    b'{"format": "zinc-mcp evidence 1", "order": "\\ud800"}',
)
"""Files that two readers could read in two ways."""


def test_another_file_is_no_evidence(started: Started, tmp_path: Path) -> None:
    for content in (
        b"",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        b'{"format": "zinc-mcp evidence 1"}' + b" " * (5 << 20),
        *UNCLEAR,
    ):
        (tmp_path / "other").write_bytes(content)
        ended = started.run("evidence", "verify", str(tmp_path / "other"))
        assert ended.returncode == 1 and "This is not an evidence file" in ended.stderr
    (tmp_path / "other").write_bytes(b'{"format": "zinc-mcp evidence 1", "request": 3, "signature": [], "order": "x"}')
    ended = started.run("evidence", "verify", str(tmp_path / "other"))
    assert ended.returncode == 1 and "was changed after it was signed" in ended.stdout


Change = Callable[[dict[str, Any]], None]


def _title(document: dict[str, Any]) -> None:
    document["request"]["public"]["question"]["lines"][0]["title"] = "Another thing"


def _quantity(document: dict[str, Any]) -> None:
    document["request"]["public"]["request"]["products"][0]["quantity"] = 7


def _ceiling(document: dict[str, Any]) -> None:
    document["request"]["public"]["request"]["max_price"] = 100


def _no_question(document: dict[str, Any]) -> None:
    document["request"]["public"]["question"] = None


FORGED: Mapping[str, Change] = {
    "another title": _title,
    "another quantity": _quantity,
    "another ceiling": _ceiling,
    "nobody was asked": _no_question,
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_changed_file_is_found(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started, name: str
) -> None:
    entry = await bought(open_test_process, zinc)
    document = made(started, entry.key)
    FORGED[name](document)
    ended = started.run("evidence", "verify", kept(started, document))
    assert ended.returncode == 1
    assert "WRONG file   The signature is not of this content" in ended.stdout
    assert "WRONG file   The request or the question does not belong to the anchor" in ended.stdout


@pytest.mark.sampled(4)
@pytest.mark.parametrize("hides_the_anchor", [False, True])
@pytest.mark.parametrize("name", FORGED)
async def test_a_forger_who_makes_the_file_whole_again_is_found_where_zinc_holds_the_anchor(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    started: Started,
    tmp_path: Path,
    name: str,
    hides_the_anchor: bool,
) -> None:
    entry = await bought(open_test_process, zinc)
    document = made(started, entry.key)
    request = document["request"]
    FORGED[name](document)
    if hides_the_anchor:
        del request["anchor"]
        request["metadata"][ANCHOR_FIELD] = None
    else:
        anchor = request["anchor"]
        anchor["value"] = anchor_over(leaf(anchor["public_salt"], request["public"]), anchor["private_digest"])
        request["metadata"][ANCHOR_FIELD] = anchor["value"]
    public, value = sign(tmp_path / "the forgers home", signed_content(document))
    document["signature"] = {"algorithm": "Ed25519", "public_key": public, "value": value}
    path = kept(started, document)
    elsewhere = Started(tmp_path / "a judge").run("evidence", "verify", path)
    assert elsewhere.returncode == 0, elsewhere.stdout  # by itself, nothing of it is wrong
    assert "signed by another key than this home's" in started.run("evidence", "verify", path).stdout
    ended = await verified_at_zinc(zinc, started, path)
    assert ended.returncode == 1
    assert "WRONG Zinc   Zinc's anchor of this order is ANOTHER ONE." in ended.stdout


async def test_nothing_that_zinc_leaves_out_is_taken_for_a_confirmation(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started
) -> None:
    entry = await bought(open_test_process, zinc)
    path = kept(started, made(started, entry.key))
    zinc.shown_when_read = lambda shown: {**shown, "metadata": {}}
    ended = await verified_at_zinc(zinc, started, path)
    assert "-     Zinc   Zinc does not show the anchor of this order." in ended.stdout
    zinc.shown_when_read = lambda shown: {**shown, "id": "00000000-0000-4000-8000-000000000000"}
    ended = await verified_at_zinc(zinc, started, path)
    assert ended.returncode == 1 and "Zinc answered with another order" in ended.stdout
    zinc.orders.clear()
    ended = await verified_at_zinc(zinc, started, path)
    assert "Zinc could not confirm it" in ended.stdout


async def test_a_payment_by_wallet_is_named_by_its_reference_and_by_nothing_secret(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started
) -> None:
    started.configure('[policy]\napproval = "none"\n')
    async with open_test_process(sandbox=True) as process:
        entry = entry_of(await place(process, Intent("local", "agent", order())))
        payment = await process.unwritten.payment(entry.id)
    assert payment is not None and payment.order_key is not None
    document = made(started, entry.key)
    receipts = document["receipts"]
    assert receipts.get("reference") or receipts.get("receipt")
    text = json.dumps(document)
    assert payment.order_key.get_secret_value() not in text
    assert "Payment " not in text and "authorization" not in text.lower()
    assert "anchor" not in document["request"], "the bytes that went out unpaid are those that were paid"
    assert ANCHOR_FIELD not in zinc.orders[str(entry.order_id)]["metadata"]
    ended = started.run("evidence", "verify", kept(started, document))
    assert ended.returncode == 0 and "The payment's reference is" in ended.stdout


async def test_an_order_that_was_forgotten_keeps_its_digests(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started
) -> None:
    entry = await bought(open_test_process, zinc)
    zinc.settle(str(entry.order_id), 4200)
    async with open_test_process(api_key="zn_live_planted-secret") as process:
        await process.journal.run(lambda journal: journal.move(journal.read(entry.id), "placed", "placed"))
        await process.journal.run(lambda journal: journal.purge(-1.0))
    document = made(started, entry.key, "--with-address")
    assert document["request"]["kept"] is False and document["decision"]["yes"] is True
    assert "Planted Street" not in json.dumps(document)
    ended = started.run("evidence", "verify", kept(started, document))
    assert ended.returncode == 0 and "forgotten by a purge" in ended.stdout


async def test_orders_that_share_a_key_are_told_apart(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started
) -> None:
    async with open_test_process() as process:
        given = order(idempotency_key="shared")
        await place(process, Intent("local", "account", given))
    async with open_test_process(api_key="zn_live_planted-secret") as process:
        await place(process, Intent("local", "account", given))
    ended = started.run("orders", "evidence", "shared")
    assert ended.returncode == 1 and "--mode live --caller local" in ended.stderr
    assert made(started, "shared", "--mode", "test")["order"]["mode"] == "test"
    assert started.run("orders", "evidence", "nothing").returncode == 1


async def test_the_anchor_is_in_the_bytes_that_a_yes_is_for_and_a_repeat_sends(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, started: Started
) -> None:
    zinc.script = ["lose_before"]
    zinc.listing = False
    async with open_test_process(api_key="zn_live_planted-secret") as process:
        waits = entry_of(await place(process, intent()))
        sent = entry_of(await decide(process, yes(waits), caller="local"))
    assert waits.body is not None and sent.body == waits.body
    bodies = [request.content for request in zinc.posts]
    assert bodies and set(bodies) == {waits.body}  # every time the same
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        assert journal.read(sent.id).body == waits.body
