"""`zinc-mcp retailer-accounts`: accounts come in unseen or on standard input, and no secret ever comes out."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import planted_account as planted
import preloaded
import pytest
from documents import blocks
from keyboard import at_a_terminal
from planted_account import document, shown_in
from preloaded import Ended
from started import Started

from zinc_mcp.owner.retailer_accounts import profile_named
from zinc_mcp.owner.secrets.store import SecretStore

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

GIFT = {"use_gift": True}
PAGE = "docs/retailer-accounts.md"


@pytest.fixture
def started(tmp_path: Path) -> Started:
    started = Started(tmp_path)
    started.environment |= {
        "PYTHONPATH": f"{started.environment['PYTHONPATH']}:{Path(__file__).parents[1]}",
        "PYTHON_KEYRING_BACKEND": "fake_keyring.Ours",
        "FAKE_KEYRING": str(tmp_path / "keyring.json"),
    }
    return started


def add(started: Started, given: Any, *words: str, name: str = "work", **variables: str) -> Ended:
    """Give a document, or any text, to the command on its standard input."""
    text = given if isinstance(given, bytes) else json.dumps(given, ensure_ascii=False).encode()
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin.write(text)
        stdin.seek(0)
        environ = {**started.environment, **variables}
        command = ["retailer-accounts", "add", name, *words]
        streams = [each.fileno() for each in (stdin, out, err)]
        code = preloaded.started("zinc_mcp", command, environ, Path.cwd(), streams).wait(60)
        for each in (out, err):
            each.seek(0)
        ended = Ended(code, out.read().decode(), err.read().decode())
    assert not shown_in(ended.stdout + ended.stderr), ended
    assert "Traceback" not in ended.stderr, ended
    return ended


def run(started: Started, *words: str, **variables: str) -> Ended:
    ended = started.quickly("retailer-accounts", *words, **variables)
    assert not shown_in(ended.stdout + ended.stderr), ended
    return ended


def kept(started: Started, tmp_path: Path, name: str = "work") -> dict[str, Any]:
    """Return the parts of an account wherever they are."""
    record = SecretStore(started.home).record(f"retailer_account.{name}")
    assert record is not None
    if record.place == "file":
        return dict(json.loads(SecretStore(started.home).path(record.name).read_text())["parts"])
    return dict(json.loads(json.loads((tmp_path / "keyring.json").read_text())[f"zinc-mcp/{record.name} {record.id}"]))


def test_a_card_goes_into_the_keyring_and_only_its_end_is_shown(started: Started, tmp_path: Path) -> None:
    ended = add(started, document())
    assert ended.returncode == 0, ended
    assert "The amazon account work is kept in the system's keyring" in ended.stdout
    assert "It pays with a card that ends in 5559." in ended.stdout
    parts = kept(started, tmp_path)
    assert (parts["email"], parts["password"], parts["totp_key"]) == (planted.EMAIL, planted.PASSWORD, planted.TOTP)
    assert json.loads(parts["card"]) == planted.CARD
    assert json.loads(parts["billing_address"]) == planted.ADDRESS
    for path in started.home.rglob("*"):
        assert not path.is_file() or not shown_in(path.read_bytes()), path


def test_the_list_says_what_is_kept_and_whether_the_policy_names_it(started: Started) -> None:
    assert run(started, "list").stderr == "No account at a retailer is kept.\n"
    add(started, document())
    add(started, document(payment_method=GIFT), "--store", "file", name="gifts")
    listed = run(started, "list").stdout.splitlines()
    assert listed == [
        "gifts: amazon, pays with its gift balance (secret store, file; the policy does not name it)",
        "work: amazon, pays with a card that ends in 5559 (secret store, keyring; the policy does not name it)",
    ]
    started.configure('[policy]\nretailer_accounts = ["work"]\n')
    rows = json.loads(run(started, "list", "--json").stdout)
    assert [(row["name"], row["payment"], row["last_four"], row["place"], row["allowed"]) for row in rows] == [
        ("gifts", "gift_balance", None, "file", False),
        ("work", "card", "5559", "keyring", True),
    ]
    assert run(started, "list", FAKE_KEYRING_IS="locked").returncode == 0, "the keyring is not asked for a list"


def examined(started: Started, **variables: str) -> dict[str, list[tuple[str, str]]]:
    """Return what the doctor says of accounts and of their key: level and sentence, by subject."""
    ended = started.quickly("doctor", "--json", ZINC_MCP_SANDBOX="1", **variables)
    assert not shown_in(ended.stdout + ended.stderr), ended
    found: dict[str, list[tuple[str, str]]] = {"retailer account": [], "digest key": []}
    for finding in json.loads(ended.stdout)["findings"]:
        if finding["subject"] in found:
            found[finding["subject"]].append((finding["level"], finding["sentence"]))
    return found


def practised(started: Started, name: str, **changes: Any) -> None:
    """Keep an account for the sandbox."""
    ended = add(started, document(**changes), name=name, ZINC_MCP_SANDBOX="1")
    assert ended.returncode == 0, ended


def test_the_doctor_says_how_each_account_stands_and_shows_no_secret(started: Started) -> None:
    assert examined(started) == {"retailer account": [], "digest key": []}
    for name in ("mine", "theirs", "both"):
        practised(started, name)
    practised(started, "nobodys", payment_method=GIFT)
    add(started, document(), name="real")
    started.configure(
        '[policy]\nretailer_accounts = ["mine", "both", "gone"]\n'
        '[policy.member_retailer_accounts]\nada = ["theirs"]\n"*" = ["both"]\n'
    )
    said = examined(started)
    card = "amazon, pays with a card that ends in 5559; it can be read, and its card is in the keyring only"
    assert said["retailer account"] == [
        ("ok", f"both: {card}. The policy names it for your own orders and orders of each member"),
        ("ok", f"mine: {card}. The policy names it for your own orders"),
        (
            "note",
            "nobodys: amazon, pays with its gift balance; it can be read. The policy does not name it, so no order "
            "can use it.",
        ),
        ("note", f"real: {card}. It was added for another Zinc than the configured one, which never gets it."),
        ("ok", f"theirs: {card}. The policy names it for orders of ada"),
        (
            "note",
            "The policy names gone, which is not kept here. It counts as the id of an account at Zinc, if there is "
            "one.",
        ),
        ("note", "The policy names accounts for ada, which is no member's name."),
    ]


def test_the_doctor_finds_an_account_that_cannot_be_opened(started: Started) -> None:
    practised(started, "work")
    [(level, sentence)] = examined(started, FAKE_KEYRING_IS="locked")["retailer account"]
    assert level == "wrong" and sentence.startswith("The retailer account work cannot be used.")
    path = SecretStore(started.home).path("retailer_account.work")
    path.chmod(0o600)
    path.write_text("{")
    [(level, sentence)] = examined(started)["retailer account"]
    assert level == "wrong" and sentence.startswith("The retailer account work cannot be used.")


def test_the_doctor_says_which_key_the_digests_have(started: Started, tmp_path: Path) -> None:
    practised(started, "work")
    given = "a-secret-that-all-servers-on-the-journal-have"
    assert examined(started)["digest key"] == [("ok", "it is made with the first order that needs it")]
    [told] = examined(started, ZINC_MCP_DIGEST_KEY=given)["digest key"]
    assert told == ("ok", "it is given (ZINC_MCP_DIGEST_KEY); every server on this journal needs the same one")
    shared = {"ZINC_MCP_JOURNAL": f"sqlite:///{tmp_path}/shared.db"}
    [(level, sentence)] = examined(started, **shared)["digest key"]
    assert level == "note" and "the journal can be shared" in sentence
    (started.home / "digest.key").write_bytes(b"k")
    [(level, sentence)] = examined(started)["digest key"]
    assert level == "wrong", sentence


def test_the_line_that_the_command_prints_allows_the_account(started: Started) -> None:
    started.configure('[policy]\nretailer_accounts = ["other"]\n')
    printed = add(started, document(payment_method=GIFT)).stdout
    [line] = [line.strip() for line in printed.splitlines() if line.startswith("  retailer_accounts = ")]
    started.configure(f"[policy]\n{line}\n")
    assert [row["allowed"] for row in json.loads(run(started, "list", "--json").stdout)] == [True]
    assert "No order of yours can use it yet" not in add(started, document(payment_method=GIFT), "--force").stdout


def test_an_account_is_removed_and_its_keyring_item_with_it(started: Started, tmp_path: Path) -> None:
    add(started, document())
    ended = run(started, "remove", "work", FAKE_KEYRING_IS="locked")
    assert ended.returncode == 2 and "So the account is still kept." in ended.stderr
    assert "--store" not in ended.stderr
    assert run(started, "remove", "work").stdout.startswith("Forgot the retailer account work.")
    assert json.loads((tmp_path / "keyring.json").read_text()) == {}
    for name in ("work", "../api_key", "WORK", ""):
        ended = run(started, "remove", "--", name)
        assert (ended.returncode, ended.stdout) == (1, ""), name
        assert "No account at a retailer is kept under that name." in ended.stderr


def test_a_second_account_of_a_name_replaces_the_first_only_when_that_was_said(
    started: Started, tmp_path: Path
) -> None:
    add(started, document())
    ended = add(started, document(payment_method=GIFT))
    assert ended.returncode == 1 and "Nothing was changed." in ended.stderr
    assert "retailer-accounts remove work` forgets it" in ended.stderr
    assert "card" in kept(started, tmp_path)
    assert add(started, document(payment_method=GIFT), "--force").returncode == 0
    assert "card" not in kept(started, tmp_path)
    assert len(json.loads((tmp_path / "keyring.json").read_text())) == 1, "the card is gone"


@pytest.mark.parametrize("payment", [planted.CARD, {**planted.CARD, "use_gift": True}])
def test_a_card_is_never_kept_in_a_file(started: Started, tmp_path: Path, payment: dict[str, Any]) -> None:
    ended = add(started, document(payment_method=payment), "--store", "file")
    assert ended.returncode == 1
    assert "A card is never kept in a file, so nothing was kept." in ended.stderr
    assert SecretStore(started.home).names() == []
    for path in started.home.rglob("*"):
        assert not path.is_file() or not shown_in(path.read_bytes()), path


@pytest.mark.parametrize("keyring", ["locked", "broken", "forgetful"])
def test_a_keyring_that_does_not_work_keeps_nothing_and_does_not_send_a_card_to_a_file(
    started: Started, keyring: str
) -> None:
    ended = add(started, document(), FAKE_KEYRING_IS=keyring)
    assert ended.returncode == 2 and SecretStore(started.home).names() == []
    assert "--store file" in ended.stderr and "But a card is never kept in a file." in ended.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"retailer": "ebay"}, "retailer: must be one of amazon, "),
        ({"retailer": None}, "retailer: field required"),
        ({"retailer_credentials": None}, "retailer_credentials: field required"),
        ({"retailer_credentials": {"email": planted.EMAIL}}, "retailer_credentials.password: field required"),
        ({"retailer_credentials": {"email": planted.EMAIL, "password": " "}}, "retailer_credentials.password: must be"),
        (
            {"retailer_credentials": {"email": planted.EMAIL, "password": planted.PASSWORD, "totp_2fa_key": "803712"}},
            "retailer_credentials.totp_2fa_key: is a code that holds for half a minute",
        ),
        (
            {"retailer_credentials": {"email": planted.EMAIL, "password": planted.PASSWORD, "totp_2fa_key": "key!"}},
            "retailer_credentials.totp_2fa_key: must be a key for authenticator apps",
        ),
        (
            {"retailer_credentials": {"email": planted.EMAIL, "password": planted.PASSWORD, planted.TOTP: "x"}},
            "retailer_credentials: has a field that is not known there",
        ),
        ({planted.PASSWORD: "x"}, "has a field that is not known there"),
        ({"billing_address": {**planted.ADDRESS, "zip_code": "1"}}, "billing_address"),
        ({"payment_method": {}}, "payment_method: give a card, or use_gift true"),
        ({"payment_method": {"use_gift": False}}, "payment_method: give a card, or use_gift true"),
        ({"payment_method": {"use_gift": True, "use_account_payment_defaults": True}}, "one of them only"),
        ({"payment_method": {**planted.CARD, "use_account_payment_defaults": True}}, "not both"),
        ({"payment_method": {"number": planted.NUMBER}}, "payment_method: a card needs name_on_card"),
        (
            {"payment_method": {**planted.CARD, "number": "5500005555555551"}},
            "payment_method.number: is not the number",
        ),
        ({"payment_method": {**planted.CARD, "number": 5500005555555559}}, "payment_method.number: input should be a"),
        ({"payment_method": {**planted.CARD, "security_code": "80"}}, "payment_method.security_code: must be 3 or 4"),
        ({"payment_method": {**planted.CARD, "expiration_month": 13}}, "payment_method.expiration_month"),
        ({"payment_method": {**planted.CARD, "expiration_year": 2020}}, "expiration_year: must be a year with four"),
        ({"payment_method": {**planted.CARD, "expiration_year": 49}}, "expiration_year: must be a year with four"),
        ({"retailer": "costco", "payment_method": GIFT}, "only Amazon and Walmart pay from a gift balance"),
    ],
)
def test_a_document_with_a_mistake_keeps_nothing_and_names_the_field(
    started: Started, changes: dict[str, Any], said: str
) -> None:
    ended = add(started, document(**changes))
    assert ended.returncode == 1 and "nothing was kept" in ended.stderr
    assert said in ended.stderr, ended.stderr
    assert SecretStore(started.home).names() == []


@pytest.mark.parametrize(
    "text", [b"", b"[]", b'"x"', b"{", b"\xff\xfe", b"[" * 9_000, b'{"a":"' + b"x" * 20_000 + b'"}']
)
def test_a_text_that_is_no_document_keeps_nothing(started: Started, text: bytes) -> None:
    ended = add(started, text)
    assert ended.returncode == 1 and "There is no JSON object on standard input" in ended.stderr


def test_secrets_cannot_be_given_as_arguments(started: Started) -> None:
    for words in (["--password", "x"], ["--number", "x"], ["work", "x"]):
        assert run(started, "add", "work", *words).returncode == 2


def test_a_key_in_groups_and_a_card_with_spaces_are_the_same(started: Started, tmp_path: Path) -> None:
    spaced = {"email": planted.EMAIL, "password": planted.PASSWORD, "totp_2fa_key": "plan tedk eyaa aa23"}
    card = {**planted.CARD, "number": "5500 0055-5555 5559"}
    add(started, document(retailer_credentials=spaced, payment_method=card))
    parts = kept(started, tmp_path)
    assert parts["totp_key"] == planted.TOTP and json.loads(parts["card"])["number"] == planted.NUMBER


def test_a_person_types_an_account_and_no_secret_is_on_the_screen(started: Started, tmp_path: Path) -> None:
    typed = [
        ("Retailer (", ""),
        ("Login e-mail", planted.EMAIL),
        ("Password", planted.PASSWORD),
        ("Key of the second factor", planted.TOTP),
        ("It pays with", "card"),
        ("Name on the card", planted.HOLDER),
        ("Number of the card", planted.NUMBER),
        ("Security code", planted.CODE),
        ("Month in which", "12"),
        ("Year in which", "2049"),
        ("First name", "Ada"),
        ("Last name", "Payer"),
        ("Street and number", planted.STREET),
        ("More of it", ""),
        ("Postal code", "10001"),
        ("City", "New York"),
        ("State", "NY"),
        ("Country", ""),
        ("Telephone number", "2125550147"),
    ]
    code, screen = at_a_terminal(["retailer-accounts", "add", "work"], started.environment, typed, columns=120)
    assert code == 0, screen
    assert shown_in(screen) == [planted.STREET], "an address is typed as anybody types it"
    assert json.loads(kept(started, tmp_path)["card"]) == planted.CARD
    assert kept(started, tmp_path)["password"] == planted.PASSWORD
    assert profile_named(started.home, "work").last_four == "5559"


def test_the_page_says_what_works(started: Started, tmp_path: Path) -> None:
    given, policy, members = (
        next(each.text for each in blocks() if each.document == PAGE and each.text.startswith(begins))
        for begins in ("{", "[policy]", "[policy.")
    )
    lines = "\n".join(each.text for each in blocks() if each.document == PAGE and each.text.startswith("zinc-mcp"))
    given = given.replace('"password": "…"', '"password": "one"').replace("…", planted.TOTP)
    (tmp_path / "account.json").write_text(given, encoding="utf-8")
    commands = [line for line in lines.splitlines() if line and line != "zinc-mcp retailer-accounts add work"]
    assert [line.split()[2] for line in commands] == ["add", "list", "remove"], "the first add is typed elsewhere"
    started.configure(f"{policy}\n{members}")
    programs = tmp_path / "programs"
    programs.mkdir()
    preloaded.script(programs / "zinc-mcp")
    environ = {**started.environment, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run(
        ["/bin/sh", "-ec", "\n".join(commands)],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert "It pays with its gift balance." in ended.stdout and "No order of yours can use it yet" not in ended.stdout
    assert "work: amazon, pays with its gift balance (secret store, keyring; for members: ada)" in ended.stdout
    assert ended.stdout.splitlines()[-2] == "Forgot the retailer account work."


def test_a_practised_account_is_for_the_sandbox_alone(started: Started) -> None:
    add(started, document(), ZINC_MCP_SANDBOX="1", name="practice")
    add(started, document())
    add(started, document(), ZINC_V1_API_URL="http://127.0.0.1:8000/v1", name="other")
    origins = [profile_named(started.home, name).origin for name in ("practice", "work", "other")]
    assert origins == ["https://sandbox.invalid/v1", "https://api.zinc.io/v1", "http://127.0.0.1:8000/v1"]
