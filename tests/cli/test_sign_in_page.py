"""Every command of docs/sign-in.md does what the page says, as it is printed."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from documents import blocks
from keyboard import at_a_terminal
from signing import KEY, Practice, practice
from started import ROOT
from test_documents import Place

from zinc_mcp.owner.secrets.store import SecretStore

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")

BLOCKS = [each.text for each in blocks() if each.document == "docs/sign-in.md"]
SIGN_IN, TEST, PASTE, WHOAMI, LOGOUT, KEYRING, V1, V1_LOGOUT, WALLET, SANDBOX, PRACTICE = BLOCKS
PORT = 8080
MINE = "zn_test_of_the_page_77aa"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Generator[Practice]:
    with practice(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, sandbox: Practice) -> Place:
    place = Place(tmp_path)
    place.environment |= {"ZINC_API_URL": sandbox.url, "ZINC_MCP_BROWSER": "0"}
    return place


def store(place: Place) -> SecretStore:
    return SecretStore(place.home / ".zinc-mcp")


def kept(place: Place) -> str | None:
    found = store(place).get("api_key")
    return None if found is None else found.value.get_secret_value()


def typed_in(place: Place, lines: str, typed: Sequence[tuple[str, str]]) -> str:
    code, screen = at_a_terminal(
        ["-ec", lines], place.environment, typed, program=["/bin/sh"], cwd=place.folder, passed_on=True
    )
    assert code == 0, screen
    return screen


def test_a_person_signs_in_as_the_page_says(place: Place, sandbox: Practice) -> None:
    with sandbox.person("yes"):
        said = place.sh(SIGN_IN)
    assert "Signed in. The live key is kept in" in said and not KEY.search(said)
    folder = place.home / ".zinc-mcp" / "secrets"
    assert ((folder / "api_key.json").stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_key_for_testing_is_made_as_the_page_says(place: Place) -> None:
    assert "It is for testing" in place.sh(TEST)
    assert (kept(place) or "").startswith("zn_test_")


def test_a_key_that_exists_is_kept_as_the_page_says(place: Place) -> None:
    (place.folder / "key.txt").write_text(MINE + "\n")
    screen = typed_in(place, PASTE, [("not shown", "zn_test_typed_1234")])
    assert kept(place) == MINE and not KEY.search(screen)


def test_the_used_key_is_named_and_forgotten_as_the_page_says(place: Place) -> None:
    place.sh(TEST)
    said, as_json = place.sh(WHOAMI).strip().rsplit("\n", 1)
    assert "Key      test, ends in " in said and "From     secret store, file" in said
    assert json.loads(as_json)["accepted"] is True
    assert "Forgot the Zinc API key." in place.sh(LOGOUT)
    assert kept(place) is None


def test_a_key_is_kept_in_the_keyring_as_the_page_says(place: Place, tmp_path: Path, sandbox: Practice) -> None:
    place.environment |= {
        "PYTHON_KEYRING_BACKEND": "fake_keyring.Ours",
        "FAKE_KEYRING": str(tmp_path / "items.json"),
        "PYTHONPATH": str(ROOT / "tests"),
    }
    with sandbox.person("yes"):
        assert "kept in the system's keyring" in place.sh(KEYRING)
    record = store(place).record("api_key")
    assert record is not None and record.place == "keyring"
    assert not KEY.search(store(place).path("api_key").read_text())


def test_a_client_token_of_v1_is_kept_as_the_page_says(place: Place) -> None:
    (place.folder / "token.txt").write_text("a-token-from-a-file\n")
    screen = typed_in(place, V1, [("not shown", "a-token-that-was-typed")])
    assert "a-token" not in screen and "It was not checked" in screen
    record = store(place).get("v1_client_token")
    assert record is not None and record.value.get_secret_value() == "a-token-from-a-file"
    assert store(place).path("v1_client_token").name == "v1_client_token.json"
    assert record.record.origin == "https://api.zinc.io/v1"
    assert "Forgot" in place.sh(V1_LOGOUT)
    assert store(place).get("v1_client_token") is None


def test_a_payment_wallet_is_kept_as_the_page_says(place: Place) -> None:
    place.program("pay", "print()\n")
    typed_in(place, WALLET, [("Wallet", "command"), ("The program", "pay"), ("can pay", "stripe")])
    assert 'wallet = "command"' in (place.home / ".zinc-mcp" / "zinc.toml").read_text()


@contextmanager
def on_its_port(place: Place) -> Generator[None]:
    try:
        socket.create_server(("127.0.0.1", PORT)).close()
    except OSError:
        pytest.skip(f"port {PORT} is taken on this machine")
    with subprocess.Popen(
        ["/bin/sh", "-c", f"exec {SANDBOX}"], env=place.environment, cwd=place.folder, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        try:
            assert running.stdout.readline().decode().strip() == f"http://127.0.0.1:{PORT}"
            yield
        finally:
            running.terminate()


def test_a_sign_in_is_practised_as_the_page_says(place: Place) -> None:
    said = place.folder / "said"
    with (
        on_its_port(place),
        said.open("wb") as out,
        subprocess.Popen(["/bin/sh", "-ec", PRACTICE], env=place.environment, cwd=place.folder, stdout=out) as running,
    ):
        until = time.monotonic() + 40
        while not (links := re.findall(r"^  (http\S+user_code=(\S+))$", said.read_text(), re.M)):
            assert time.monotonic() < until
            time.sleep(0.1)
        [(link, code)] = links
        with httpx.Client(trust_env=False) as person:
            assert code in person.get(link).text
            form = {"user_code": code, "granted": "yes"}
            assert person.post(f"http://127.0.0.1:{PORT}/device", data=form).status_code == 200
        assert running.wait(60) == 0
    assert "Key      live, ends in " in said.read_text() and "Forgot the Zinc API key." in said.read_text()
