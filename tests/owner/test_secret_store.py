"""The secret store keeps each secret whole, private and in the place that was chosen, whatever else happens."""

import json
import multiprocessing
import os
import stat
import sys
import time
from collections.abc import Generator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from zinc_mcp.errors import RefusedError, SettingsError
from zinc_mcp.owner.secrets.own_files import InsecureFileError
from zinc_mcp.owner.secrets.records import KINDS, MAX_SECRET, Place, Record
from zinc_mcp.owner.secrets.store import SecretStore

SECRET = "zn_live_planted_5a1e"


@pytest.fixture(autouse=True)
def keyring_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Let the library `keyring` use a file of the test."""
    import fake_keyring
    import keyring

    place = tmp_path / "keyring.json"
    monkeypatch.setenv("FAKE_KEYRING", str(place))
    before = keyring.get_keyring()
    keyring.set_keyring(fake_keyring.ours())
    yield place
    keyring.set_keyring(before)


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return SecretStore(tmp_path / "home")


def put(
    store: SecretStore, secret: str = SECRET, place: Place = "file", instead_of: Record | None = None, **more: Any
) -> Record:
    return store.put("api_key", {"value": SecretStr(secret)}, place, instead_of=instead_of, **more)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("place", ["file", "keyring"])
def test_a_secret_comes_back_with_what_was_said_of_it(store: SecretStore, place: Place) -> None:
    assert (store.record("api_key"), store.get("api_key"), store.names()) == (None, None, [])
    record = put(store, place=place, origin="https://api.zinc.com", remark="live")
    kept = store.get("api_key")
    assert kept is not None
    assert (kept.value.get_secret_value(), kept.record) == (SECRET, record)
    assert (record.place, record.origin, record.remark) == (place, "https://api.zinc.com", "live")
    assert SECRET not in repr(kept) + repr(record)
    assert store.names() == ["api_key"]
    assert store.remove("api_key") and store.get("api_key") is None and not store.remove("api_key")


@pytest.mark.skipif(sys.platform == "win32", reason="modes have no meaning there")
def test_only_the_owner_can_read_it_whatever_the_umask_and_the_modes_before(store: SecretStore, tmp_path: Path) -> None:
    folder = store.path("api_key").parent
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    before = os.umask(0)
    try:
        record = put(store)
        store.path("api_key").chmod(0o644)
        put(store, instead_of=record)
    finally:
        os.umask(before)
    assert (mode_of(folder), {mode_of(path) for path in folder.iterdir()}) == (0o700, {0o600})
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "api_key.json"], "nothing is left over"


def test_the_place_of_a_secret_is_known_without_the_keyring(
    store: SecretStore, keyring_of_the_test: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, place="keyring", remark="live")
    assert SECRET in keyring_of_the_test.read_text()
    assert SECRET not in store.path("api_key").read_text()
    monkeypatch.setenv("FAKE_KEYRING_IS", "broken")
    record = store.record("api_key")
    assert record is not None and (record.place, record.remark) == ("keyring", "live")


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [("locked", "is locked"), ("silent", "did not answer within 0.2 seconds"), ("broken", "failed (RuntimeError)")],
)
def test_a_keyring_that_cannot_be_used_is_said_in_time_and_nothing_of_it_is_repeated(
    store: SecretStore, monkeypatch: pytest.MonkeyPatch, behaviour: str, told: str
) -> None:
    put(store, place="keyring")
    monkeypatch.setenv("FAKE_KEYRING_IS", behaviour)
    began = time.monotonic()
    with pytest.raises(SettingsError) as raised:
        store.get("api_key", seconds=0.2)
    assert time.monotonic() - began < 5
    assert told in raised.value.summary
    assert SECRET not in f"{raised.value.summary}{raised.value.next_step}{raised.value.__cause__!r}"


@pytest.mark.parametrize("behaviour", ["locked", "broken", "forgetful"])
def test_a_keyring_that_does_not_keep_it_changes_nothing(
    store: SecretStore, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    record = put(store, "zn_live_before")
    monkeypatch.setenv("FAKE_KEYRING_IS", behaviour)
    with pytest.raises(SettingsError):
        put(store, place="keyring", instead_of=record)
    with pytest.raises(SettingsError):
        store.check_place("api_key", "keyring")
    kept = store.get("api_key")
    assert kept is not None and kept.value.get_secret_value() == "zn_live_before"


def test_moving_from_one_place_to_the_other_leaves_no_copy(store: SecretStore, keyring_of_the_test: Path) -> None:
    store.check_place("api_key", "keyring")
    record = put(store)
    record = put(store, place="keyring", instead_of=record)
    assert SECRET not in store.path("api_key").read_text()
    put(store, instead_of=record)
    assert json.loads(keyring_of_the_test.read_text()) == {}


def test_an_item_that_somebody_removed_is_said_and_can_be_signed_out_of(
    store: SecretStore, keyring_of_the_test: Path
) -> None:
    put(store, place="keyring")
    keyring_of_the_test.write_text("{}")
    with pytest.raises(SettingsError, match="does not hold the Zinc API key any more"):
        store.get("api_key")
    assert store.remove("api_key") and store.names() == []


def test_a_locked_keyring_keeps_its_secret_unless_it_is_to_be_left_there(
    store: SecretStore, keyring_of_the_test: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, place="keyring")
    monkeypatch.setenv("FAKE_KEYRING_IS", "locked")
    with pytest.raises(SettingsError):
        store.remove("api_key")
    assert store.names() == ["api_key"]
    assert store.remove("api_key", even_if_locked=True) and store.names() == []
    assert SECRET in keyring_of_the_test.read_text()


def test_a_secret_that_changed_meanwhile_is_not_replaced(store: SecretStore) -> None:
    with pytest.raises(RefusedError, match="Another process"):
        put(store, instead_of=Record("api_key", "file", "0" * 16, 1.0))
    first = put(store, "zn_live_first")
    for known in (None, Record("api_key", "file", "0" * 16, 1.0)):
        with pytest.raises(RefusedError, match="Another process"):
            put(store, "zn_live_second", instead_of=known)
    second = put(store, "zn_live_second", instead_of=first)
    with pytest.raises(RefusedError):
        put(store, "zn_live_third", instead_of=first)
    assert store.record("api_key") == second


def _keep(home: str, number: int, begin: Event) -> None:
    store = SecretStore(Path(home))
    begin.wait(30)
    for _ in range(25):
        try:
            before = store.record("api_key")
            store.put("api_key", {"value": SecretStr(f"{number}" * 900)}, "file", instead_of=before)
        except RefusedError:
            pass
        kept = store.get("api_key")
        assert kept is not None and len(set(kept.value.get_secret_value())) == 1


def test_processes_that_write_together_leave_a_whole_secret(store: SecretStore, tmp_path: Path) -> None:
    forking = multiprocessing.get_context("spawn")
    begin = forking.Event()
    home = str(tmp_path / "home")
    processes = [forking.Process(target=_keep, args=(home, number, begin)) for number in range(3)]
    for process in processes:
        process.start()
    begin.set()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted(path.name for path in (tmp_path / "home" / "secrets").iterdir()) == [".lock", "api_key.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_links_are_not_followed(store: SecretStore, tmp_path: Path) -> None:
    put(store)
    path, elsewhere = store.path("api_key"), tmp_path / "elsewhere.json"
    path.rename(elsewhere)
    content = elsewhere.read_bytes()
    path.symlink_to(elsewhere)
    with pytest.raises(SettingsError, match="a link"):
        store.get("api_key")
    put(store, "zn_live_new")
    assert elsewhere.read_bytes() == content and not path.is_symlink()
    path.unlink()
    path.symlink_to(elsewhere)
    assert store.remove("api_key") and elsewhere.read_bytes() == content
    folder = path.parent
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    for use in (lambda: store.get("api_key"), lambda: put(store)):
        with pytest.raises(SettingsError, match=r"link|not a folder"):
            use()


@pytest.mark.skipif(sys.platform == "win32", reason="modes have no meaning there")
@pytest.mark.parametrize("which", ["file", "folder", "home"])
def test_a_store_that_others_can_write_to_is_not_believed(store: SecretStore, which: str) -> None:
    record = put(store)
    path = store.path("api_key")
    {"file": path, "folder": path.parent, "home": path.parent.parent}[which].chmod(0o777)
    with pytest.raises(InsecureFileError, match="Other users"):
        store.get("api_key")
    if which != "file":  # a new file takes the place of one that others could write to
        with pytest.raises(InsecureFileError):
            put(store, instead_of=record)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a named pipe")
@pytest.mark.parametrize("content", ["pipe", "folder", "", "[]", "{}", "{" * 5000, "x" * 100_000, '{"in": "file"}'])
def test_a_file_that_is_no_record_is_told_and_can_be_replaced(store: SecretStore, content: str) -> None:
    put(store)
    path = store.path("api_key")
    path.unlink()
    if content == "pipe":
        os.mkfifo(path)
    elif content == "folder":
        path.mkdir()
    else:
        path.write_text(content)
    with pytest.raises(SettingsError, match="secret store cannot be used"):
        store.get("api_key")
    if content == "folder":
        with pytest.raises(SettingsError):
            put(store)
        return
    put(store, "zn_live_new")
    kept = store.get("api_key")
    assert kept is not None and kept.value.get_secret_value() == "zn_live_new"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("in", "elsewhere"),
        ("id", "../../x"),
        ("since", True),
        ("since", -1),
        ("since", 1e300),
        ("for", 7),
        ("is", []),
        ("parts", {}),
        ("parts", {"value": ""}),
        ("parts", {"value": "x", "more": "y"}),
        ("parts", {"value": 7}),
    ],
)
def test_a_record_with_a_wrong_field_is_not_used(store: SecretStore, field: str, value: object) -> None:
    put(store)
    path = store.path("api_key")
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(SettingsError, match="not a record of ours"):
        store.get("api_key")
    assert SECRET not in str(store.names())


def test_a_full_disk_leaves_the_earlier_secret(store: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    record = put(store, "zn_live_before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="No space left"):
        put(store, "zn_live_after", instead_of=record)
    kept = store.get("api_key")
    assert kept is not None and kept.value.get_secret_value() == "zn_live_before"


ACCOUNT = {"email": "ada@example.com", "password": SECRET, "billing_address": '{"city":"Zürich"}', "totp_key": "JBSW"}


def parts_of_account(**more: str) -> dict[str, SecretStr]:
    return {part: SecretStr(text) for part, text in {**ACCOUNT, **more}.items()}


@pytest.mark.parametrize("place", ["file", "keyring"])
def test_an_account_at_a_retailer_is_kept_whole_with_what_is_known_of_it(store: SecretStore, place: Place) -> None:
    about = {"retailer": "amazon", "payment": "gift_balance"}
    name = "retailer_account.work"
    record = store.put(name, parts_of_account(), place, instead_of=None, about=about)
    kept = store.get(name)
    assert kept is not None and (kept.parts, kept.record) == (parts_of_account(), record)
    assert record.about == about and store.names() == [name]
    with pytest.raises(SettingsError, match="has the parts email, password, billing_address, totp_key, card"):
        store.put(name, {"email": SecretStr("ada")}, place, instead_of=record)


def test_a_card_is_in_a_keyring_and_never_in_a_file(store: SecretStore, tmp_path: Path) -> None:
    name, parts = "retailer_account.work", parts_of_account(card='{"number":"4242424242424242"}')
    with pytest.raises(SettingsError, match="A card is kept in the system's keyring only, never in a file"):
        store.put(name, parts, "file", instead_of=None)
    with pytest.raises(SettingsError, match="never in a file"):
        store.check_place(name, "file", ["card"])
    record = store.put(name, parts, "keyring", instead_of=None)
    kept = store.get(name)
    assert kept is not None and kept.parts == parts
    for path in (tmp_path / "home").rglob("*"):
        assert not path.is_file() or b"4242" not in path.read_bytes()
    # A card that somebody has moved into a file by hand is not used.
    plain = {part: value.get_secret_value() for part, value in parts.items()}
    moved = {"in": "file", "id": record.id, "since": record.since, "for": None, "is": None, "parts": plain}
    store.path(name).write_text(json.dumps(moved))
    with pytest.raises(SettingsError, match="it holds a card, which only a keyring may hold") as refused:
        store.get(name)
    assert "4242" not in str(refused.value)


@pytest.mark.parametrize("about", ["text", ["list"], {"payment": 5}, {"payment": None}])
def test_a_record_that_says_something_else_than_texts_is_none(store: SecretStore, about: object) -> None:
    record = put(store)
    found = json.loads(store.path("api_key").read_text())
    store.path("api_key").write_text(json.dumps({**found, "about": about}))
    with pytest.raises(SettingsError, match="not a record of ours"):
        store.get("api_key")
    put(store, "zn_live_after", instead_of=record)


@pytest.mark.parametrize(
    "name",
    ["retailer_account", "api_key.work", "retailer_account.../x", "retailer_account.A", "retailer_account."],
)
def test_a_name_that_is_none_is_refused(store: SecretStore, name: str) -> None:
    with pytest.raises(SettingsError, match="of the kind"):
        store.record(name)


def test_the_longest_secret_is_read_again_in_any_letters(store: SecretStore) -> None:
    secret = "\U0001f511" * MAX_SECRET
    put(store, secret)
    kept = store.get("api_key")
    assert kept is not None and kept.value.get_secret_value() == secret


def test_an_empty_and_an_endless_secret_are_refused(store: SecretStore) -> None:
    for secret in ("", "x" * (MAX_SECRET + 1)):
        with pytest.raises(SettingsError):
            put(store, secret)
    assert not store.path("api_key").exists()
    assert all(kind.places for kind in KINDS.values())
